//! The last checks before a relay gets a message.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{Alert, AlertId, LeaseToken, SubmissionIntent};
use sendport_smtp::relay::{BeforeFinalDot, SubmissionGate};

use super::request_reader::{Permission, RequestReader};

/// Called right before each final dot, or its equivalent; keeps notes of work that may end the process.
pub trait SubmitGuard: Send + Sync {
    /// Notes the attempt. False: the lease is not certain, or the note could not be written;
    /// the dot must not be sent.
    fn before_final_dot(&self, note: &SubmissionIntent) -> bool;

    /// Notes that the message of an alert is being made.
    fn preparing(&self, alert: AlertId, token: LeaseToken);

    /// Notes that the message is made, or will not be.
    fn prepared(&self, alert: AlertId);

    /// A process crashed while it made the message of this alert, and perhaps of others.
    fn is_suspect(&self, alert: AlertId) -> bool;
}

/// The submit_guard and the note of one submission, and the alert that it is about.
pub(super) struct LeaseGate<'a> {
    pub(super) submit_guard: &'a dyn SubmitGuard,
    pub(super) requests: &'a RequestReader,
    pub(super) alert: &'a Alert,
    pub(super) note: SubmissionIntent,
    /// Why the database did not say whether it may be sent.
    pub(super) unknown: OnceLock<Arc<str>>,
    /// A server took the session: the transaction begins.
    pub(super) reached: AtomicBool,
}

impl LeaseGate<'_> {
    /// Ends after this time, if no server took the session by then.
    pub(super) async fn unreached_after(&self, patience: Duration) {
        tokio::time::sleep(patience).await;
        if self.reached.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl SubmissionGate for LeaseGate<'_> {
    async fn may_begin(&self) -> bool {
        self.reached.store(true, Ordering::Relaxed);
        match self.requests.permission(self.alert).await {
            Permission::Granted => true,
            Permission::Changed => false,
            Permission::Unknown(why) => {
                self.unknown.get_or_init(|| why);
                false
            }
        }
    }

    fn may_send_final_dot(&self, so_far: BeforeFinalDot<'_>) -> bool {
        let note = SubmissionIntent {
            facts: Box::new(so_far.facts.clone()),
            replies: so_far.replies.to_vec(),
            ..self.note.clone()
        };
        self.submit_guard.before_final_dot(&note)
    }
}
