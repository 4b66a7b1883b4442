//! The growing interval between tries of an alert, an outcome or a queue.

use std::time::{Duration, Instant};

/// For a queue whose alerts are locked by others: the transaction of an application may stay
/// open long.
pub(super) type QueueBackOff = BackOff<20, 1_000>;

/// For an alert or an outcome that the database refuses alone.
pub(super) type RefusalBackOff = BackOff<1_000, 300_000>;

/// A wait of `FIRST` milliseconds, doubled up to `LONGEST`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BackOff<const FIRST: u64, const LONGEST: u64> {
    wait: Duration,
    until: Option<Instant>,
}

impl<const FIRST: u64, const LONGEST: u64> BackOff<FIRST, LONGEST> {
    pub(super) const FIRST: Duration = Duration::from_millis(FIRST);
    pub(super) const LONGEST: Duration = Duration::from_millis(LONGEST);

    /// After the first refusal.
    pub(super) fn begun(now: Instant) -> Self {
        let mut begun = Self::default();
        begun.grow(now);
        begun
    }

    /// The time until the next try; zero if it is due.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        let remaining = |at: Instant| at.saturating_duration_since(now);
        self.until.map_or(Duration::ZERO, remaining)
    }

    /// The try failed: doubles the wait.
    pub(super) fn grow(&mut self, now: Instant) {
        self.wait = (self.wait * 2).clamp(Self::FIRST, Self::LONGEST);
        self.repeat(now);
    }

    /// A try begins; the next one follows after the same wait.
    pub(super) fn repeat(&mut self, now: Instant) {
        self.until = Some(now + self.wait);
    }

    /// Makes the next try due at this time at the latest.
    pub(super) fn by(&mut self, at: Instant) {
        self.until = self.until.map(|until| until.min(at));
    }

    /// The try succeeded, or nothing was left to try.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transaction_costs_about_a_look_a_second() {
        let mut back_off = QueueBackOff::default();
        let mut now = Instant::now();
        let (end, mut looks) = (now + Duration::from_secs(60), 0);
        while now < end {
            assert!(back_off.remaining(now).is_zero());
            looks += 1;
            back_off.grow(now);
            now += back_off.remaining(now);
        }
        assert!((60..70).contains(&looks), "{looks}");
    }

    #[test]
    fn after_a_success_it_is_looked_at_at_once() {
        let (mut back_off, now) = (QueueBackOff::default(), Instant::now());
        (0..10).for_each(|_| back_off.grow(now));
        assert_eq!(back_off.remaining(now), QueueBackOff::LONGEST);
        back_off.reset();
        assert!(back_off.remaining(now).is_zero());
        back_off.grow(now);
        assert_eq!(back_off.remaining(now), QueueBackOff::FIRST);
    }
}
