//! What prevents an instance from working, and since when. The only source for `/readyz`,
//! `Instance`, `Queue` and `status`, so that they agree.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use chrono::TimeDelta;
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::clock::utc_text;
use sendport_core::domain::{InstanceCondition, Timestamp};
use sendport_store::{StoreError, StoreErrorKind};

use super::guarded_spool::MOST_ASIDE;

/// Failed claims are no obstacle before this time: they may fail for a moment only.
const MOMENT: TimeDelta = TimeDelta::seconds(2);

/// Everything that may prevent an instance from working, in the order of the reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObstacleKind {
    /// The instance has not started working.
    Begin,
    /// The instance waits for the database before its start.
    NoDatabase,
    /// The state folder cannot be written.
    StateFolder,
    /// Outcomes of a dead instance are not recorded yet.
    LeftOver,
    /// The instance cannot register.
    Register,
    /// The lease cannot be renewed.
    Lease,
    /// Outcomes cannot be recorded.
    Outcomes,
    /// No alert can be claimed.
    Claims,
    /// The database refused single outcomes.
    RejectedOutcomes,
    /// The database refused to lease single alerts.
    UnclaimedAlerts,
    /// Other transactions have locked alerts with known outcomes for long.
    LockedOutcomes,
    /// The database is unavailable, or is not the right one.
    Database,
}

impl ObstacleKind {
    fn label(self) -> &'static str {
        match self {
            Self::Begin => "starting: ",
            Self::NoDatabase => "starting: it waits for the database: ",
            Self::LeftOver => "starting: recovery is waiting for the database: ",
            Self::Register => "starting: it cannot register: ",
            Self::StateFolder => "",
            Self::Lease => "lease: it cannot be renewed: ",
            Self::Outcomes | Self::RejectedOutcomes | Self::LockedOutcomes => "outcomes: ",
            Self::UnclaimedAlerts => "alerts: ",
            Self::Claims => "queue: alerts cannot be claimed: ",
            Self::Database => "database: ",
        }
    }
}

/// An obstacle in its present state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Obstacle {
    pub(super) since: Timestamp,
    /// The latest reason.
    pub(super) why: String,
    /// The number of outcomes that are not recorded; of [`ObstacleKind::UnclaimedAlerts`], the number of alerts.
    pub(super) count: usize,
    /// The engine's text may contain values, which not every reader of the database may see.
    pub(super) may_hold_values: bool,
}

impl Obstacle {
    /// Whether it prevents all sending.
    fn stops(&self, what: ObstacleKind) -> bool {
        match what {
            ObstacleKind::Lease
            | ObstacleKind::LockedOutcomes
            | ObstacleKind::Database
            | ObstacleKind::UnclaimedAlerts => false,
            ObstacleKind::RejectedOutcomes => self.count >= MOST_ASIDE,
            // An obstacle about a row stops its send port alone.
            ObstacleKind::Claims => !self.may_hold_values,
            _ => true,
        }
    }

    fn lasts(&self, what: ObstacleKind, now: Timestamp) -> bool {
        what != ObstacleKind::Claims || now - self.since >= MOMENT
    }

    /// Its text for the operator, or for readers of the database.
    fn text(&self, what: ObstacleKind, for_all: bool) -> String {
        let since = utc_text(self.since);
        let why = match for_all && self.may_hold_values {
            true => "see EventLog and the service's log",
            false => &self.why,
        };
        match (what.label(), self.count) {
            (label, 0) => format!("{label}{why}, since {since}"),
            (label, count) if what == ObstacleKind::UnclaimedAlerts => {
                format!("{label}{count} cannot be claimed since {since}: {why}")
            }
            (label, count) => format!("{label}{count} cannot be recorded since {since}: {why}"),
        }
    }
}

/// All obstacles of an instance.
pub struct Obstacles {
    clock: Arc<dyn Clock>,
    met: Mutex<BTreeMap<ObstacleKind, Obstacle>>,
}

impl Obstacles {
    /// Those of an instance that has not started working.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let obstacles = Self {
            clock,
            met: Mutex::default(),
        };
        obstacles.begin_anew("it begins");
        obstacles
    }

    /// Removes the obstacles of an earlier instance; the next one has not started working.
    pub fn begin_anew(&self, why: &str) {
        self.met
            .lock()
            .retain(|what, _| *what == ObstacleKind::Database);
        self.meet(ObstacleKind::Begin, why);
    }

    /// Sets an obstacle with this reason. True if it is new.
    pub fn meet(&self, what: ObstacleKind, why: impl Display) -> bool {
        self.add(what, self.clock.now(), 0, &why, false)
    }

    /// Sets an obstacle with an error of the database and a number of outcomes.
    pub(super) fn meet_error(
        &self,
        what: ObstacleKind,
        error: &StoreError,
        outcomes: usize,
    ) -> bool {
        self.meet_error_since(self.clock.now(), what, error, outcomes)
    }

    /// Sets an obstacle that began at this time.
    pub(super) fn meet_error_since(
        &self,
        since: Timestamp,
        what: ObstacleKind,
        error: &StoreError,
        outcomes: usize,
    ) -> bool {
        let about_data = matches!(
            error.kind(),
            StoreErrorKind::Unknown | StoreErrorKind::Rejected
        );
        self.add(what, since, outcomes, error, about_data)
    }

    fn add(
        &self,
        what: ObstacleKind,
        since: Timestamp,
        outcomes: usize,
        why: &dyn Display,
        may_hold_values: bool,
    ) -> bool {
        let mut met = self.met.lock();
        let before = met.get(&what).map(|it| it.since);
        let obstacle = Obstacle {
            since: before.unwrap_or(since),
            why: why.to_string(),
            count: outcomes,
            may_hold_values,
        };
        met.insert(what, obstacle).is_none()
    }

    /// Sets an obstacle, or removes it.
    pub(super) fn set(&self, what: ObstacleKind, obstacle: Option<Obstacle>) {
        let mut met = self.met.lock();
        match obstacle {
            Some(obstacle) => met.insert(what, obstacle),
            None => met.remove(&what),
        };
    }

    /// Removes an obstacle. Returns it, if it was set.
    pub(super) fn end(&self, what: ObstacleKind) -> Option<Obstacle> {
        self.met.lock().remove(&what)
    }

    /// Removes an obstacle. True if it was set.
    pub fn overcome(&self, what: ObstacleKind) -> bool {
        self.end(what).is_some()
    }

    /// Whether it is set.
    pub(super) fn is_met(&self, what: ObstacleKind) -> bool {
        self.met.lock().contains_key(&what)
    }

    /// Whether alerts may be claimed: outcomes that cannot be recorded, or intents that cannot be written,
    /// must not become more.
    pub(super) fn may_claim(&self) -> bool {
        let met = self.met.lock();
        let mut stopping = met.iter().filter(|(what, it)| it.stops(**what));
        stopping.all(|(what, _)| *what == ObstacleKind::Claims)
    }

    /// Now, by the clock of these moments.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Their texts, for the operator.
    pub fn in_words(&self) -> Vec<String> {
        let text = |(what, it): &(ObstacleKind, Obstacle)| {
            let then = if it.stops(*what) {
                "; nothing is sent"
            } else {
                ""
            };
            format!("{}{then}", it.text(*what, false))
        };
        self.shown().iter().map(text).collect()
    }

    /// As the instance's row shows it.
    pub fn condition(&self) -> InstanceCondition {
        let shown = self.shown();
        let stopping = shown.iter().filter(|(what, it)| it.stops(*what));
        let stopping: Vec<_> = stopping.map(|(what, it)| it.text(*what, true)).collect();
        let (refused, others): (Vec<_>, Vec<_>) = shown
            .iter()
            .partition(|(what, _)| *what == ObstacleKind::UnclaimedAlerts);
        let refused = refused.first().map(|(_, it)| it);
        let unrecorded = || others.iter().map(|(_, it)| it).filter(|it| it.count > 0);
        let count: usize = unrecorded().map(|it| it.count).sum();
        InstanceCondition {
            waiting_for: (!stopping.is_empty()).then(|| stopping.join("; ")),
            unrecorded: u32::try_from(count).unwrap_or(u32::MAX),
            unrecorded_since: unrecorded().map(|it| it.since).min(),
            unclaimed: refused.map_or(0, |it| u32::try_from(it.count).unwrap_or(u32::MAX)),
            unclaimed_since: refused.map(|it| it.since),
        }
    }

    /// Those that last. That it has not started working is shown only without another reason.
    fn shown(&self) -> Vec<(ObstacleKind, Obstacle)> {
        let now = self.clock.now();
        let met = self.met.lock().clone();
        let alone = met.len() == 1;
        let shown = met.into_iter().filter(|(what, it)| {
            let says_something = alone || *what != ObstacleKind::Begin;
            says_something && it.lasts(*what, now)
        });
        shown.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock that a test sets.
    struct ManualClock(Mutex<Timestamp>);

    impl ManualClock {
        fn at(moment: &str) -> Arc<Self> {
            Arc::new(Self(Mutex::new(moment.parse().unwrap())))
        }

        fn advance(&self, milliseconds: i64) {
            *self.0.lock() += TimeDelta::milliseconds(milliseconds);
        }
    }

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            *self.0.lock()
        }
    }

    fn begun(clock: &Arc<ManualClock>) -> Obstacles {
        let obstacles = Obstacles::new(clock.clone());
        assert!(obstacles.overcome(ObstacleKind::Begin));
        obstacles
    }

    fn error(kind: StoreErrorKind) -> StoreError {
        StoreError::new(kind, "claim alerts", "it is locked")
    }

    #[test]
    fn a_failing_claim_is_reported_after_two_seconds() {
        let clock = ManualClock::at("2026-11-21T09:00:00Z");
        let obstacles = begun(&clock);
        let (begin, away) = (obstacles.now(), error(StoreErrorKind::Unavailable));
        clock.advance(1999);
        assert!(obstacles.meet_error_since(begin, ObstacleKind::Claims, &away, 0));
        assert_eq!(obstacles.in_words(), Vec::<String>::new());
        assert_eq!(obstacles.condition(), InstanceCondition::default());
        clock.advance(1);
        let output = "queue: alerts cannot be claimed: cannot claim alerts: it is locked, since 2026-11-21T09:00:00Z";
        assert_eq!(obstacles.in_words(), [format!("{output}; nothing is sent")]);
        assert_eq!(obstacles.condition().waiting_for.as_deref(), Some(output));
        assert!(!obstacles.meet_error_since(obstacles.now(), ObstacleKind::Claims, &away, 0));
        assert_eq!(
            obstacles.in_words(),
            [format!("{output}; nothing is sent")],
            "the moment stays"
        );
        assert!(obstacles.may_claim(), "or it would never be tried again");
        assert!(obstacles.overcome(ObstacleKind::Claims));
        assert!(!obstacles.overcome(ObstacleKind::Claims));
    }

    #[test]
    fn a_failed_claim_of_ten_seconds_is_reported_at_once() {
        let clock = ManualClock::at("2026-11-21T09:00:00Z");
        let obstacles = begun(&clock);
        let begin = obstacles.now();
        clock.advance(10_000);
        let away = error(StoreErrorKind::Unavailable);
        obstacles.meet_error_since(begin, ObstacleKind::Claims, &away, 0);
        assert_eq!(obstacles.in_words().len(), 1);
    }

    #[test]
    fn a_row_that_cannot_be_claimed_does_not_stop_the_instance_nor_show_its_values() {
        let clock = ManualClock::at("2026-11-21T09:00:00Z");
        let obstacles = begun(&clock);
        let refused = error(StoreErrorKind::Rejected);
        obstacles.meet_error(ObstacleKind::Claims, &refused, 0);
        clock.advance(3000);
        assert_eq!(obstacles.condition().waiting_for, None);
        assert!(!obstacles.in_words()[0].contains("nothing is sent"));

        obstacles.meet_error(ObstacleKind::Outcomes, &error(StoreErrorKind::Unknown), 5);
        let condition = obstacles.condition();
        assert_eq!(
            condition.waiting_for.as_deref(),
            Some(
                "outcomes: 5 cannot be recorded since 2026-11-21T09:00:03Z: see EventLog and the service's log"
            )
        );
        assert_eq!(condition.unrecorded, 5);
        assert_eq!(condition.unrecorded_since, Some(obstacles.now()));
        assert!(!obstacles.may_claim());
    }

    #[test]
    fn each_obstacle_has_its_own_moment() {
        let clock = ManualClock::at("2026-11-21T09:00:00Z");
        let obstacles = Obstacles::new(clock.clone());
        let begins = "starting: it begins, since 2026-11-21T09:00:00Z; nothing is sent";
        assert_eq!(obstacles.in_words(), [begins]);
        clock.advance(1000);
        obstacles.meet(ObstacleKind::StateFolder, "the state folder /s is full");
        clock.advance(1000);
        obstacles.meet(ObstacleKind::Lease, "refused");
        assert_eq!(
            obstacles.in_words(),
            [
                "the state folder /s is full, since 2026-11-21T09:00:01Z; nothing is sent",
                "lease: it cannot be renewed: refused, since 2026-11-21T09:00:02Z",
            ]
        );
        obstacles.begin_anew("its lease was lost");
        assert_eq!(obstacles.in_words().len(), 1);
        assert!(obstacles.in_words()[0].contains("its lease was lost"));
    }
}
