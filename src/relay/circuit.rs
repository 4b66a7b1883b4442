//! Whether a relay may be asked now: closed, open, half-open, or paused for a person.
//!
//! Pure: time comes in. What happened before MAIL opens the circuit at once; what happened
//! from MAIL on opens or pauses it only after three different alerts in a row ended so, because
//! one poisonous message must not take the relay from everybody.

use std::time::{Duration, Instant};

use crate::domain::{AlertId, RelayCondition, SIGN_IN_REST, Timestamp};

/// First wait after an opening; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(2);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// A refused password is not tried again before this, so that no account is locked.
pub const PAUSE: Duration = SIGN_IN_REST;

/// So many different alerts in a row that broke from MAIL on open the circuit.
const BROKEN_IN_A_ROW: usize = 3;

/// A relay that takes fewer connections than are configured fails and works many times a
/// second; that is told once in this time.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// A moment on both clocks: monotonic for waiting, UTC for showing.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// For comparisons.
    pub instant: Instant,
    /// For people.
    pub utc: Timestamp,
}

/// How a message may be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// The circuit is closed.
    Freely,
    /// To find out whether the relay is back.
    Trial,
}

/// The health of one relay as one instance sees it.
#[derive(Debug)]
pub struct Circuit {
    condition: RelayCondition,
    since: Timestamp,
    retry_at: Option<Moment>,
    openings: u32,
    broken: Vec<AlertId>,
    trial_under_way: bool,
    /// When an opening was last news.
    told_at: Option<Instant>,
    /// It is open, and that was not told because another one was shortly before.
    untold: bool,
    reply: Option<String>,
    explanation: Option<String>,
}

impl Circuit {
    /// Closed: a relay is taken to be well until it shows otherwise.
    pub fn new(since: Timestamp) -> Self {
        Self {
            condition: RelayCondition::Closed,
            since,
            retry_at: None,
            openings: 0,
            broken: Vec::new(),
            trial_under_way: false,
            told_at: None,
            untold: false,
            reply: None,
            explanation: None,
        }
    }

    /// Where it stands.
    pub fn condition(&self) -> RelayCondition {
        self.condition
    }

    /// Since when.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// When it is tried again, by UTC.
    pub fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at.map(|at| at.utc)
    }

    /// The reply that opened it.
    pub fn reply(&self) -> Option<&str> {
        self.reply.as_deref()
    }

    /// Key into the table of replies.
    pub fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }

    /// How many messages may be begun now: `None` is any number, `Some(1)` a single trial.
    pub fn allowance(&self, now: Instant) -> Option<u32> {
        match self.condition {
            RelayCondition::Closed => None,
            _ if self.trial_under_way => Some(0),
            _ if self.retry_at.is_none_or(|at| at.instant <= now) => Some(1),
            _ => Some(0),
        }
    }

    /// How long until a trial is allowed; zero if one is, `None` while one is under way.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        if self.trial_under_way {
            return None;
        }
        Some(self.retry_at.map_or(Duration::ZERO, |at| {
            at.instant.saturating_duration_since(now)
        }))
    }

    /// Asks to begin a message. A trial is the single one of a circuit that is not closed;
    /// whoever got it has to report with one of the methods below.
    pub fn try_begin(&mut self, now: Instant) -> Option<Begun> {
        match self.allowance(now) {
            None => Some(Begun::Freely),
            Some(0) => None,
            Some(_) => {
                self.trial_under_way = true;
                if self.condition == RelayCondition::Open {
                    self.condition = RelayCondition::HalfOpen;
                }
                Some(Begun::Trial)
            }
        }
    }

    /// The trial was not carried out after all.
    pub fn abandoned(&mut self) {
        self.trial_under_way = false;
    }

    /// A transaction was answered to its end. True if this closed the circuit, and that is
    /// news. On a connection
    /// that was signed in before, it says nothing about a password that was refused since.
    pub fn succeeded(&mut self, now: Moment, trial: bool) -> bool {
        if self.is_shut_out() && !trial {
            return false;
        }
        self.broken.clear();
        self.close(now)
    }

    /// Paused by what was said before MAIL, and not by what was said about alerts.
    fn is_shut_out(&self) -> bool {
        self.condition == RelayCondition::Paused && self.broken.is_empty()
    }

    fn close(&mut self, now: Moment) -> bool {
        self.trial_under_way = false;
        self.openings = 0;
        self.reply = None;
        self.explanation = None;
        self.retry_at = None;
        if self.condition == RelayCondition::Closed {
            return false;
        }
        self.condition = RelayCondition::Closed;
        self.since = now.utc;
        !std::mem::take(&mut self.untold)
    }

    /// The relay's own fault before MAIL. True if this opened a closed circuit, and that is
    /// news. Of the many messages that one outage stops only the first counts, or the trial.
    pub fn failed(
        &mut self,
        now: Moment,
        trial: bool,
        reply: String,
        explanation: Option<String>,
    ) -> bool {
        if self.condition != RelayCondition::Closed && !trial {
            return false;
        }
        let wait = FIRST_WAIT
            .saturating_mul(1 << self.openings.min(10))
            .min(LONGEST_WAIT);
        self.openings += 1;
        let opened = self.leave_closed(RelayCondition::Open, now, wait, reply, explanation);
        self.is_news(now.instant, opened, trial)
    }

    /// An opening shortly after another is news only once a trial has failed too.
    fn is_news(&mut self, now: Instant, opened: bool, trial: bool) -> bool {
        let told = |at: Instant| now.saturating_duration_since(at) < TELL_EVERY;
        if opened && self.told_at.is_some_and(told) {
            self.untold = true;
            return false;
        }
        let news = opened || (trial && self.untold);
        if news {
            self.told_at = Some(now);
            self.untold = false;
        }
        news
    }

    /// A fault of the configuration before MAIL: a person has to mend it, and it is tried again
    /// after `pause`. True if this is news.
    pub fn refused(
        &mut self,
        now: Moment,
        pause: Duration,
        reply: String,
        explanation: Option<String>,
    ) -> bool {
        self.broken.clear();
        self.leave_closed(RelayCondition::Paused, now, pause, reply, explanation)
    }

    /// Somebody mended what it was paused for: it may be tried at once.
    pub fn mended(&mut self, now: Moment) {
        if self.condition == RelayCondition::Paused {
            self.retry_at = Some(now);
        }
    }

    /// The configuration's fault, said about `alert` from MAIL on: it may be about this one's
    /// domain or From alone, so only three different alerts in a row pause the relay. Until
    /// then it answers and is in use. The condition that this led to, if it is another.
    pub fn declined(
        &mut self,
        now: Moment,
        trial: bool,
        alert: AlertId,
        reply: String,
        explanation: Option<String>,
    ) -> Option<RelayCondition> {
        if self.is_shut_out() && !trial {
            return None;
        }
        self.note_broken(alert);
        if self.broken.len() < BROKEN_IN_A_ROW {
            return self.close(now).then_some(RelayCondition::Closed);
        }
        self.leave_closed(RelayCondition::Paused, now, PAUSE, reply, explanation)
            .then_some(RelayCondition::Paused)
    }

    fn note_broken(&mut self, alert: AlertId) {
        if !self.broken.contains(&alert) {
            self.broken.push(alert);
        }
    }

    /// The transaction of `alert` broke from MAIL on. True if this opened a closed circuit.
    pub fn broke(
        &mut self,
        now: Moment,
        trial: bool,
        alert: AlertId,
        reply: String,
        explanation: Option<String>,
    ) -> bool {
        self.note_broken(alert);
        if trial || self.broken.len() >= BROKEN_IN_A_ROW {
            return self.failed(now, trial, reply, explanation);
        }
        false
    }

    fn leave_closed(
        &mut self,
        condition: RelayCondition,
        now: Moment,
        wait: Duration,
        reply: String,
        explanation: Option<String>,
    ) -> bool {
        let news = self.condition == RelayCondition::Closed
            || (condition == RelayCondition::Paused && self.condition != condition);
        if news {
            self.since = now.utc;
        }
        self.trial_under_way = false;
        self.untold &= condition == RelayCondition::Open;
        self.condition = condition;
        self.retry_at = Some(Moment {
            instant: now.instant + wait,
            utc: now.utc + wait,
        });
        self.reply = Some(reply);
        self.explanation = explanation;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment() -> Moment {
        Moment {
            instant: Instant::now(),
            utc: Timestamp::UNIX_EPOCH,
        }
    }

    fn later(from: Moment, by: Duration) -> Moment {
        Moment {
            instant: from.instant + by,
            utc: from.utc + by,
        }
    }

    #[test]
    fn a_refused_connection_opens_at_once_and_one_trial_closes_it() {
        let start = moment();
        let mut circuit = Circuit::new(start.utc);
        assert!(circuit.failed(start, false, "connection refused".into(), None));
        assert_eq!(circuit.try_begin(start.instant), None);
        let after = later(start, FIRST_WAIT);
        assert_eq!(circuit.try_begin(after.instant), Some(Begun::Trial));
        assert_eq!(
            circuit.try_begin(after.instant),
            None,
            "one trial at a time"
        );
        assert!(circuit.succeeded(after, true));
        assert_eq!(circuit.allowance(after.instant), None);
    }

    #[test]
    fn three_different_alerts_that_break_open_it_and_one_poisonous_alert_does_not() {
        let now = moment();
        let mut circuit = Circuit::new(now.utc);
        for _ in 0..10 {
            assert!(!circuit.broke(now, false, AlertId(1), "421".into(), None));
        }
        assert!(!circuit.broke(now, false, AlertId(2), "421".into(), None));
        assert!(circuit.broke(now, false, AlertId(3), "421".into(), None));
        assert_eq!(circuit.condition(), RelayCondition::Open);
    }

    #[test]
    fn many_messages_stopped_by_one_outage_count_once() {
        let now = moment();
        let mut circuit = Circuit::new(now.utc);
        assert!(circuit.failed(now, false, "refused".into(), None));
        for _ in 0..50 {
            assert!(!circuit.failed(now, false, "refused".into(), None));
        }
        assert_eq!(circuit.wait(now.instant), Some(FIRST_WAIT));
    }

    #[test]
    fn a_relay_that_fails_and_works_many_times_a_minute_is_told_once() {
        let start = moment();
        let mut circuit = Circuit::new(start.utc);
        assert!(circuit.failed(start, false, "421".into(), None));
        assert!(circuit.succeeded(start, false));
        for _ in 0..50 {
            assert!(!circuit.failed(start, false, "421".into(), None));
            assert!(!circuit.succeeded(start, false));
        }
        assert!(!circuit.failed(start, false, "421".into(), None));
        let after = later(start, FIRST_WAIT);
        assert_eq!(circuit.try_begin(after.instant), Some(Begun::Trial));
        let lasting = circuit.failed(after, true, "refused".into(), None);
        assert!(lasting, "the trial failed too");
        assert!(circuit.succeeded(after, true));
        let much_later = later(after, TELL_EVERY);
        assert!(circuit.failed(much_later, false, "refused".into(), None));
    }

    #[test]
    fn a_success_between_breaks_forgets_them() {
        let now = moment();
        let mut circuit = Circuit::new(now.utc);
        for alert in 1..=20 {
            assert!(!circuit.broke(now, false, AlertId(alert), "421".into(), None));
            circuit.succeeded(now, false);
        }
    }

    #[test]
    fn a_refused_password_is_not_tried_again_within_fifteen_minutes() {
        let start = moment();
        let mut circuit = Circuit::new(start.utc);
        assert!(circuit.refused(start, PAUSE, "535".into(), None));
        let before = later(start, PAUSE - Duration::from_secs(1));
        assert_eq!(circuit.try_begin(before.instant), None);
        assert!(circuit.try_begin(later(start, PAUSE).instant).is_some());
        assert!(
            !circuit.refused(later(start, PAUSE), PAUSE, "535".into(), None),
            "no news"
        );
    }

    #[test]
    fn a_refused_password_stands_although_old_connections_still_work() {
        let start = moment();
        let mut circuit = Circuit::new(start.utc);
        assert!(circuit.refused(start, PAUSE, "535".into(), None));
        assert!(!circuit.succeeded(start, false));
        assert_eq!(
            circuit.declined(start, false, AlertId(1), "554".into(), None),
            None
        );
        assert_eq!(circuit.condition(), RelayCondition::Paused);
        assert!(
            !circuit.refused(start, PAUSE, "535".into(), None),
            "no news, however many connections are refused"
        );
        let after = later(start, PAUSE);
        assert_eq!(circuit.try_begin(after.instant), Some(Begun::Trial));
        assert!(circuit.succeeded(after, true));
    }

    #[test]
    fn one_alert_to_a_domain_that_is_denied_does_not_take_the_relay_from_the_others() {
        let now = moment();
        let mut circuit = Circuit::new(now.utc);
        let mut denied = |alert| circuit.declined(now, false, AlertId(alert), "554".into(), None);
        for _ in 0..10 {
            assert_eq!(denied(1), None);
        }
        assert_eq!(denied(2), None);
        assert_eq!(denied(3), Some(RelayCondition::Paused));
        assert_eq!(denied(4), None, "said once");
        let after = later(now, PAUSE);
        assert_eq!(circuit.try_begin(after.instant), Some(Begun::Trial));
        let still = circuit.declined(after, true, AlertId(1), "554".into(), None);
        assert_eq!(still, None);
        assert_eq!(circuit.condition(), RelayCondition::Paused);
    }

    #[test]
    fn a_relay_that_is_back_is_in_use_although_it_denies_the_alert_that_found_out() {
        let start = moment();
        let mut circuit = Circuit::new(start.utc);
        circuit.failed(start, false, "refused".into(), None);
        let after = later(start, FIRST_WAIT);
        assert_eq!(circuit.try_begin(after.instant), Some(Begun::Trial));
        assert_eq!(
            circuit.declined(after, true, AlertId(1), "554".into(), None),
            Some(RelayCondition::Closed)
        );
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let mut now = moment();
        let mut circuit = Circuit::new(now.utc);
        let mut waits = Vec::new();
        for _ in 0..8 {
            circuit.failed(now, !waits.is_empty(), String::new(), None);
            let wait = circuit.wait(now.instant).unwrap();
            waits.push(wait.as_secs());
            now = later(now, wait);
            assert!(circuit.try_begin(now.instant).is_some());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
    }
}
