//! The relay: its settings, and its place behind the [`Relay`] trait.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::{
    AuthKey, Command, CommandReply, Envelope, ForwardPath, LocalCause, Reply, ReplyClass,
    SessionFacts, SubmissionEnd, SubmissionReport,
};
use sendport_core::secret::Secret;
use sendport_message::header_recipients::{HeaderFit, fit_header};
use sendport_oauth2::http_client::{HttpClientOptions, roots};
use sendport_oauth2::{TokenClaims, TokenSource};
use sendport_smime::SecuredMessage;
use sendport_smtp::relay::authentication::AuthLedger;
use sendport_smtp::relay::limits::Limiter;
use sendport_smtp::relay::observer::{NoObserver, RelayActivity, RelayObserver};
use sendport_smtp::relay::{BeforeFinalDot, Relay, SessionError, SubmissionGate};
use sendport_smtp::settings::graph::GraphRelay as Config;
use sendport_smtp::{AuthGuard, AuthPermit};

use crate::access::GraphAccess;
use crate::reply::{Response, end_of};
use crate::request::{Client, Exchange};

/// Most bytes of a request, the message in base64.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The mechanism in [`SessionFacts`] (RFC 6750).
const BEARER: &str = "Bearer";

/// The text of a recipient's reply to a message that Graph took.
const NO_OWN_ANSWER: &str = "named in the header of the message, without an answer of its own";

/// A section of `kind = "graph"` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// About `ca_file`.
    #[error("relay.{relay}.{source}")]
    Relay {
        /// Name of the relay.
        relay: String,
        /// The key, what was expected and what was found.
        source: sendport_oauth2::SettingsError,
    },
    /// About the section `auth.oauth2`.
    #[error("relay.{relay}.auth.oauth2.{source}")]
    OAuth2 {
        /// Name of the relay.
        relay: String,
        /// The key, what was expected and what was found.
        source: sendport_oauth2::SettingsError,
    },
}

/// What a relay needs besides its section of the configuration.
pub struct RelayDependencies {
    /// Refused credentials, shared by all instances.
    pub authentications: Arc<dyn AuthLedger>,
    /// Wall-clock time, for reports.
    pub clock: Arc<dyn Clock>,
}

/// A mailbox that messages are sent from over Microsoft Graph.
pub struct GraphRelay {
    name: String,
    client: Client,
    /// The service document of Graph.
    service: String,
    /// Host and port.
    host: String,
    audience: String,
    tokens: Arc<dyn TokenSource>,
    authentication: AuthGuard,
    limiter: Arc<Limiter>,
    observer: Arc<dyn RelayObserver>,
    clock: Arc<dyn Clock>,
    /// Until when Graph asked to be left alone, and its reply.
    retry_at: Mutex<Option<(Instant, Reply)>>,
}

/// A transaction: replies and end.
type Submission = (Vec<CommandReply>, SubmissionEnd);

impl GraphRelay {
    /// Reads keys and secrets, so that a missing one is reported at the start. Sends no request.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what was expected and what was found.
    pub fn new(
        name: impl Into<String>,
        config: &Config,
        dependencies: RelayDependencies,
    ) -> Result<Self, SettingsError> {
        let name = name.into();
        let clock = dependencies.clock;
        let tokens = sendport_oauth2::source(&name, &config.oauth2(), clock.clone());
        let tokens = tokens.map_err(|source| SettingsError::OAuth2 {
            relay: name.clone(),
            source,
        })?;
        let roots = roots(config.ca_file.as_deref()).map_err(|source| SettingsError::Relay {
            relay: name.clone(),
            source,
        })?;
        let endpoint = config.endpoint();
        let options = HttpClientOptions {
            timeout: config.timeout,
            roots,
            redirects: 0,
        };
        let key = AuthKey {
            relay: name.clone(),
            // No account is locked by tokens: each start of the service counts as new credentials.
            credential_fingerprint: uuid::Uuid::new_v4().simple().to_string()[..8].to_owned(),
        };
        Ok(Self {
            client: Client {
                agent: options.agent(endpoint),
                url: format!(
                    "{endpoint}/v1.0/users/{}/sendMail",
                    path_segment(&config.mailbox)
                ),
                timeout: config.timeout,
            },
            service: format!("{endpoint}/v1.0/"),
            host: host_and_port(endpoint),
            audience: config.cloud.endpoint().to_owned(),
            tokens,
            authentication: AuthGuard::new(key, dependencies.authentications, clock.clone()),
            limiter: Arc::new(Limiter::new(config.limits())),
            observer: Arc::new(NoObserver),
            clock,
            retry_at: Mutex::default(),
            name,
        })
    }

    /// Sets the observer of the relay's activity.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RelayObserver>) -> Self {
        self.observer = observer;
        self
    }

    /// Gets a token and asks Graph for its service document: everything but a message. Whether the mailbox may send,
    /// only a message shows.
    ///
    /// # Errors
    /// [`SessionError`] with the reason.
    pub async fn access(&self) -> Result<GraphAccess, SessionError> {
        let token = self.tokens.token().await?;
        let claims = TokenClaims::read(&token);
        let (client, url) = (self.client.clone(), self.service.clone());
        let asked = tokio::task::spawn_blocking(move || client.ask_for_service(&url, &token)).await;
        let status = match asked {
            Ok(answered) => answered.map_err(SessionError::new)?,
            Err(_) => {
                let what = "the request to Microsoft Graph was aborted";
                return Err(SessionError::new(Reply::absent(Command::Connect, what)));
            }
        };
        let access = GraphAccess {
            url: self.client.url.clone(),
            status,
            claims,
            wanted_audience: self.audience.clone(),
        };
        let wrong = access.wrong_audience().or_else(|| {
            let what = "Microsoft Graph does not accept the access token (HTTP 401)";
            (status == 401).then(|| what.to_owned())
        });
        match wrong {
            Some(what) => Err(SessionError::configuration(
                Reply::absent(Command::Auth, what).because(LocalCause::NoAccessToken),
            )),
            None => Ok(access),
        }
    }

    async fn send(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> Result<(Submission, bool), SessionError> {
        if let Some(reply) = preflight(envelope, message) {
            return Ok(((to_each(envelope, reply), SubmissionEnd::Answered), false));
        }
        let permit = match self.authentication.is_proven() {
            true => None,
            false => Some(self.permit().await?),
        };
        let token = match self.resting() {
            None => self.tokens.token().await.map_err(SessionError::from),
            // The reply came while this message waited.
            Some((_, reply)) => Err(SessionError::new(reply)),
        };
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                finish(permit, &Err(error.clone()), false).await;
                return Err(error);
            }
        };
        if !gate.may_begin().await {
            let fenced = SessionError::new(Reply::absent(Command::Post, "not begun"));
            finish(permit, &Err(fenced), false).await;
            return Ok(((Vec::new(), SubmissionEnd::Fenced), false));
        }
        let body: Vec<u8> = base64_simd::STANDARD.encode_type(message.bytes());
        let body: Arc<[u8]> = body.into();
        let begun = Instant::now();
        let exchange = self.post(&token, &body, envelope, gate).await;
        let (exchange, permit) = match exchange {
            Exchange::Answered(response) if response.status == 401 => {
                self.with_another_token((&token, response, permit), &body, envelope, gate)
                    .await?
            }
            exchange => (exchange, permit),
        };
        self.observer
            .record(RelayActivity::Transaction(begun.elapsed()));
        self.observer
            .record(RelayActivity::FinalDot(begun.elapsed()));
        self.conclude(exchange, permit, envelope).await
    }

    /// The token was refused: asks for another one, once. Several requests may find that out at the same time, and only
    /// one of them tries the new token before it is known to be right.
    async fn with_another_token<'a>(
        &'a self,
        (refused, response, permit): (&Secret, Response, Option<AuthPermit<'a>>),
        body: &Arc<[u8]>,
        envelope: &Envelope,
        gate: &dyn SubmissionGate,
    ) -> Result<(Exchange, Option<AuthPermit<'a>>), SessionError> {
        self.tokens.refused(refused).await;
        let permit = match permit {
            Some(permit) => permit,
            None => self.permit().await?,
        };
        let token = match self.tokens.token().await {
            Ok(token) if token.expose() != refused.expose() => token,
            // There is no other one.
            _ => return Ok((Exchange::Answered(response), Some(permit))),
        };
        if !gate.may_begin().await {
            return Ok((Exchange::Refused, Some(permit)));
        }
        let exchange = self.post(&token, body, envelope, gate).await;
        Ok((exchange, Some(permit)))
    }

    async fn post(
        &self,
        token: &Secret,
        body: &Arc<[u8]>,
        envelope: &Envelope,
        gate: &dyn SubmissionGate,
    ) -> Exchange {
        let facts = self.facts();
        let replies = to_recipients(envelope, &Reply::absent(Command::Post, NO_OWN_ANSWER));
        let may_send = || {
            gate.may_send_final_dot(BeforeFinalDot {
                facts: &facts,
                replies: &replies,
            })
        };
        self.client.post(token, body.clone(), may_send).await
    }

    fn facts(&self) -> SessionFacts {
        SessionFacts {
            remote_address: Some(self.host.clone()),
            auth_mechanism: Some(BEARER.to_owned()),
            ..SessionFacts::default()
        }
    }

    /// The result of a request, and whether Graph was asked.
    async fn conclude(
        &self,
        exchange: Exchange,
        permit: Option<AuthPermit<'_>>,
        envelope: &Envelope,
    ) -> Result<(Submission, bool), SessionError> {
        let response = match exchange {
            Exchange::Answered(response) => response,
            Exchange::NotBegun(reply) => {
                let error = SessionError::new(reply);
                finish(permit, &Err(error.clone()), false).await;
                return Err(error);
            }
            Exchange::Incomplete(reply) => {
                finish(permit, &Err(SessionError::new(reply.clone())), false).await;
                return Ok(((to_each(envelope, reply), SubmissionEnd::Broken), true));
            }
            Exchange::Unanswered(reply) => {
                let lost = "the connection to Microsoft Graph was lost";
                let of_others = SessionError::new(Reply::absent(Command::Connect, lost));
                finish(permit, &Err(of_others), false).await;
                return Ok(((to_each(envelope, reply), SubmissionEnd::InDoubt), true));
            }
            Exchange::Refused => {
                let fenced = SessionError::new(Reply::absent(Command::Post, "not begun"));
                finish(permit, &Err(fenced), false).await;
                return Ok(((Vec::new(), SubmissionEnd::Fenced), false));
            }
        };
        let reply = response.reply(envelope.forward_paths.len());
        if let Some(wait) = response
            .wait(self.clock.now())
            .filter(|_| !reply.is_success())
        {
            *self.retry_at.lock() = Some((Instant::now() + wait, reply.clone()));
        }
        let accepted = match response.status {
            401 => Err(SessionError::configuration(reply.clone())),
            _ => Ok(()),
        };
        if accepted.is_err() {
            self.observer.record(RelayActivity::AuthenticationRefusal);
        }
        finish(permit, &accepted, true).await;
        match end_of(&reply) {
            SubmissionEnd::NotBegun { reply, fault } => Err(SessionError { reply, fault }),
            end => Ok(((to_each(envelope, reply), end), true)),
        }
    }

    /// How long Graph is left alone, and its reply.
    fn resting(&self) -> Option<(Duration, Reply)> {
        let retry_at = self.retry_at.lock();
        let (until, reply) = retry_at.as_ref()?;
        let rest = until.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then(|| (rest, reply.clone()))
    }

    async fn permit(&self) -> Result<AuthPermit<'_>, SessionError> {
        let end = tokio::time::Instant::now() + self.client.timeout;
        self.authentication.acquire(end).await
    }
}

/// Why a message is not sent over Graph, whoever asks.
fn preflight(envelope: &Envelope, message: &SecuredMessage) -> Option<Reply> {
    let size = base64_simd::STANDARD.encoded_length(message.bytes().len());
    if size > MOST_BYTES {
        let what = format!(
            "the message has {} bytes, and {size} in base64; Microsoft Graph takes requests of at most {MOST_BYTES}, which \
             are messages of about 3 MB: make its attachments smaller, or name an SMTP relay behind this one in relays of \
             the send port",
            message.bytes().len()
        );
        return Some(
            Reply::new(Command::Post, 413, None, what).because(LocalCause::RequestTooLarge),
        );
    }
    let due = envelope.forward_paths.iter().map(|path| &path.address);
    if fit_header(message.bytes(), due) != HeaderFit::Exact {
        let what = "Microsoft Graph sends to the recipients that the header names, and these are not those of this \
                    attempt; name an SMTP relay behind this one in relays of the send port";
        return Some(
            Reply::new(Command::Post, 400, None, what).because(LocalCause::HeaderNamesOthers),
        );
    }
    None
}

/// One reply is for all recipients. Each has it too, so that the attempt shows who was part of it.
fn to_each(envelope: &Envelope, reply: Reply) -> Vec<CommandReply> {
    let own = match (reply.class(), end_of(&reply)) {
        (Some(ReplyClass::Success), _) => {
            Reply::new(Command::Post, reply.code, None, NO_OWN_ANSWER)
        }
        // Nobody was refused.
        (_, SubmissionEnd::InDoubt) => Reply::absent(Command::Post, reply.to_string()),
        _ => reply.clone(),
    };
    let mut replies = to_recipients(envelope, &own);
    replies.push(CommandReply {
        ordinal: None,
        reply,
    });
    replies
}

fn to_recipients(envelope: &Envelope, reply: &Reply) -> Vec<CommandReply> {
    let to_recipient = |path: &ForwardPath| CommandReply {
        ordinal: Some(path.ordinal),
        reply: reply.clone(),
    };
    envelope.forward_paths.iter().map(to_recipient).collect()
}

/// `tried`: Graph saw the token.
async fn finish(permit: Option<AuthPermit<'_>>, result: &Result<(), SessionError>, tried: bool) {
    if let Some(permit) = permit {
        permit.finish(result, tried).await;
    }
}

/// Everything but the unreserved characters of RFC 3986 section 2.3, and `@`, as `%XX`.
fn path_segment(text: &str) -> String {
    let encoded = |byte: u8| match byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}

/// `graph.microsoft.com:443`
fn host_and_port(endpoint: &str) -> String {
    let uri = endpoint.parse::<ureq::http::Uri>().unwrap_or_default();
    let port = match uri.scheme_str() {
        Some("http") => 80,
        _ => 443,
    };
    let port = uri.port_u16().unwrap_or(port);
    format!("{}:{port}", uri.host().unwrap_or_default())
}

#[async_trait]
impl Relay for GraphRelay {
    fn name(&self) -> &str {
        &self.name
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> SubmissionReport {
        let started_at = self.clock.now();
        let (replies, end, asked) = match self.send(envelope, message, gate).await {
            Ok(((replies, end), asked)) => (replies, end, asked),
            Err(SessionError { reply, fault }) => {
                (Vec::new(), SubmissionEnd::NotBegun { reply, fault }, false)
            }
        };
        let facts = match asked {
            true => self.facts(),
            false => SessionFacts::default(),
        };
        tracing::debug!(
            recipients = envelope.forward_paths.len(),
            answered = end == SubmissionEnd::Answered,
            "submission ended"
        );
        SubmissionReport {
            started_at,
            ended_at: self.clock.now(),
            facts,
            replies,
            end,
        }
    }

    async fn verify(&self) -> Result<SessionFacts, SessionError> {
        self.access().await.map(|_| self.facts())
    }

    fn cooldown_remaining(&self) -> Option<Duration> {
        self.authentication.cooldown_remaining()
    }

    fn token_cooldown_remaining(&self) -> Option<Duration> {
        self.tokens.cooldown_remaining()
    }

    fn retry_after_remaining(&self) -> Option<Duration> {
        self.resting().map(|(rest, _)| rest)
    }

    fn reads_recipients_from_header(&self) -> bool {
        true
    }

    async fn close(&self) {}
}
