//! What is written on this machine while the database does not know it yet: the spool, behind
//! the guard of the lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lease_guard::LeaseGuard;
use crate::dispatcher::Journal;
use crate::domain::{DotNote, Outcome};
use crate::spool::{Spool, SpoolError};

/// The spool and the guard of one instance.
pub struct Ledger {
    guard: Arc<LeaseGuard>,
    spool: Arc<Spool>,
    /// Outcomes wait for the database: nothing more is claimed.
    behind: AtomicBool,
    failing: AtomicBool,
}

impl Ledger {
    /// A ledger.
    pub fn new(guard: Arc<LeaseGuard>, spool: Arc<Spool>) -> Self {
        Self {
            guard,
            spool,
            behind: AtomicBool::new(false),
            failing: AtomicBool::new(false),
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

    /// Outcomes wait for the database.
    pub(super) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// Everything was recorded or released.
    pub(super) fn clear(&self) {
        self.told(self.spool.clear());
    }

    /// Says once that the spool fails, and once that it works again.
    fn told(&self, result: Result<(), SpoolError>) -> bool {
        let fails = result.is_err();
        let failed = self.failing.swap(fails, Ordering::Relaxed);
        match result {
            Err(error) if !failed => {
                tracing::error!(%error, "spool cannot be written, nothing is handed over");
            }
            Ok(()) if failed => tracing::info!("spool can be written again"),
            _ => {}
        }
        !fails
    }
}

impl Journal for Ledger {
    fn before_final_dot(&self, note: &DotNote) -> bool {
        // Asked again after the note: the process may have been frozen while it was written.
        self.guard.stands() && self.told(self.spool.note(note)) && self.guard.stands()
    }
}
