//! What operators want of an alert by the moment at which its transaction begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::domain::{Alert, AlertId, RequestId};
use sendport_store::StoreError;
use sendport_store::operator_requests::{InForce, OperatorRequests};
use tokio::sync::{Mutex as Turn, oneshot};
use tokio::time::error::Elapsed;
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
    answer: oneshot::Sender<bool>,
}

impl Question {
    /// `found`: what the database says, if it does.
    fn answer(self, found: Option<&[InForce]>) {
        let of_this = |it: &&InForce| it.alert == self.alert;
        let may_begin = found.is_none_or(|found| match found.iter().find(of_this) {
            Some(it) => !it.keeps_from_sending && it.redirect == self.redirect,
            None => self.redirect.is_none(),
        });
        // Who asked may be gone.
        let _ = self.answer.send(may_begin);
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

    /// False where an operator wants something else of the alert than when it was read: it has to be claimed again. True
    /// where the database does not say: what is claimed is sent while the lease is valid.
    pub(super) async fn may_begin(&self, alert: &Alert) -> bool {
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
        answered.try_recv().unwrap_or(true)
    }

    /// Answers what was asked until now. Questions leave the list with their answers, so that none is lost if this is
    /// dropped.
    async fn answer_all(&self) {
        let of = |question: &Question| question.alert;
        let alerts: Vec<_> = self.asked.lock().iter().map(of).collect();
        let read = timeout(PATIENCE, self.requests.requests_in_force(&alerts)).await;
        let found = self.noted(read);
        let questions: Vec<_> = self.asked.lock().drain(..alerts.len()).collect();
        for question in questions {
            question.answer(found.as_deref());
        }
    }

    /// What was read, if it was. Logs once that it was not.
    fn noted(
        &self,
        read: Result<Result<Vec<InForce>, StoreError>, Elapsed>,
    ) -> Option<Vec<InForce>> {
        let (found, error) = match read {
            Ok(Ok(found)) => (Some(found), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(elapsed) => (None, Some(elapsed.to_string())),
        };
        let was_failing = self.failing.swap(found.is_none(), Ordering::Relaxed);
        if let Some(error) = error.filter(|_| !was_failing) {
            tracing::warn!(%error, "requests of operators not read, sending what was claimed");
        }
        found
    }
}
