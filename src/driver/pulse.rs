//! Signs of life of an instance, for whoever watches it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::steady;

/// When the loops of an instance went round last, and why its lease cannot be renewed
/// or nothing claimed.
#[derive(Debug, Default)]
pub struct Pulses {
    running: AtomicBool,
    /// In milliseconds, as [`steady`] tells time.
    claims: AtomicU64,
    heartbeat: AtomicU64,
    not_renewed: Mutex<Option<String>>,
    not_claimed: Mutex<Option<String>>,
}

impl Pulses {
    /// All loops begin now.
    pub(super) fn begin(&self) {
        self.claims_go_round();
        self.heartbeat_goes_round();
        *lock(&self.not_renewed) = None;
        *lock(&self.not_claimed) = None;
        self.running.store(true, Ordering::Relaxed);
    }

    /// No loop has to go round any more.
    pub(super) fn end(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    pub(super) fn claims_go_round(&self) {
        self.claims.store(now(), Ordering::Relaxed);
    }

    pub(super) fn heartbeat_goes_round(&self) {
        self.heartbeat.store(now(), Ordering::Relaxed);
    }

    /// How the last renewal of the lease went.
    pub(super) fn renewal(&self, failed: Option<String>) {
        *lock(&self.not_renewed) = failed;
    }

    /// Why nothing can be claimed, at the second failure in a row: one alone may be a moment's.
    pub(super) fn claiming(&self, failed: Option<String>) {
        *lock(&self.not_claimed) = failed;
    }

    /// The loop that has not gone round for longest, and for how long; `None` while none has to.
    pub fn slowest(&self) -> Option<(&'static str, Duration)> {
        if !self.running.load(Ordering::Relaxed) {
            return None;
        }
        let since = |at: &AtomicU64| {
            let at = at.load(Ordering::Relaxed);
            Duration::from_millis(now().saturating_sub(at))
        };
        let (claims, heartbeat) = (since(&self.claims), since(&self.heartbeat));
        Some(match claims > heartbeat {
            true => ("claims", claims),
            false => ("heartbeat", heartbeat),
        })
    }

    /// Why the lease could not be renewed the last time.
    pub fn why_not_renewed(&self) -> Option<String> {
        lock(&self.not_renewed).clone()
    }

    /// Why nothing can be claimed now.
    pub fn why_not_claimed(&self) -> Option<String> {
        lock(&self.not_claimed).clone()
    }
}

fn lock(reason: &Mutex<Option<String>>) -> MutexGuard<'_, Option<String>> {
    reason.lock().unwrap_or_else(PoisonError::into_inner)
}

fn now() -> u64 {
    u64::try_from(steady().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_that_stands_is_named() {
        let pulses = Pulses::default();
        assert_eq!(pulses.slowest(), None, "nothing has begun");
        pulses.begin();
        assert!(pulses.slowest().unwrap().1 < Duration::from_secs(5));
        let ten_seconds_ago = now() - 10_000;
        pulses.claims.store(ten_seconds_ago, Ordering::Relaxed);
        let (which, since) = pulses.slowest().unwrap();
        assert_eq!(which, "claims");
        assert!(since >= Duration::from_secs(10));
        pulses.claims_go_round();
        pulses.heartbeat.store(ten_seconds_ago, Ordering::Relaxed);
        assert_eq!(pulses.slowest().unwrap().0, "heartbeat");
        pulses.end();
        assert_eq!(pulses.slowest(), None);
    }
}
