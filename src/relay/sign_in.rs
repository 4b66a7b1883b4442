//! What all instances know together about a relay's secret.

use async_trait::async_trait;

use crate::domain::{SignInKey, SignInTurn, SignInVerdict};

/// Asked before each sign-in, told after it. Shared by all instances of a database.
///
/// # Errors
/// A sentence, where nobody can be asked: then the secret must not be tried.
#[async_trait]
pub trait SignInLedger: Send + Sync {
    /// Whether the secret may be tried now. After [`SignInTurn::Alone`] the caller has to tell
    /// how it ended; one that died meanwhile counts as not answered once its lease is over.
    async fn begin(&self, key: &SignInKey) -> Result<SignInTurn, String>;

    /// How the sign-in ended.
    async fn end(&self, key: &SignInKey, verdict: SignInVerdict) -> Result<(), String>;
}

/// Knows nothing of other instances: for a command that has no database at hand.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unshared;

#[async_trait]
impl SignInLedger for Unshared {
    async fn begin(&self, _key: &SignInKey) -> Result<SignInTurn, String> {
        Ok(SignInTurn::Alone)
    }

    async fn end(&self, _key: &SignInKey, _verdict: SignInVerdict) -> Result<(), String> {
        Ok(())
    }
}
