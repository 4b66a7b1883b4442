//! The outcome of authentications, shared by all instances of a database.

use std::error::Error;

use async_trait::async_trait;
use sendport_core::domain::{AuthDecision, AuthKey, AuthOutcome};

/// The ledger cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AuthLedgerError(Box<dyn Error + Send + Sync>);

impl AuthLedgerError {
    /// With the error of the database.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Coordinates the credentials of a relay among all instances of a database, so that no account is
/// locked.
#[async_trait]
pub trait AuthLedger: Send + Sync {
    /// Whether the credentials may be tried now. After [`AuthDecision::ProceedAlone`] the caller
    /// has to report the outcome; an instance that crashed meanwhile counts as unanswered once its
    /// lease has expired.
    ///
    /// # Errors
    /// The database cannot be asked: the credentials must not be tried then.
    async fn begin(&self, key: &AuthKey) -> Result<AuthDecision, AuthLedgerError>;

    /// Reports the outcome of an authentication.
    ///
    /// # Errors
    /// The database cannot be asked.
    async fn end(&self, key: &AuthKey, outcome: AuthOutcome) -> Result<(), AuthLedgerError>;
}

/// For commands without a database: no other instance is known.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSharedLedger;

#[async_trait]
impl AuthLedger for NoSharedLedger {
    async fn begin(&self, _key: &AuthKey) -> Result<AuthDecision, AuthLedgerError> {
        Ok(AuthDecision::ProceedAlone)
    }

    async fn end(&self, _key: &AuthKey, _outcome: AuthOutcome) -> Result<(), AuthLedgerError> {
        Ok(())
    }
}
