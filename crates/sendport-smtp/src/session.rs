//! A session up to its first mail transaction: connect, greeting, EHLO, STARTTLS, AUTH (RFC 5321
//! sections 3.1 and 3.2, RFC 3207, RFC 4954).

use std::net::IpAddr;
use std::sync::Arc;

use sendport_core::domain::{Command, LocalCause, Reply, SessionFacts, address_literal};
use tokio::time::Instant;

use super::auth::{self, Credentials};
use super::connect::connect;
use super::extensions::Extensions;
use super::observer::{ObserverHandle, Step};
use super::reply_parser::ServerReply;
use super::stream::{ReplyError, Stream, Transport, Wait, Wire};
use super::tls::{self, ReloadableTls};
use crate::relay::SessionError;
use crate::relay::observer::{RelayActivity, RelayObserver};
use crate::settings::relay::SmtpRelay;
use crate::settings::timeouts::Timeouts;
use crate::settings::tls::TlsMode;

/// What all connections of one relay share.
pub(super) struct Settings {
    pub(super) config: SmtpRelay,
    /// `None`: the address literal of the local end of each connection.
    pub(super) ehlo_name: Option<String>,
    pub(super) tls: ReloadableTls,
    pub(super) credentials: Option<Credentials>,
    /// Records connections and handshakes.
    pub(super) relay_observer: Arc<dyn RelayObserver>,
    /// Sees every step.
    pub(super) observer: ObserverHandle,
}

/// The greeting of the client (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hello {
    Ehlo,
    Helo,
}

/// Why no session was opened.
struct OpenError {
    error: SessionError,
    /// The server answered EHLO by ending the connection.
    dropped_ehlo: bool,
}

impl OpenError {
    fn on_ehlo(error: ReplyError) -> Self {
        Self {
            dropped_ehlo: error.is_closed(),
            error: SessionError::new(error.into_reply(Command::Ehlo)),
        }
    }
}

impl From<SessionError> for OpenError {
    fn from(error: SessionError) -> Self {
        Self {
            error,
            dropped_ehlo: false,
        }
    }
}

/// An open session that may carry transactions. Dropping it closes the connection.
pub(super) struct Session {
    pub(super) stream: Stream,
    pub(super) extensions: Extensions,
    pub(super) facts: SessionFacts,
    /// Transactions so far.
    pub(super) transactions: u32,
    /// The last transaction had no refusal.
    pub(super) all_accepted: bool,
    /// One command at a time, and DATA: the relay's replies did not match the commands lately.
    pub(super) lockstep: bool,
    /// The `EHLO` command, where the server answers it in several lines: no other reply looks like
    /// that.
    pub(super) ehlo: Option<String>,
}

impl Session {
    /// Connects and encrypts, up to the step `until`; [`Session::authenticate`] is the next one.
    /// Where the server drops the connection on EHLO, and no extension is needed, a second
    /// connection tries HELO (RFC 5321 section 3.2).
    pub(super) async fn open(
        settings: &Settings,
        attempt_end: Instant,
        until: Command,
    ) -> Result<Self, SessionError> {
        let failed = match Self::begin(settings, attempt_end, Hello::Ehlo, until).await {
            Ok(session) => return Ok(session),
            Err(failed) => failed,
        };
        if !failed.dropped_ehlo || needs_ehlo(settings) {
            return Err(failed.error);
        }
        tracing::debug!(
            host = settings.config.host,
            "connection dropped on EHLO, trying HELO"
        );
        let greeted_with_helo = Self::begin(settings, attempt_end, Hello::Helo, until).await;
        greeted_with_helo.map_err(|_| failed.error)
    }

    async fn begin(
        settings: &Settings,
        attempt_end: Instant,
        hello: Hello,
        until: Command,
    ) -> Result<Self, OpenError> {
        let (mut session, local) = Self::connected(settings, attempt_end).await?;
        if until > Command::Connect {
            let config = &settings.config;
            session.greeting(&config.timeout, config.tls).await?;
        }
        if until > Command::Greeting {
            session.hello(settings, local, hello).await?;
        }
        match until > Command::Ehlo {
            true => Ok(session.upgrade(settings, local, attempt_end).await?),
            false => Ok(session),
        }
    }

    /// A connection, encrypted with implicit TLS (RFC 8314), and the local address.
    async fn connected(
        settings: &Settings,
        attempt_end: Instant,
    ) -> Result<(Self, Option<IpAddr>), SessionError> {
        let config = &settings.config;
        let wait = Wait::new(config.timeout.connect, "timeout.connect").within(Some(attempt_end));
        let begun = Instant::now();
        let (host, port, observer) = (&config.host, config.port(), &settings.observer);
        let (tcp, remote) = connect(host, port, config.local_address, wait, observer).await?;
        settings
            .relay_observer
            .record(RelayActivity::Connection(begun.elapsed()));
        let local = tcp.local_addr().ok();
        observer.notify(|| Step::Connected { remote, local });
        let mut facts = SessionFacts {
            remote_address: Some(remote.to_string()),
            ..SessionFacts::default()
        };
        let plain = Box::new(tcp);
        let wire = match config.tls {
            TlsMode::Implicit => {
                encrypt(plain, settings, Command::Connect, attempt_end, &mut facts).await?
            }
            _ => Wire::Plain(plain),
        };
        let mut stream = Stream::new(wire, observer.clone());
        stream.set_attempt_end(Some(attempt_end));
        let session = Self {
            stream,
            extensions: Extensions::default(),
            facts,
            transactions: 0,
            all_accepted: false,
            lockstep: false,
            ehlo: None,
        };
        Ok((session, local.map(|address| address.ip())))
    }

    /// RFC 5321 section 3.1.
    async fn greeting(&mut self, waits: &Timeouts, tls: TlsMode) -> Result<(), SessionError> {
        let wait = Wait::new(waits.greeting, "timeout.greeting");
        let greeting = self.stream.read_reply(wait).await.map_err(|error| {
            let timed_out = error.is_timeout();
            let mut reply = error.into_reply(Command::Greeting);
            if timed_out && tls != TlsMode::Implicit {
                reply.append("; a server that waits for TLS needs tls = \"implicit\"");
            }
            SessionError::new(reply)
        })?;
        let name = greeting.first_line().split_ascii_whitespace().next();
        self.facts.server_name = name.map(str::to_owned);
        accept(greeting, Command::Greeting).map(drop)
    }

    /// EHLO, or HELO where the server does not support it (RFC 5321 section 3.2).
    async fn hello(
        &mut self,
        settings: &Settings,
        local: Option<IpAddr>,
        hello: Hello,
    ) -> Result<(), OpenError> {
        let name = match (&settings.ehlo_name, local) {
            (Some(name), _) => name.clone(),
            (None, Some(address)) => address_literal(address),
            (None, None) => "[127.0.0.1]".to_owned(),
        };
        let wait = Wait::new(settings.config.timeout.command, "timeout.command");
        let mut refused = None;
        let reply = match hello {
            Hello::Helo => self.helo(&name, wait).await?,
            Hello::Ehlo => {
                let ehlo = format!("EHLO {name}");
                let answer = self.exchange(&ehlo, wait).await;
                let reply = answer.map_err(OpenError::on_ehlo)?;
                self.ehlo = Some(ehlo).filter(|_| reply.lines.len() > 1);
                match may_fall_back_to_helo(settings, reply.code) {
                    false => reply,
                    true => {
                        refused = Some(reply);
                        self.helo(&name, wait).await?
                    }
                }
            }
        };
        // Where it refuses both, the reply to EHLO says more.
        let reply = match (reply.code, refused) {
            (400.., Some(refused)) => accept(refused, Command::Ehlo)?,
            _ => accept(reply, Command::Ehlo)?,
        };
        self.extensions = Extensions::parse(&reply, &settings.config.ignore_extensions);
        self.facts.offers_dsn = self.extensions.dsn;
        self.facts.offers_smtp_utf8 = self.extensions.smtp_utf8;
        self.facts.limits = self.extensions.limits;
        Ok(())
    }

    /// The reply to HELO; its lines name no extensions.
    async fn helo(&mut self, name: &str, wait: Wait) -> Result<ServerReply, SessionError> {
        let helo = format!("HELO {name}");
        let mut reply = self.ask(Command::Ehlo, &helo, wait).await?;
        reply.lines.truncate(1);
        Ok(reply)
    }

    /// STARTTLS as `tls` requires, and EHLO again (RFC 3207 section 4.2).
    async fn upgrade(
        mut self,
        settings: &Settings,
        local: Option<IpAddr>,
        attempt_end: Instant,
    ) -> Result<Self, SessionError> {
        let required = match settings.config.tls {
            TlsMode::None | TlsMode::Implicit => return Ok(self),
            TlsMode::Opportunistic => false,
            TlsMode::Starttls => true,
        };
        if !self.extensions.starttls {
            return if required {
                Err(not_offered())
            } else {
                Ok(self)
            };
        }
        let wait = Wait::new(settings.config.timeout.command, "timeout.command");
        let reply = self.ask(Command::StartTls, "STARTTLS", wait).await?;
        if reply.code != 220 {
            let refused = accept(reply, Command::StartTls);
            return match (required, refused) {
                (true, Err(refused)) => Err(refused),
                (true, Ok(_)) => Err(starttls_error("expected 220 to STARTTLS")),
                (false, _) => Ok(self),
            };
        }
        if self.stream.has_leftover() {
            return Err(cleartext_injected());
        }
        let Wire::Plain(plain) = self.stream.into_wire() else {
            return Err(starttls_error("the connection is encrypted already"));
        };
        let wire = encrypt(
            plain,
            settings,
            Command::StartTls,
            attempt_end,
            &mut self.facts,
        )
        .await?;
        self.stream = Stream::new(wire, settings.observer.clone());
        self.stream.set_attempt_end(Some(attempt_end));
        let again = self.hello(settings, local, Hello::Ehlo).await;
        again.map_err(|failed| failed.error)?;
        Ok(self)
    }

    /// Authenticates (RFC 4954).
    pub(super) async fn authenticate(
        &mut self,
        credentials: &Credentials,
        waits: &Timeouts,
    ) -> Result<(), SessionError> {
        let wait = Wait::new(waits.command, "timeout.command");
        let mechanism =
            auth::authenticate(&mut self.stream, credentials, &self.extensions, wait).await?;
        self.facts.auth_mechanism = Some(mechanism.to_owned());
        Ok(())
    }

    async fn ask(
        &mut self,
        command: Command,
        line: &str,
        wait: Wait,
    ) -> Result<ServerReply, SessionError> {
        let reply = self.exchange(line, wait).await;
        let reply = reply.map_err(|error| SessionError::new(error.into_reply(command)))?;
        tracing::trace!(%command, code = reply.code, "command answered");
        Ok(reply)
    }

    async fn exchange(&mut self, line: &str, wait: Wait) -> Result<ServerReply, ReplyError> {
        self.stream.queue(line);
        self.stream.flush(wait).await?;
        self.stream.read_reply(wait).await
    }

    /// Quits (RFC 5321 section 4.1.1.10), within the time-out in all.
    pub(super) async fn quit(mut self, waits: &Timeouts) {
        let wait = Wait::new(waits.quit, "timeout.quit");
        self.stream
            .set_attempt_end(Some(Instant::now() + waits.quit));
        let quit = async {
            self.stream.queue("QUIT");
            self.stream.flush(wait).await?;
            self.stream.read_reply(wait).await?;
            // The server counts the connection until it has closed it.
            let _closed = self.stream.read_reply(wait).await;
            Ok::<(), ReplyError>(())
        };
        if let Err(reason) = quit.await {
            tracing::trace!(%reason, "the server did not answer QUIT");
        }
    }
}

/// TLS or authentication is required, which only EHLO offers.
fn needs_ehlo(settings: &Settings) -> bool {
    settings.config.tls == TlsMode::Starttls || settings.credentials.is_some()
}

/// A server that refuses EHLO with this code may accept HELO (RFC 5321 sections 3.2 and 4.1.4). Some
/// answer an unknown EHLO with 501 or 550.
fn may_fall_back_to_helo(settings: &Settings, code: u16) -> bool {
    match code {
        500 | 502 | 504 => true,
        501..600 => !needs_ehlo(settings),
        _ => false,
    }
}

/// The handshake, within its time-out; adds its result to `facts`.
async fn encrypt(
    plain: Box<dyn Transport>,
    settings: &Settings,
    command: Command,
    attempt_end: Instant,
    facts: &mut SessionFacts,
) -> Result<Wire, SessionError> {
    let limit = settings.config.timeout.tls_handshake;
    let wait = Wait::new(limit, "timeout.tls_handshake").within(Some(attempt_end));
    let begun = Instant::now();
    settings.observer.notify(|| Step::HandshakeStarted);
    settings
        .tls
        .reload_if_changed(&settings.config, &*settings.relay_observer);
    let tls = settings.tls.current();
    let handshake = tls.handshake(plain, &settings.observer);
    match tokio::time::timeout(wait.limit, handshake).await {
        Ok(Ok(stream)) => {
            tls::note_facts(&stream, facts);
            settings
                .observer
                .notify(|| handshake_completed(facts, &tls));
            settings
                .relay_observer
                .record(RelayActivity::Handshake(begun.elapsed()));
            tls::report_expiry(&stream, &*settings.relay_observer);
            Ok(Wire::Tls(Box::new(stream)))
        }
        Ok(Err(error)) => Err(SessionError {
            reply: Reply::absent(command, error.to_string()).because(error.cause),
            fault: error.fault,
        }),
        Err(_) => Err(SessionError::new(
            ReplyError::Timeout(wait).into_reply(command),
        )),
    }
}

fn handshake_completed(facts: &SessionFacts, tls: &tls::Tls) -> Step {
    Step::HandshakeCompleted {
        version: facts.tls_version.clone().unwrap_or_default(),
        cipher: facts.tls_cipher.clone().unwrap_or_default(),
        checked: tls.checked(),
    }
}

/// Any reply but 2yz ends the session.
fn accept(reply: ServerReply, command: Command) -> Result<ServerReply, SessionError> {
    if reply.code / 100 == 2 {
        return Ok(reply);
    }
    Err(SessionError::new(reply.into_reply(command)))
}

fn starttls_error(what: &str) -> SessionError {
    SessionError::new(Reply::absent(Command::StartTls, what))
}

fn not_offered() -> SessionError {
    let what = "expected the server to offer STARTTLS, it does not: use another port, or set \
                tls = \"implicit\", or accept plain text with \"opportunistic\"";
    let reply = Reply::absent(Command::StartTls, what);
    SessionError::configuration(reply.because(LocalCause::StarttlsNotOffered))
}

/// Cleartext after the 220 would count as the server's encrypted replies.
fn cleartext_injected() -> SessionError {
    let what = "unencrypted data came after the reply to STARTTLS: the connection was closed, \
                because an attacker between here and the relay may have injected it";
    let reply = Reply::absent(Command::StartTls, what);
    SessionError::new(reply.because(LocalCause::CleartextInjected))
}
