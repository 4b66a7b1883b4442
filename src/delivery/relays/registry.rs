//! The relays of this instance with their circuits and limits: who can be asked now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::circuit::{Admission, Circuit, Moment};
use super::entry::{RelayEntry, StartReservation, SubmitPermit, Unavailable};
use super::events::{RelayEvent, at_full_speed, in_use_again, opened, paused, slowed, throttled};
use super::verdict::{Verdict, came_to, slower, submitted, verdict};
use crate::clock::{Clock, Ticks};
use crate::domain::{
    AUTH_COOLDOWN, AlertId, Fault, Limit, RelayCondition, RelayState, Reply, SubmissionEnd,
    SubmissionReport,
};
use crate::relay::Relay;
use crate::relay::limits::{SubmissionPermit, Usage};
use crate::relay::observer::{RelayActivity, RelayObserver};
use crate::replies::ReplyTable;
use crate::store::throttle::ThrottleStore;
use crate::store::{Event, EventSeverity};

/// The view `Queue` looks for it.
const SILENT: &str = "relay-unresponsive";

/// The alert that met the limit of a throttled relay waits so much longer than until the next
/// probe, which is another alert's where there is one.
const AFTER_OTHERS: Duration = Duration::from_secs(1);

/// What follows from a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The report is final; where the relay was asked for too much, the next attempt may be made
    /// so soon.
    Final(Option<Duration>),
    /// Nothing was begun: ask the next one.
    NextRelay,
    /// Nothing was begun, because of a limit: ask the next one, or try again after this.
    Limited(Duration),
    /// Nothing was begun, because too much was asked at a time: ask the same one again.
    SameRelay,
}

/// All relays of this instance.
pub struct RelayRegistry {
    pub(crate) entries: BTreeMap<String, RelayEntry>,
    replies: Arc<ReplyTable>,
    clock: Arc<dyn Clock>,
    ticks: Ticks,
    /// Who may probe a throttled relay; `None`: this instance is alone.
    pub(crate) throttles: Option<Arc<dyn ThrottleStore>>,
    events: mpsc::UnboundedSender<Event>,
}

impl RelayRegistry {
    /// A board of relays. What changes their circuits goes to `events`.
    pub fn new(
        relays: Vec<Arc<dyn Relay>>,
        replies: Arc<ReplyTable>,
        clock: Arc<dyn Clock>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let now = clock.now();
        let entry = |relay: Arc<dyn Relay>| (relay.name().to_owned(), RelayEntry::new(relay, now));
        Self {
            entries: relays.into_iter().map(entry).collect(),
            replies,
            clock,
            ticks: Ticks::default(),
            throttles: None,
            events,
        }
    }

    /// Shares what is known about throttled relays with all instances.
    #[must_use]
    pub fn with_throttles(mut self, throttles: Arc<dyn ThrottleStore>) -> Self {
        self.throttles = Some(throttles);
        self
    }

    /// Takes the time from `ticks`.
    #[must_use]
    pub fn timed_by(mut self, ticks: Ticks) -> Self {
        self.ticks = ticks;
        self
    }

    /// Reports what happens at each relay to its observer, where it has one.
    #[must_use]
    pub fn watched_by(mut self, watch: impl Fn(&str) -> Option<Arc<dyn RelayObserver>>) -> Self {
        for (name, entry) in &mut self.entries {
            if let Some(watch) = watch(name) {
                entry.watch = watch;
            }
        }
        self
    }

    /// Most recipients of one mail transaction over a relay; `None`: any number.
    pub fn recipients_limit(&self, relay: &str) -> Option<usize> {
        self.entries.get(relay)?.limiter().recipients_limit()
    }

    /// How many alerts may be begun now over `relays`, tried in this order: `None` is any
    /// number. A relay that is well and full is waited for; the next one is not for that.
    pub fn allowance(&self, relays: &[String]) -> Option<u32> {
        let now = self.ticks.now();
        let mut trials = 0_u32;
        for (entry, another) in self.in_order(relays) {
            // The lock is released before the entry is asked anything.
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
            Some((entry, index + 1 < count))
        };
        relays.iter().enumerate().filter_map(entry)
    }

    /// An alert for `relays` was claimed. Drop this when it begins, or is given back.
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

    /// Takes a turn at a relay for `alert`: waits for one of its connections, then asks its limits and its
    /// circuit. `another`: there is a relay to ask where this one does not answer.
    ///
    /// # Errors
    /// [`Unavailable`]: it may not be asked now.
    pub(crate) async fn acquire(
        &self,
        name: &str,
        alert: AlertId,
        another: bool,
    ) -> Result<SubmitPermit<'_>, Unavailable> {
        let entry = self.entries.get(name).ok_or(Unavailable::Unwell)?;
        // Permit against shutdown: the lock is released before the wait for a place, and the permit gives
        // its place and trial back where this future is dropped.
        let allowance = entry.circuit().allowance(self.ticks.now());
        let place = match allowance {
            Some(0) => return Err(Unavailable::Unwell),
            // A trial does not wait: others may hang.
            Some(_) => {
                let place = entry.limiter().try_place().ok_or(Unavailable::Unwell)?;
                entry.begin(place).map_err(|_| Unavailable::Unwell)?
            }
            None => entry.begin(entry.place(another).await?)?,
        };
        let begun = entry.begin_at_circuit(self.ticks.now());
        let begun = begun.ok_or(Unavailable::Unwell)?;
        let turn = SubmitPermit {
            relay: &entry.relay,
            entry,
            trial: begun == Admission::Trial,
            place: Some(place),
        };
        if turn.trial {
            self.ask_to_probe(entry, alert).await?;
        }
        Ok(turn)
    }

    /// Tells circuit and limits what came of a turn, and says what follows.
    pub(crate) fn report(
        &self,
        mut turn: SubmitPermit<'_>,
        alert: AlertId,
        octets: usize,
        report: &SubmissionReport,
    ) -> NextStep {
        let trial = std::mem::take(&mut turn.trial);
        let entry = turn.entry;
        *entry.sign_of_life() = Instant::now();
        let place = turn.place.take();
        self.observe_submission(entry, report, octets);
        let not_begun = matches!(report.end, SubmissionEnd::NotBegun { .. });
        let Some((limit, reply)) = slower(&self.replies, report) else {
            entry.limited().forget(alert);
            self.report_to_circuit(entry, (trial, false), alert, report);
            if not_begun {
                return NextStep::NextRelay;
            }
            end(place, submitted(&self.replies, report, None));
            return NextStep::Final(None);
        };
        let others_work = !trial && others_work(entry, not_begun, limit);
        let refusal = reply.to_string();
        let learns = Some((limit, &*refusal));
        if not_begun && others_work {
            // Before MAIL it said that others are enough: nothing is wrong with it.
            self.slow_down(entry, place, submitted(&self.replies, report, learns));
            return NextStep::SameRelay;
        }
        let noted = entry.limited().refused(self.ticks.now(), alert);
        self.report_to_circuit(entry, (trial, others_work), alert, report);
        let learns = learns.filter(|_| noted.is_general && !trial && !not_begun);
        self.slow_down(entry, place, submitted(&self.replies, report, learns));
        let wait = noted.wait.max(self.wait_for_limits(entry));
        match not_begun {
            true => NextStep::Limited(wait),
            false => NextStep::Final(Some(wait)),
        }
    }

    /// Tells the limits of a message that was refused for one.
    fn slow_down(&self, entry: &RelayEntry, place: Option<SubmissionPermit>, submitted: Usage<'_>) {
        end(place, submitted);
        entry.relay.shed();
        self.report_throttling(entry);
    }

    /// How long an alert that was refused for a limit waits, as far as the relay is concerned.
    fn wait_for_limits(&self, entry: &RelayEntry) -> Duration {
        let circuit = entry.circuit();
        if circuit.throttle_reason().is_none() {
            drop(circuit);
            return entry.limiter().wait();
        }
        let until_probe = circuit.wait(self.ticks.now()).unwrap_or_default();
        until_probe + AFTER_OTHERS
    }

    fn observe_submission(&self, entry: &RelayEntry, report: &SubmissionReport, octets: usize) {
        let Some((class, reply)) = came_to(report) else {
            return;
        };
        let named = match &report.end {
            SubmissionEnd::NotBegun { fault, .. } => *fault,
            _ => None,
        };
        let fault = reply.map(|reply| named.unwrap_or_else(|| self.replies.fault(reply)));
        entry.watch.record(RelayActivity::Submission {
            class,
            fault,
            octets,
        });
    }

    /// Says once that a relay is slowed down, and once that it no longer is.
    fn report_throttling(&self, entry: &RelayEntry) {
        let by = entry.limiter().shown();
        if entry
            .slowed
            .swap(by.throttle_reason.is_some(), Ordering::Relaxed)
            == by.throttle_reason.is_some()
        {
            return;
        }
        entry
            .watch
            .record(RelayActivity::Throttled(by.throttle_reason.is_some()));
        let (severity, event_type, what) = match by.throttle_reason {
            None => at_full_speed(),
            Some(reply) => slowed(&reply, by.connections, by.message_rate.as_deref()),
        };
        self.announce(severity, event_type, entry.relay.name(), &what);
    }

    /// `others_work`: where the relay refused for a limit, that others are enough.
    fn report_to_circuit(
        &self,
        entry: &RelayEntry,
        (trial, others_work): (bool, bool),
        alert: AlertId,
        report: &SubmissionReport,
    ) {
        let news = {
            let mut circuit = entry.circuit();
            let pause = entry
                .relay
                .cooldown_remaining()
                .map_or(AUTH_COOLDOWN, |rest| rest.min(AUTH_COOLDOWN));
            let verdict = verdict(&self.replies, report, others_work);
            let news = self.judge((&mut circuit, pause), trial, alert, verdict);
            if let Some(rest) = entry.relay.token_cooldown_remaining() {
                circuit.waits_at_least(self.moment(), rest);
            }
            entry.report_condition(circuit.condition());
            news
        };
        if let Some((severity, event_type, what)) = news {
            self.announce(severity, event_type, entry.relay.name(), &what);
        }
    }

    /// A relay whose secret or certificate was refused, and is another one now, may be tried at
    /// once.
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

    pub(crate) fn moment(&self) -> Moment {
        Moment {
            instant: self.ticks.now(),
            utc: self.clock.now(),
        }
    }

    fn judge(
        &self,
        (circuit, pause): (&mut Circuit, Duration),
        trial: bool,
        alert: AlertId,
        verdict: Verdict<'_>,
    ) -> Option<RelayEvent> {
        let now = self.moment();
        match verdict {
            Verdict::Well => circuit.succeeded(now, trial).then(in_use_again),
            Verdict::Declined(reply) => {
                let explanation = self.key(reply);
                let led_to = circuit.declined(now, trial, alert, reply.to_string(), explanation);
                led_to.map(|condition| match condition {
                    RelayCondition::Paused => paused(reply, self.replies.explain(reply)),
                    _ => in_use_again(),
                })
            }
            Verdict::Fault(Fault::Configuration, reply) => {
                let explanation = self.key(reply);
                let news = circuit.refused(now, pause, reply.to_string(), explanation);
                news.then(|| paused(reply, self.replies.explain(reply)))
            }
            Verdict::Fault(_, reply) => {
                let explanation = self.key(reply);
                let news = circuit.failed(now, trial, reply.to_string(), explanation);
                news.then(|| opened(format!("cannot be used now: {reply}")))
            }
            Verdict::Broke(reply) => {
                let explanation = self.key(reply);
                let news = circuit.broke(now, trial, alert, reply.to_string(), explanation);
                news.then(|| opened(format!("broke three alerts in a row: {reply}")))
            }
            Verdict::Limited(reply) => {
                let (said, explanation) = (reply.to_string(), self.key(reply));
                let news = circuit.limited(now, trial, alert, said, explanation);
                news.then(|| throttled(&reply.to_string()))
            }
            Verdict::Nothing => {
                if trial {
                    circuit.abandoned();
                }
                None
            }
        }
    }

    pub(crate) fn announce(
        &self,
        severity: EventSeverity,
        event_type: &'static str,
        relay: &str,
        what: &str,
    ) {
        match severity {
            EventSeverity::Information => tracing::info!(relay, what, "relay state changed"),
            EventSeverity::Warning => tracing::warn!(relay, what, "relay state changed"),
            EventSeverity::Error => tracing::error!(relay, what, "relay state changed"),
        }
        let event = Event {
            severity,
            event_type,
            instance: None,
            alert: None,
            send_port: None,
            relay: Some(relay.to_owned()),
            message: format!("relay {relay} {what}"),
        };
        // Fails only once the worker that writes events has ended.
        let _ = self.events.send(event);
    }

    fn key(&self, reply: &Reply) -> Option<String> {
        self.replies.explain(reply).map(|entry| entry.key.clone())
    }

    /// Connections that are open and authenticated, by relay.
    pub fn connections(&self) -> impl Iterator<Item = (&str, u32)> {
        let entries = self.entries.iter();
        entries.map(|(name, entry)| (name.as_str(), entry.limiter().established()))
    }

    /// What `RelayState` shows.
    pub fn states(&self) -> Vec<RelayState> {
        let state = |(name, entry): (&String, &RelayEntry)| {
            let limits = entry.limiter().shown();
            let circuit = entry.circuit();
            let (reply, explanation) = match (circuit.reply(), self.silence(entry)) {
                (None, Some(silence)) => (Some(silence), Some(SILENT)),
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
            }
        };
        self.entries.iter().map(state).collect()
    }

    /// Since when, in a sentence.
    fn silence(&self, entry: &RelayEntry) -> Option<String> {
        let silence = TimeDelta::from_std(entry.silence()?).ok()?;
        let since = (self.clock.now() - silence).format("%Y-%m-%dT%H:%M:%SZ");
        Some(format!(
            "no message or connection attempt has ended since {since}; the time-outs are in relay.*.timeout"
        ))
    }

    /// Whether any relay is not in use: its state should be shown soon.
    pub fn is_troubled(&self) -> bool {
        self.entries
            .values()
            .any(|entry| entry.circuit().condition() != RelayCondition::Closed)
    }

    /// To be called about once a second: what was learned is tried again, and
    /// forgotten, and a secret that was changed is tried.
    pub fn tick(&self) {
        for entry in self.entries.values() {
            entry.limiter().tick();
            self.check_credentials(entry);
            self.report_throttling(entry);
        }
    }

    /// Says goodbye to every relay.
    pub async fn close(&self) {
        for entry in self.entries.values() {
            entry.relay.close().await;
        }
    }
}

fn end(place: Option<SubmissionPermit>, submitted: Usage<'_>) {
    if let Some(place) = place {
        place.end(submitted);
    }
}

/// A refusal for `limit` says that others are enough, of this instance or another one.
fn others_work(entry: &RelayEntry, before_mail: bool, limit: Limit) -> bool {
    match limit {
        Limit::Connections => entry.limiter().others_work(before_mail),
        _ => entry.limiter().took_some_lately(),
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
