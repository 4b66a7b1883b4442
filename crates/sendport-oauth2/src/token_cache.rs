//! Caches the token: one request at a time, ahead of its expiry, and one more for a refused token.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::Timestamp;
use sendport_core::secret::Secret;
use tokio::sync::watch;

use super::access_token::AccessToken;
use crate::{TokenError, TokenSource};

/// Time without a request after a transient error.
const SHORT_COOLDOWN: TimeDelta = TimeDelta::seconds(5);

/// Time without a request after an error that an operator has to fix.
const LONG_COOLDOWN: TimeDelta = TimeDelta::minutes(1);

/// Longest wait that an endpoint may request.
const LONGEST_COOLDOWN: TimeDelta = TimeDelta::hours(1);

/// Issues tokens. One task at a time calls it.
#[async_trait]
pub(super) trait Issuer: Send + Sync + 'static {
    /// A new token, within a bounded time.
    async fn issue(&self, now: Timestamp) -> Result<AccessToken, TokenError>;
}

/// The result of a request.
type IssueResult = Result<Secret, TokenError>;

/// Resolves when the running request has ended.
type PendingIssue = watch::Receiver<Option<IssueResult>>;

/// A [`TokenSource`] over an [`Issuer`].
pub(super) struct TokenCache(Arc<Shared>);

struct Shared {
    /// What uses the tokens, for the log: the name of a relay, or the database.
    holder: String,
    issuer: Box<dyn Issuer>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<AccessToken>,
    request: Option<PendingIssue>,
    /// The last error, and until when it is repeated.
    last_error: Option<(TokenError, Timestamp)>,
    /// The token that was replaced last, because the relay refused it.
    replaced: Option<Secret>,
}

enum Lookup {
    Ready(IssueResult),
    Pending(PendingIssue),
}

impl TokenCache {
    pub(super) fn new(holder: &str, issuer: Box<dyn Issuer>, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared {
            holder: holder.to_owned(),
            issuer,
            clock,
            state: Mutex::default(),
        }))
    }
}

#[async_trait]
impl TokenSource for TokenCache {
    async fn token(&self) -> Result<Secret, TokenError> {
        let found = self.0.find();
        match found {
            Lookup::Ready(issued) => issued,
            Lookup::Pending(pending) => outcome_of(pending).await,
        }
    }

    fn cooldown_remaining(&self) -> Option<Duration> {
        let now = self.0.clock.now();
        let state = self.0.state.lock();
        let is_usable = state.token.as_ref().is_some_and(|t| t.is_usable(now));
        let (_, until) = state.last_error.as_ref().filter(|_| !is_usable)?;
        (*until - now).to_std().ok()
    }

    async fn refused(&self, token: &Secret) {
        let mut state = self.0.state.lock();
        let same = |other: &Secret| other.expose() == token.expose();
        let kept = state.token.as_ref().is_some_and(|t| same(&t.secret));
        if kept && !state.replaced.as_ref().is_some_and(same) {
            state.token = None;
            state.replaced = Some(token.clone());
        }
    }
}

impl Shared {
    fn find(self: &Arc<Self>) -> Lookup {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if let Some(token) = state.token.as_ref().filter(|token| token.is_usable(now)) {
            let found = Lookup::Ready(Ok(token.secret.clone()));
            if token.is_due_for_renewal(now) && state.may_ask(now) {
                self.ask(&mut state, now);
            }
            return found;
        }
        if let Some(pending) = state.pending() {
            return Lookup::Pending(pending);
        }
        match &state.last_error {
            Some((error, until)) if now < *until => Lookup::Ready(Err(error.clone())),
            _ => Lookup::Pending(self.ask(&mut state, now)),
        }
    }

    /// In a task of its own: its callers may be cancelled.
    fn ask(self: &Arc<Self>, state: &mut State, now: Timestamp) -> PendingIssue {
        let (done, pending) = watch::channel(None);
        state.request = Some(pending.clone());
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let issued = shared.issuer.issue(now).await;
            let issued = shared.note(issued);
            let _no_receiver = done.send(Some(issued));
        });
        pending
    }

    fn note(&self, issued: Result<AccessToken, TokenError>) -> IssueResult {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.request = None;
        match issued {
            Ok(token) => {
                state.last_error = None;
                let secret = token.secret.clone();
                state.token = Some(token);
                tracing::debug!(holder = self.holder, "access token issued");
                Ok(secret)
            }
            Err(error) => {
                if state.token.as_ref().is_some_and(|t| t.is_usable(now)) {
                    tracing::warn!(holder = self.holder, %error, "access token renewal failed, current token used until it expires");
                }
                state.last_error = Some((error.clone(), now + cooldown_after(&error)));
                Err(error)
            }
        }
    }
}

impl State {
    fn may_ask(&self, now: Timestamp) -> bool {
        let cools_down = self
            .last_error
            .as_ref()
            .is_some_and(|(_, until)| now < *until);
        self.pending().is_none() && !cools_down
    }

    /// The running request; `None` where its task has ended.
    fn pending(&self) -> Option<PendingIssue> {
        let pending = self.request.as_ref();
        pending
            .filter(|pending| pending.has_changed().is_ok())
            .cloned()
    }
}

fn cooldown_after(error: &TokenError) -> TimeDelta {
    let asked_for = error
        .retry_after
        .map(|wait| TimeDelta::from_std(wait).unwrap_or(LONGEST_COOLDOWN));
    match asked_for {
        Some(wait) => wait.clamp(SHORT_COOLDOWN, LONGEST_COOLDOWN),
        None if error.is_transient() => SHORT_COOLDOWN,
        None => LONG_COOLDOWN,
    }
}

async fn outcome_of(mut pending: PendingIssue) -> IssueResult {
    let issued = pending.wait_for(Option::is_some).await;
    let issued = issued.ok().and_then(|issued| issued.clone());
    issued.unwrap_or_else(|| {
        Err(TokenError::unavailable(
            "the request for an access token ended without a result",
        ))
    })
}
