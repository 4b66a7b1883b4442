//! The heart of the service: takes what is due, keeps the lease, records what came of it.
//!
//! One [`Driver::run`] is one instance: it registers, claims no more than it has permits for,
//! and ends when it is told to stop or its lease is lost. Claimed alerts are worked on outside
//! of any transaction, each in a task of its own.

mod expiry;
mod failures;
mod heartbeat;
mod lease_guard;
mod ledger;
mod pulse;
mod recorder;
mod recovery;
mod shares;
mod sweeper;
mod tally;
mod tasks;
mod teller;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use lease_guard::LeaseGuard;
pub use ledger::Ledger;
pub use pulse::Pulses;
pub use recovery::{InDoubtPolicies, RecoveryError, recover};
pub use teller::{Notice, Notices};

use crate::clock::steady;
use crate::dispatcher::{Dispatcher, RelayBoard};
use crate::domain::{
    Alert, AlertId, Decision, InstanceInfo, Lease, LeaseToken, Outcome, OutcomeKind, SendPortInfo,
};
use crate::metrics::{Metrics, Operation};
use crate::store::{Claim, Event, Explanation, Loaded, Store, StoreError};
use expiry::ExpiryWatch;
use heartbeat::Heartbeat;
use recorder::{Finished, Recorder};
use shares::Shares;
use sweeper::Sweeper;
use tally::{Faults, Origin};
use tasks::{Lane, Tasks, UnderWay};
use teller::Teller;

/// Most alerts that one claim takes.
const CLAIM_LIMIT: u32 = 100;

/// The wait after a claim that got nothing although the queue is not empty.
const CONTENDED: Duration = Duration::from_millis(20);

/// What a round of claims brought, ordered by how soon the next one should follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Round {
    /// Nothing was asked for: no send port has room.
    NoRoom,
    /// No work.
    Nothing,
    /// Others were faster.
    MayHoldMore,
    /// Work.
    Claimed,
}

/// Rhythm and bounds; see `[service]` of the configuration.
#[derive(Debug, Clone)]
pub struct Rhythm {
    /// Most alerts leased at the same time.
    pub max_in_flight: u32,
    /// Longest time between two looks at an idle queue.
    pub poll_interval: Duration,
    /// Length of a lease.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew_interval: Duration,
    /// How often expired and orphaned alerts are looked for.
    pub sweep_interval: Duration,
    /// How long a stop waits for what is under way.
    pub drain_timeout: Duration,
}

/// What a driver is made of.
pub struct Driver {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Who this run is.
    pub instance: InstanceInfo,
    /// The send ports, as the database shows them.
    pub send_ports: Vec<SendPortInfo>,
    /// The table of replies, as the database shows it.
    pub explanations: Vec<Explanation>,
    /// The relays' circuits.
    pub board: Arc<RelayBoard>,
    /// Works on one alert.
    pub dispatcher: Arc<Dispatcher>,
    /// Closed when the lease is not certain.
    pub guard: Arc<LeaseGuard>,
    /// What is known here and not yet in the database.
    pub ledger: Arc<Ledger>,
    /// Who is told of failures.
    pub notices: Notices,
    /// Counts; knows the send ports.
    pub metrics: Arc<Metrics>,
    /// Told that the loops go round.
    pub pulses: Arc<Pulses>,
    /// Rhythm and bounds.
    pub rhythm: Rhythm,
    /// Cancelled when the service shall stop.
    pub stop: CancellationToken,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, and everything under way was recorded or released.
    Stopped,
    /// It was told to stop, and some transactions were cut off by the bound of the drain.
    StoppedHard,
    /// The lease was lost: run again as a new instance.
    LeaseLost,
}

impl Driver {
    /// Runs until [`Driver::stop`] is cancelled or the lease is lost.
    ///
    /// # Errors
    /// [`StoreError`] where the instance could not register. Later errors of the database are
    /// waited out.
    pub async fn run(
        self,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) -> Result<Ended, StoreError> {
        let mut shares = Shares::new(self.instance.id, &self.board, self.rhythm.renew_interval);
        let (sent, sent_steady) = (Instant::now(), steady());
        self.store
            .register(
                &self.instance,
                self.rhythm.lease,
                &self.send_ports,
                &self.explanations,
            )
            .await?;
        self.guard.renewed(sent_steady);
        self.pulses.begin();
        tracing::info!(instance = %self.instance.name, database = %self.store.describe(), "instance registered");

        shares.agree(&*self.store, &self.board).await;
        let lease_lost = self.stop.child_token();
        let (unbroken_sender, unbroken_since) = watch::channel(Some(sent));
        let heartbeat = self.heartbeat(shares, unbroken_sender, lease_lost.clone());
        let heartbeat = tokio::spawn(heartbeat.run());
        let sweeper = tokio::spawn(self.sweeper(unbroken_since).run());
        let teller = tokio::spawn(self.teller().run());
        let expiry_watch = tokio::spawn(self.expiry_watch().run());
        let (tasks, recorder) = self.tasks();
        self.take_work(&tasks, &lease_lost, events).await;
        self.pulses.end();

        let drained = self.drain(&tasks).await;
        drop(tasks);
        sweeper.abort();
        teller.abort();
        expiry_watch.abort();
        let recorded = tokio::time::timeout(self.rhythm.drain_timeout, recorder)
            .await
            .is_ok();
        heartbeat.abort();
        self.write_events(events).await;
        self.retire(drained && recorded).await;
        Ok(match (self.stop.is_cancelled(), drained && recorded) {
            (false, _) => Ended::LeaseLost,
            (true, true) => Ended::Stopped,
            (true, false) => Ended::StoppedHard,
        })
    }

    /// Waits for what is under way. False if some of it was cut off.
    async fn drain(&self, tasks: &Tasks) -> bool {
        tasks.tracker.close();
        let ended = tokio::time::timeout(self.rhythm.drain_timeout, tasks.tracker.wait());
        let drained = ended.await.is_ok();
        if !drained {
            tracing::warn!("transactions are cut off at the bound of the drain");
            tasks.abandoned.cancel();
            tasks.tracker.wait().await;
        }
        drained
    }

    fn tasks(&self) -> (Tasks, JoinHandle<()>) {
        let (finished, to_record) = mpsc::channel(self.rhythm.max_in_flight as usize);
        let (freed, under_way) = (Arc::new(Notify::new()), UnderWay::default());
        let recorder = Recorder {
            store: self.store.clone(),
            instance: self.instance.id,
            freed: freed.clone(),
            under_way: under_way.clone(),
            ledger: self.ledger.clone(),
            metrics: self.metrics.clone(),
            faults: Faults::new(&self.explanations),
        };
        let share = (self.rhythm.max_in_flight as usize / self.send_ports.len().max(1)).max(1);
        let lane = |port: &SendPortInfo| {
            Some(Lane {
                permits: Arc::new(Semaphore::new(share)),
                metrics: self.metrics.send_port(&port.name)?.clone(),
                port: port.clone(),
            })
        };
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            finished,
            under_way,
            lanes: self.send_ports.iter().filter_map(lane).collect(),
            freed,
            unanswered: Mutex::default(),
            abandoned: CancellationToken::new(),
        };
        (tasks, tokio::spawn(recorder.run(to_record)))
    }

    fn heartbeat(
        &self,
        shares: Shares,
        unbroken_since: watch::Sender<Option<Instant>>,
        lease_lost: CancellationToken,
    ) -> Heartbeat {
        Heartbeat {
            store: self.store.clone(),
            instance: self.instance.id,
            lease: self.rhythm.lease,
            interval: self.rhythm.renew_interval,
            send_ports: self
                .send_ports
                .iter()
                .map(|port| port.name.clone())
                .collect(),
            board: self.board.clone(),
            shares,
            guard: self.guard.clone(),
            metrics: self.metrics.clone(),
            pulses: self.pulses.clone(),
            unbroken_since,
            lease_lost,
        }
    }

    fn sweeper(&self, unbroken_since: watch::Receiver<Option<Instant>>) -> Sweeper {
        Sweeper {
            store: self.store.clone(),
            instance: self.instance.id,
            lease: self.rhythm.lease,
            interval: self.rhythm.sweep_interval,
            unbroken_since,
            metrics: self.metrics.clone(),
        }
    }

    fn teller(&self) -> Teller {
        Teller {
            store: self.store.clone(),
            instance: self.instance.id,
            notices: self.notices.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn expiry_watch(&self) -> ExpiryWatch {
        ExpiryWatch {
            store: self.store.clone(),
            instance: self.instance.id,
            metrics: self.metrics.clone(),
        }
    }

    /// Claims as long as there is work and room, and waits for either otherwise.
    async fn take_work(
        &self,
        tasks: &Tasks,
        halt: &CancellationToken,
        events: &mut mpsc::UnboundedReceiver<Event>,
    ) {
        let mut failing = false;
        while !halt.is_cancelled() {
            self.pulses.claims_go_round();
            self.write_events(events).await;
            let round = self.claim_round(tasks).await;
            let wait = match &round {
                Ok(Round::Claimed) => {
                    failing = false;
                    continue;
                }
                Ok(Round::MayHoldMore) => {
                    failing = false;
                    // Another instance, or an application's open transaction, has them.
                    tokio::time::sleep(CONTENDED).await;
                    continue;
                }
                Ok(Round::Nothing | Round::NoRoom) => {
                    failing = false;
                    self.idle_wait()
                }
                Err(error) => {
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot claim");
                    }
                    self.rhythm.poll_interval
                }
            };
            // What is inserted while there is no room, or while the database fails, has to wait.
            let looks = matches!(round, Ok(Round::Nothing));
            tokio::select! {
                () = halt.cancelled() => return,
                () = tasks.freed.notified(), if !failing => {}
                () = self.wait(wait, looks) => {}
            }
        }
    }

    /// Until something may have been inserted, where somebody looks for it.
    async fn wait(&self, at_most: Duration, looks: bool) {
        if looks {
            self.store.wait_for_insert(at_most).await;
        } else {
            tokio::time::sleep(at_most).await;
        }
    }

    /// How long nothing needs to be done: no longer than until a relay may be tried again or
    /// has room.
    fn idle_wait(&self) -> Duration {
        let retry = self
            .send_ports
            .iter()
            .filter_map(|port| self.board.wait(&port.relays));
        let soonest = retry.filter(|wait| !wait.is_zero()).min();
        soonest.map_or(self.rhythm.poll_interval, |wait| {
            wait.min(self.rhythm.poll_interval)
        })
    }

    /// One claim for each send port that can send now and has room.
    async fn claim_round(&self, tasks: &Tasks) -> Result<Round, StoreError> {
        let taken_up = self.ledger.room();
        if !self.guard.stands() || taken_up == 0 {
            return Ok(Round::Nothing);
        }
        let mut most = Round::NoRoom;
        for lane in &tasks.lanes {
            let free = u32::try_from(lane.permits.available_permits()).unwrap_or(u32::MAX);
            let room = self.board.allowance(&lane.port.relays).unwrap_or(u32::MAX);
            let limit = free.min(room).min(taken_up).min(CLAIM_LIMIT);
            if limit > 0 {
                most = most.max(self.claim_for(lane, limit, tasks).await?);
            }
        }
        Ok(most)
    }

    async fn claim_for(&self, lane: &Lane, limit: u32, tasks: &Tasks) -> Result<Round, StoreError> {
        let send_port = lane.port.name.as_str();
        let token = tasks.token_for(send_port);
        let claim = Claim {
            instance: self.instance.id,
            token,
            send_port,
            limit,
        };
        let begun = Instant::now();
        let claimed = self.store.claim(&claim).await;
        let service = &self.metrics.service;
        service.asked(Operation::Claim, begun.elapsed(), &claimed);
        let claimed = claimed?;
        tasks.token_was_answered(send_port);
        lane.metrics.claimed(claimed.alerts.len());
        if claimed.alerts.is_empty() {
            return Ok(match claimed.may_hold_more {
                true => Round::MayHoldMore,
                false => Round::Nothing,
            });
        }
        let (mut loaded, error) = match self.load(&claimed.alerts).await {
            Ok(loaded) => (by_id(loaded), None),
            Err(error) => (BTreeMap::new(), Some(error)),
        };
        for id in claimed.alerts {
            // Free already, but for a claim that was repeated: it may hand out more.
            let Ok(permit) = lane.permits.clone().acquire_owned().await else {
                break;
            };
            let origin = lane.origin(permit);
            let (alert, large) = match loaded.remove(&id) {
                Some(Loaded::Alert(alert)) => (alert, None),
                Some(Loaded::Large { alert, octets }) => (alert, Some(octets)),
                Some(Loaded::Unreadable { reason, .. }) => {
                    tasks.finish(failed(id, token, reason), origin).await;
                    continue;
                }
                None => {
                    tasks.finish(released(id, token), origin).await;
                    continue;
                }
            };
            let value = *alert;
            self.begin(Lease { token, value }, large, lane, origin, tasks);
        }
        error.map_or(Ok(Round::Claimed), Err)
    }

    /// Works on an alert in a task of its own. A panic there fails that alert alone. `large`: its
    /// octets, where its texts are still to be read.
    fn begin(
        &self,
        lease: Lease<Alert>,
        large: Option<u64>,
        lane: &Lane,
        mut origin: Origin,
        tasks: &Tasks,
    ) {
        let expected = self.board.expect(&lane.port.relays);
        let (id, token) = (lease.value.id, lease.token);
        origin.wanted_at = lease.value.not_before.max(Some(lease.value.created_at));
        let dispatcher = self.dispatcher.clone();
        let abandoned = tasks.abandoned.clone();
        let work = tasks.tracker.spawn(async move {
            // What becomes a task is moved several times, and this is large.
            let dispatched = Box::pin(async move {
                match large {
                    None => dispatcher.dispatch(lease, expected).await,
                    Some(octets) => dispatcher.dispatch_large(lease, octets, expected).await,
                }
            });
            abandoned.run_until_cancelled_owned(dispatched).await
        });
        let (finished, ledger) = (tasks.finished.clone(), self.ledger.clone());
        let working = tasks.under_way.begin();
        tasks.tracker.spawn(async move {
            let outcome = match work.await {
                Ok(Some(outcome)) => outcome,
                // What the spool notes about it is brought to the database by a recovery.
                Ok(None) => return,
                Err(error) => failed(
                    id,
                    token,
                    format!("internal error, please report it: {error}"),
                ),
            };
            ledger.keep(&outcome);
            drop(working);
            // The recorder outlives every task; it ends when the last sender is gone.
            let _ = finished.send(Finished { outcome, origin }).await;
        });
    }

    /// A claim that cannot be read keeps its alerts leased: it is tried while the lease stands.
    async fn load(&self, ids: &[AlertId]) -> Result<Vec<Loaded>, StoreError> {
        let mut wait = Duration::from_millis(100);
        loop {
            self.pulses.claims_go_round();
            let begun = Instant::now();
            let loaded = self.store.load(ids).await;
            let service = &self.metrics.service;
            service.asked(Operation::Load, begun.elapsed(), &loaded);
            match loaded {
                Err(error) if error.is_transient() && self.guard.stands() => {
                    tracing::warn!(%error, count = ids.len(), "claimed alerts cannot be read yet");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                result => return result,
            }
        }
    }

    async fn write_events(&self, events: &mut mpsc::UnboundedReceiver<Event>) {
        while let Ok(event) = events.try_recv() {
            self.pulses.claims_go_round();
            let event = Event {
                instance: Some(self.instance.id),
                ..event
            };
            let service = &self.metrics.service;
            service.event(event.event_type, event.severity.as_str());
            if let Err(error) = self.store.log_event(&event).await {
                tracing::warn!(%error, event = %event.message, "event cannot be written");
            }
        }
    }

    async fn retire(&self, recorded: bool) {
        self.board.close().await;
        if !recorded {
            return;
        }
        match self.store.retire(self.instance.id).await {
            Ok(()) => self.ledger.clear(),
            Err(error) => {
                tracing::warn!(%error, "instance cannot be retired; its lease runs out by itself");
            }
        }
    }
}

fn by_id(loaded: Vec<Loaded>) -> BTreeMap<AlertId, Loaded> {
    let id = |loaded: &Loaded| match loaded {
        Loaded::Alert(alert) | Loaded::Large { alert, .. } => alert.id,
        Loaded::Unreadable { id, .. } => *id,
    };
    loaded
        .into_iter()
        .map(|alert| (id(&alert), alert))
        .collect()
}

fn failed(alert: AlertId, token: LeaseToken, reason: String) -> Outcome {
    let decision = Decision::failed(reason);
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

/// Given back unread. A second of patience keeps a row that cannot be read from spinning.
fn released(alert: AlertId, token: LeaseToken) -> Outcome {
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Released {
            retry_in: Duration::from_secs(1),
            reason: None,
        },
    }
}
