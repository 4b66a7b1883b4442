//! What is written on this machine while the database does not know it yet: the spool, behind
//! the guard of the lease; and what that keeps the instance from.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::lease_guard::LeaseGuard;
use crate::clock::Clock;
use crate::dispatcher::Journal;
use crate::domain::{
    AlertId, DotNote, InstanceCondition, InstanceId, LeaseToken, Outcome, Timestamp,
};
use crate::spool::{Spool, SpoolError};
use crate::store::{Event, EventSeverity, StoreError, StoreErrorKind};

/// How often it is tried whether a broken spool can be written again.
const TRIAL_EVERY: Duration = Duration::from_secs(2);

/// So many outcomes may be set aside; with more, nothing more is sent.
pub(super) const MOST_ASIDE: usize = 100;

/// The spool and the guard of one instance.
pub struct Ledger {
    guard: Arc<LeaseGuard>,
    spool: Arc<Spool>,
    clock: Arc<dyn Clock>,
    events: mpsc::UnboundedSender<Event>,
    /// Outcomes wait for the database: nothing more is claimed.
    waiting: Mutex<Option<Unrecorded>>,
    /// Outcomes that the database refused, one by one.
    aside: Mutex<Option<Unrecorded>>,
    /// Outcomes whose alerts other transactions have locked for long.
    locked: Mutex<Option<Unrecorded>>,
    /// `None` while the spool can be written.
    broken: Mutex<Option<Broken>>,
}

/// Outcomes that the database does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unrecorded {
    pub(super) count: usize,
    pub(super) since: Timestamp,
    /// The error of the last of them.
    pub(super) why: String,
    /// The engine's words may hold values, and are not for everybody who may ask the database.
    pub(super) may_hold_values: bool,
}

/// A spool that cannot be written.
struct Broken {
    tried: Instant,
    since: Timestamp,
    why: String,
}

impl Ledger {
    /// A ledger; what happens to the state folder is told to `events`.
    pub fn new(
        guard: Arc<LeaseGuard>,
        spool: Arc<Spool>,
        clock: Arc<dyn Clock>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            guard,
            spool,
            clock,
            events,
            waiting: Mutex::default(),
            aside: Mutex::default(),
            locked: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// From now on the spool is this instance's.
    pub(super) fn begin(&self, instance: InstanceId, database: &str) {
        self.told(self.spool.begin(instance, database));
    }

    /// An outcome is known: from here on a death of the process does not forget it.
    pub(super) fn keep(&self, outcome: &Outcome) {
        self.told(self.spool.keep(outcome));
    }

    /// The database recorded these.
    pub(super) fn forget(&self, outcomes: &[Outcome]) {
        self.told(self.spool.forget(outcomes));
    }

    /// The database cannot take outcomes now: what is known has to survive a loss of power.
    pub(super) fn wait_for_database(&self, count: usize, error: &StoreError) {
        let mut waiting = lock(&self.waiting);
        let began = waiting.is_none();
        let since = waiting
            .as_ref()
            .map_or_else(|| self.clock.now(), |it| it.since);
        *waiting = Some(Unrecorded {
            count,
            since,
            why: error.to_string(),
            may_hold_values: error.kind() == StoreErrorKind::Unknown,
        });
        drop(waiting);
        if began {
            self.told(self.spool.sync());
        }
    }

    /// No outcome waits any more; those that did.
    pub(super) fn caught_up(&self) -> Option<Unrecorded> {
        lock(&self.waiting).take()
    }

    /// Which outcomes are set aside now.
    pub(super) fn set_aside(&self, aside: Option<Unrecorded>) {
        *lock(&self.aside) = aside;
        self.told(self.spool.sync());
    }

    /// Which outcomes have waited long for locks of other transactions.
    pub(super) fn set_locked(&self, locked: Option<Unrecorded>) {
        *lock(&self.locked) = locked;
    }

    /// Whether alerts may be taken up: not while outcomes wait for the database, too many are set
    /// aside, or the spool cannot be written, so that no final dot would be sent.
    pub(super) fn has_room(&self) -> bool {
        let too_many = |aside: &Unrecorded| aside.count >= MOST_ASIDE;
        lock(&self.waiting).is_none()
            && !lock(&self.aside).as_ref().is_some_and(too_many)
            && !self.is_broken()
    }

    /// The database has everything that this instance knew.
    pub(super) fn is_empty(&self) -> bool {
        self.spool.is_empty()
    }

    /// The instance has ended. What the database does not have stays.
    pub(super) fn end(&self) {
        self.told(self.spool.end());
    }

    /// It cannot be written, and nothing is handed over.
    pub fn is_broken(&self) -> bool {
        lock(&self.broken).is_some()
    }

    /// Entries and octets of the spool.
    pub fn size(&self) -> (usize, u64) {
        self.spool.size()
    }

    /// What keeps the instance from sending or from recording.
    pub fn condition(&self) -> InstanceCondition {
        let (waiting, aside) = (lock(&self.waiting).clone(), lock(&self.aside).clone());
        let broken = lock(&self.broken);
        let broken = broken
            .as_ref()
            .map(|it| format!("{}, since {}", it.why, moment(it.since)));
        let too_many = aside.as_ref().filter(|aside| aside.count >= MOST_ASIDE);
        let stopped = waiting.as_ref().or(too_many).map(words_for_all);
        let locked = lock(&self.locked).clone();
        let counted = [waiting.as_ref(), aside.as_ref(), locked.as_ref()];
        let counted = counted.into_iter().flatten();
        let count: usize = counted.clone().map(|it| it.count).sum();
        InstanceCondition {
            waiting_for: broken.or(stopped),
            unrecorded: u32::try_from(count).unwrap_or(u32::MAX),
            unrecorded_since: counted.map(|it| it.since).min(),
        }
    }

    /// Each thing that keeps the instance from sending or from recording, in words.
    pub fn obstacles(&self) -> Vec<String> {
        let broken = lock(&self.broken).as_ref().map(|it| {
            format!(
                "spool: {}, since {}; nothing is sent",
                it.why,
                moment(it.since)
            )
        });
        let outcomes = |of: &Mutex<Option<Unrecorded>>, then: &str| {
            let of = lock(of);
            of.as_ref()
                .map(|it| format!("outcomes: {}{then}", words(it)))
        };
        let waiting = outcomes(&self.waiting, "; nothing is sent");
        let aside = outcomes(&self.aside, "");
        let locked = outcomes(&self.locked, "");
        [broken, waiting, aside, locked]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Tries, now and then, whether a broken spool can be written again.
    pub(super) fn try_again(&self) {
        let due = lock(&self.broken)
            .as_ref()
            .is_some_and(|it| it.tried.elapsed() >= TRIAL_EVERY);
        if due && self.told(self.spool.write_anew()) && lock(&self.broken).take().is_some() {
            tracing::info!("spool can be written again");
            let message = "the state folder can be written again".to_owned();
            let _ = self.events.send(event(
                "state-folder-writable",
                EventSeverity::Information,
                message,
            ));
        }
    }

    /// Says once that the spool fails.
    fn told(&self, result: Result<(), SpoolError>) -> bool {
        let Err(error) = result else { return true };
        let mut broken = lock(&self.broken);
        let began = broken.is_none();
        let since = broken
            .as_ref()
            .map_or_else(|| self.clock.now(), |it| it.since);
        *broken = Some(Broken {
            tried: Instant::now(),
            since,
            why: error.to_string(),
        });
        drop(broken);
        if began {
            tracing::error!(%error, "spool cannot be written, nothing is handed over");
            let _ = self.events.send(unwritable(&error));
        }
        false
    }
}

impl Journal for Ledger {
    fn preparing(&self, alert: AlertId, token: LeaseToken) {
        self.told(self.spool.preparing(alert, token));
    }

    fn prepared(&self, alert: AlertId) {
        self.told(self.spool.prepared(alert));
    }

    fn is_suspect(&self, alert: AlertId) -> bool {
        self.spool.is_suspect(alert)
    }

    fn before_final_dot(&self, note: &DotNote) -> bool {
        // Asked again after the note: the process may have been frozen while it was written.
        self.guard.stands() && self.told(self.spool.note(note)) && self.guard.stands()
    }
}

/// For `EventLog`: the state folder cannot be written.
pub fn unwritable(error: &SpoolError) -> Event {
    let message = format!("{error}; nothing is sent");
    event("state-folder-unwritable", EventSeverity::Error, message)
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

fn words(of: &Unrecorded) -> String {
    format!(
        "{} cannot be recorded since {}: {}",
        of.count,
        moment(of.since),
        of.why
    )
}

/// For whoever may ask the database why nothing moves.
fn words_for_all(of: &Unrecorded) -> String {
    match of.may_hold_values {
        false => format!("outcomes: {}", words(of)),
        true => {
            let (count, since) = (of.count, moment(of.since));
            format!(
                "outcomes: {count} cannot be recorded since {since}: see EventLog and the service's log"
            )
        }
    }
}

fn moment(at: Timestamp) -> impl std::fmt::Display {
    at.format("%Y-%m-%dT%H:%M:%SZ")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
