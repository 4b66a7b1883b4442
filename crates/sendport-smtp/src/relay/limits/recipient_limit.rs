//! The number of recipients of one transaction that a relay accepts, learned from a
//! reply, or from connections that ended after the same number of them.

use std::time::{Duration, Instant};

/// How long a new number is valid.
const FIRST_PAUSE: Duration = Duration::from_secs(3600);

/// Pauses double up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// After this number of pauses the number is forgotten.
const PAUSES: u128 = 8;

/// Two connections that ended after the same number of recipients have the same cause, unless
/// they are further apart. Longer than a usual retry delay.
const SAME_CAUSE: Duration = Duration::from_secs(3 * 3600);

/// The learned number, and the connection that ended last.
#[derive(Debug, Default)]
pub(super) struct RecipientLimit {
    learned: Option<LearnedLimit>,
    ended: Option<ConnectionEnd>,
}

#[derive(Debug, Clone, Copy)]
struct ConnectionEnd {
    recipients: u32,
    at: Instant,
}

impl ConnectionEnd {
    /// Its transaction began at `begun`, after `before` ended, and it has the same cause. Many
    /// connections that end at once prove nothing.
    fn follows(self, before: Self, begun: Instant) -> bool {
        let apart = self.at.saturating_duration_since(before.at);
        self.recipients == before.recipients && begun >= before.at && apart < SAME_CAUSE
    }
}

#[derive(Debug, Clone, Copy)]
struct LearnedLimit {
    recipients: u32,
    /// The number is valid so long. Then twice as many are tried, and after each further pause twice
    /// as many again.
    pause: Duration,
    since: Instant,
}

impl LearnedLimit {
    /// Most recipients of one transaction now; `None`: it is forgotten.
    fn most(self, now: Instant) -> Option<u32> {
        let learned_for = now.saturating_duration_since(self.since);
        let pauses = learned_for.as_millis() / self.pause.as_millis().max(1);
        let steps = u32::try_from(pauses).ok().filter(|_| pauses < PAUSES)?;
        Some(self.recipients.saturating_mul(1 << steps))
    }
}

impl RecipientLimit {
    /// Most recipients of one transaction now; `None`: unknown.
    pub(super) fn most(&self, now: Instant) -> Option<u32> {
        self.learned?.most(now)
    }

    /// The relay replied that a transaction begun at `begun` had too many recipients after this number.
    pub(super) fn refused_behind(&mut self, now: Instant, begun: Instant, recipients: u32) {
        let recipients = recipients.max(1);
        let known = self.learned.filter(|known| known.most(now).is_some());
        let pause = match known.filter(|known| known.recipients == recipients) {
            // It was begun before this number was learned.
            Some(known) if begun < known.since => return,
            Some(known) => (known.pause * 2).min(LONGEST_PAUSE),
            None => FIRST_PAUSE,
        };
        self.learned = Some(LearnedLimit {
            recipients,
            pause,
            since: now,
        });
    }

    /// A connection ended after this number of recipients. If that happens twice in a row at the same
    /// position, or at a known position, the server accepts no more
    /// at a time. A server that shuts down ends connections once, or at any position.
    pub(super) fn connection_ended_behind(
        &mut self,
        now: Instant,
        begun: Instant,
        recipients: u32,
    ) {
        let end = ConnectionEnd {
            recipients,
            at: now,
        };
        let before = self.ended.replace(end);
        let again = before.is_some_and(|before| end.follows(before, begun));
        let known = self.most(now).and(self.learned);
        if again || known.is_some_and(|known| known.recipients == recipients) {
            self.refused_behind(now, begun, recipients);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A transaction that began at `at`, and its connection ended after this number.
    fn end_behind(few: &mut RecipientLimit, at: Instant, recipients: u32) {
        few.connection_ended_behind(at, at, recipients);
    }

    fn learned(start: Instant) -> RecipientLimit {
        let mut few = RecipientLimit::default();
        end_behind(&mut few, start - MINUTE, 100);
        assert_eq!(few.most(start), None, "once says nothing");
        end_behind(&mut few, start, 100);
        few
    }

    fn start() -> Instant {
        Instant::now() + HOUR * 1000
    }

    #[test]
    fn two_connections_that_end_behind_the_same_recipients_set_the_limit() {
        assert_eq!(learned(start()).most(start()), Some(100));
    }

    #[test]
    fn a_server_that_shuts_down_says_nothing_of_recipients() {
        let (mut few, start) = (RecipientLimit::default(), start());
        for _ in 0..3 {
            few.connection_ended_behind(start + MINUTE, start, 7);
        }
        assert_eq!(few.most(start), None, "many connections, one end");
        end_behind(&mut few, start + MINUTE, 8);
        assert_eq!(few.most(start), None, "another position");
        end_behind(&mut few, start + HOUR * 24, 8);
        assert_eq!(few.most(start + HOUR * 24), None, "another cause");
    }

    #[test]
    fn it_grows_back_in_steps_and_is_forgotten() {
        let start = start();
        let few = learned(start);
        let at = |hours: u32| few.most(start + HOUR * hours);
        assert_eq!(few.most(start + MINUTE * 59), Some(100));
        assert_eq!((at(1), at(2), at(3)), (Some(200), Some(400), Some(800)));
        assert_eq!((at(7), at(8)), (Some(12_800), None));
    }

    #[test]
    fn a_step_that_ends_at_the_same_position_goes_back_for_twice_as_long() {
        let mut now = start();
        let mut few = learned(now);
        for pause in [1, 2, 4, 8, 16, 24, 24] {
            assert_eq!(few.most(now + HOUR * pause - MINUTE), Some(100));
            now += HOUR * pause;
            assert_eq!(few.most(now), Some(200), "after {pause} hours");
            end_behind(&mut few, now, 100);
            assert_eq!(few.most(now), Some(100), "once is enough");
        }
    }

    #[test]
    fn a_step_that_meets_another_position_twice_learns_that_one() {
        let start = start();
        let mut few = learned(start);
        end_behind(&mut few, start + HOUR, 150);
        assert_eq!(few.most(start + HOUR), Some(200));
        end_behind(&mut few, start + HOUR + MINUTE, 150);
        assert_eq!(few.most(start + HOUR + MINUTE), Some(150));
        assert_eq!(few.most(start + HOUR * 2 + MINUTE), Some(300));
    }

    #[test]
    fn replies_that_were_on_their_way_lengthen_no_pause() {
        let (mut few, start) = (RecipientLimit::default(), start());
        for _ in 0..3 {
            few.refused_behind(start, start - MINUTE, 10);
        }
        assert_eq!(few.most(start), Some(10));
        assert_eq!(few.most(start + HOUR), Some(20));
    }
}
