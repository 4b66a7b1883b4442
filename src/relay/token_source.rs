//! Where the access tokens of `XOAUTH2` and `OAUTHBEARER` come from.

use std::time::Duration;

use async_trait::async_trait;

use super::NotReady;
use crate::domain::{Command, Fault, Reply};
use crate::secret::Secret;

/// Why there is no access token. Holds no part of a token or of another secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TokenError {
    /// A sentence that says what was expected of whom, what was found and which key to look at.
    pub what: String,
    /// [`Fault::Relay`] where time heals it: the token endpoint is down, busy or limits.
    /// [`Fault::Configuration`] where a person has to: a wrong secret, an unknown client, a
    /// scope that was not granted.
    pub fault: Fault,
    /// How long the token endpoint asked to be left alone (RFC 9110 section 10.2.3).
    pub retry_after: Option<Duration>,
}

impl TokenError {
    /// Time heals it.
    pub fn transient(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fault: Fault::Relay,
            retry_after: None,
        }
    }

    /// A person heals it.
    pub fn configuration(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            fault: Fault::Configuration,
            retry_after: None,
        }
    }

    /// True where trying again later may help.
    pub fn is_transient(&self) -> bool {
        self.fault == Fault::Relay
    }
}

impl From<TokenError> for NotReady {
    /// The relay was not signed in to, and nobody was asked there.
    fn from(error: TokenError) -> Self {
        Self {
            reply: Reply::absent(Command::Auth, error.what),
            fault: Some(error.fault),
        }
    }
}

/// Access tokens for one relay (RFC 6750). Shared by all of the relay's connections;
/// concurrent calls are normal, and one refresh serves them all.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is valid now, out of the cache where one is there. Its waits are bounded.
    ///
    /// # Errors
    /// [`TokenError`]. It is remembered for a while, so that a source in trouble is not asked
    /// by every connection.
    async fn token(&self) -> Result<Secret, TokenError>;

    /// How long [`TokenSource::token`] gives the same error again without asking anybody, where
    /// it does.
    fn cooldown_remaining(&self) -> Option<Duration> {
        None
    }

    /// The relay refused `token`. Where the cache still holds exactly this one it is dropped,
    /// and the next [`TokenSource::token`] fetches another; a newer one stays. A source that
    /// has no other gives the same again: then the refusal stands.
    async fn refused(&self, token: &Secret);
}
