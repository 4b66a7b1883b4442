//! Keeps a refused password from being tried again and again until the account is locked. A relay
//! that twice in a row does not answer counts as one that refuses: some lock accounts like that.
//!
//! Until one sign-in has succeeded one goes at a time, here by a lock and among all instances
//! by the [`AuthLedger`]; later only the sign-ins themselves go one after the other, so that
//! ten connections that open at once do not present a password ten times that has become wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use parking_lot::Mutex as Cell;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::{
    AUTH_COOLDOWN, AuthDecision, AuthKey, AuthOutcome, Command, Fault, Reply, Timestamp,
};
use crate::relay::NotReady;
use crate::relay::authentication::AuthLedger;

/// How often the ledger is asked while another instance tries the secret.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Slow enough that nobody tries words against eight digits in bulk.
const ITERATIONS: usize = 100_000;

/// One for a relay.
pub(super) struct AuthGuard {
    key: Cell<AuthKey>,
    ledger: Arc<dyn AuthLedger>,
    clock: Arc<dyn Clock>,
    /// The secret was right the last time.
    proven: AtomicBool,
    refused: Cell<Option<Refused>>,
    /// So many in a row were not accepted.
    failures: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one that was neither accepted nor refused: who waited meanwhile gets the same
    /// answer, or a relay that does not answer would stop them one after the other.
    failed: Option<(Instant, NotReady)>,
}

struct Refused {
    until: Timestamp,
    answer: NotReady,
}

/// The right to try the secret once. Dropped without a note it says nothing about the secret.
pub(super) struct AuthPermit<'a> {
    guard: &'a AuthGuard,
    key: AuthKey,
    state: MutexGuard<'a, State>,
}

impl AuthGuard {
    pub(super) fn new(key: AuthKey, ledger: Arc<dyn AuthLedger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: Cell::new(key),
            ledger,
            clock,
            proven: AtomicBool::new(false),
            refused: Cell::default(),
            failures: AtomicU32::new(0),
            state: Mutex::default(),
        }
    }

    /// Whether connections may be opened side by side, because the secret was right before.
    pub(super) fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Waits for its permit, until `attempt_end` at the latest.
    ///
    /// # Errors
    /// The refusal, while it is fresh; or what kept the permit from coming.
    pub(super) async fn acquire(&self, attempt_end: Instant) -> Result<AuthPermit<'_>, NotReady> {
        let permit = async {
            let asked = Instant::now();
            let state = self.state.lock().await;
            match self.refusal().or_else(|| state.answer(asked)) {
                Some(answer) => Err(answer),
                None => self.ask(state).await,
            }
        };
        let in_time = tokio::time::timeout_at(attempt_end, permit).await;
        in_time.unwrap_or_else(|_| Err(too_long()))
    }

    /// How long a refused secret is still left alone; `None` where none is.
    pub(super) fn cooldown_remaining(&self) -> Option<Duration> {
        let until = self.refused.lock().as_ref().map(|refused| refused.until)?;
        (until - self.clock.now()).to_std().ok()
    }

    /// From now on another secret is the one.
    pub(super) fn change(&self, fingerprint: String) {
        self.key.lock().credential_fingerprint = fingerprint;
        self.proven.store(false, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        *self.refused.lock() = None;
    }

    fn accepted(&self) -> AuthOutcome {
        self.proven.store(true, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        AuthOutcome::Accepted
    }

    /// A refusal rests at once, what was not answered the second time in a row.
    fn failed(&self, answer: &NotReady) {
        self.proven.store(false, Ordering::Relaxed);
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        if is_refusal(answer) || before > 0 {
            self.rest(AUTH_COOLDOWN, held_back(answer.reply.clone()));
        }
    }

    /// The refusal, while it is fresh.
    fn refusal(&self) -> Option<NotReady> {
        let now = self.clock.now();
        let refused = self.refused.lock();
        let fresh = refused.as_ref().filter(|refused| now < refused.until);
        fresh.map(|refused| refused.answer.clone())
    }

    fn rest(&self, rest: Duration, answer: NotReady) {
        let until = self.clock.now() + rest;
        *self.refused.lock() = Some(Refused { until, answer });
    }

    async fn ask<'a>(&'a self, state: MutexGuard<'a, State>) -> Result<AuthPermit<'a>, NotReady> {
        let key = self.key.lock().clone();
        loop {
            match self.ledger.begin(&key).await {
                Ok(AuthDecision::ProceedAlone) => break,
                // Another instance was accepted meanwhile.
                Ok(AuthDecision::Proceed) => {
                    self.failures.store(0, Ordering::Relaxed);
                    break;
                }
                Ok(AuthDecision::Wait) => tokio::time::sleep(ASK_EVERY).await,
                Ok(AuthDecision::Refused { reply, retry_in }) => {
                    let answer = held_back(reply);
                    self.rest(retry_in.min(AUTH_COOLDOWN), answer.clone());
                    return Err(answer);
                }
                // What was right a moment ago does not wait for the database.
                Err(_) if self.is_proven() => break,
                Err(what) => return Err(unknown(&what)),
            }
        }
        *self.refused.lock() = None;
        let guard = self;
        Ok(AuthPermit { guard, key, state })
    }
}

impl State {
    /// What another one that came to nothing since `asked` says.
    fn answer(&self, asked: Instant) -> Option<NotReady> {
        let meanwhile = self.failed.as_ref().filter(|(at, _)| *at >= asked);
        meanwhile.map(|(_, answer)| answer.clone())
    }
}

impl AuthPermit<'_> {
    /// Notes how it went, here and in the ledger. `tried`: the relay saw an AUTH.
    pub(super) async fn note(mut self, result: &Result<(), NotReady>, tried: bool) {
        let verdict = match result {
            Ok(()) => self.guard.accepted(),
            Err(answer) if is_refusal(answer) => {
                self.guard.failed(answer);
                AuthOutcome::Refused(answer.reply.clone())
            }
            Err(answer) => {
                self.state.failed = Some((Instant::now(), answer.clone()));
                match tried {
                    true => {
                        self.guard.failed(answer);
                        AuthOutcome::Unanswered(answer.reply.clone())
                    }
                    false => AuthOutcome::NotAttempted,
                }
            }
        };
        if let Err(error) = self.guard.ledger.end(&self.key, verdict).await {
            tracing::warn!(relay = self.key.relay, %error, "recording the authentication result failed");
        }
    }
}

/// 5yz to the sign-in itself: about the secret, or about who may use it.
pub(super) fn is_refusal(answer: &NotReady) -> bool {
    answer.reply.command == Command::Auth && answer.reply.is_permanent()
}

/// The configuration's fault: that pauses the relay, and a changed secret is tried at once.
fn held_back(mut reply: Reply) -> NotReady {
    let unanswered = match reply.is_permanent() {
        true => "",
        false => "the relay did not answer a sign-in twice: ",
    };
    reply.text += &format!(
        " ({unanswered}not tried again for 15 minutes, so that the account is not locked)"
    );
    NotReady {
        reply,
        fault: Some(Fault::Configuration),
    }
}

fn unknown(what: &str) -> NotReady {
    let what = format!("the database cannot say whether this password was refused before: {what}");
    NotReady {
        reply: Reply::absent(Command::Auth, what),
        fault: None,
    }
}

fn too_long() -> NotReady {
    let what = "another connection's sign-in, of this instance or another, took until the end \
                of this attempt (timeout.attempt)";
    NotReady {
        reply: Reply::absent(Command::Auth, what),
        fault: None,
    }
}

/// Eight digits that change with the account or its secret. Four octets of a slow hash: too few
/// to find the secret by, enough to see that it changed.
pub(super) fn fingerprint(relay: &str, account: &str, secret: &str) -> String {
    let salt = format!("sendport sign-in\0{relay}\0{account}");
    let mut digest = [0; 4];
    let hash = MessageDigest::sha256();
    match pbkdf2_hmac(
        secret.as_bytes(),
        salt.as_bytes(),
        ITERATIONS,
        hash,
        &mut digest,
    ) {
        Ok(()) => format!("{:08x}", u32::from_be_bytes(digest)),
        // All secrets of an account share one row then: held back too long, never too short.
        Err(_) => "unknown0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_relay_account_or_secret_has_another_fingerprint() {
        let one = fingerprint("main", "alice", "secret");
        assert_eq!(one, fingerprint("main", "alice", "secret"));
        assert_eq!(one.len(), 8);
        for other in [
            fingerprint("spare", "alice", "secret"),
            fingerprint("main", "bob", "secret"),
            fingerprint("main", "alice", "Secret"),
        ] {
            assert_ne!(one, other);
        }
    }
}
