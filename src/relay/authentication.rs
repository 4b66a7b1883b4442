//! What all instances know together about a relay's secret.

use async_trait::async_trait;

use crate::domain::{AuthKey, AuthTurn, AuthVerdict};

/// Asked before each sign-in, told after it. Shared by all instances of a database.
///
/// # Errors
/// A sentence, where nobody can be asked: then the secret must not be tried.
#[async_trait]
pub trait AuthLedger: Send + Sync {
    /// Whether the secret may be tried now. After [`AuthTurn::Alone`] the caller has to tell
    /// how it ended; one that died meanwhile counts as not answered once its lease is over.
    async fn begin(&self, key: &AuthKey) -> Result<AuthTurn, String>;

    /// How the sign-in ended.
    async fn end(&self, key: &AuthKey, verdict: AuthVerdict) -> Result<(), String>;
}

/// Knows nothing of other instances: for a command that has no database at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unshared;

#[async_trait]
impl AuthLedger for Unshared {
    async fn begin(&self, _key: &AuthKey) -> Result<AuthTurn, String> {
        Ok(AuthTurn::Alone)
    }

    async fn end(&self, _key: &AuthKey, _verdict: AuthVerdict) -> Result<(), String> {
        Ok(())
    }
}
