//! Keeps the token: one request at a time, ahead of its end, and once more for one refused.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::access_token::AccessToken;
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::relay::{TokenError, TokenSource};
use crate::secret::Secret;

/// How long nobody is asked again after a failure that time heals.
const SHORT_REST: TimeDelta = TimeDelta::seconds(5);

/// And after one that a person heals.
const LONG_REST: TimeDelta = TimeDelta::minutes(1);

/// Longest wait that an endpoint may ask for.
const LONGEST_REST: TimeDelta = TimeDelta::hours(1);

/// Makes a new token. Called by one task at a time.
#[async_trait]
pub(super) trait Issuer: Send + Sync + 'static {
    /// Takes a bounded time.
    async fn issue(&self, now: Timestamp) -> Result<AccessToken, TokenError>;
}

/// What comes of a request.
type Issued = Result<Secret, TokenError>;

/// Resolves when the request under way has ended.
type PendingIssue = watch::Receiver<Option<Issued>>;

/// A [`TokenSource`] over an [`Issuer`].
pub(super) struct TokenCache(Arc<Shared>);

struct Shared {
    /// Who signs in with it, for the log: the name of a relay, or the database.
    holder: String,
    issuer: Box<dyn Issuer>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<AccessToken>,
    under_way: Option<PendingIssue>,
    /// The last failure, and until when it is the answer.
    resting: Option<(TokenError, Timestamp)>,
    /// The token that was replaced last because the relay refused it.
    replaced: Option<Secret>,
}

enum Found {
    Now(Issued),
    Soon(PendingIssue),
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
            Found::Now(issued) => issued,
            Found::Soon(pending) => outcome_of(pending).await,
        }
    }

    fn cooldown_remaining(&self) -> Option<Duration> {
        let now = self.0.clock.now();
        let state = self.0.state.lock();
        let is_usable = state.token.as_ref().is_some_and(|t| t.is_usable(now));
        let (_, until) = state.resting.as_ref().filter(|_| !is_usable)?;
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
    fn find(self: &Arc<Self>) -> Found {
        let now = self.clock.now();
        let mut state = self.state.lock();
        if let Some(token) = state.token.as_ref().filter(|token| token.is_usable(now)) {
            let found = Found::Now(Ok(token.secret.clone()));
            if token.is_due_for_renewal(now) && state.may_ask(now) {
                self.ask(&mut state, now);
            }
            return found;
        }
        if let Some(pending) = state.pending() {
            return Found::Soon(pending);
        }
        match &state.resting {
            Some((error, until)) if now < *until => Found::Now(Err(error.clone())),
            _ => Found::Soon(self.ask(&mut state, now)),
        }
    }

    /// In a task of its own: whoever waits for it may go away.
    fn ask(self: &Arc<Self>, state: &mut State, now: Timestamp) -> PendingIssue {
        let (done, pending) = watch::channel(None);
        state.under_way = Some(pending.clone());
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let issued = shared.issuer.issue(now).await;
            let issued = shared.note(issued);
            let _nobody_waits = done.send(Some(issued));
        });
        pending
    }

    fn note(&self, issued: Result<AccessToken, TokenError>) -> Issued {
        let now = self.clock.now();
        let mut state = self.state.lock();
        state.under_way = None;
        match issued {
            Ok(token) => {
                state.resting = None;
                let secret = token.secret.clone();
                state.token = Some(token);
                tracing::debug!(holder = self.holder, "access token issued");
                Ok(secret)
            }
            Err(error) => {
                if state.token.as_ref().is_some_and(|t| t.is_usable(now)) {
                    tracing::warn!(holder = self.holder, %error, "access token renewal failed, current token used until it expires");
                }
                state.resting = Some((error.clone(), now + rest_after(&error)));
                Err(error)
            }
        }
    }
}

impl State {
    fn may_ask(&self, now: Timestamp) -> bool {
        let rests = self.resting.as_ref().is_some_and(|(_, until)| now < *until);
        self.pending().is_none() && !rests
    }

    /// The request under way; none where its task is gone.
    fn pending(&self) -> Option<PendingIssue> {
        let pending = self.under_way.as_ref();
        pending
            .filter(|pending| pending.has_changed().is_ok())
            .cloned()
    }
}

fn rest_after(error: &TokenError) -> TimeDelta {
    let asked_for = error
        .retry_after
        .map(|wait| TimeDelta::from_std(wait).unwrap_or(LONGEST_REST));
    match asked_for {
        Some(wait) => wait.clamp(SHORT_REST, LONGEST_REST),
        None if error.is_transient() => SHORT_REST,
        None => LONG_REST,
    }
}

async fn outcome_of(mut pending: PendingIssue) -> Issued {
    let issued = pending.wait_for(Option::is_some).await;
    let issued = issued.ok().and_then(|issued| issued.clone());
    issued.unwrap_or_else(|| {
        Err(TokenError::transient(
            "the request for an access token ended without a result",
        ))
    })
}
