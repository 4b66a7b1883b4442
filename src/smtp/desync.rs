//! A relay whose replies did not fit the commands gets DATA, one command at a time, for a while:
//! there each reply is waited for, and 354 answers nothing but DATA.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::transaction::TransactionResult;
use crate::domain::{AUTH_COOLDOWN, Command, Fault, Reply, SubmissionEnd};
use crate::relay::NotReady;

const SHUT_OUT: &str = "the replies of the server do not fit the commands, with two messages in a row: \
    no message is sent for 15 minutes";

/// How long at first; twice as long each time that it happens again.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// How long at most.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// So many sessions in a row that ended because of replies that do not fit say that the next would, too.
const DESYNCS_TO_PAUSE: u32 = 2;

/// What is known of one relay, for as long as this process runs.
#[derive(Debug, Default)]
pub(super) struct DesyncGuard {
    spell: Mutex<Option<Spell>>,
    streak: Mutex<Option<DesyncStreak>>,
}

/// Sessions in a row that ended because of replies that do not fit.
#[derive(Debug, Clone)]
struct DesyncStreak {
    count: u32,
    last: Instant,
    /// Which message the last one was about, if any.
    message: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Spell {
    until: Instant,
    length: Duration,
}

impl DesyncGuard {
    /// True: one command at a time, and DATA.
    pub(super) fn is_due(&self) -> bool {
        self.spell
            .lock()
            .is_some_and(|spell| Instant::now() < spell.until)
    }

    /// Begins it, or begins it again.
    pub(super) fn begin(&self, relay: &str, found: &str) {
        let mut spell = self.spell.lock();
        let length = spell.map_or(FIRST, |last| next(last, Instant::now()));
        let until = Instant::now() + length;
        *spell = Some(Spell { until, length });
        drop(spell);
        tracing::warn!(
            relay,
            found,
            minutes = length.as_secs() / 60,
            "relay replies out of step with commands"
        );
    }

    /// A transaction ended so. What arrives on an idle connection says nothing of the next one.
    pub(super) fn note(&self, done: &TransactionResult, lockstep: bool, message: &str) {
        match &done.end {
            SubmissionEnd::InDoubt | SubmissionEnd::Broken
                if done.desync.is_some() && !done.stale =>
            {
                self.count(lockstep, Some(message));
            }
            SubmissionEnd::Answered if done.final_dot.is_some() => *self.streak.lock() = None,
            _ => {}
        }
    }

    /// A session ended so. Of those that were not `lockstep` only the first counts: they may have been
    /// under way together. One message counts once: it may be the reason.
    pub(super) fn count(&self, lockstep: bool, message: Option<&str>) {
        let mut streak = self.streak.lock();
        let before = streak.as_ref().map_or(0, |it| it.count);
        let same = message.is_some_and(|message| {
            let last = streak.as_ref().and_then(|it| it.message.as_deref());
            last == Some(message)
        });
        *streak = Some(DesyncStreak {
            count: before.max(1) + u32::from(lockstep && before > 0 && !same),
            last: Instant::now(),
            message: message.map(str::to_owned),
        });
    }

    /// Why the relay gets nothing now: no message would arrive, or each be in doubt and repeated.
    pub(super) fn shuts_out(&self) -> Option<NotReady> {
        let streak = self.streak.lock();
        let seen = streak.as_ref()?;
        (seen.count >= DESYNCS_TO_PAUSE && seen.last.elapsed() < AUTH_COOLDOWN).then(|| NotReady {
            reply: Reply::absent(Command::Connect, SHUT_OUT),
            fault: Some(Fault::Configuration),
        })
    }
}

/// What connections of the same moment find counts once.
fn next(last: Spell, now: Instant) -> Duration {
    match now < last.until {
        true => last.length,
        false => (last.length * 2).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_doubt() -> TransactionResult {
        TransactionResult {
            end: SubmissionEnd::InDoubt,
            desync: Some("answered more than once".to_owned()),
            ..TransactionResult::answered(Vec::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_in_doubt_pause_the_relay_and_each_trial_that_is_the_next_one() {
        let desync_guard = DesyncGuard::default();
        for _ in 0..3 {
            desync_guard.note(&in_doubt(), false, "a");
            assert!(desync_guard.shuts_out().is_none(), "they went together");
        }
        desync_guard.note(&in_doubt(), true, "a");
        assert!(
            desync_guard.shuts_out().is_none(),
            "one message may be the reason"
        );
        desync_guard.note(&in_doubt(), true, "b");
        for lockstep in [false, true, false] {
            assert!(desync_guard.shuts_out().is_some());
            tokio::time::advance(AUTH_COOLDOWN).await;
            assert!(desync_guard.shuts_out().is_none(), "one may try");
            desync_guard.note(&in_doubt(), lockstep, "b");
        }
        let answered = TransactionResult {
            final_dot: Some(FIRST),
            ..TransactionResult::answered(Vec::new())
        };
        desync_guard.note(&answered, false, "a");
        desync_guard.note(&in_doubt(), true, "b");
        assert!(desync_guard.shuts_out().is_none(), "it begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn lasts_longer_each_time_and_ends() {
        let desync_guard = DesyncGuard::default();
        assert!(!desync_guard.is_due());
        for minutes in [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440] {
            desync_guard.begin("r", "a spare reply");
            desync_guard.begin("r", "another connection's");
            tokio::time::advance(Duration::from_secs(minutes * 60 - 1)).await;
            assert!(desync_guard.is_due(), "{minutes}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!desync_guard.is_due(), "{minutes}");
        }
    }
}
