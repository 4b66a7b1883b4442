//! Protection from a relay whose replies do not match the commands.
//!
//! For a while it gets one command at a time, and DATA: each reply is awaited, and 354 answers
//! nothing but DATA. Where that does not help, it is paused.

use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::domain::{AUTH_COOLDOWN, Command, LocalCause, Reply, SubmissionEnd};
use tokio::time::Instant;

use super::transaction::TransactionResult;
use crate::relay::SessionError;

const PAUSED: &str = "the replies of the server do not match the commands, with two messages in a row: \
    no message is sent for 15 minutes";

/// The first lockstep period; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(10 * 60);

/// The longest lockstep period.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Sessions in a row that desynchronised before the relay is paused.
const DESYNCS_TO_PAUSE: u32 = 2;

/// The state of one relay, until the process ends.
#[derive(Debug, Default)]
pub(super) struct DesyncGuard {
    lockstep: Mutex<Option<LockstepPeriod>>,
    streak: Mutex<Option<DesyncStreak>>,
}

/// Sessions in a row that desynchronised.
#[derive(Debug, Clone)]
struct DesyncStreak {
    count: u32,
    last: Instant,
    /// Message-ID of the last one, if it carried a message.
    message: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct LockstepPeriod {
    until: Instant,
    length: Duration,
}

impl DesyncGuard {
    /// True: one command at a time, and DATA.
    pub(super) fn requires_lockstep(&self) -> bool {
        self.lockstep
            .lock()
            .is_some_and(|period| Instant::now() < period.until)
    }

    /// Begins a lockstep period, or extends it.
    pub(super) fn begin(&self, found: &str) {
        let mut period = self.lockstep.lock();
        let length = period.map_or(FIRST, |last| next(last, Instant::now()));
        let until = Instant::now() + length;
        *period = Some(LockstepPeriod { until, length });
        drop(period);
        tracing::warn!(
            found,
            minutes = length.as_secs() / 60,
            "relay replies out of step with commands"
        );
    }

    /// Notes the result of a transaction. What arrives on an idle connection says nothing about the
    /// next one.
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

    /// Counts a session that desynchronised. Of those without `lockstep` only the first counts: they
    /// may have run at the same time. One message counts once: it may be the cause.
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

    /// The error of a paused relay: a message would not arrive, or be in doubt and repeated.
    pub(super) fn pause(&self) -> Option<SessionError> {
        let streak = self.streak.lock();
        let seen = streak.as_ref()?;
        (seen.count >= DESYNCS_TO_PAUSE && seen.last.elapsed() < AUTH_COOLDOWN).then(|| {
            let reply = Reply::absent(Command::Connect, PAUSED);
            SessionError::configuration(reply.because(LocalCause::DesyncPause))
        })
    }
}

/// Connections that desynchronise at the same time count once.
fn next(last: LockstepPeriod, now: Instant) -> Duration {
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
    async fn two_desynchronised_messages_pause_the_relay_and_each_failed_trial_does() {
        let desync_guard = DesyncGuard::default();
        for _ in 0..3 {
            desync_guard.note(&in_doubt(), false, "a");
            assert!(desync_guard.pause().is_none(), "they ran at the same time");
        }
        desync_guard.note(&in_doubt(), true, "a");
        assert!(
            desync_guard.pause().is_none(),
            "one message may be the cause"
        );
        desync_guard.note(&in_doubt(), true, "b");
        for lockstep in [false, true, false] {
            assert!(desync_guard.pause().is_some());
            tokio::time::advance(AUTH_COOLDOWN).await;
            assert!(desync_guard.pause().is_none(), "one trial");
            desync_guard.note(&in_doubt(), lockstep, "b");
        }
        let answered = TransactionResult {
            final_dot: Some(FIRST),
            ..TransactionResult::answered(Vec::new())
        };
        desync_guard.note(&answered, false, "a");
        desync_guard.note(&in_doubt(), true, "b");
        assert!(desync_guard.pause().is_none(), "a success resets the count");
    }

    #[tokio::test(start_paused = true)]
    async fn each_lockstep_period_is_longer_and_ends() {
        let desync_guard = DesyncGuard::default();
        assert!(!desync_guard.requires_lockstep());
        for minutes in [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440] {
            desync_guard.begin("a spare reply");
            desync_guard.begin("another connection's");
            tokio::time::advance(Duration::from_secs(minutes * 60 - 1)).await;
            assert!(desync_guard.requires_lockstep(), "{minutes}");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!desync_guard.requires_lockstep(), "{minutes}");
        }
    }
}
