//! Signs of life of an instance, for health checks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sendport_core::clock::steady;

/// When each loop of an instance ran last.
#[derive(Debug, Default)]
pub struct Liveness {
    running: AtomicBool,
    /// In milliseconds of [`steady`].
    claims: AtomicU64,
    heartbeat: AtomicU64,
}

impl Liveness {
    /// All loops start now.
    pub(super) fn begin(&self) {
        self.mark_claim_loop();
        self.heartbeat_goes_round();
        self.running.store(true, Ordering::Relaxed);
    }

    /// No loop is expected to run any more.
    pub(super) fn end(&self) {
        self.running.store(false, Ordering::Relaxed);
    }

    pub(super) fn mark_claim_loop(&self) {
        self.claims.store(now(), Ordering::Relaxed);
    }

    pub(super) fn heartbeat_goes_round(&self) {
        self.heartbeat.store(now(), Ordering::Relaxed);
    }

    /// The loop that has not run for longest, and the time since; `None` while no loop is expected to run.
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
}

fn now() -> u64 {
    u64::try_from(steady().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stalled_loop_is_named() {
        let liveness = Liveness::default();
        assert_eq!(liveness.slowest(), None, "nothing has begun");
        liveness.begin();
        assert!(liveness.slowest().unwrap().1 < Duration::from_secs(5));
        let ten_seconds_ago = now() - 10_000;
        liveness.claims.store(ten_seconds_ago, Ordering::Relaxed);
        let (which, since) = liveness.slowest().unwrap();
        assert_eq!(which, "claims");
        assert!(since >= Duration::from_secs(10));
        liveness.mark_claim_loop();
        liveness.heartbeat.store(ten_seconds_ago, Ordering::Relaxed);
        assert_eq!(liveness.slowest().unwrap().0, "heartbeat");
        liveness.end();
        assert_eq!(liveness.slowest(), None);
    }
}
