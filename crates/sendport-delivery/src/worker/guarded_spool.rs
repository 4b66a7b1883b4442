//! Outcomes and submission intents that the database does not have yet: the spool on this machine,
//! behind the guard of the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sendport_core::domain::{AlertId, InstanceId, LeaseToken, Outcome, SubmissionIntent};
use sendport_store::spool::{OutcomeSpool, SpoolError};
use sendport_store::{Event, EventSeverity, StoreError};
use tokio::sync::mpsc;

use super::lease_guard::LeaseGuard;
use super::obstacles::{Obstacle, ObstacleKind, Obstacles};
use crate::dispatcher::SubmitGuard;

/// The interval between tries to write a broken spool again.
const TRIAL_EVERY: Duration = Duration::from_secs(2);

/// The interval between checks that an idle spool can be written.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The maximum number of outcomes set aside; with more, nothing more is sent.
pub(super) const MOST_ASIDE: usize = 100;

/// The spool and the guard of one instance.
pub struct GuardedSpool {
    guard: Arc<LeaseGuard>,
    spool: Arc<OutcomeSpool>,
    obstacles: Arc<Obstacles>,
    events: mpsc::UnboundedSender<Event>,
    /// When the state folder was checked last.
    tried: Mutex<Instant>,
}

impl GuardedSpool {
    /// The spool of one instance; failures of the state folder go to `events`.
    pub fn new(
        guard: Arc<LeaseGuard>,
        spool: Arc<OutcomeSpool>,
        obstacles: Arc<Obstacles>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            guard,
            spool,
            obstacles,
            events,
            tried: Mutex::new(Instant::now()),
        }
    }

    /// Assigns the spool to this instance.
    pub(super) fn begin(&self, instance: InstanceId, database: &str) {
        self.check(self.spool.begin(instance, database));
    }

    /// Writes an outcome: from here on a crash does not lose it.
    pub(super) fn keep(&self, outcome: &Outcome) {
        self.check(self.spool.keep(outcome));
    }

    /// Removes outcomes that the database has recorded.
    pub(super) fn forget(&self, outcomes: &[Outcome]) {
        self.check(self.spool.forget(outcomes));
    }

    /// The database is unavailable: outcomes have to survive a loss of power.
    pub(super) fn wait_for_database(&self, count: usize, error: &StoreError) {
        if self
            .obstacles
            .meet_error(ObstacleKind::Outcomes, error, count)
        {
            self.check(self.spool.sync());
        }
    }

    /// No outcome waits any more; returns those that waited.
    pub(super) fn caught_up(&self) -> Option<Obstacle> {
        self.obstacles.end(ObstacleKind::Outcomes)
    }

    /// Sets the outcomes that are set aside.
    pub(super) fn set_aside(&self, rejected: Option<Obstacle>) {
        self.obstacles.set(ObstacleKind::RejectedOutcomes, rejected);
        self.check(self.spool.sync());
    }

    /// Sets the outcomes that have waited long for locks of other transactions.
    pub(super) fn set_locked(&self, locked: Option<Obstacle>) {
        self.obstacles.set(ObstacleKind::LockedOutcomes, locked);
    }

    /// Sets the alerts that the database refuses to lease.
    pub(super) fn set_unclaimed(&self, unclaimed: Option<Obstacle>) {
        self.obstacles.set(ObstacleKind::UnclaimedAlerts, unclaimed);
    }

    /// Whether the database has every outcome of this instance.
    pub(super) fn is_empty(&self) -> bool {
        self.spool.is_empty()
    }

    /// The instance has ended. Outcomes that are not recorded stay.
    pub(super) fn end(&self) {
        self.check(self.spool.end());
    }

    /// The spool cannot be written, and no outcome is handed over.
    pub fn is_broken(&self) -> bool {
        self.obstacles.is_met(ObstacleKind::StateFolder)
    }

    /// Entries and bytes of the spool.
    pub fn size(&self) -> (usize, u64) {
        self.spool.size()
    }

    /// Checks at intervals that the state folder can be written, or can be written again: after a full disk,
    /// only with room for the spool file until its next rewrite, so that the error is not reported
    /// repeatedly.
    pub(super) fn try_folder(&self) {
        let broken = self.is_broken();
        let every = if broken { TRIAL_EVERY } else { LOOK_EVERY };
        if !self.is_due(every) {
            return;
        }
        let tried = match broken {
            true => self.spool.compact().and_then(|()| self.spool.try_space()),
            false => self.spool.try_line(),
        };
        if self.check(tried) && self.obstacles.overcome(ObstacleKind::StateFolder) {
            tracing::info!("spool works again, submission resumed");
            let _ = self.events.send(writable());
        }
    }

    fn is_due(&self, every: Duration) -> bool {
        let mut tried = self.tried.lock();
        let due = tried.elapsed() >= every;
        if due {
            *tried = Instant::now();
        }
        due
    }

    /// Logs once that the spool fails.
    fn check(&self, result: Result<(), SpoolError>) -> bool {
        let Err(error) = result else { return true };
        if self.obstacles.meet(ObstacleKind::StateFolder, &error) {
            tracing::error!(%error, "spool write failed, submission suspended");
            let _ = self.events.send(unwritable(&error));
        }
        false
    }
}

impl SubmitGuard for GuardedSpool {
    fn preparing(&self, alert: AlertId, token: LeaseToken) {
        self.check(self.spool.preparing(alert, token));
    }

    fn prepared(&self, alert: AlertId) {
        self.check(self.spool.prepared(alert));
    }

    fn is_suspect(&self, alert: AlertId) -> bool {
        self.spool.is_suspect(alert)
    }

    fn before_final_dot(&self, note: &SubmissionIntent) -> bool {
        // The lease may be lost while the note is written, for example if the process is frozen. So the
        // lease is checked again afterwards.
        self.guard.is_valid() && self.check(self.spool.note(note)) && self.guard.is_valid()
    }
}

/// For `EventLog`: the state folder cannot be written.
pub fn unwritable(error: &SpoolError) -> Event {
    let message = format!("{error}; nothing is sent");
    event("state-folder-unwritable", EventSeverity::Error, message)
}

/// For `EventLog`: it can be written again.
pub fn writable() -> Event {
    let message = "the state folder can be written again".to_owned();
    event("state-folder-writable", EventSeverity::Information, message)
}

fn event(event_type: &'static str, severity: EventSeverity, message: String) -> Event {
    Event {
        severity,
        event_type,
        instance: None,
        alert: None,
        send_port: None,
        relay: None,
        message,
    }
}
