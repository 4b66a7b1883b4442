//! What operators want of an alert by the moment at which its transaction begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::domain::{Alert, AlertId, RequestId};
use sendport_store::operator_requests::{InForce, OperatorRequests};
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::time::timeout;

/// Longest wait of a relay's connection for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// Reads requests right before transactions. One read serves all that asked while the one before it ran.
pub(super) struct RequestReader {
    requests: Arc<dyn OperatorRequests>,
    asked: Mutex<Vec<Question>>,
    turn: Turn<()>,
    failing: AtomicBool,
}

/// Whether an alert that was read with this redirect may be sent as it is.
struct Question {
    alert: AlertId,
    redirect: Option<RequestId>,
    answer: oneshot::Sender<Permission>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Permission {
    /// It may be sent as it was read.
    Granted,
    /// An operator wants something else of it than when it was read: it has to be claimed again.
    Changed,
    /// The database does not say, and why: an alert that is sent without knowing may be one that a redirect keeps from
    /// its recipients.
    Unknown(Arc<str>),
}

impl Question {
    /// `found`: what the database says, or why it says nothing.
    fn answer(self, found: &Result<Vec<InForce>, Arc<str>>) {
        let of_this = |it: &&InForce| it.alert == self.alert;
        let as_read = |found: &[InForce]| match found.iter().find(of_this) {
            Some(it) => !it.keeps_from_sending && it.redirect == self.redirect,
            None => self.redirect.is_none(),
        };
        let permission = match found {
            Ok(found) if as_read(found) => Permission::Granted,
            Ok(_) => Permission::Changed,
            Err(why) => Permission::Unknown(why.clone()),
        };
        // Who asked may be gone.
        let _ = self.answer.send(permission);
    }
}

impl RequestReader {
    pub(super) fn new(requests: Arc<dyn OperatorRequests>) -> Self {
        Self {
            requests,
            asked: Mutex::default(),
            turn: Turn::default(),
            failing: AtomicBool::new(false),
        }
    }

    /// Whether it may be sent. Bounded.
    pub(super) async fn permission(&self, alert: &Alert) -> Permission {
        let (answer, mut answered) = oneshot::channel();
        self.asked.lock().push(Question {
            alert: alert.id,
            redirect: alert.redirect.as_ref().map(|it| it.request),
            answer,
        });
        let _turn = self.turn.lock().await;
        if let Ok(answer) = answered.try_recv() {
            return answer;
        }
        self.answer_all().await;
        let none = |_| Permission::Unknown("no answer".into());
        answered.try_recv().unwrap_or_else(none)
    }

    /// Answers what was asked until now. Questions leave the list with their answers, so that none is lost if this is
    /// dropped.
    async fn answer_all(&self) {
        let of = |question: &Question| question.alert;
        let alerts: Vec<_> = self.asked.lock().iter().map(of).collect();
        let read = timeout(PATIENCE, self.requests.requests_in_force(&alerts)).await;
        let found = match read {
            Ok(read) => read.map_err(|error| error.to_string().into()),
            Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs()).into()),
        };
        self.log_failure(&found);
        let questions: Vec<_> = self.asked.lock().drain(..alerts.len()).collect();
        for question in questions {
            question.answer(&found);
        }
    }

    /// Logs once that the database does not say.
    fn log_failure(&self, found: &Result<Vec<InForce>, Arc<str>>) {
        let was_failing = self.failing.swap(found.is_err(), Ordering::Relaxed);
        if let Some(error) = found.as_ref().err().filter(|_| !was_failing) {
            tracing::warn!(%error, "requests of operators not read, alerts given back");
        }
    }
}
