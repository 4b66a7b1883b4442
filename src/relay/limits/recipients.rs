//! How many recipients of one transaction a relay takes, where that was learned: from a reply
//! that says so, or from connections that ended behind the same number of them.

use std::time::{Duration, Instant};

use crate::domain::LearnedRecipients;

/// Two connections that ended behind the same number of recipients have the same cause, unless
/// they lie further apart. Longer than a retry delay usually is.
const SAME_CAUSE: Duration = Duration::from_secs(3 * 3600);

/// The number that is kept to, or found here and not known to the others yet.
#[derive(Debug, Default)]
pub(super) struct FewRecipients {
    learned: Option<Known>,
    /// The others do not know it yet.
    untold: bool,
    /// Behind how many recipients a connection ended last, and when.
    ended_behind: Option<(u32, Instant)>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    recipients: u32,
    pause: Duration,
    since: Instant,
}

impl Known {
    /// As all instances know it.
    fn shared(self, now: Instant) -> LearnedRecipients {
        LearnedRecipients {
            recipients: self.recipients,
            pause: self.pause,
            learned_for: now.saturating_duration_since(self.since),
        }
    }
}

impl FewRecipients {
    /// Most recipients of one transaction now; `None`: nothing is known, or no longer.
    pub(super) fn most(&self, now: Instant) -> Option<u32> {
        self.learned?.shared(now).most()
    }

    /// The relay said that one transaction, begun at `begun`, had too many with more than so many.
    pub(super) fn refused_behind(&mut self, now: Instant, begun: Instant, recipients: u32) {
        let recipients = recipients.max(1);
        match self.learned.filter(|_| self.most(now).is_some()) {
            // It was on its way when this was learned.
            Some(known) if known.recipients == recipients && begun < known.since => {}
            Some(known) if known.recipients == recipients => {
                let pause = LearnedRecipients::longer_pause(known.pause);
                self.learn(now, recipients, pause);
            }
            _ => self.learn(now, recipients, LearnedRecipients::FIRST_PAUSE),
        }
    }

    fn learn(&mut self, now: Instant, recipients: u32, pause: Duration) {
        let since = now;
        self.learned = Some(Known {
            recipients,
            pause,
            since,
        });
        self.untold = true;
    }

    /// A connection ended behind so many recipients. Where that happens twice at the same
    /// position, one after the other, or at a position that is known, the server takes no more
    /// at a time. A server that shuts down ends connections once, or anywhere.
    pub(super) fn connection_ended_behind(
        &mut self,
        now: Instant,
        begun: Instant,
        recipients: u32,
    ) {
        let before = self.ended_behind.replace((recipients, now));
        let again = before.is_some_and(|(same, at)| {
            let apart = now.saturating_duration_since(at);
            same == recipients && begun >= at && apart < SAME_CAUSE
        });
        let known = self.most(now).and(self.learned);
        if again || known.is_some_and(|known| known.recipients == recipients) {
            self.refused_behind(now, begun, recipients);
        }
    }

    /// What the others do not know yet.
    pub(super) fn finding(&self, now: Instant) -> Option<LearnedRecipients> {
        let learned = self.learned.filter(|_| self.untold)?;
        Some(learned.shared(now))
    }

    /// The others can read it now.
    pub(super) fn told(&mut self, finding: &LearnedRecipients) {
        let is_that =
            |known: Known| known.recipients == finding.recipients && known.pause == finding.pause;
        self.untold &= !self.learned.is_some_and(is_that);
    }

    /// Keeps to what all instances know, unless more was found out here since.
    pub(super) fn agree(&mut self, now: Instant, shared: Option<&LearnedRecipients>) {
        if self.untold {
            return;
        }
        self.learned = shared.map(|shared| Known {
            recipients: shared.recipients.max(1),
            pause: shared.pause,
            since: now.checked_sub(shared.learned_for).unwrap_or(now),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    /// A transaction that began at `at`, and its connection ended behind so many.
    fn end_behind(few: &mut FewRecipients, at: Instant, recipients: u32) {
        few.connection_ended_behind(at, at, recipients);
    }

    fn learned(start: Instant) -> FewRecipients {
        let mut few = FewRecipients::default();
        end_behind(&mut few, start - MINUTE, 100);
        assert_eq!(few.most(start), None, "once says nothing");
        end_behind(&mut few, start, 100);
        few
    }

    fn start() -> Instant {
        Instant::now() + HOUR * 1000
    }

    #[test]
    fn twice_behind_the_same_recipients_tells_how_many_there_may_be() {
        assert_eq!(learned(start()).most(start()), Some(100));
    }

    #[test]
    fn a_server_that_shuts_down_says_nothing_of_recipients() {
        let (mut few, start) = (FewRecipients::default(), start());
        for _ in 0..3 {
            few.connection_ended_behind(start + MINUTE, start, 7);
        }
        assert_eq!(few.most(start), None, "many connections, one end");
        end_behind(&mut few, start + MINUTE, 8);
        assert_eq!(few.most(start), None, "another position");
        end_behind(&mut few, start + HOUR * 24, 8);
        assert_eq!(few.most(start + HOUR * 24), None, "another cause");
        assert_eq!(few.finding(start + HOUR * 24), None);
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
        let (mut few, start) = (FewRecipients::default(), start());
        for _ in 0..3 {
            few.refused_behind(start, start - MINUTE, 10);
        }
        assert_eq!(few.most(start), Some(10));
        assert_eq!(few.most(start + HOUR), Some(20));
    }

    #[test]
    fn what_one_found_out_the_others_keep_to() {
        let start = start();
        let (mut here, mut there) = (learned(start), FewRecipients::default());
        let finding = here.finding(start + MINUTE).expect("something was found");
        here.agree(start, None);
        assert_eq!(here.most(start), Some(100), "nobody was told yet");
        here.told(&finding);
        assert_eq!(here.finding(start), None);
        there.agree(start + MINUTE, Some(&finding));
        assert_eq!(there.most(start), Some(100));
        assert_eq!(there.most(start + HOUR), Some(200), "at the same time");
        end_behind(&mut there, start + HOUR, 100);
        let finding = there.finding(start + HOUR).expect("the same position");
        here.agree(start + HOUR, Some(&finding));
        assert_eq!(here.most(start + HOUR * 2), Some(100), "a longer pause");
        here.agree(start + HOUR, None);
        assert_eq!(here.most(start), None, "somebody deleted it");
    }
}
