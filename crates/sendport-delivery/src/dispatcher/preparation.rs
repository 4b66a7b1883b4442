//! A hostile alert may kill the process while its message is built: each message is noted meanwhile, and
//! one that may have killed a process is built alone.

use sendport_core::domain::{Alert, AlertId, Lease};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::SubmitGuard;

/// The message of an alert is built until this is dropped.
pub(super) struct Preparation<'a> {
    submit_guard: &'a dyn SubmitGuard,
    alert: AlertId,
    _access: Access<'a>,
}

#[expect(dead_code, reason = "held, not read")]
enum Access<'a> {
    Shared(RwLockReadGuard<'a, ()>),
    Exclusive(RwLockWriteGuard<'a, ()>),
}

impl<'a> Preparation<'a> {
    /// Waits for access. A suspect is built alone, so that the next crash is charged to it and to no
    /// other alert.
    pub(super) async fn begin(
        submit_guard: &'a dyn SubmitGuard,
        access: &'a RwLock<()>,
        lease: &Lease<Alert>,
    ) -> Self {
        let alert = lease.value.id;
        let held = match submit_guard.is_suspect(alert) {
            true => Access::Exclusive(access.write().await),
            false => Access::Shared(access.read().await),
        };
        submit_guard.preparing(alert, lease.token);
        Self {
            submit_guard,
            alert,
            _access: held,
        }
    }
}

impl Drop for Preparation<'_> {
    fn drop(&mut self) {
        self.submit_guard.prepared(self.alert);
    }
}
