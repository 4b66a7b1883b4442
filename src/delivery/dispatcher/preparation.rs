//! While a message is made, a hostile alert may end the process: who is made is noted, and who a
//! process may have died of is made alone.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Journal;
use crate::domain::{Alert, AlertId, Lease};

/// The message of an alert is being made, until this is dropped.
pub(super) struct Preparing<'a> {
    journal: &'a dyn Journal,
    alert: AlertId,
    _turn: Turn<'a>,
}

#[expect(dead_code, reason = "held, not read")]
enum Turn<'a> {
    Beside(RwLockReadGuard<'a, ()>),
    Alone(RwLockWriteGuard<'a, ()>),
}

impl<'a> Preparing<'a> {
    /// Waits for its turn. A suspect has all others wait: what it dies of next time is its own
    /// doing, and nothing is held against those beside it.
    pub(super) async fn begin(
        journal: &'a dyn Journal,
        turns: &'a RwLock<()>,
        lease: &Lease<Alert>,
    ) -> Self {
        let alert = lease.value.id;
        let turn = match journal.is_suspect(alert) {
            true => Turn::Alone(turns.write().await),
            false => Turn::Beside(turns.read().await),
        };
        journal.preparing(alert, lease.token);
        Self {
            journal,
            alert,
            _turn: turn,
        }
    }
}

impl Drop for Preparing<'_> {
    fn drop(&mut self) {
        self.journal.prepared(self.alert);
    }
}
