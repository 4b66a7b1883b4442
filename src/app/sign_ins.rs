//! What all instances of a database know together about refused secrets.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::{InstanceId, SignInKey, SignInTurn, SignInVerdict};
use crate::relay::sign_in::SignInLedger;
use crate::store::Store;

/// The database's rows about sign-ins, as one instance or a command asks for them.
pub(super) struct SharedSignIns {
    store: Arc<dyn Store>,
    /// Which run of the service asks; a command is none.
    instance: Mutex<Option<InstanceId>>,
}

impl SharedSignIns {
    pub(super) fn new(store: Arc<dyn Store>) -> Arc<Self> {
        let instance = Mutex::default();
        Arc::new(Self { store, instance })
    }

    /// From now on this instance asks.
    pub(super) fn act_as(&self, instance: InstanceId) {
        *self.lock() = Some(instance);
    }

    fn instance(&self) -> Option<InstanceId> {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<InstanceId>> {
        self.instance.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SignInLedger for SharedSignIns {
    async fn begin(&self, key: &SignInKey) -> Result<SignInTurn, String> {
        let turn = self.store.begin_sign_in(self.instance(), key).await;
        turn.map_err(|error| error.to_string())
    }

    async fn end(&self, key: &SignInKey, verdict: SignInVerdict) -> Result<(), String> {
        let ended = self.store.end_sign_in(self.instance(), key, &verdict).await;
        ended.map_err(|error| error.to_string())
    }
}
