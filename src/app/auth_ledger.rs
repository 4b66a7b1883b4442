//! Refused credentials, shared by all instances through the database.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::domain::{AuthDecision, AuthKey, AuthOutcome, InstanceId};
use sendport_smtp::relay::authentication::{AuthLedger, AuthLedgerError};
use sendport_store::Store;

/// The ledger of authentication results in the database, as one instance or a command uses it.
pub(super) struct DatabaseAuthLedger {
    store: Arc<dyn Store>,
    /// The instance that asks; `None` for a command.
    instance: Mutex<Option<InstanceId>>,
}

impl DatabaseAuthLedger {
    pub(super) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let instance = Mutex::default();
        Arc::new(Self { store, instance })
    }

    /// Asks as this instance from now on.
    pub(super) fn set_instance(&self, instance: InstanceId) {
        *self.instance.lock() = Some(instance);
    }

    fn instance(&self) -> Option<InstanceId> {
        *self.instance.lock()
    }
}

#[async_trait]
impl AuthLedger for DatabaseAuthLedger {
    async fn begin(&self, key: &AuthKey) -> Result<AuthDecision, AuthLedgerError> {
        let decision = self.store.begin_authentication(self.instance(), key).await;
        decision.map_err(AuthLedgerError::new)
    }

    async fn end(&self, key: &AuthKey, outcome: AuthOutcome) -> Result<(), AuthLedgerError> {
        let recorded = self
            .store
            .end_authentication(self.instance(), key, &outcome)
            .await;
        recorded.map_err(AuthLedgerError::new)
    }
}
