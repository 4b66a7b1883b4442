//! The [`Relay`] trait, and the two relays that need no server.
//!
//! A relay takes an [`Envelope`] and a [`SecuredMessage`] and gives a [`SubmissionReport`]. The
//! circuit decides whether a relay may be used, the retry policy what follows from a report. The
//! SMTP relay is [`crate::SmtpRelay`].

pub mod authentication;
pub mod discard;
pub mod eml;
pub mod file;
pub mod limits;
pub mod observer;
mod synthetic_replies;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{
    Command, CommandReply, Envelope, Fault, LocalCause, Reply, SessionFacts, SubmissionReport,
};
use sendport_oauth2::{TokenError, TokenErrorKind};
use sendport_smime::SecuredMessage;

use limits::Limiter;

use crate::settings::limits::{Connections, Limits};

/// The last checks before a message is handed over; again where the transaction is repeated because nothing was handed
/// over. What they do not let pass ends as [`SubmissionEnd::Fenced`].
///
/// [`SubmissionEnd::Fenced`]: sendport_core::domain::SubmissionEnd::Fenced
#[async_trait]
pub trait SubmissionGate: Send + Sync {
    /// Right before `MAIL`, with a connection. False: nothing of the transaction is sent, and the session serves the
    /// next one. Bounded.
    async fn may_begin(&self) -> bool {
        true
    }

    /// Right before the final dot, or the last of the content with `BDAT`: an instance that could not renew its lease
    /// must not transfer responsibility. False: the transaction ends without it.
    fn may_send_final_dot(&self, so_far: BeforeFinalDot<'_>) -> bool;
}

/// What is known of a transaction right before its final dot.
#[derive(Debug, Clone, Copy)]
pub struct BeforeFinalDot<'a> {
    /// Of the session.
    pub facts: &'a SessionFacts,
    /// The replies so far, that to each `RCPT` among them.
    pub replies: &'a [CommandReply],
}

/// A relay could not be reached, or it refused the session, TLS or the authentication.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reply}")]
pub struct SessionError {
    /// The server's reply, or a local reply in its place: [`Reply::local`] is then the cause.
    pub reply: Reply,
    /// The party at fault, where the session knows better than the table of replies.
    pub fault: Option<Fault>,
}

impl SessionError {
    /// A failure with an entry in the table of replies.
    pub fn new(reply: Reply) -> Self {
        Self { reply, fault: None }
    }

    /// A failure that an operator has to fix.
    pub fn configuration(reply: Reply) -> Self {
        Self {
            reply,
            fault: Some(Fault::Configuration),
        }
    }

    /// 5yz (RFC 5321 section 4.2.1), or a failure that an operator has to fix.
    pub fn is_permanent(&self) -> bool {
        self.reply.is_permanent() || self.fault == Some(Fault::Configuration)
    }

    /// Trying again may help.
    pub fn is_transient(&self) -> bool {
        !self.is_permanent()
    }

    /// Nothing came within a time-out.
    pub fn is_timeout(&self) -> bool {
        self.reply.is_timeout()
    }

    /// 5yz to `AUTH` (RFC 4954 section 6), or the HTTP status 401: about the credentials, or about their account.
    pub fn is_authentication_refusal(&self) -> bool {
        match self.reply.command {
            Command::Auth => self.reply.is_permanent(),
            Command::Post => self.reply.code == 401,
            _ => false,
        }
    }
}

impl From<TokenError> for SessionError {
    /// The authentication did not begin.
    fn from(error: TokenError) -> Self {
        let local = match error.kind {
            TokenErrorKind::EndpointUnavailable => LocalCause::TokenEndpointUnavailable,
            TokenErrorKind::InvalidToken | TokenErrorKind::Configuration => {
                LocalCause::NoAccessToken
            }
        };
        let fault = match error.is_transient() {
            true => Fault::Relay,
            false => Fault::Configuration,
        };
        Self {
            reply: Reply::absent(Command::Auth, error.what).because(local),
            fault: Some(fault),
        }
    }
}

/// The domains of a relay that submits to the servers of each recipient's domain.
#[derive(Debug, Clone)]
pub struct PerDomain {
    /// The limits of one domain.
    pub limits: Limits,
    /// The wait after a domain could not be reached for the first time. It doubles.
    pub first_wait: Duration,
    /// It grows no longer than this.
    pub longest_wait: Duration,
}

impl PerDomain {
    /// Most messages under way to one domain.
    pub fn connections(&self) -> u32 {
        let (Connections::OfAll(most) | Connections::OfEach(most)) = self.limits.connections;
        most
    }
}

/// One server, or a substitute, that messages are submitted to.
///
/// All tasks share an implementation; concurrent calls are normal and wait for a connection inside
/// `submit`. No call panics or blocks the runtime. Every wait is bounded.
#[async_trait]
pub trait Relay: Send + Sync {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// The limits of the relay, as they are now.
    fn limiter(&self) -> &Arc<Limiter>;

    /// Carries out one mail transaction (RFC 5321 section 3.3) for all forward-paths of
    /// `envelope`, each answered on its own. Never fails: the report has the failure. Dropping the
    /// future before it ends closes the connection.
    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> SubmissionReport;

    /// Connects, encrypts and authenticates without a mail transaction, for `sendport check`.
    ///
    /// # Errors
    /// [`SessionError`] with the reply that ended it.
    async fn verify(&self) -> Result<SessionFacts, SessionError>;

    /// Time until refused credentials may be tried again, where that is less than
    /// [`AUTH_COOLDOWN`](sendport_core::domain::AUTH_COOLDOWN).
    fn cooldown_remaining(&self) -> Option<Duration> {
        None
    }

    /// Time until an access token may be had; until then a connection is of no use.
    fn token_cooldown_remaining(&self) -> Option<Duration> {
        None
    }

    /// True where the files of refused credentials, or of TLS, have changed: the relay may be tried
    /// at once. Reads them only where they were written since.
    fn credentials_changed(&self) -> bool {
        false
    }

    /// Time for which it asked to be left alone (RFC 9110 section 10.2.3).
    fn retry_after_remaining(&self) -> Option<Duration> {
        None
    }

    /// It sends to the recipients that the header names, and not to the envelope: both have to name the same.
    fn reads_recipients_from_header(&self) -> bool {
        false
    }

    /// How the recipients of each domain are submitted, where each domain has servers of its own; then an
    /// envelope has recipients of one domain.
    fn per_domain(&self) -> Option<PerDomain> {
        None
    }

    /// The name of the relay that takes the mail of `domain` instead of this one.
    fn other_relay(&self, _domain: &str) -> Option<&str> {
        None
    }

    /// Connections that are open and authenticated.
    fn connections(&self) -> u32 {
        self.limiter().established()
    }

    /// Closes the idle connections that the limiter no longer allows. Does not wait.
    fn shed(&self) {}

    /// Closes every idle connection with QUIT, within the `quit` time-out.
    async fn close(&self);
}
