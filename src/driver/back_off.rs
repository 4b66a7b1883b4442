//! How soon a queue is looked at again of which others have the alerts.

use std::time::{Duration, Instant};

/// The wait after a claim that got nothing although the queue is not empty; it doubles up to
/// [`LONGEST`], because the transaction of an application that has the alerts may stay open long.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// The wait of one queue.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BackOff {
    wait: Duration,
    until: Option<Instant>,
}

impl BackOff {
    /// How long the queue is not looked at yet; zero where it may be.
    pub(super) fn remaining(&self, now: Instant) -> Duration {
        let remaining = |at: Instant| at.saturating_duration_since(now);
        self.until.map_or(Duration::ZERO, remaining)
    }

    /// Others have what is there.
    pub(super) fn grow(&mut self, now: Instant) {
        self.wait = (self.wait * 2).clamp(FIRST, LONGEST);
        self.until = Some(now + self.wait);
    }

    /// Something was claimed, or nothing is there.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_transaction_costs_about_a_look_a_second() {
        let mut back_off = BackOff::default();
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
        let (mut back_off, now) = (BackOff::default(), Instant::now());
        (0..10).for_each(|_| back_off.grow(now));
        assert_eq!(back_off.remaining(now), LONGEST);
        back_off.reset();
        assert!(back_off.remaining(now).is_zero());
        back_off.grow(now);
        assert_eq!(back_off.remaining(now), FIRST);
    }
}
