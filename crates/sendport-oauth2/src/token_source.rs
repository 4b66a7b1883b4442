//! Where the access tokens of `XOAUTH2` and `OAUTHBEARER` come from.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::secret::Secret;

/// Why there is no access token. Holds no part of a token or of another secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TokenError {
    /// What kind of failure it is.
    pub kind: TokenErrorKind,
    /// A sentence that names what was expected, what was found and which key to check.
    pub what: String,
    /// How long the token endpoint asked to be left alone (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

/// Kinds of [`TokenError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenErrorKind {
    /// The token endpoint is down, busy, out of reach, or limits its clients.
    EndpointUnavailable,
    /// A response, a file or the output of a program holds no usable token.
    InvalidToken,
    /// A wrong secret, an unknown client, a scope that was not granted: an operator has to fix it.
    Configuration,
}

impl TokenError {
    /// An error of this kind.
    pub fn new(kind: TokenErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            retry_after: None,
        }
    }

    /// The token endpoint may have a token later.
    pub fn unavailable(what: impl Into<String>) -> Self {
        Self::new(TokenErrorKind::EndpointUnavailable, what)
    }

    /// Without a usable token, which may change by itself.
    pub fn invalid(what: impl Into<String>) -> Self {
        Self::new(TokenErrorKind::InvalidToken, what)
    }

    /// An operator has to fix it.
    pub fn configuration(what: impl Into<String>) -> Self {
        Self::new(TokenErrorKind::Configuration, what)
    }

    /// True where trying again later may help.
    pub fn is_transient(&self) -> bool {
        self.kind != TokenErrorKind::Configuration
    }
}

/// Access tokens for one relay (RFC 6750). Shared by all of the relay's connections;
/// concurrent calls are normal, and one refresh serves them all.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is valid now, from the cache where it has one. Every wait is bounded.
    ///
    /// # Errors
    /// [`TokenError`]. It is remembered for a while, so that not every connection asks a source
    /// that fails.
    async fn token(&self) -> Result<Secret, TokenError>;

    /// Time for which [`TokenSource::token`] repeats the last error without asking again.
    fn cooldown_remaining(&self) -> Option<Duration> {
        None
    }

    /// The relay refused `token`. Where the cache still holds exactly this one, it is dropped, and
    /// the next [`TokenSource::token`] fetches another; a newer one stays. A source that has no
    /// other gives the same again, which makes the refusal final.
    async fn refused(&self, token: &Secret);
}
