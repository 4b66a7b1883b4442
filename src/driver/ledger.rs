//! What is written on this machine while the database does not know it yet: the spool, behind
//! the guard of the lease.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::lease_guard::LeaseGuard;
use crate::dispatcher::Journal;
use crate::domain::{DotNote, Outcome};
use crate::spool::{Spool, SpoolError};

/// How often one alert tries whether a broken spool can be written again.
const TRIAL_EVERY: Duration = Duration::from_secs(2);

/// The spool and the guard of one instance.
pub struct Ledger {
    guard: Arc<LeaseGuard>,
    spool: Arc<Spool>,
    /// Outcomes wait for the database: nothing more is claimed.
    behind: AtomicBool,
    /// When the spool failed, or was tried again, last; `None` while it works.
    failing: Mutex<Option<Instant>>,
}

impl Ledger {
    /// A ledger.
    pub fn new(guard: Arc<LeaseGuard>, spool: Arc<Spool>) -> Self {
        Self {
            guard,
            spool,
            behind: AtomicBool::new(false),
            failing: Mutex::default(),
        }
    }

    /// An outcome is known: from here on a death of the process does not forget it.
    pub(super) fn keep(&self, outcome: &Outcome) {
        self.told(self.spool.keep(outcome));
    }

    /// The database recorded these.
    pub(super) fn forget(&self, outcomes: &[Outcome]) {
        self.told(self.spool.forget(outcomes));
        self.behind.store(false, Ordering::Relaxed);
    }

    /// The database cannot take outcomes now: what is known has to survive a loss of power.
    pub(super) fn wait_for_database(&self) {
        self.behind.store(true, Ordering::Relaxed);
        self.told(self.spool.sync());
    }

    /// How many alerts may be taken up now: none while outcomes wait for the database, one now
    /// and then while the spool cannot be written and no final dot would be sent.
    pub(super) fn room(&self) -> u32 {
        if self.behind.load(Ordering::Relaxed) {
            return 0;
        }
        let mut failing = self.failing();
        match &mut *failing {
            None => u32::MAX,
            Some(tried) if tried.elapsed() < TRIAL_EVERY => 0,
            Some(tried) => {
                *tried = Instant::now();
                1
            }
        }
    }

    /// Everything was recorded or released.
    pub(super) fn clear(&self) {
        self.told(self.spool.clear());
    }

    /// It cannot be written, and nothing is handed over.
    pub fn is_broken(&self) -> bool {
        self.failing().is_some()
    }

    /// Entries and octets of the spool.
    pub fn size(&self) -> (usize, u64) {
        self.spool.size()
    }

    fn failing(&self) -> MutexGuard<'_, Option<Instant>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says once that the spool fails.
    fn told(&self, result: Result<(), SpoolError>) -> bool {
        let Err(error) = result else { return true };
        if self.failing().replace(Instant::now()).is_none() {
            tracing::error!(%error, "spool cannot be written, nothing is handed over");
        }
        false
    }

    /// Only a note that was written proves that notes can be.
    fn note(&self, note: &DotNote) -> bool {
        let noted = self.told(self.spool.note(note));
        if noted && self.failing().take().is_some() {
            tracing::info!("spool can be written again");
        }
        noted
    }
}

impl Journal for Ledger {
    fn before_final_dot(&self, note: &DotNote) -> bool {
        // Asked again after the note: the process may have been frozen while it was written.
        self.guard.stands() && self.note(note) && self.guard.stands()
    }
}
