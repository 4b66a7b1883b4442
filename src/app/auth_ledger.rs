//! Refused credentials, shared by all instances through the database.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::{AuthDecision, AuthKey, AuthOutcome, InstanceId};
use crate::relay::authentication::AuthLedger;
use crate::store::Store;

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
    async fn begin(&self, key: &AuthKey) -> Result<AuthDecision, String> {
        let turn = self.store.begin_authentication(self.instance(), key).await;
        turn.map_err(|error| error.to_string())
    }

    async fn end(&self, key: &AuthKey, verdict: AuthOutcome) -> Result<(), String> {
        let ended = self
            .store
            .end_authentication(self.instance(), key, &verdict)
            .await;
        ended.map_err(|error| error.to_string())
    }
}
