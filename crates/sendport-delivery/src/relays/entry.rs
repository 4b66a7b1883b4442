//! One relay of the registry, and the permits to use it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sendport_core::domain::{RelayCondition, Timestamp};
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::limits::{ConcurrencyPermit, Limiter, SubmissionPermit};
use sendport_smtp::relay::observer::{NoObserver, RelayActivity, RelayObserver};
use sendport_smtp::settings::limits::Limits;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::domains::{BlockedDomain, DomainState, Domains};
use super::limited_alerts::LimitedAlerts;
use crate::relays::circuit::{Admission, Circuit};

/// A relay with all its connections in use and no reply on any of them for so long is skipped, where
/// there is another one.
const PATIENCE: Duration = Duration::from_secs(20);

/// A message to a domain that has no result after this time makes room for messages to others.
pub(crate) const PROMPT: Duration = Duration::from_secs(10);

/// How often a waiting task checks that the relay responds.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The UTC time of an instant. It is calculated once for each instant: the two clocks drift, and a state
/// that is unchanged must have an unchanged text.
#[derive(Default)]
pub(crate) struct FixedTime(Mutex<Option<(std::time::Instant, Timestamp)>>);

impl FixedTime {
    /// The time of `instant`, calculated by `utc` if it is another instant than before.
    pub(crate) fn of(
        &self,
        instant: std::time::Instant,
        utc: impl FnOnce() -> Timestamp,
    ) -> Timestamp {
        let mut known = self.0.lock();
        match *known {
            Some((earlier, at)) if earlier == instant => at,
            _ => known.insert((instant, utc())).1,
        }
    }
}

/// One relay and its state.
pub(crate) struct RelayEntry {
    pub(crate) relay: Arc<dyn Relay>,
    limiter: Arc<Limiter>,
    /// Its domains, where it submits to the mail hosts of each.
    pub(crate) domains: Option<Domains>,
    /// Where this is the entry of one domain.
    pub(crate) domain: Option<DomainState>,
    circuit: Mutex<Circuit>,
    /// Claimed alerts that are not begun.
    pub(crate) expected: Arc<AtomicU32>,
    /// When it last replied, or was first tried after a pause.
    pub(crate) sign_of_life: Mutex<Instant>,
    pub(crate) patience: Duration,
    /// Alerts that it refused for a limit.
    limited: Mutex<LimitedAlerts>,
    /// Whether it was reported as throttled.
    pub(crate) throttled: AtomicBool,
    pub(crate) watch: Arc<dyn RelayObserver>,
    /// End of the wait for the window of a limit.
    pub(crate) share_wait_end: FixedTime,
    /// Start of its silence.
    pub(crate) silence_start: FixedTime,
    /// The condition that was reported last.
    seen: AtomicU8,
}

impl RelayEntry {
    /// A relay in use, without history.
    pub(crate) fn new(relay: &Arc<dyn Relay>, now: Timestamp) -> Self {
        let connections = relay.limiter().shown().connections;
        let domains = relay.per_domain();
        Self {
            domains: domains.map(|settings| Domains::new(settings, connections)),
            ..Self::with_circuit(relay.clone(), relay.limiter().clone(), Circuit::new(now))
        }
    }

    /// The entry of one of its domains.
    pub(crate) fn for_domain(&self, domain: DomainState, circuit: Circuit, limits: Limits) -> Self {
        let limiter = Arc::new(Limiter::new(limits));
        Self {
            domain: Some(domain),
            watch: self.watch.clone(),
            ..Self::with_circuit(self.relay.clone(), limiter, circuit)
        }
    }

    fn with_circuit(relay: Arc<dyn Relay>, limiter: Arc<Limiter>, circuit: Circuit) -> Self {
        Self {
            circuit: Mutex::new(circuit),
            limiter,
            domains: None,
            domain: None,
            expected: Arc::default(),
            sign_of_life: Mutex::new(Instant::now()),
            patience: PATIENCE,
            limited: Mutex::default(),
            throttled: AtomicBool::new(false),
            share_wait_end: FixedTime::default(),
            silence_start: FixedTime::default(),
            watch: Arc::new(NoObserver),
            seen: AtomicU8::new(RelayCondition::Closed as u8),
            relay,
        }
    }

    pub(crate) fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock()
    }

    pub(crate) fn limited(&self) -> MutexGuard<'_, LimitedAlerts> {
        self.limited.lock()
    }

    /// Reports the condition of the circuit, if it changed.
    pub(crate) fn report_condition(&self, condition: RelayCondition) {
        let seen = condition as u8;
        if self.seen.swap(seen, Ordering::Relaxed) != seen && self.domain.is_none() {
            self.watch.record(RelayActivity::ConditionChange(condition));
        }
    }

    pub(crate) fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    pub(crate) fn sign_of_life(&self) -> MutexGuard<'_, Instant> {
        self.sign_of_life.lock()
    }

    /// Begins a message at the circuit.
    pub(crate) fn begin_at_circuit(&self, now: std::time::Instant) -> Option<Admission> {
        let mut circuit = self.circuit();
        let begun = circuit.try_begin(now);
        self.report_condition(circuit.condition());
        begun
    }

    /// All its connections are in use, and none of them had a result for long.
    pub(crate) fn is_stalled(&self) -> bool {
        self.sign_of_life().elapsed() >= self.patience && self.limiter().is_occupied()
    }

    /// The last sign of life, if it is long ago and attempts are under way.
    pub(crate) fn silent_since(&self) -> Option<Instant> {
        let since = *self.sign_of_life();
        (since.elapsed() >= self.patience && self.limiter().is_in_use()).then_some(since)
    }

    /// How many alerts may be begun now; `None` is any number.
    pub(crate) fn room(&self) -> Option<u32> {
        let expected = self.expected.load(Ordering::Relaxed);
        let room = self.limiter().room();
        room.map(|room| room.saturating_sub(expected))
    }

    /// How many of `trials` may be begun now: a trial does not wait.
    pub(crate) fn room_for(&self, trials: u32) -> u32 {
        let room = match self.is_throttled() {
            true => self.limiter().room_for_probe(),
            false => self.room(),
        };
        match self.limiter().is_occupied() {
            true => 0,
            false => room.map_or(trials, |room| room.min(trials)),
        }
    }

    /// The circuit is open because the relay refuses everything for a limit.
    pub(crate) fn is_throttled(&self) -> bool {
        self.circuit().throttle_reason().is_some()
    }

    /// Waits for a permit. Where there is `another` relay, only as long as this one responds.
    pub(crate) async fn acquire(&self, another: bool) -> Result<ConcurrencyPermit, Unavailable> {
        if self.limiter().room() == Some(0) {
            return Err(self.no_room());
        }
        loop {
            if another && self.is_stalled() {
                return Err(Unavailable::Stalled);
            }
            let patience = *self.sign_of_life() + self.patience;
            let at_least = Instant::now() + LOOK_EVERY;
            let waited = tokio::time::timeout_at(patience.max(at_least), self.limiter().acquire());
            if let Ok(permit) = waited.await {
                return permit.ok_or(Unavailable::Unwell);
            }
        }
    }

    fn no_room(&self) -> Unavailable {
        match self.limiter().is_exhausted() {
            true => Unavailable::Unwell,
            false => Unavailable::Full(self.limiter().wait()),
        }
    }

    pub(crate) fn begin(&self, permit: ConcurrencyPermit) -> Result<SubmissionPermit, Unavailable> {
        if self.limiter().is_idle() {
            *self.sign_of_life() = Instant::now();
        }
        let begun = self.limiter().begin(permit, self.is_throttled());
        begun.map_err(|_| self.no_room())
    }
}

/// Why a relay cannot be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// Its circuit is open, or it accepts nothing: try the next one.
    Unwell,
    /// It accepts connections and does not reply: try the next one.
    Stalled,
    /// It works and all its permits or its rate are used: wait so long.
    Full(Duration),
    /// It works, and no domain of the recipients can be used now.
    Domains(Vec<BlockedDomain>),
}

/// A claimed alert that is to begin: counted until it is dropped, so that no more are claimed
/// than can begin.
pub struct StartReservation(pub(crate) Vec<Arc<AtomicU32>>);

impl Drop for StartReservation {
    fn drop(&mut self) {
        for count in &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A permit to use a relay now. Release it with [`RelayRegistry::report`](super::RelayRegistry); dropped without
/// a report, its trial is released.
pub(crate) struct SubmitPermit {
    pub(crate) entry: Arc<RelayEntry>,
    pub(crate) relay: Arc<dyn Relay>,
    /// It holds the single trial of its circuit, until it is reported.
    pub(crate) trial: bool,
    pub(crate) submission: Option<SubmissionPermit>,
    /// The permit of the relay, where `entry` is that of one of its domains.
    pub(crate) whole: Option<SubmissionPermit>,
    /// The domain and its recipients, where the permit is for no others.
    pub(crate) only: Option<BlockedDomain>,
    /// The share in what domains use that are not known to work, or that are slow.
    pub(crate) share: Option<OwnedSemaphorePermit>,
    /// Places for messages to domains that are slow.
    pub(crate) slow: Option<Arc<Semaphore>>,
}

impl SubmitPermit {
    /// Carries out a transaction. If it takes long, it no longer counts in what all domains share.
    pub(crate) async fn carry_out<T>(&mut self, transaction: impl Future<Output = T>) -> T {
        let mut transaction = pin!(transaction);
        tokio::select! {
            biased;
            ended = &mut transaction => return ended,
            () = self.make_room() => {}
        }
        transaction.await
    }

    async fn make_room(&mut self) {
        let Some(slow) = self.slow.take() else {
            return;
        };
        tokio::time::sleep(PROMPT).await;
        if let Ok(place) = slow.acquire_owned().await {
            self.share = Some(place);
            if let Some(whole) = &mut self.whole {
                whole.free_place();
            }
        }
    }
}

impl Drop for SubmitPermit {
    fn drop(&mut self) {
        if self.trial {
            self.entry.circuit().abandoned();
        }
    }
}
