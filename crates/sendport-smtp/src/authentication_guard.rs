//! Prevents a refused password from being tried until the account is locked. A relay that twice in
//! a row leaves an authentication unanswered counts as one that refuses: some lock accounts so.
//!
//! Until an authentication has succeeded, one runs at a time: in this process by a lock, among all
//! instances by the [`AuthLedger`]. Later only the authentications themselves run one after the
//! other, so that ten connections opened at once do not present a password ten times that has
//! become wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkcs5::pbkdf2_hmac;
use parking_lot::Mutex as Cell;
use sendport_core::clock::Clock;
use sendport_core::domain::{
    AUTH_COOLDOWN, AuthDecision, AuthKey, AuthOutcome, Command, LocalCause, Reply, Timestamp,
};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::relay::SessionError;
use crate::relay::authentication::{AuthLedger, AuthLedgerError};

/// Interval of the questions to the ledger while another instance tries the credentials.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// Slow enough to prevent a dictionary attack on the fingerprint.
const ITERATIONS: usize = 100_000;

/// The guard of one relay.
pub struct AuthGuard {
    key: Cell<AuthKey>,
    ledger: Arc<dyn AuthLedger>,
    clock: Arc<dyn Clock>,
    /// The last authentication succeeded.
    proven: AtomicBool,
    refusal: Cell<Option<Refusal>>,
    /// Failed authentications in a row.
    failures: AtomicU32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one that was neither accepted nor refused. All that waited meanwhile get the same
    /// error: a relay that does not answer would stop them one after the other.
    failed: Option<(Instant, SessionError)>,
}

struct Refusal {
    until: Timestamp,
    error: SessionError,
}

/// The right to try the credentials once. Dropped unfinished, it says nothing about them.
pub struct AuthPermit<'a> {
    guard: &'a AuthGuard,
    key: AuthKey,
    state: MutexGuard<'a, State>,
}

impl AuthGuard {
    /// Of the credentials that `key` names.
    pub fn new(key: AuthKey, ledger: Arc<dyn AuthLedger>, clock: Arc<dyn Clock>) -> Self {
        Self {
            key: Cell::new(key),
            ledger,
            clock,
            proven: AtomicBool::new(false),
            refusal: Cell::default(),
            failures: AtomicU32::new(0),
            state: Mutex::default(),
        }
    }

    /// True where connections may be opened in parallel, because the credentials were accepted before.
    pub fn is_proven(&self) -> bool {
        self.proven.load(Ordering::Relaxed)
    }

    /// Waits for the right to try the credentials, until `attempt_end`.
    ///
    /// # Errors
    /// The last refusal, while it counts; or why no permit was available.
    pub async fn acquire(&self, attempt_end: Instant) -> Result<AuthPermit<'_>, SessionError> {
        let permit = async {
            let asked = Instant::now();
            let state = self.state.lock().await;
            match self.fresh_refusal().or_else(|| state.failed_since(asked)) {
                Some(error) => Err(error),
                None => self.ask(state).await,
            }
        };
        let in_time = tokio::time::timeout_at(attempt_end, permit).await;
        in_time.unwrap_or_else(|_| Err(no_permit_in_time()))
    }

    /// Time until refused credentials may be tried again; `None` where none are refused.
    pub fn cooldown_remaining(&self) -> Option<Duration> {
        let until = self.refusal.lock().as_ref().map(|refusal| refusal.until)?;
        (until - self.clock.now()).to_std().ok()
    }

    /// The credentials have changed.
    pub(super) fn set_fingerprint(&self, fingerprint: String) {
        self.key.lock().credential_fingerprint = fingerprint;
        self.proven.store(false, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        *self.refusal.lock() = None;
    }

    fn accepted(&self) -> AuthOutcome {
        self.proven.store(true, Ordering::Relaxed);
        self.failures.store(0, Ordering::Relaxed);
        AuthOutcome::Accepted
    }

    /// A refusal starts the cooldown at once, an unanswered authentication the second time in a row.
    fn failed(&self, error: &SessionError) {
        self.proven.store(false, Ordering::Relaxed);
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        if error.is_authentication_refusal() || before > 0 {
            self.cool_down(AUTH_COOLDOWN, held_back(error.reply.clone()));
        }
    }

    /// The last refusal, while it counts.
    fn fresh_refusal(&self) -> Option<SessionError> {
        let now = self.clock.now();
        let refusal = self.refusal.lock();
        let fresh = refusal.as_ref().filter(|refusal| now < refusal.until);
        fresh.map(|refusal| refusal.error.clone())
    }

    fn cool_down(&self, time: Duration, error: SessionError) {
        let until = self.clock.now() + time;
        *self.refusal.lock() = Some(Refusal { until, error });
    }

    async fn ask<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
    ) -> Result<AuthPermit<'a>, SessionError> {
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
                    let error = held_back(reply);
                    self.cool_down(retry_in.min(AUTH_COOLDOWN), error.clone());
                    return Err(error);
                }
                // Credentials that were just accepted do not wait for the database.
                Err(_) if self.is_proven() => break,
                Err(error) => return Err(ledger_unavailable(&error)),
            }
        }
        *self.refusal.lock() = None;
        let guard = self;
        Ok(AuthPermit { guard, key, state })
    }
}

impl State {
    /// The error of an authentication that failed since `asked`.
    fn failed_since(&self, asked: Instant) -> Option<SessionError> {
        let meanwhile = self.failed.as_ref().filter(|(at, _)| *at >= asked);
        meanwhile.map(|(_, error)| error.clone())
    }
}

impl AuthPermit<'_> {
    /// Reports the result, here and to the ledger. `tried`: the relay may have seen AUTH.
    pub async fn finish(mut self, result: &Result<(), SessionError>, tried: bool) {
        let outcome = match result {
            Ok(()) => self.guard.accepted(),
            Err(error) if error.is_authentication_refusal() => {
                self.guard.failed(error);
                AuthOutcome::Refused(error.reply.clone())
            }
            Err(error) => {
                self.state.failed = Some((Instant::now(), error.clone()));
                match tried {
                    true => {
                        self.guard.failed(error);
                        AuthOutcome::Unanswered(error.reply.clone())
                    }
                    false => AuthOutcome::NotAttempted,
                }
            }
        };
        if let Err(error) = self.guard.ledger.end(&self.key, outcome).await {
            tracing::warn!(%error, "recording the authentication result failed");
        }
    }
}

/// The fault of the configuration: that pauses the relay, and changed credentials are tried at once.
fn held_back(mut reply: Reply) -> SessionError {
    if !reply.is_permanent() {
        reply = reply.because(LocalCause::AuthUnanswered);
        reply.append(
            " (the relay did not answer an authentication twice: not tried again for 15 minutes, \
             so that the account is not locked)",
        );
        return SessionError::configuration(reply);
    }
    reply.append(" (not tried again for 15 minutes, so that the account is not locked)");
    SessionError::configuration(reply)
}

fn ledger_unavailable(error: &AuthLedgerError) -> SessionError {
    let what = format!("the database cannot say whether this password was refused before: {error}");
    SessionError::new(Reply::absent(Command::Auth, what))
}

fn no_permit_in_time() -> SessionError {
    let what = "another connection's authentication, of this instance or another, took until the \
                end of this attempt (timeout.attempt)";
    SessionError::new(Reply::absent(Command::Auth, what))
}

/// Eight digits that change with the account or its secret. Four bytes of a slow hash: too few to
/// find the secret, enough to see that it changed.
pub(super) fn credential_fingerprint(relay: &str, account: &str, secret: &str) -> String {
    let salt = format!("sendport authentication\0{relay}\0{account}");
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
        // All secrets of an account then share one row: the cooldown is too long, never too short.
        Err(_) => "unknown0".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_depends_on_relay_account_and_secret() {
        let one = credential_fingerprint("main", "alice", "secret");
        assert_eq!(one, credential_fingerprint("main", "alice", "secret"));
        assert_eq!(one.len(), 8);
        for other in [
            credential_fingerprint("spare", "alice", "secret"),
            credential_fingerprint("main", "bob", "secret"),
            credential_fingerprint("main", "alice", "Secret"),
        ] {
            assert_ne!(one, other);
        }
    }
}
