//! How soon something is tried again that cannot be had, or is refused: at a growing interval.

use std::time::{Duration, Instant};

/// Of a queue of which others have the alerts: the transaction of an application that has them may stay
/// open long.
pub(super) type QueueBackOff = BackOff<20, 1_000>;

/// Of an alert or an outcome that the database refuses alone.
pub(super) type RefusalBackOff = BackOff<1_000, 300_000>;

/// The wait of one: of `FIRST` milliseconds, doubled up to `LONGEST`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BackOff<const FIRST: u64, const LONGEST: u64> {
    wait: Duration,
    until: Option<Instant>,
}

impl<const FIRST: u64, const LONGEST: u64> BackOff<FIRST, LONGEST> {
    pub(super) const FIRST: Duration = Duration::from_millis(FIRST);
    pub(super) const LONGEST: Duration = Duration::from_millis(LONGEST);

    /// It was refused for the first time.
    pub(super) fn begun(now: Instant) -> Self {
        let mut begun = Self::default();
        begun.grow(now);
        begun
    }

    /// How long it is not tried yet; zero where it may be.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        let remaining = |at: Instant| at.saturating_duration_since(now);
        self.until.map_or(Duration::ZERO, remaining)
    }

    /// It was in vain.
    pub(super) fn grow(&mut self, now: Instant) {
        self.wait = (self.wait * 2).clamp(Self::FIRST, Self::LONGEST);
        self.repeat(now);
    }

    /// It is tried now, and comes again after the same wait.
    pub(super) fn repeat(&mut self, now: Instant) {
        self.until = Some(now + self.wait);
    }

    /// It is tried then at the latest.
    pub(super) fn by(&mut self, at: Instant) {
        self.until = self.until.map(|until| until.min(at));
    }

    /// It worked, or nothing is there.
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
