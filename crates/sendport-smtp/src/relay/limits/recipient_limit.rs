//! How many recipients of one transaction a relay takes, where that was learned: from a reply
//! that says so, or from connections that ended behind the same number of them.

use std::time::{Duration, Instant};

use sendport_core::domain::{ConnectionEnd, LearnedRecipients};

/// The number that is kept to, or found here and not known to the others yet.
#[derive(Debug, Default)]
pub(super) struct RecipientLimit {
    learned: Option<Known>,
    /// The others do not know it yet.
    unreported: bool,
    /// The connection that ended last.
    ended: Option<End>,
}

#[derive(Debug, Clone, Copy)]
struct End {
    recipients: u32,
    /// When its transaction began.
    begun: Instant,
    at: Instant,
    /// The others do not know it yet.
    unreported: bool,
}

impl End {
    /// It has the same cause as one before it. What ends many connections at once says nothing.
    fn follows(&self, recipients: u32, at: Instant) -> bool {
        let apart = self.at.saturating_duration_since(at);
        self.recipients == recipients && self.begun >= at && apart < ConnectionEnd::SAME_CAUSE
    }
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

impl RecipientLimit {
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
        self.unreported = true;
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
        let end = End {
            recipients,
            begun,
            at: now,
            unreported: true,
        };
        let before = self.ended.replace(end);
        let again = before.is_some_and(|before| end.follows(before.recipients, before.at));
        let known = self.most(now).and(self.learned);
        if again || known.is_some_and(|known| known.recipients == recipients) {
            self.refused_behind(now, begun, recipients);
        }
    }

    /// A connection ended here, and not long ago: others may have seen the same.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        let lately = |end: End| now.saturating_duration_since(end.at) < ConnectionEnd::SAME_CAUSE;
        self.ended.is_some_and(lately)
    }

    /// One ended at another instance: where the last one here came after it, that counts as the
    /// second.
    pub(super) fn compare_end(&mut self, now: Instant, shared: &ConnectionEnd) {
        let at = now.checked_sub(shared.ended_for).unwrap_or(now);
        if let Some(end) = self.ended.take_if(|end| end.follows(shared.recipients, at)) {
            self.refused_behind(now, end.begun, end.recipients);
        }
    }

    /// The last one that ended here, where the others do not know it yet.
    pub(super) fn unreported_end(&self, now: Instant) -> Option<ConnectionEnd> {
        let end = self.ended.filter(|end| end.unreported)?;
        Some(ConnectionEnd {
            recipients: end.recipients,
            ended_for: now.saturating_duration_since(end.at),
        })
    }

    /// The others can read it now.
    pub(super) fn mark_end_published(&mut self, shared: &ConnectionEnd) {
        if let Some(end) = &mut self.ended {
            end.unreported &= end.recipients != shared.recipients;
        }
    }

    /// What the others do not know yet.
    pub(super) fn finding(&self, now: Instant) -> Option<LearnedRecipients> {
        let learned = self.learned.filter(|_| self.unreported)?;
        Some(learned.shared(now))
    }

    /// The others can read it now.
    pub(super) fn mark_published(&mut self, finding: &LearnedRecipients) {
        let is_that =
            |known: Known| known.recipients == finding.recipients && known.pause == finding.pause;
        self.unreported &= !self.learned.is_some_and(is_that);
    }

    /// Keeps to what all instances know, unless more was found out here since.
    pub(super) fn adopt_learned(&mut self, now: Instant, shared: Option<&LearnedRecipients>) {
        if self.unreported {
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
    fn twice_behind_the_same_recipients_tells_how_many_there_may_be() {
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
        assert_eq!(few.finding(start + HOUR * 24), None);
    }

    /// As the other one reads it from the database.
    fn ended_ago(recipients: u32, ended_for: Duration) -> ConnectionEnd {
        ConnectionEnd {
            recipients,
            ended_for,
        }
    }

    #[test]
    fn one_end_here_behind_one_at_another_instance_is_the_second() {
        let start = start();
        let mut few = RecipientLimit::default();
        few.compare_end(start, &ended_ago(100, MINUTE));
        assert!(!few.has_ended(start) && few.most(start).is_none());
        end_behind(&mut few, start, 100);
        let shared = few.unreported_end(start + MINUTE).expect("nobody knows it");
        assert_eq!(shared, ended_ago(100, MINUTE));
        few.mark_end_published(&shared);
        assert_eq!(few.unreported_end(start), None);
        for (other, ago, why) in [
            (99, MINUTE * 2, "another position"),
            (100, MINUTE / 2, "it ended behind this one"),
            (100, HOUR * 4, "another cause"),
        ] {
            few.compare_end(start + MINUTE, &ended_ago(other, ago));
            assert_eq!(few.most(start + MINUTE), None, "{why}");
        }
        few.compare_end(start + MINUTE, &ended_ago(100, MINUTE * 2));
        assert_eq!(few.most(start + MINUTE), Some(100));
        assert!(few.finding(start + MINUTE).is_some(), "all have to know");
        few.compare_end(start + MINUTE, &ended_ago(100, MINUTE * 2));
        assert_eq!(few.most(start + MINUTE + HOUR), Some(200), "counted once");
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

    #[test]
    fn what_one_found_out_the_others_keep_to() {
        let start = start();
        let (mut here, mut there) = (learned(start), RecipientLimit::default());
        let finding = here.finding(start + MINUTE).expect("something was found");
        here.adopt_learned(start, None);
        assert_eq!(here.most(start), Some(100), "not published yet");
        here.mark_published(&finding);
        assert_eq!(here.finding(start), None);
        there.adopt_learned(start + MINUTE, Some(&finding));
        assert_eq!(there.most(start), Some(100));
        assert_eq!(there.most(start + HOUR), Some(200), "at the same time");
        end_behind(&mut there, start + HOUR, 100);
        let finding = there.finding(start + HOUR).expect("the same position");
        here.adopt_learned(start + HOUR, Some(&finding));
        assert_eq!(here.most(start + HOUR * 2), Some(100), "a longer pause");
        here.adopt_learned(start + HOUR, None);
        assert_eq!(here.most(start), None, "somebody deleted it");
    }
}
