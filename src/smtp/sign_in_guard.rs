//! Keeps a refused password from being tried again and again until the account is locked.

use chrono::TimeDelta;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::{Command, Reply, Timestamp};
use crate::relay::NotReady;

/// How long a refused password is not tried again. A changed one makes a new relay.
const REST: TimeDelta = TimeDelta::minutes(15);

/// One for a relay. Sign-ins go one after the other, so that ten connections that open at
/// once do not present a wrong password ten times.
#[derive(Default)]
pub(super) struct SignInGuard(Mutex<Option<Refused>>);

struct Refused {
    at: Timestamp,
    answer: NotReady,
}

/// The right to try the password once.
pub(super) struct Turn<'a>(MutexGuard<'a, Option<Refused>>);

impl SignInGuard {
    /// Waits for its turn.
    ///
    /// # Errors
    /// The refusal, while it is fresh.
    pub(super) async fn turn(
        &self,
        clock: &dyn Clock,
        attempt_end: Instant,
    ) -> Result<Turn<'_>, NotReady> {
        let state = tokio::time::timeout_at(attempt_end, self.0.lock()).await;
        let state = state.map_err(|_| too_long())?;
        if let Some(refused) = &*state
            && clock.now() < refused.at + REST
        {
            let mut answer = refused.answer.clone();
            answer.reply.text +=
                " (not tried again for 15 minutes, so that the account is not locked)";
            return Err(answer);
        }
        Ok(Turn(state))
    }
}

fn too_long() -> NotReady {
    let what = "another connection's sign-in took until the end of this attempt (timeout.attempt)";
    NotReady {
        reply: Reply::absent(Command::Auth, what),
        fault: None,
    }
}

impl Turn<'_> {
    /// Notes how it went.
    pub(super) fn note(mut self, result: &Result<(), NotReady>, clock: &dyn Clock) {
        *self.0 = match result {
            Err(answer) if answer.reply.command == Command::Auth && answer.reply.is_permanent() => {
                Some(Refused {
                    at: clock.now(),
                    answer: answer.clone(),
                })
            }
            _ => None,
        };
    }
}
