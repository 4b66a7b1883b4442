//! Where the access tokens of `XOAUTH2` and `OAUTHBEARER` come from.

use async_trait::async_trait;

use crate::config::secret::Secret;

/// Access tokens for one relay (RFC 6750). Shared by all of the relay's connections;
/// concurrent calls are normal, and one refresh serves them all.
#[async_trait]
pub trait TokenSource: Send + Sync {
    /// A token that is valid now, out of the cache where one is there. Its waits are bounded.
    ///
    /// # Errors
    /// A sentence that says what was expected of whom and which key to look at. It holds no
    /// part of a token or of another secret.
    async fn token(&self) -> Result<Secret, String>;

    /// The relay refused `token`. Where the cache still holds exactly this one it is dropped,
    /// and the next [`TokenSource::token`] fetches another; a newer one stays.
    async fn refused(&self, token: &Secret);
}
