//! One instance of the service: claims due alerts, renews its lease and records outcomes.
//!
//! A [`Worker::run`] registers an instance, claims no more alerts than it has permits for, and ends when it
//! is stopped or its lease is lost. Each claimed alert has a task, outside of any transaction.

mod back_off;
mod batches;
mod claims;
mod delivery_reporter;
mod expiry;
mod failure_notifier;
mod failures;
mod guarded_spool;
mod heartbeat;
mod lease_guard;
mod left_out;
mod limit_share;
mod liveness;
mod obstacles;
mod pacer;
mod purge_requests;
mod recorder;
mod recovery;
mod refused_rows;
mod rejected_outcomes;
mod requests;
mod retention;
#[cfg(test)]
mod retention_tests;
mod rollup;
mod standby_instance;
mod sweeper;
mod tally;
mod tasks;
mod unclaimed;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use delivery_reporter::DeliveryReporter;
pub use delivery_reporter::Reports;
pub use failure_notifier::{Notice, Notices};
pub use guarded_spool::{GuardedSpool, unwritable, writable};
pub use lease_guard::LeaseGuard;
use limit_share::LimitShare;
pub use liveness::Liveness;
pub use obstacles::{ObstacleKind, Obstacles};
pub use pacer::{Pace, Pacer};
pub use recovery::{InDoubtPolicies, RecoveredOutcomes, RecoveryError, hand_over, recover};
pub use retention::RetentionPlan;
pub use standby_instance::{StandbyDisplay, StandbyInstance};

use sendport_core::clock::steady;
use sendport_core::domain::{InstanceInfo, Outcome, SendPortInfo};
use sendport_store::{Event, Explanation, Store, StoreError};

use crate::dispatcher::Dispatcher;
use crate::observer::{WorkerActivity, WorkerObserver};
use crate::relays::RelayRegistry;
use expiry::ExpiryWatch;
use failure_notifier::FailureNotifier;
use heartbeat::Heartbeat;
use recorder::Recorder;
use refused_rows::{RefusedRows, refused_event};
use rejected_outcomes::{LockedOutcomes, RejectedOutcomes};
use requests::RequestApplier;
use retention::Retention;
use rollup::Rollup;
use sweeper::Sweeper;
use tally::Faults;
use tasks::{Lane, Tasks, WorkCounter};

/// Intervals and limits; see `[service]` of the configuration.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Most alerts leased at the same time.
    pub max_in_flight: u32,
    /// Longest time between two claims of an idle queue.
    pub poll_interval: Duration,
    /// Length of a lease.
    pub lease: Duration,
    /// Interval of its renewal.
    pub renew_interval: Duration,
    /// Interval of the sweeps for expired and orphaned alerts.
    pub sweep_interval: Duration,
    /// Longest wait of a stop for running transactions.
    pub drain_timeout: Duration,
}

/// Dependencies and settings of a worker.
pub struct Worker {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The instance of this run.
    pub instance: InstanceInfo,
    /// The send ports, as the database shows them.
    pub send_ports: Vec<SendPortInfo>,
    /// The table of replies, as the database shows it.
    pub explanations: Vec<Explanation>,
    /// The relays' circuits.
    pub registry: Arc<RelayRegistry>,
    /// Works on one alert.
    pub dispatcher: Arc<Dispatcher>,
    /// Closed when the lease is not certain.
    pub guard: Arc<LeaseGuard>,
    /// Outcomes and submission intents that the database does not have yet.
    pub spool: Arc<GuardedSpool>,
    /// Outcomes that earlier instances on its state folder could not record.
    pub recovered: RecoveredOutcomes,
    /// Notices of failures.
    pub notices: Notices,
    /// Reports to the senders of submitted messages.
    pub reports: Reports,
    /// How long what is kept.
    pub retention: RetentionPlan,
    /// Counts activities; has the send ports.
    pub observer: Arc<dyn WorkerObserver>,
    /// What prevents the instance from working.
    pub obstacles: Arc<Obstacles>,
    /// When each loop ran last.
    pub liveness: Arc<Liveness>,
    /// Intervals and limits.
    pub settings: WorkerSettings,
    /// Cancelled when the service shall stop.
    pub stop: CancellationToken,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnd {
    /// It was stopped, and everything under way was recorded or released.
    CleanStop,
    /// It was stopped, and some transactions were aborted at the drain time-out.
    ForcedStop,
    /// The lease was lost: run again as a new instance.
    LeaseLoss,
}

impl Worker {
    /// Runs until [`Worker::stop`] is cancelled or the lease is lost.
    ///
    /// # Errors
    /// [`StoreError`] if the instance could not register. Later errors of the database are
    /// retried.
    pub async fn run(
        self,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) -> Result<RunEnd, StoreError> {
        let mut limit_share = LimitShare::new(self.instance.id, &self.registry);
        let (sent, sent_steady) = (Instant::now(), steady());
        self.store
            .register(
                &self.instance,
                self.settings.lease,
                &self.send_ports,
                &self.explanations,
            )
            .await?;
        self.guard.renewed(sent_steady);
        self.take_over_leases().await?;
        self.obstacles.set(ObstacleKind::Begin, None);
        self.obstacles.set(ObstacleKind::Register, None);
        self.liveness.begin();
        tracing::info!(instance = %self.instance.name, database = %self.store.describe(), "instance registered");

        limit_share.renew(&*self.store, &self.registry).await;
        let lease_lost = self.stop.child_token();
        let (unbroken_sender, unbroken_since) = watch::channel(Some(sent));
        let heartbeat = self.heartbeat(limit_share, unbroken_sender, lease_lost.clone());
        let heartbeat = tokio::spawn(heartbeat.run());
        let sweeper = tokio::spawn(self.sweeper(unbroken_since).run());
        let failure_notifier = tokio::spawn(self.failure_notifier().run());
        let delivery_reporter = tokio::spawn(self.delivery_reporter().run());
        let expiry_watch = tokio::spawn(self.expiry_watch().run());
        let purge_requested = Arc::new(Notify::new());
        let retention = tokio::spawn(self.retention(purge_requested.clone()).run());
        let store = self.store.clone();
        let rollup = tokio::spawn(Rollup { store }.run());
        let (tasks, mut recorder) = self.tasks();
        let request_applier = self.request_applier(tasks.parked.clone(), purge_requested);
        let request_applier = tokio::spawn(request_applier.run());
        self.take_work(&tasks, &lease_lost, events).await;
        self.liveness.end();

        let drained = self.drain(&tasks).await;
        drop(tasks);
        sweeper.abort();
        request_applier.abort();
        failure_notifier.abort();
        delivery_reporter.abort();
        expiry_watch.abort();
        retention.abort();
        rollup.abort();
        // It takes its lease again no more.
        let _ = retention.await;
        let ended = tokio::time::timeout(self.settings.drain_timeout, &mut recorder).await;
        // Race between a held permit and shutdown: the recorder holds the permits of what it has not recorded. All
        // of that is in the spool, so it may be stopped here without losing an outcome.
        recorder.abort();
        let recorded = ended.is_ok() && self.spool.is_empty();
        heartbeat.abort();
        self.write_events(events).await;
        self.retire(drained && recorded).await;
        Ok(match (self.stop.is_cancelled(), drained && recorded) {
            (false, _) => RunEnd::LeaseLoss,
            (true, true) => RunEnd::CleanStop,
            (true, false) => RunEnd::ForcedStop,
        })
    }

    /// This instance takes over the leases of outcomes that could not be recorded; all other leases of the
    /// instances before it are free.
    async fn take_over_leases(&self) -> Result<(), StoreError> {
        let lease = |outcome: &Outcome| (outcome.alert, outcome.token);
        let leases: Vec<_> = self.recovered.outcomes.iter().map(lease).collect();
        let refused = self
            .store
            .take_over_leases(self.instance.id, &leases)
            .await?;
        let others = "its instance is not retired, and others may send it once that lease runs out";
        match refused_event("lease-not-taken-over", &refused, others) {
            Some(event) => {
                tracing::error!(error = %event.message, "lease transfer failed");
                self.log(event).await;
            }
            None => {
                for instance in &self.recovered.from {
                    self.store.retire(*instance).await?;
                }
            }
        }
        self.spool.begin(self.instance.id, &self.store.identity());
        Ok(())
    }

    /// Waits for running transactions. False if some were aborted.
    async fn drain(&self, tasks: &Tasks) -> bool {
        tasks.tracker.close();
        let ended = tokio::time::timeout(self.settings.drain_timeout, tasks.tracker.wait());
        let drained = ended.await.is_ok();
        if !drained {
            tracing::warn!("drain timeout reached, transactions aborted");
            tasks.abandoned.cancel();
            tasks.tracker.wait().await;
        }
        drained
    }

    fn tasks(&self) -> (Tasks, JoinHandle<()>) {
        let (finished, to_record) = mpsc::channel(self.settings.max_in_flight as usize);
        let (freed, under_way) = (Arc::new(Notify::new()), WorkCounter::default());
        let mut recorder = Recorder {
            store: self.store.clone(),
            instance: self.instance.id,
            freed: freed.clone(),
            under_way: under_way.clone(),
            spool: self.spool.clone(),
            observer: self.observer.clone(),
            faults: Faults::new(&self.explanations),
            clock: self.notices.clock.clone(),
            rejected: RejectedOutcomes::default(),
            recorded_others: true,
            locked: LockedOutcomes::default(),
        };
        recorder.add_recovered(self.recovered.outcomes.clone());
        let share = (self.settings.max_in_flight as usize / self.send_ports.len().max(1)).max(1);
        let lane = |port: &SendPortInfo| {
            Some(Lane {
                permits: Arc::new(Semaphore::new(share)),
                observer: self.observer.send_port(&port.name)?,
                port: port.clone(),
                back_off: Mutex::default(),
                unclaimed: Mutex::new(RefusedRows::default()),
            })
        };
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            finished,
            under_way,
            lanes: self.send_ports.iter().filter_map(lane).collect(),
            freed,
            parked: Arc::new(Notify::new()),
            unanswered: Mutex::default(),
            abandoned: CancellationToken::new(),
        };
        (tasks, tokio::spawn(recorder.run(to_record)))
    }

    fn heartbeat(
        &self,
        limit_share: LimitShare,
        unbroken_since: watch::Sender<Option<Instant>>,
        lease_lost: CancellationToken,
    ) -> Heartbeat {
        Heartbeat {
            store: self.store.clone(),
            instance: self.instance.id,
            lease: self.settings.lease,
            interval: self.settings.renew_interval,
            send_ports: self
                .send_ports
                .iter()
                .map(|port| port.name.clone())
                .collect(),
            registry: self.registry.clone(),
            limit_share,
            guard: self.guard.clone(),
            spool: self.spool.clone(),
            obstacles: self.obstacles.clone(),
            observer: self.observer.clone(),
            liveness: self.liveness.clone(),
            unbroken_since,
            lease_lost,
        }
    }

    fn sweeper(&self, unbroken_since: watch::Receiver<Option<Instant>>) -> Sweeper {
        Sweeper {
            store: self.store.clone(),
            instance: self.instance.id,
            lease: self.settings.lease,
            interval: self.settings.sweep_interval,
            unbroken_since,
            clock: self.notices.clock.clone(),
            refused: BTreeMap::new(),
            observer: self.observer.clone(),
        }
    }

    fn request_applier(&self, parked: Arc<Notify>, purge_requested: Arc<Notify>) -> RequestApplier {
        RequestApplier {
            store: self.store.clone(),
            instance: self.instance.id,
            interval: self.settings.sweep_interval.min(requests::LOOK_EVERY),
            parked,
            purge_requested,
            observer: self.observer.clone(),
            known: BTreeMap::new(),
        }
    }

    fn failure_notifier(&self) -> FailureNotifier {
        FailureNotifier {
            store: self.store.clone(),
            instance: self.instance.id,
            notices: self.notices.clone(),
            observer: self.observer.clone(),
        }
    }

    fn delivery_reporter(&self) -> DeliveryReporter {
        DeliveryReporter {
            store: self.store.clone(),
            instance: self.instance.id,
            reports: self.reports.clone(),
            clock: self.notices.clock.clone(),
            interval: self.settings.sweep_interval,
            observer: self.observer.clone(),
        }
    }

    fn expiry_watch(&self) -> ExpiryWatch {
        ExpiryWatch {
            store: self.store.clone(),
            instance: self.instance.id,
            observer: self.observer.clone(),
        }
    }

    fn retention(&self, purge_requested: Arc<Notify>) -> Retention {
        let plan = self.retention.clone();
        Retention::new(
            self.store.clone(),
            self.instance.id,
            plan,
            self.observer.clone(),
            purge_requested,
        )
    }

    async fn write_events(&self, events: &mut mpsc::UnboundedReceiver<Event>) {
        while let Ok(event) = events.try_recv() {
            self.liveness.mark_claim_loop();
            self.log(event).await;
        }
    }

    async fn log(&self, event: Event) {
        let event = Event {
            instance: Some(self.instance.id),
            ..event
        };
        log_event(&*self.store, &*self.observer, &event).await;
    }

    async fn retire(&self, recorded: bool) {
        self.registry.close().await;
        if !recorded {
            return;
        }
        match self.store.retire(self.instance.id).await {
            Ok(()) => self.spool.end(),
            Err(error) => {
                tracing::warn!(%error, "instance deregistration failed, lease will expire");
            }
        }
    }
}

/// Counts the event and writes it to `EventLog`. If that fails, only the log has it.
async fn log_event(store: &dyn Store, observer: &dyn WorkerObserver, event: &Event) {
    observer.record(WorkerActivity::Event(event));
    if let Err(error) = store.log_event(event).await {
        tracing::warn!(%error, event = %event.message, "event log write failed");
    }
}
