//! What takes a message over: the trait, and the two relays that need no server.
//!
//! In come an [`Envelope`] and a [`SecuredMessage`]; out goes a [`SubmissionReport`]. Whether
//! a relay may be asked at all (its circuit) and what follows from its answer (the retry
//! policy) are decided elsewhere. The SMTP relay is [`crate::smtp`].

pub mod authentication;
pub mod discard;
pub(crate) mod eml;
pub mod file;
pub mod limits;
pub mod observer;
mod synthetic_replies;
mod token_source;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use token_source::{TokenError, TokenSource};

use crate::domain::{Envelope, Fault, Reply, SessionFacts, SubmissionReport};
use crate::smime::SecuredMessage;
use limits::Limiter;

/// Asked right before the final dot is sent, or the last of the content with `BDAT`; again where
/// the transaction is repeated because nothing was handed over. An instance that
/// could not renew its lease must not transfer responsibility.
pub trait FinalDotGate: Send + Sync {
    /// False: end the transaction without the final dot ([`SubmissionEnd::Fenced`]).
    ///
    /// [`SubmissionEnd::Fenced`]: crate::domain::SubmissionEnd::Fenced
    fn may_send_final_dot(&self) -> bool;
}

/// Why a relay could not be reached or signed in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotReady {
    /// What it said, or what happened.
    pub reply: Reply,
    /// Whose fault, where the session knows better than the table of replies.
    pub fault: Option<Fault>,
}

/// One server, or what stands in for one, that messages are submitted to.
///
/// Implementations are shared by all tasks; concurrent calls are normal and wait for a
/// connection inside `submit`. No call panics or blocks the runtime. Every wait is bounded.
#[async_trait]
pub trait Relay: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// How much may be asked of it now.
    fn limiter(&self) -> &Arc<Limiter>;

    /// Carries out one mail transaction (RFC 5321 section 3.3) for all forward-paths of
    /// `envelope`, each answered on its own. Never fails: what went wrong is in the report.
    /// Dropping the future before it is done closes the connection.
    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> SubmissionReport;

    /// Connects, secures and signs in without a mail transaction, for `sendport check`.
    ///
    /// # Errors
    /// [`NotReady`] with the reply that stopped it.
    async fn verify(&self) -> Result<SessionFacts, NotReady>;

    /// How long something that was refused is still left alone, where that is less than
    /// [`AUTH_COOLDOWN`](crate::domain::AUTH_COOLDOWN).
    fn cooldown_remaining(&self) -> Option<Duration> {
        None
    }

    /// How long no access token will be had: until then the relay is connected to in vain.
    fn token_cooldown_remaining(&self) -> Option<Duration> {
        None
    }

    /// True where the files of a secret that was refused, or of TLS, hold something else now: it
    /// may be tried at once. Reads them only where they were written since.
    fn credentials_changed(&self) -> bool {
        false
    }

    /// Says goodbye on idle connections that are more than the limiter allows. Does not wait.
    fn shed(&self) {}

    /// Says goodbye on every idle connection. Takes no longer than the `quit` time-out.
    async fn close(&self);
}
