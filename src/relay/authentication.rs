//! What all instances know together about a relay's secret.

use async_trait::async_trait;

use crate::domain::{AuthDecision, AuthKey, AuthOutcome};

/// Asked before each sign-in, told after it. Shared by all instances of a database.
///
/// # Errors
/// A sentence, where nobody can be asked: then the secret must not be tried.
#[async_trait]
pub trait AuthLedger: Send + Sync {
    /// Whether the secret may be tried now. After [`AuthDecision::ProceedAlone`] the caller has to tell
    /// how it ended; one that died meanwhile counts as not answered once its lease is over.
    async fn begin(&self, key: &AuthKey) -> Result<AuthDecision, String>;

    /// How the sign-in ended.
    async fn end(&self, key: &AuthKey, verdict: AuthOutcome) -> Result<(), String>;
}

/// Knows nothing of other instances: for a command that has no database at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSharedLedger;

#[async_trait]
impl AuthLedger for NoSharedLedger {
    async fn begin(&self, _key: &AuthKey) -> Result<AuthDecision, String> {
        Ok(AuthDecision::ProceedAlone)
    }

    async fn end(&self, _key: &AuthKey, _verdict: AuthOutcome) -> Result<(), String> {
        Ok(())
    }
}
