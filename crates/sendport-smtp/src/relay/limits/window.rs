//! The use of a rate: a sliding log, so that no window of its length has more than the limit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The relay's clock and the way there jitter by no more than this.
const LONGEST_SLACK: Duration = Duration::from_secs(1);
const SHORTEST_SLACK: Duration = Duration::from_millis(10);

/// One use, noted at its end: the relay counted it before.
#[derive(Debug, Clone, Copy)]
struct EndedUse {
    at: Instant,
    accepted: bool,
    /// Another instance may have used it.
    assumed: bool,
}

/// Uses that are under way, and those that ended within the window.
///
/// One under way counts however long it takes. So where `n` are allowed, any `n + 1` of them
/// are further apart than the window, wherever between its begin and its end the relay counts.
#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    slack: Duration,
    under_way: u32,
    ended: VecDeque<EndedUse>,
}

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            slack: (length / 60).clamp(SHORTEST_SLACK, LONGEST_SLACK),
            under_way: 0,
            ended: VecDeque::new(),
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// The number of uses that count now.
    pub(super) fn used(&mut self, now: Instant) -> u32 {
        self.forget(now);
        self.under_way.saturating_add(count(self.ended.len()))
    }

    /// The number that the relay accepted within the last window.
    pub(super) fn accepted(&self, now: Instant) -> u32 {
        let recent = self.ended.iter().rev();
        let recent =
            recent.take_while(|ended| now.saturating_duration_since(ended.at) < self.length);
        count(recent.filter(|ended| ended.accepted).count())
    }

    pub(super) fn begin(&mut self) {
        self.under_way = self.under_way.saturating_add(1);
    }

    /// A use ended with `sent` messages: mostly one, or none.
    pub(super) fn end(&mut self, now: Instant, sent: u32, accepted: bool) {
        self.forget(now);
        self.under_way = self.under_way.saturating_sub(1);
        let ended = EndedUse {
            at: now,
            accepted,
            assumed: false,
        };
        self.ended.extend((0..sent).map(|_| ended));
    }

    /// Another instance had these uses, at `at` at the latest.
    pub(super) fn assume(&mut self, at: Instant, uses: u32) {
        let ended = EndedUse {
            at,
            accepted: false,
            assumed: true,
        };
        for _ in 0..uses {
            self.ended.push_front(ended);
        }
        self.ended.make_contiguous().sort_by_key(|ended| ended.at);
    }

    /// The time until fewer than `limit` count, if those under way ended now.
    pub(super) fn wait(&mut self, limit: u32, now: Instant) -> Duration {
        let used = self.used(now);
        if used < limit {
            return Duration::ZERO;
        }
        let last = self.last_surplus(used - limit).map_or(now, |last| last.at);
        (last + self.length + self.slack).saturating_duration_since(now)
    }

    /// Until when `limit` count because another instance may have used it; `None`: fewer count, or this
    /// instance used them.
    pub(super) fn assumed_until(&mut self, limit: u32, now: Instant) -> Option<Instant> {
        let surplus = self.used(now).checked_sub(limit)?;
        let last = self.last_surplus(surplus).filter(|last| last.assumed)?;
        Some(last.at + self.length + self.slack)
    }

    /// The use that has to leave the window before one more fits.
    fn last_surplus(&self, surplus: u32) -> Option<&EndedUse> {
        self.ended
            .get(usize::try_from(surplus).unwrap_or(usize::MAX))
    }

    fn forget(&mut self, now: Instant) {
        let kept = self.length + self.slack;
        let is_old = |ended: &mut EndedUse| now.saturating_duration_since(ended.at) >= kept;
        while self.ended.pop_front_if(is_old).is_some() {}
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_burst_is_allowed_and_then_the_window_has_to_pass() {
        let start = Instant::now();
        let mut window = Window::new(MINUTE);
        for _ in 0..30 {
            assert_eq!(window.wait(30, start), Duration::ZERO);
            window.begin();
            window.end(start, 1, true);
        }
        let wait = window.wait(30, start);
        assert_eq!(wait, Duration::from_secs(61), "with a second of slack");
        assert_eq!(window.used(start + wait), 0);
    }

    #[test]
    fn unsent_messages_are_returned_to_the_window() {
        let start = Instant::now();
        let mut window = Window::new(MINUTE);
        window.begin();
        assert_eq!(window.used(start), 1);
        window.end(start, 0, false);
        assert_eq!(window.used(start), 0);
    }

    proptest! {
        /// However long each takes, and wherever between begin and end the relay counts it.
        #[test]
        fn no_window_holds_more_than_the_limit(
            steps in prop::collection::vec((0u64..4000, 0u64..9000, 0.0f64..1.0), 1..200),
            limit in 1u32..8,
        ) {
            let start = Instant::now();
            let mut window = Window::new(Duration::from_secs(10));
            let mut under_way: Vec<Duration> = Vec::new();
            let mut counted: Vec<Duration> = Vec::new();
            let mut now = Duration::ZERO;
            for (pause, takes, when) in steps {
                now += Duration::from_millis(pause);
                under_way.sort();
                while let Some(end) = under_way.first().copied().filter(|end| *end <= now) {
                    under_way.remove(0);
                    window.end(start + end, 1, true);
                }
                if window.used(start + now) < limit {
                    window.begin();
                    let takes = Duration::from_millis(takes);
                    under_way.push(now + takes);
                    counted.push(now + takes.mul_f64(when));
                }
            }
            counted.sort();
            for burst in counted.windows(limit as usize + 1) {
                prop_assert!(*burst.last().unwrap() - burst[0] >= Duration::from_secs(10));
            }
        }
    }
}
