//! What works for each send port, and the way back for what is finished.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::recorder::Finished;
use super::tally::Origin;
use crate::domain::{LeaseToken, Outcome, SendPortInfo};
use crate::metrics::SendPortMetrics;

/// A send port, and what of the instance is its own: a slow relay must not take the permits of
/// the others.
pub(super) struct Lane {
    pub(super) port: SendPortInfo,
    pub(super) permits: Arc<Semaphore>,
    pub(super) metrics: Arc<SendPortMetrics>,
}

impl Lane {
    pub(super) fn origin(&self, permit: OwnedSemaphorePermit) -> Origin {
        Origin {
            port: self.metrics.clone(),
            wanted_at: None,
            _in_flight: self.metrics.begin(),
            _permit: permit,
        }
    }
}

/// Everything that works, and the way back for what is finished.
pub(super) struct Tasks {
    pub(super) tracker: TaskTracker,
    pub(super) finished: mpsc::Sender<Finished>,
    /// For each send port in order.
    pub(super) lanes: Vec<Lane>,
    /// Permits were given back.
    pub(super) freed: Arc<Notify>,
    /// Tokens of claims whose answer was not seen, by send port: asked again with the same
    /// token, the store hands out what they took.
    pub(super) unanswered: Mutex<BTreeMap<String, LeaseToken>>,
    /// Cancelled at the bound of a drain: transactions that are still under way are cut off.
    pub(super) abandoned: CancellationToken,
}

impl Tasks {
    pub(super) fn token_for(&self, send_port: &str) -> LeaseToken {
        let mut unanswered = self
            .unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *unanswered
            .entry(send_port.to_owned())
            .or_insert_with(LeaseToken::random)
    }

    pub(super) fn token_was_answered(&self, send_port: &str) {
        self.unanswered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(send_port);
    }

    pub(super) async fn finish(&self, outcome: Outcome, origin: Origin) {
        let _ = self.finished.send(Finished { outcome, origin }).await;
    }
}
