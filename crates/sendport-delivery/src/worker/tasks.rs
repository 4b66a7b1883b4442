//! What works for each send port, and the way back for what is finished.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};
use sendport_core::domain::{LeaseToken, Outcome, SendPortInfo};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Span;

use super::back_off::QueueBackOff;
use super::recorder::FinishedAlert;
use super::refused_rows::RefusedRows;
use super::tally::Origin;
use crate::observer::{InFlight, SendPortObserver};

/// A send port, and what of the instance is its own: a slow relay must not take the permits of
/// the others.
pub(super) struct Lane {
    pub(super) port: SendPortInfo,
    pub(super) permits: Arc<Semaphore>,
    pub(super) observer: Arc<dyn SendPortObserver>,
    /// Others have what is in its queue.
    pub(super) back_off: Mutex<QueueBackOff>,
    /// What the database refuses to lease.
    pub(super) unclaimed: Mutex<RefusedRows>,
}

impl Lane {
    pub(super) fn back_off(&self) -> MutexGuard<'_, QueueBackOff> {
        self.back_off.lock()
    }

    pub(super) fn unclaimed(&self) -> MutexGuard<'_, RefusedRows> {
        self.unclaimed.lock()
    }

    pub(super) fn origin(&self, permit: OwnedSemaphorePermit) -> Origin {
        Origin {
            port: self.observer.clone(),
            wanted_at: None,
            span: Span::none(),
            _room: Some((InFlight::new(self.observer.clone()), permit)),
        }
    }
}

/// How many alerts are worked on whose outcome is not on its way back yet.
#[derive(Clone, Default)]
pub(super) struct WorkCounter(Arc<AtomicUsize>);

impl WorkCounter {
    /// One more, until what this returns is dropped.
    pub(super) fn begin(&self) -> WorkGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        WorkGuard(self.clone())
    }

    /// No outcome comes but those that are on their way.
    pub(super) fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// One alert is worked on.
pub(super) struct WorkGuard(WorkCounter);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Everything that works, and the way back for what is finished.
pub(super) struct Tasks {
    pub(super) tracker: TaskTracker,
    pub(super) finished: mpsc::Sender<FinishedAlert>,
    pub(super) under_way: WorkCounter,
    /// For each send port in order.
    pub(super) lanes: Vec<Lane>,
    /// Permits were given back.
    pub(super) freed: Arc<Notify>,
    /// Tokens of claims whose answer was not seen, by send port: asked again with the same
    /// token, the store returns what they took.
    pub(super) unanswered: Mutex<BTreeMap<String, LeaseToken>>,
    /// Cancelled at the bound of a drain: transactions that are still under way are cut off.
    pub(super) abandoned: CancellationToken,
}

impl Tasks {
    pub(super) fn token_for(&self, send_port: &str) -> LeaseToken {
        let mut unanswered = self.unanswered.lock();
        *unanswered
            .entry(send_port.to_owned())
            .or_insert_with(LeaseToken::random)
    }

    /// A claim of this send port may have taken what was not seen.
    pub(super) fn is_unanswered(&self, send_port: &str) -> bool {
        self.unanswered.lock().contains_key(send_port)
    }

    pub(super) fn token_was_answered(&self, send_port: &str) {
        self.unanswered.lock().remove(send_port);
    }

    pub(super) async fn finish(&self, outcome: Outcome, origin: Origin) {
        let _ = self.finished.send(FinishedAlert { outcome, origin }).await;
    }
}
