//! The relays of this instance, with their circuits and limits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sendport_core::clock::utc_text;
use sendport_core::clock::{Clock, Ticks};
use sendport_core::domain::{Membership, RelayCondition, RelayState};
use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::limits::ShareWait;
use sendport_smtp::relay::observer::RelayObserver;
use sendport_store::Event;
use tokio::sync::mpsc;

use super::circuit::{Admission, Moment};
use super::domains::Domains;
use super::entry::{RelayEntry, StartReservation, SubmitPermit, Unavailable};

/// The key of the explanation; the view `Queue` reads it.
const SILENT: &str = "relay-unresponsive";

/// The same of domains that cannot be reached, and how many of them are named.
const DOMAINS: &str = "domains-unreachable";
const MOST_SHOWN: usize = 10;

/// What is in use of one relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayUsage {
    /// Connections that are open and authenticated.
    pub connections: u32,
    /// Domains whose mail hosts cannot be reached now.
    pub domains_unreachable: u32,
}

/// All relays of this instance.
pub struct RelayRegistry {
    pub(super) entries: BTreeMap<String, Arc<RelayEntry>>,
    pub(super) replies: Arc<ReplyTable>,
    clock: Arc<dyn Clock>,
    pub(super) ticks: Ticks,
    pub(super) events: mpsc::UnboundedSender<Event>,
}

impl RelayRegistry {
    /// All `relays` in use. Events about their circuits go to `events`.
    pub fn new(
        relays: Vec<Arc<dyn Relay>>,
        replies: Arc<ReplyTable>,
        clock: Arc<dyn Clock>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let now = clock.now();
        let entry = |relay: Arc<dyn Relay>| {
            let name = relay.name().to_owned();
            (name, Arc::new(RelayEntry::new(&relay, now)))
        };
        Self {
            entries: relays.into_iter().map(entry).collect(),
            replies,
            clock,
            ticks: Ticks::default(),
            events,
        }
    }

    /// Takes the time from `ticks`.
    #[must_use]
    pub fn timed_by(mut self, ticks: Ticks) -> Self {
        self.ticks = ticks;
        self
    }

    /// Reports the activities of each relay to its observer, if it has one.
    #[must_use]
    pub fn watched_by(mut self, watch: impl Fn(&str) -> Option<Arc<dyn RelayObserver>>) -> Self {
        for (name, entry) in &mut self.entries {
            // Nothing else uses an entry yet.
            if let (Some(watch), Some(entry)) = (watch(name), Arc::get_mut(entry)) {
                entry.watch = watch;
            }
        }
        self
    }

    /// Uses nothing of limits that are divided among instances before the next
    /// [`RelayRegistry::apply_share`].
    pub fn leave(&self) {
        for entry in self.entries.values() {
            entry.limiter().leave();
        }
    }

    /// Keeps to this instance's share of all configured limits, after it published a share among
    /// `published` instances. True once no more is used than that.
    pub fn apply_share(&self, membership: Membership, published: u32) -> bool {
        let mut within = true;
        for entry in self.entries.values() {
            within &= entry.limiter().apply_share(membership, published);
            entry.relay.shed();
        }
        within
    }

    /// How many alerts may be begun now over `relays`, tried in this order: `None` is any
    /// number. An alert waits for a healthy relay without room, and does not go to the next one.
    pub fn allowance(&self, relays: &[String]) -> Option<u32> {
        let now = self.ticks.now();
        let mut trials = 0_u32;
        for (entry, another) in self.in_order(relays) {
            // The lock is released before the entry is used.
            let allowance = entry.circuit().allowance(now);
            match allowance {
                Some(trial) => trials = trials.saturating_add(entry.room_for(trial)),
                None if another && entry.is_stalled() => {}
                None if entry.limiter().is_exhausted() => {}
                None => return entry.room().map(|room| room.saturating_add(trials)),
            }
        }
        Some(trials)
    }

    /// How long until one of `relays` may be tried again, or has room again.
    pub fn wait(&self, relays: &[String]) -> Option<Duration> {
        let now = self.ticks.now();
        let wait = |(entry, _): (&RelayEntry, bool)| {
            let circuit = entry.circuit().wait(now)?;
            let limits = match entry.is_throttled() {
                true => Duration::ZERO,
                false => entry.limiter().wait(),
            };
            Some(circuit.max(limits))
        };
        self.in_order(relays).filter_map(wait).min()
    }

    /// The entries, and whether another one follows.
    fn in_order<'a>(
        &'a self,
        relays: &'a [String],
    ) -> impl Iterator<Item = (&'a RelayEntry, bool)> {
        let count = relays.len();
        let entry = move |(index, name): (usize, &String)| {
            let entry = self.entries.get(name)?;
            Some((&**entry, index + 1 < count))
        };
        relays.iter().enumerate().filter_map(entry)
    }

    /// An alert for `relays` was claimed. Drop the result when the alert begins, or is released.
    pub fn expect(&self, relays: &[String]) -> StartReservation {
        let counts = self
            .in_order(relays)
            .map(|(entry, _)| entry.expected.clone());
        let counts: Vec<_> = counts.collect();
        for count in &counts {
            count.fetch_add(1, Ordering::Relaxed);
        }
        StartReservation(counts)
    }

    /// Acquires a permit to use a relay: waits for one of its connections, then checks its limits and its
    /// circuit. `another`: there is another relay if this one does not respond.
    ///
    /// # Errors
    /// [`Unavailable`]: the relay must not be used now.
    pub(crate) async fn acquire(
        &self,
        name: &str,
        another: bool,
    ) -> Result<SubmitPermit, Unavailable> {
        let entry = self.entries.get(name).ok_or(Unavailable::Unwell)?;
        // Race between a held permit and shutdown: the lock is released before the wait for a permit, and
        // the permit and its trial are released if this future is dropped.
        let allowance = entry.circuit().allowance(self.ticks.now());
        let submission = match allowance {
            Some(0) => return Err(Unavailable::Unwell),
            // A trial does not wait: others may hang.
            Some(_) => {
                let permit = entry.limiter().try_acquire().ok_or(Unavailable::Unwell)?;
                entry.begin(permit).map_err(|_| Unavailable::Unwell)?
            }
            None => entry.begin(entry.acquire(another).await?)?,
        };
        let begun = entry.begin_at_circuit(self.ticks.now());
        let begun = begun.ok_or(Unavailable::Unwell)?;
        Ok(SubmitPermit {
            relay: entry.relay.clone(),
            entry: entry.clone(),
            trial: begun == Admission::Trial,
            submission: Some(submission),
            whole: None,
            only: None,
            share: None,
            slow: None,
        })
    }

    /// Resumes a relay whose secret or certificate was refused and has changed
    /// since.
    fn check_credentials(&self, entry: &RelayEntry) {
        let paused = entry.circuit().condition() == RelayCondition::Paused;
        if paused && entry.relay.credentials_changed() {
            tracing::info!(
                relay = entry.relay.name(),
                "relay credentials changed, relay resumed"
            );
            entry.circuit().credentials_changed(self.moment());
        }
    }

    pub(super) fn moment(&self) -> Moment {
        Moment {
            instant: self.ticks.now(),
            utc: self.clock.now(),
        }
    }

    /// What is in use of each relay, in the order of [`RelayRegistry::states`].
    pub fn usage(&self) -> impl Iterator<Item = (&str, RelayUsage)> {
        let usage = |(name, entry)| {
            let (name, entry): (&String, &Arc<RelayEntry>) = (name, entry);
            let unreachable = entry.domains.as_ref().map(|it| it.unreachable().len());
            let usage = RelayUsage {
                connections: entry.relay.connections(),
                domains_unreachable: u32::try_from(unreachable.unwrap_or(0)).unwrap_or(u32::MAX),
            };
            (name.as_str(), usage)
        };
        self.entries.iter().map(usage)
    }

    /// The rows of `RelayState`.
    pub fn states(&self) -> Vec<RelayState> {
        let state = |(name, entry): (&String, &Arc<RelayEntry>)| {
            let limits = entry.limiter().shown();
            let circuit = entry.circuit();
            let domains = || {
                let domains = entry.domains.as_ref();
                domains.and_then(|it| unreachable_domains(&it.unreachable()))
            };
            let (reply, explanation) = match (circuit.reply(), self.silence(entry)) {
                (None, Some(silence)) => (Some(silence), Some(SILENT)),
                (None, None) => domains().map_or((None, None), |text| (Some(text), Some(DOMAINS))),
                (reply, _) => (reply.map(str::to_owned), circuit.explanation()),
            };
            RelayState {
                relay: name.clone(),
                condition: circuit.condition(),
                since: circuit.since(),
                retry_at: circuit.retry_at(),
                reply,
                explanation: explanation.map(str::to_owned),
                connections: Some(limits.connections),
                message_rate: limits.message_rate,
                max_recipients: limits.recipients,
                throttle_reason: limits.throttle_reason,
                share_wait: limits.share_wait.map(|wait| self.share_wait(entry, wait)),
            }
        };
        self.entries.iter().map(state).collect()
    }

    /// A sentence with the start of the silence. A relay with domains names those that are silent.
    fn silence(&self, entry: &RelayEntry) -> Option<String> {
        let instant = entry.silent_since().filter(|_| entry.domains.is_none())?;
        let since = || self.clock.now() - instant.elapsed();
        let since = utc_text(entry.silence_start.of(instant.into_std(), since));
        Some(format!(
            "no message or connection attempt has ended since {since}; the time-outs are in relay.*.timeout"
        ))
    }

    /// A sentence about the wait.
    fn share_wait(&self, entry: &RelayEntry, wait: ShareWait) -> String {
        let (limit, until) = match wait {
            ShareWait::Acknowledgement => {
                return "waits until every other instance has reduced its share of the limits, or its lease has ended"
                    .to_owned();
            }
            ShareWait::Window { limit, until } => (limit, until),
        };
        let at = || self.clock.now() + until.saturating_duration_since(self.ticks.now());
        let at = utc_text(entry.share_wait_end.of(until, at));
        format!(
            "waits until {at}: another or an earlier instance may have used {limit} of the relay"
        )
    }

    /// Whether any relay is not in use: its state should be published soon.
    pub fn is_troubled(&self) -> bool {
        self.entries
            .values()
            .any(|entry| entry.circuit().condition() != RelayCondition::Closed)
    }

    /// To be called about once a second: learned limits are raised and
    /// forgotten, and a changed secret is tried.
    pub fn tick(&self) {
        for entry in self.entries.values() {
            entry.limiter().tick();
            for domain in entry.domains.iter().flat_map(Domains::all) {
                domain.limiter().tick();
                self.report_throttling(&domain);
            }
            self.check_credentials(entry);
            self.report_throttling(entry);
        }
    }

    /// Sends QUIT to every relay.
    pub async fn close(&self) {
        for entry in self.entries.values() {
            entry.relay.close().await;
        }
    }
}

/// A sentence with the first of the domains that cannot be reached.
fn unreachable_domains(names: &[String]) -> Option<String> {
    let more = names.len().saturating_sub(MOST_SHOWN);
    let shown = names.get(..names.len().min(MOST_SHOWN))?.join(", ");
    match (names.len(), more) {
        (0, _) => None,
        (1, _) => Some(format!("the domain {shown} cannot be reached now")),
        (count, 0) => Some(format!("{count} domains cannot be reached now: {shown}")),
        (count, more) => Some(format!(
            "{count} domains cannot be reached now: {shown} and {more} more"
        )),
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod throttle_tests;
