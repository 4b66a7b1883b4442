//! The circuit of a relay: closed, open, half-open, or paused until an operator acts.
//!
//! Pure: callers pass the time. A failure before MAIL opens the circuit at once. Failures from
//! MAIL on open or pause it only after three different alerts in a row, because
//! one bad message must not make the relay unavailable to others. A relay that refuses for a limit
//! is throttled after two alerts: its circuit is open, and one alert after the other probes it.

use std::time::{Duration, Instant};

use sendport_core::domain::{AUTH_COOLDOWN, AlertId, RelayCondition, Timestamp};

/// First wait after an opening; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The interval between two probes of a throttled relay; it doubles with each alert that probes
/// for the first time, up to [`LONGEST_PROBE_INTERVAL`].
const FIRST_PROBE_INTERVAL: Duration = Duration::from_secs(4);

/// A longer interval would rarely meet a moment in which another program leaves
/// some of the limit.
pub(crate) const LONGEST_PROBE_INTERVAL: Duration = Duration::from_secs(4 * 60);

/// The number of different alerts in a row that open the circuit if they broke from MAIL on.
const BROKEN_IN_A_ROW: usize = 3;

/// The number of different alerts in a row that open the circuit if they were refused for a limit.
const LIMITED_IN_A_ROW: usize = 2;

/// A relay that takes fewer connections than are configured fails and works many times a
/// second; that is reported once in this time.
const REPORT_EVERY: Duration = Duration::from_secs(60);

/// A moment on both clocks: monotonic for waits, UTC for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// For waits.
    pub(crate) instant: Instant,
    /// For people.
    pub(crate) utc: Timestamp,
}

impl Moment {
    fn after(self, wait: Duration) -> Self {
        Self {
            instant: self.instant + wait,
            utc: self.utc + wait,
        }
    }
}

/// How a message may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The circuit is closed.
    Unlimited,
    /// A single trial: whether the relay works again.
    Trial,
}

/// A refusal or an outage, as the circuit of its relay counts it.
#[derive(Debug, Clone)]
pub(crate) struct RelayFault {
    /// When it was observed.
    pub(crate) at: Moment,
    /// It ended the trial of a circuit that is not closed.
    pub(crate) trial: bool,
    /// The reply, codes first.
    pub(crate) reply: String,
    /// Key into the table of replies.
    pub(crate) explanation: Option<String>,
}

/// The probes of a throttled relay since it last accepted a message.
#[derive(Debug, Default)]
struct Probes {
    /// The interval after the latest one.
    interval: Duration,
    /// The alerts that the interval grew with.
    alerts: Vec<AlertId>,
}

impl Probes {
    /// `alert` probed: returns the interval until the next probe. An alert that probed before does not
    /// lengthen it.
    fn next_interval(&mut self, alert: AlertId) -> Duration {
        if self.interval < LONGEST_PROBE_INTERVAL && !self.alerts.contains(&alert) {
            self.alerts.push(alert);
            let doubled = (self.interval * 2).max(FIRST_PROBE_INTERVAL);
            self.interval = doubled.min(LONGEST_PROBE_INTERVAL);
        }
        self.interval
    }
}

/// The health of one relay as one instance sees it.
#[derive(Debug)]
pub(crate) struct Circuit {
    condition: RelayCondition,
    /// The first wait after an opening, and the longest one.
    waits: (Duration, Duration),
    since: Timestamp,
    retry_at: Option<Moment>,
    openings: u32,
    broken: Vec<AlertId>,
    /// Alerts in a row that were refused for a limit.
    limited: Vec<AlertId>,
    /// It is open because everything is refused for a limit.
    throttled: bool,
    /// Until when the relay asked to be left alone.
    rests_until: Option<Instant>,
    probes: Probes,
    trial_under_way: bool,
    /// When an opening was last reported.
    notified_at: Option<Instant>,
    /// It is open and not reported, because another opening was reported shortly before.
    unreported: bool,
    reply: Option<String>,
    explanation: Option<String>,
}

impl Circuit {
    /// Closed: a relay counts as healthy until it fails.
    pub(crate) fn new(since: Timestamp) -> Self {
        Self::with_waits(since, FIRST_WAIT, LONGEST_WAIT)
    }

    /// Closed; the wait after an opening is `first`, and doubles up to `longest`.
    pub(crate) fn with_waits(since: Timestamp, first: Duration, longest: Duration) -> Self {
        Self {
            waits: (first, longest),
            condition: RelayCondition::Closed,
            since,
            retry_at: None,
            openings: 0,
            broken: Vec::new(),
            limited: Vec::new(),
            throttled: false,
            rests_until: None,
            probes: Probes::default(),
            trial_under_way: false,
            notified_at: None,
            unreported: false,
            reply: None,
            explanation: None,
        }
    }

    /// Its condition.
    pub(crate) fn condition(&self) -> RelayCondition {
        self.condition
    }

    /// Since when.
    pub(crate) fn since(&self) -> Timestamp {
        self.since
    }

    /// When it is tried again, by UTC.
    pub(crate) fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at.map(|at| at.utc)
    }

    /// The reply that opened it.
    pub(crate) fn reply(&self) -> Option<&str> {
        self.reply.as_deref()
    }

    /// Key into the table of replies.
    pub(crate) fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }

    /// How many messages may be begun now: `None` is any number, `Some(1)` a single trial.
    pub(crate) fn allowance(&self, now: Instant) -> Option<u32> {
        match self.condition {
            RelayCondition::Closed => None,
            _ if self.trial_under_way => Some(0),
            _ if self.retry_at.is_none_or(|at| at.instant <= now) => Some(1),
            _ => Some(0),
        }
    }

    /// The time until a trial is allowed; zero if one is, `None` while one is under way.
    pub(crate) fn wait(&self, now: Instant) -> Option<Duration> {
        if self.trial_under_way {
            return None;
        }
        Some(self.retry_at.map_or(Duration::ZERO, |at| {
            at.instant.saturating_duration_since(now)
        }))
    }

    /// Begins a message. A trial is the single one of a circuit that is not closed;
    /// its holder must report with one of the methods below.
    pub(crate) fn try_begin(&mut self, now: Instant) -> Option<Admission> {
        match self.allowance(now) {
            None => Some(Admission::Unlimited),
            Some(0) => None,
            Some(_) => {
                self.trial_under_way = true;
                if self.condition == RelayCondition::Open {
                    self.condition = RelayCondition::HalfOpen;
                }
                Some(Admission::Trial)
            }
        }
    }

    /// The trial was not carried out.
    pub(crate) fn abandoned(&mut self) {
        self.trial_under_way = false;
    }

    /// A transaction was answered to its end. True if this closed the circuit and is to be
    /// reported. On a connection
    /// that was authenticated before, it proves nothing about a password that was refused since.
    pub(crate) fn succeeded(&mut self, now: Moment, trial: bool) -> bool {
        if self.is_shut_out(now.instant) && !trial {
            return false;
        }
        self.broken.clear();
        self.close(now)
    }

    /// Paused by a reply before MAIL, and not by replies about alerts; or the relay asked to be left alone.
    fn is_shut_out(&self, now: Instant) -> bool {
        let rests = self.rests_until.is_some_and(|until| now < until);
        rests || (self.condition == RelayCondition::Paused && self.broken.is_empty())
    }

    /// The relay asked to be left alone for `wait`: a message that it accepts meanwhile changes nothing about that. True if
    /// this opened a closed circuit and is to be reported.
    pub(crate) fn asked_to_wait(&mut self, wait: Duration, fault: RelayFault) -> bool {
        self.rests_until = Some(fault.at.instant + wait);
        let news = self.open(wait, fault);
        self.throttled = true;
        news
    }

    fn close(&mut self, now: Moment) -> bool {
        self.trial_under_way = false;
        self.limited.clear();
        self.throttled = false;
        self.probes = Probes::default();
        self.openings = 0;
        self.reply = None;
        self.explanation = None;
        self.retry_at = None;
        if self.condition == RelayCondition::Closed {
            return false;
        }
        self.condition = RelayCondition::Closed;
        self.since = now.utc;
        !std::mem::take(&mut self.unreported)
    }

    /// A fault of the relay before MAIL. True if this opened a closed circuit and is to be
    /// reported. Of all messages that one outage stops, only the first counts, or the trial.
    pub(crate) fn failed(&mut self, fault: RelayFault) -> bool {
        if self.condition != RelayCondition::Closed && !fault.trial {
            return false;
        }
        let wait = self.doubled_wait(self.waits.1);
        self.open(wait, fault)
    }

    /// An open circuit allows no trial before `wait` has passed.
    pub(crate) fn waits_at_least(&mut self, now: Moment, wait: Duration) {
        let later = now.after(wait);
        let sooner = self.retry_at.is_none_or(|at| at.instant < later.instant);
        if self.condition == RelayCondition::Open && sooner {
            self.retry_at = Some(later);
        }
    }

    fn doubled_wait(&mut self, longest: Duration) -> Duration {
        let wait = self.waits.0.saturating_mul(1 << self.openings.min(10));
        self.openings += 1;
        wait.min(longest)
    }

    fn open(&mut self, wait: Duration, fault: RelayFault) -> bool {
        let (at, trial) = (fault.at.instant, fault.trial);
        let opened = self.leave_closed(RelayCondition::Open, wait, fault);
        self.is_news(at, opened, trial)
    }

    /// `alert` was refused for a limit, and nothing else is under way that the relay may accept.
    /// Two different alerts in a row open the circuit, and it is throttled until it accepts a
    /// message. True if this is to be reported.
    pub(crate) fn limited(&mut self, alert: AlertId, fault: RelayFault) -> bool {
        if !self.limited.contains(&alert) {
            self.limited.push(alert);
            self.limited.truncate(LIMITED_IN_A_ROW);
        }
        let enough = self.limited.len() >= LIMITED_IN_A_ROW;
        if !fault.trial && (!enough || self.condition != RelayCondition::Closed) {
            return false;
        }
        let wait = match fault.trial && self.throttled {
            true => self.probes.next_interval(alert),
            false => self.doubled_wait(LONGEST_PROBE_INTERVAL),
        };
        let news = self.open(wait, fault);
        self.throttled = true;
        news
    }

    /// The refusal of a throttled relay; `None` if it is not throttled.
    pub(crate) fn throttle_reason(&self) -> Option<&str> {
        self.reply.as_deref().filter(|_| self.throttled)
    }

    /// An opening shortly after another is reported only after a trial has failed too.
    fn is_news(&mut self, now: Instant, opened: bool, trial: bool) -> bool {
        let recent = |at: Instant| now.saturating_duration_since(at) < REPORT_EVERY;
        if opened && self.notified_at.is_some_and(recent) {
            self.unreported = true;
            return false;
        }
        let news = opened || (trial && self.unreported);
        if news {
            self.notified_at = Some(now);
            self.unreported = false;
        }
        news
    }

    /// A fault of the configuration before MAIL: an operator has to correct it, and the relay is tried again
    /// after `pause`. True if this is to be reported.
    pub(crate) fn refused(&mut self, pause: Duration, fault: RelayFault) -> bool {
        self.broken.clear();
        self.leave_closed(RelayCondition::Paused, pause, fault)
    }

    /// Secret or certificate changed: it may be tried at once.
    pub(crate) fn credentials_changed(&mut self, now: Moment) {
        if self.condition == RelayCondition::Paused {
            self.retry_at = Some(now);
        }
    }

    /// A fault of the configuration, in a reply about `alert` from MAIL on: it may be about the
    /// domain or From of this alert alone, so only three different alerts in a row pause the relay. Until
    /// then it is in use. Returns the new condition, if it changed.
    pub(crate) fn declined(&mut self, alert: AlertId, fault: RelayFault) -> Option<RelayCondition> {
        if self.is_shut_out(fault.at.instant) && !fault.trial {
            return None;
        }
        self.note_broken(alert);
        if self.broken.len() < BROKEN_IN_A_ROW {
            return self.close(fault.at).then_some(RelayCondition::Closed);
        }
        self.leave_closed(RelayCondition::Paused, AUTH_COOLDOWN, fault)
            .then_some(RelayCondition::Paused)
    }

    fn note_broken(&mut self, alert: AlertId) {
        if !self.broken.contains(&alert) {
            self.broken.push(alert);
        }
    }

    /// The transaction of `alert` broke from MAIL on. True if this opened a closed circuit.
    pub(crate) fn broke(&mut self, alert: AlertId, fault: RelayFault) -> bool {
        self.note_broken(alert);
        if fault.trial || self.broken.len() >= BROKEN_IN_A_ROW {
            return self.failed(fault);
        }
        false
    }

    fn leave_closed(
        &mut self,
        condition: RelayCondition,
        wait: Duration,
        fault: RelayFault,
    ) -> bool {
        let news = self.condition == RelayCondition::Closed
            || (condition == RelayCondition::Paused && self.condition != condition);
        if news {
            self.since = fault.at.utc;
        }
        self.trial_under_way = false;
        self.throttled = false;
        self.unreported &= condition == RelayCondition::Open;
        self.condition = condition;
        self.retry_at = Some(fault.at.after(wait));
        self.reply = Some(fault.reply);
        self.explanation = fault.explanation;
        news
    }
}

#[cfg(test)]
#[path = "circuit_tests.rs"]
mod tests;
