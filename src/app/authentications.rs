//! What all instances of a database know together about refused secrets.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::{AuthDecision, AuthKey, AuthOutcome, InstanceId};
use crate::relay::authentication::AuthLedger;
use crate::store::Store;

/// The database's rows about sign-ins, as one instance or a command asks for them.
pub(super) struct SharedAuthState {
    store: Arc<dyn Store>,
    /// Which run of the service asks; a command is none.
    instance: Mutex<Option<InstanceId>>,
}

impl SharedAuthState {
    pub(super) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let instance = Mutex::default();
        Arc::new(Self { store, instance })
    }

    /// From now on this instance asks.
    pub(super) fn act_as(&self, instance: InstanceId) {
        *self.instance.lock() = Some(instance);
    }

    fn instance(&self) -> Option<InstanceId> {
        *self.instance.lock()
    }
}

#[async_trait]
impl AuthLedger for SharedAuthState {
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
