//! The tasks of each send port, and the channel of their outcomes.

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

/// A send port with its own permits: a slow relay must not use the permits of the others.
pub(super) struct Lane {
    pub(super) port: SendPortInfo,
    pub(super) permits: Arc<Semaphore>,
    pub(super) observer: Arc<dyn SendPortObserver>,
    /// Other transactions have locked the alerts of its queue.
    pub(super) back_off: Mutex<QueueBackOff>,
    /// Alerts that the database refuses to lease.
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

/// The number of alerts in work whose outcome is not in the channel yet.
#[derive(Clone, Default)]
pub(super) struct WorkCounter(Arc<AtomicUsize>);

impl WorkCounter {
    /// Counts one alert until the result is dropped.
    pub(super) fn begin(&self) -> WorkGuard {
        self.0.fetch_add(1, Ordering::Relaxed);
        WorkGuard(self.clone())
    }

    /// No more outcomes are expected than those in the channel.
    pub(super) fn is_none(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// Counts an alert in work.
pub(super) struct WorkGuard(WorkCounter);

impl Drop for WorkGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All tasks, and the channel of their outcomes.
pub(super) struct Tasks {
    pub(super) tracker: TaskTracker,
    pub(super) finished: mpsc::Sender<FinishedAlert>,
    pub(super) under_way: WorkCounter,
    /// One entry for each send port.
    pub(super) lanes: Vec<Lane>,
    /// Permits were released.
    pub(super) freed: Arc<Notify>,
    /// A request of an operator took alerts out of the queue.
    pub(super) parked: Arc<Notify>,
    /// Tokens of claims without an answer, by send port. A claim with the same
    /// token returns the alerts that the first one leased.
    pub(super) unanswered: Mutex<BTreeMap<String, LeaseToken>>,
    /// Cancelled at the drain time-out: aborts transactions that still run.
    pub(super) abandoned: CancellationToken,
}

impl Tasks {
    pub(super) fn token_for(&self, send_port: &str) -> LeaseToken {
        let mut unanswered = self.unanswered.lock();
        *unanswered
            .entry(send_port.to_owned())
            .or_insert_with(LeaseToken::random)
    }

    /// A claim of this send port may have leased alerts without an answer.
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
