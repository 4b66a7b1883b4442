//! A level that a relay accepts, learned from a refusal, and the search for a
//! higher one: one step at a time, and rarely after refused steps.

use std::time::{Duration, Instant};

/// The wait between two steps doubles with each refused one, up to this number of windows.
const LONGEST_PAUSE: u32 = 32;

/// The largest step. Its parts are added one after the other.
const LARGEST_STEP: u32 = 16;

/// After this number of windows without a refusal the level is forgotten. Longer than
/// [`LONGEST_PAUSE`]: a relay with enough messages to send would have refused meanwhile.
const FORGOTTEN_AFTER: u32 = 60;

/// The learned level of one limit.
#[derive(Debug)]
pub(super) struct AdaptiveLimit {
    level: u32,
    reply: String,
    learned_at: Instant,
    refused_at: Instant,
    window: Duration,
    pause: Duration,
    next_try: Instant,
    /// The rest of this step, and the size of the next one.
    left: u32,
    step: u32,
    trying: bool,
}

impl AdaptiveLimit {
    /// The relay accepts `level`, and refused more with the text `reply`.
    pub(super) fn new(level: u32, window: Duration, now: Instant, reply: &str) -> Self {
        Self {
            level,
            reply: reply.to_owned(),
            learned_at: now,
            refused_at: now,
            window,
            pause: window,
            next_try: now + window,
            left: 1,
            step: 1,
            trying: false,
        }
    }

    /// The level that it certainly accepts.
    pub(super) fn level(&self) -> u32 {
        self.level
    }

    /// The refusal that it was learned from.
    pub(super) fn reply(&self) -> &str {
        &self.reply
    }

    /// Whether one more than the level may be tried.
    pub(super) fn may_try(&self, now: Instant) -> bool {
        !self.trying && now >= self.next_try
    }

    /// The level, and one more if that is tried or may be.
    pub(super) fn most(&self, now: Instant) -> u32 {
        let one_more = self.trying || self.may_try(now);
        self.level.saturating_add(u32::from(one_more))
    }

    pub(super) fn is_trying(&self) -> bool {
        self.trying
    }

    pub(super) fn next_try(&self) -> Instant {
        self.next_try
    }

    pub(super) fn begin_try(&mut self) {
        self.trying = true;
    }

    /// The relay neither accepted one more nor refused it.
    pub(super) fn abandon_try(&mut self) {
        self.trying = false;
    }

    /// The relay accepted one more. A step continues at once; the next one is twice as large, and
    /// soon after two accepted ones: one alone may have met a pause of other clients.
    pub(super) fn try_accepted(&mut self, now: Instant) {
        self.trying = false;
        self.level = self.level.saturating_add(1);
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            if self.step > 1 {
                self.pause = self.window;
            }
            self.step = (self.step * 2).min(LARGEST_STEP);
            self.left = self.step;
            self.next_try = now + self.pause;
        }
    }

    /// The relay refuses one more.
    pub(super) fn try_refused(&mut self, now: Instant, reply: &str) {
        self.trying = false;
        reply.clone_into(&mut self.reply);
        self.refused_at = now;
        self.rest(now);
    }

    /// It refused although no more than the level was used. A message that was begun before the
    /// level was learned proves nothing new.
    pub(super) fn lower(&mut self, now: Instant, begun: Instant, level: u32, reply: &str) {
        if begun < self.learned_at {
            return;
        }
        let new_trouble = now.saturating_duration_since(self.refused_at) >= self.window;
        self.level = level.min(self.level);
        reply.clone_into(&mut self.reply);
        self.learned_at = now;
        self.refused_at = now;
        if new_trouble {
            self.rest(now);
        } else {
            self.next_try = now + self.pause;
        }
    }

    fn rest(&mut self, now: Instant) {
        (self.left, self.step) = (1, 1);
        self.pause = (self.pause * 2).min(self.window * LONGEST_PAUSE);
        self.next_try = now + self.pause;
    }

    /// This number works at the same time, and the last was begun before the level was learned.
    pub(super) fn seen_working(&mut self, begun: Instant, level: u32) {
        if begun < self.learned_at {
            self.level = self.level.max(level);
        }
    }

    /// Nothing was refused for long.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.refused_at) >= self.window * FORGOTTEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn try_at_next(learned: &mut AdaptiveLimit, taken: bool) -> Instant {
        let now = learned.next_try();
        assert!(learned.may_try(now));
        learned.begin_try();
        assert!(!learned.may_try(now), "one at a time");
        match taken {
            true => learned.try_accepted(now),
            false => learned.try_refused(now, "432"),
        }
        now
    }

    #[test]
    fn refused_tries_become_rare() {
        let start = Instant::now();
        let mut learned = AdaptiveLimit::new(3, WINDOW, start, "432");
        let at: Vec<_> = (0..8).map(|_| try_at_next(&mut learned, false)).collect();
        let pauses = at.windows(2).map(|pair| (pair[1] - pair[0]).as_secs() / 60);
        assert_eq!(pauses.collect::<Vec<_>>(), [2, 4, 8, 16, 32, 32, 32]);
        assert_eq!(learned.level(), 3);
        assert!(!learned.is_forgotten(at[7] + WINDOW * LONGEST_PAUSE));
        assert!(learned.is_forgotten(at[7] + WINDOW * FORGOTTEN_AFTER));
    }

    #[test]
    fn accepted_tries_grow() {
        let start = Instant::now();
        let mut learned = AdaptiveLimit::new(10, WINDOW, start, "451");
        let mut now = start;
        for _ in 0..1 + 2 + 4 + 8 {
            now = try_at_next(&mut learned, true);
        }
        assert_eq!(learned.level(), 25);
        assert_eq!(now - start, WINDOW * 4, "four steps");
    }

    #[test]
    fn refusals_of_one_burst_lower_it_once() {
        let start = Instant::now();
        let mut learned = AdaptiveLimit::new(30, WINDOW, start + WINDOW, "451");
        learned.lower(start + WINDOW, start, 28, "451");
        assert_eq!(learned.level(), 30);
        learned.lower(start + WINDOW * 3, start + WINDOW * 2, 20, "451");
        assert_eq!(learned.level(), 20);
    }
}
