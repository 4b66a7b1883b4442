//! Whether this instance may still hold leases, by a clock that does not jump.

use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::clock::steady;

/// The end of the lease as this instance knows it: the moment before the last successful
/// renewal was sent, plus the lease's length, less a margin. Never later than what is stored in
/// the database.
pub struct LeaseGuard {
    length: Duration,
    valid_until: Mutex<Option<Duration>>,
}

impl LeaseGuard {
    /// A guard that lets nothing pass before the first renewal.
    pub fn new(length: Duration) -> Self {
        Self {
            length,
            valid_until: Mutex::new(None),
        }
    }

    /// The lease was renewed by a request that was sent at `sent`, by the clock [`steady`].
    pub fn renewed(&self, sent: Duration) {
        let margin = self.length / 10;
        *self.valid_until.lock() = Some(sent + self.length - margin);
    }

    /// The database says that it is lost.
    pub fn lost(&self) {
        *self.valid_until.lock() = None;
    }

    /// How long it is still valid; zero if it is not.
    pub fn remaining(&self) -> Duration {
        let until = self.valid_until.lock().unwrap_or_default();
        until.saturating_sub(steady())
    }

    /// True while no other instance can have taken over.
    pub fn is_valid(&self) -> bool {
        self.valid_until
            .lock()
            .is_some_and(|until| steady() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_final_dot_before_the_first_renewal_after_the_lease_or_when_it_is_lost() {
        let guard = LeaseGuard::new(Duration::from_secs(60));
        assert!(!guard.is_valid());
        guard.renewed(steady());
        assert!(guard.is_valid());
        guard.lost();
        assert!(!guard.is_valid());
        let long_ago = steady().saturating_sub(Duration::from_secs(55));
        guard.renewed(long_ago);
        assert!(!guard.is_valid(), "within the margin before the end");
    }
}
