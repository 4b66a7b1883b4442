//! Renews the instance's lease and its share of limits, and publishes the state of its relays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::clock::steady;
use sendport_core::domain::{InstanceCondition, InstanceId, RelayState};
use sendport_store::{Renewal, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::guarded_spool::GuardedSpool;
use super::lease_guard::LeaseGuard;
use super::limit_share::LimitShare;
use super::liveness::Liveness;
use super::obstacles::{ObstacleKind, Obstacles};
use crate::observer::{Operation, WorkerActivity, WorkerObserver};
use crate::relays::RelayRegistry;

/// How soon a change of a relay's state is published.
const SHOW_CHANGES_EVERY: Duration = Duration::from_secs(1);

/// Renews a lease.
pub(super) struct Heartbeat {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) lease: Duration,
    pub(super) interval: Duration,
    pub(super) send_ports: Vec<String>,
    pub(super) registry: Arc<RelayRegistry>,
    pub(super) limit_share: LimitShare,
    pub(super) guard: Arc<LeaseGuard>,
    pub(super) spool: Arc<GuardedSpool>,
    pub(super) obstacles: Arc<Obstacles>,
    pub(super) observer: Arc<dyn WorkerObserver>,
    pub(super) liveness: Arc<Liveness>,
    /// Since when the database has answered without a failure: leases of others may be taken over
    /// only after one whole lease length.
    pub(super) unbroken_since: watch::Sender<Option<Instant>>,
    /// Cancelled when the lease is lost.
    pub(super) lease_lost: CancellationToken,
}

impl Heartbeat {
    /// Renews until it is dropped or the lease is lost.
    pub(super) async fn run(mut self) {
        let mut shown = Vec::new();
        let mut shown_condition = None;
        let mut next = Instant::now() + self.interval;
        loop {
            self.liveness.heartbeat_goes_round();
            let due = Instant::now() >= next;
            self.registry.tick();
            let relays = self.registry.states();
            if due || relays != shown {
                let (renewed, lost) = self.beat(&relays).await;
                if lost {
                    return;
                }
                if renewed {
                    shown = relays;
                    next = Instant::now() + self.interval;
                }
            }
            self.spool.try_folder();
            if !self.obstacles.is_met(ObstacleKind::Lease) {
                self.show_condition(&mut shown_condition).await;
            }
            // After the renewal of the lease, which must not wait for anything.
            if due || !self.limit_share.is_settled() {
                self.limit_share.renew(&*self.store, &self.registry).await;
            }
            tokio::time::sleep(SHOW_CHANGES_EVERY.min(self.interval)).await;
        }
    }

    async fn show_condition(&self, shown: &mut Option<InstanceCondition>) {
        let condition = self.obstacles.condition();
        if shown.as_ref() == Some(&condition) {
            return;
        }
        match self.store.show_condition(self.instance, &condition).await {
            Ok(()) => *shown = Some(condition),
            Err(error) => tracing::debug!(%error, "instance condition update failed"),
        }
    }

    /// One renewal: whether it succeeded, and whether the lease is lost.
    async fn beat(&self, relays: &[RelayState]) -> (bool, bool) {
        let (sent, sent_steady) = (Instant::now(), steady());
        let renewed = self
            .store
            .renew(self.instance, self.lease, &self.send_ports, relays)
            .await;
        self.observer
            .database_operation(Operation::Renew, sent.elapsed(), &renewed);
        match renewed {
            Ok(Renewal::Renewed) => {
                self.guard.renewed(sent_steady);
                if sent.elapsed() > self.interval {
                    let took_ms = sent.elapsed().as_millis();
                    tracing::warn!(took_ms, "lease renewal slow");
                }
                if self.obstacles.overcome(ObstacleKind::Lease) {
                    tracing::info!("lease renewal works again");
                }
                self.unbroken_since
                    .send_if_modified(|since| since.replace(since.unwrap_or(sent)).is_none());
                (true, false)
            }
            Ok(Renewal::Lost) => {
                self.guard.lost();
                self.observer.record(WorkerActivity::LeaseLost);
                tracing::error!("lease lost, instance restarts");
                self.lease_lost.cancel();
                (false, true)
            }
            Err(error) => {
                self.unbroken_since.send_replace(None);
                if self.obstacles.meet_error(ObstacleKind::Lease, &error, 0) {
                    tracing::warn!(%error, "lease renewal failed");
                }
                (false, false)
            }
        }
    }
}
