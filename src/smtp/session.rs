//! A session up to the point where a mail transaction can begin: connect, greeting, EHLO,
//! STARTTLS, AUTH (RFC 5321 section 3.1 and 3.2, RFC 3207, RFC 4954).

use std::net::IpAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::auth::{self, Credentials};
use super::connect::connect;
use super::ehlo_name::address_literal;
use super::extensions::Extensions;
use super::observer::{ObserverHandle, Step};
use super::reply_parser::ServerReply;
use super::stream::{ReplyError, Stream, Transport, Wait, Wire};
use super::tls::{self, HandshakeFailure, ReloadableTls};
use crate::config::relay::SmtpRelay;
use crate::config::timeouts::Timeouts;
use crate::config::tls::TlsMode;
use crate::domain::{Command, Fault, Reply, SessionFacts};
use crate::relay::NotReady;
use crate::relay::observer::{RelayActivity, RelayObserver};

/// All that connections of one relay have in common, made once.
pub(super) struct Settings {
    pub(super) config: SmtpRelay,
    /// `None`: the address literal of the local end of each connection.
    pub(super) ehlo_name: Option<String>,
    pub(super) tls: ReloadableTls,
    pub(super) credentials: Option<Credentials>,
    /// Told of connections and handshakes.
    pub(super) relay_observer: Arc<dyn RelayObserver>,
    /// Told of every step.
    pub(super) observer: ObserverHandle,
}

/// How to introduce oneself (RFC 5321 section 4.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hello {
    Ehlo,
    Helo,
}

/// Why there is no session.
struct Unopened {
    why: NotReady,
    /// The server answered EHLO by ending the connection.
    dropped_ehlo: bool,
}

impl Unopened {
    fn on_ehlo(lost: ReplyError) -> Self {
        let dropped_ehlo = matches!(lost, ReplyError::Closed | ReplyError::Io(_));
        let (reply, fault) = (lost.into_reply(Command::Ehlo), None);
        Self {
            why: NotReady { reply, fault },
            dropped_ehlo,
        }
    }
}

impl From<NotReady> for Unopened {
    fn from(why: NotReady) -> Self {
        Self {
            why,
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
    /// The last transaction went through without a refusal.
    pub(super) smooth: bool,
    /// One command at a time, and DATA: its relay's replies did not fit their commands lately.
    pub(super) lockstep: bool,
    /// The `EHLO` that the server answers in several lines, as it answers no other command.
    pub(super) ehlo: Option<String>,
}

impl Session {
    /// Connects and secures; then comes [`Session::authentication`]. Where the server drops the
    /// connection on EHLO, and nothing is needed that only EHLO offers, it is greeted once
    /// more with HELO (RFC 5321 section 3.2).
    /// `until` is the last step that is taken.
    pub(super) async fn open(
        settings: &Settings,
        attempt_end: Instant,
        until: Command,
    ) -> Result<Self, NotReady> {
        let unopened = match Self::begin(settings, attempt_end, Hello::Ehlo, until).await {
            Ok(session) => return Ok(session),
            Err(unopened) => unopened,
        };
        if !unopened.dropped_ehlo || needs_ehlo(settings) {
            return Err(unopened.why);
        }
        tracing::debug!(
            host = settings.config.host,
            "connection dropped on EHLO, trying HELO"
        );
        let greeted_with_helo = Self::begin(settings, attempt_end, Hello::Helo, until).await;
        greeted_with_helo.map_err(|_| unopened.why)
    }

    async fn begin(
        settings: &Settings,
        attempt_end: Instant,
        hello: Hello,
        until: Command,
    ) -> Result<Self, Unopened> {
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

    /// A connection, encrypted where it is from the first octet, and the address of our end.
    async fn connected(
        settings: &Settings,
        attempt_end: Instant,
    ) -> Result<(Self, Option<IpAddr>), NotReady> {
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
                secure(plain, settings, Command::Connect, attempt_end, &mut facts).await?
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
            smooth: false,
            lockstep: false,
            ehlo: None,
        };
        Ok((session, local.map(|address| address.ip())))
    }

    /// RFC 5321 section 3.1.
    async fn greeting(&mut self, waits: &Timeouts, tls: TlsMode) -> Result<(), NotReady> {
        let wait = Wait::new(waits.greeting, "timeout.greeting");
        let greeting = self.stream.read_reply(wait).await.map_err(|lost| {
            let timed_out = matches!(lost, ReplyError::Timeout(_));
            let mut reply = lost.into_reply(Command::Greeting);
            if timed_out && tls != TlsMode::Implicit {
                reply.text += "; a server that waits for TLS needs tls = \"implicit\"";
            }
            NotReady { reply, fault: None }
        })?;
        let name = greeting.first_line().split_ascii_whitespace().next();
        self.facts.server_name = name.map(str::to_owned);
        accept(greeting, Command::Greeting).map(drop)
    }

    /// EHLO, or HELO where the server does not know it (RFC 5321 section 3.2).
    async fn hello(
        &mut self,
        settings: &Settings,
        local: Option<IpAddr>,
        hello: Hello,
    ) -> Result<(), Unopened> {
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
                let reply = answer.map_err(Unopened::on_ehlo)?;
                self.ehlo = Some(ehlo).filter(|_| reply.lines.len() > 1);
                match helo_may_do(settings, reply.code) {
                    false => reply,
                    true => {
                        refused = Some(reply);
                        self.helo(&name, wait).await?
                    }
                }
            }
        };
        // Where it takes neither, what it said to EHLO says more.
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

    /// What HELO is answered with; its lines name no extensions.
    async fn helo(&mut self, name: &str, wait: Wait) -> Result<ServerReply, NotReady> {
        let helo = format!("HELO {name}");
        let mut reply = self.ask(Command::Ehlo, &helo, wait).await?;
        reply.lines.truncate(1);
        Ok(reply)
    }

    /// STARTTLS as `tls` asks for it, and EHLO again (RFC 3207 section 4.2).
    async fn upgrade(
        mut self,
        settings: &Settings,
        local: Option<IpAddr>,
        attempt_end: Instant,
    ) -> Result<Self, NotReady> {
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
                (true, Ok(_)) => Err(not_ready(Command::StartTls, "expected 220 to STARTTLS")),
                (false, _) => Ok(self),
            };
        }
        if self.stream.has_leftover() {
            return Err(injected());
        }
        let Wire::Plain(plain) = self.stream.into_wire() else {
            return Err(not_ready(
                Command::StartTls,
                "the connection is encrypted already",
            ));
        };
        let wire = secure(
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
        again.map_err(|unopened| unopened.why)?;
        Ok(self)
    }

    /// Signs in.
    pub(super) async fn authenticate(
        &mut self,
        credentials: &Credentials,
        waits: &Timeouts,
    ) -> Result<(), NotReady> {
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
    ) -> Result<ServerReply, NotReady> {
        let lost = |lost: ReplyError| NotReady {
            reply: lost.into_reply(command),
            fault: None,
        };
        let reply = self.exchange(line, wait).await.map_err(lost)?;
        tracing::trace!(%command, code = reply.code, "asked and answered");
        Ok(reply)
    }

    async fn exchange(&mut self, line: &str, wait: Wait) -> Result<ServerReply, ReplyError> {
        self.stream.queue(line);
        self.stream.flush(wait).await?;
        self.stream.read_reply(wait).await
    }

    /// Says goodbye (RFC 5321 section 4.1.1.10), within the time-out in all.
    pub(super) async fn quit(mut self, waits: &Timeouts) {
        let wait = Wait::new(waits.quit, "timeout.quit");
        self.stream
            .set_attempt_end(Some(Instant::now() + waits.quit));
        let goodbye = async {
            self.stream.queue("QUIT");
            self.stream.flush(wait).await?;
            self.stream.read_reply(wait).await?;
            // Its end counts the connection until it has closed it.
            let _closed = self.stream.read_reply(wait).await;
            Ok::<(), ReplyError>(())
        };
        if let Err(reason) = goodbye.await {
            tracing::trace!(%reason, "the server did not answer QUIT");
        }
    }
}

/// Something is needed that only EHLO offers.
fn needs_ehlo(settings: &Settings) -> bool {
    settings.config.tls == TlsMode::Starttls || settings.credentials.is_some()
}

/// A server that refuses EHLO so may take HELO (RFC 5321 sections 3.2 and 4.1.4). Some say 501 or
/// 550 where they mean that they do not know it.
fn helo_may_do(settings: &Settings, code: u16) -> bool {
    match code {
        500 | 502 | 504 => true,
        501..600 => !needs_ehlo(settings),
        _ => false,
    }
}

/// The handshake, bounded, and what it agreed on noted.
async fn secure(
    plain: Box<dyn Transport>,
    settings: &Settings,
    command: Command,
    attempt_end: Instant,
    facts: &mut SessionFacts,
) -> Result<Wire, NotReady> {
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
            settings.observer.notify(|| secured(facts, &tls));
            settings
                .relay_observer
                .record(RelayActivity::Handshake(begun.elapsed()));
            tls::report_expiry(&stream, &*settings.relay_observer);
            Ok(Wire::Tls(Box::new(stream)))
        }
        Ok(Err(HandshakeFailure { what, fault })) => Err(NotReady {
            reply: Reply::absent(command, what),
            fault,
        }),
        Err(_) => Err(NotReady {
            reply: ReplyError::Timeout(wait).into_reply(command),
            fault: None,
        }),
    }
}

fn secured(facts: &SessionFacts, tls: &tls::Tls) -> Step {
    Step::HandshakeCompleted {
        version: facts.tls_version.clone().unwrap_or_default(),
        cipher: facts.tls_cipher.clone().unwrap_or_default(),
        checked: tls.checked(),
    }
}

/// 2yz goes on, everything else ends the session.
fn accept(reply: ServerReply, command: Command) -> Result<ServerReply, NotReady> {
    if reply.code / 100 == 2 {
        return Ok(reply);
    }
    Err(NotReady {
        reply: reply.into_reply(command),
        fault: None,
    })
}

fn not_ready(command: Command, what: &str) -> NotReady {
    NotReady {
        reply: Reply::absent(command, what),
        fault: None,
    }
}

fn not_offered() -> NotReady {
    let what = "expected the server to offer STARTTLS, it does not: use another port, or set \
                tls = \"implicit\", or accept plain text with \"opportunistic\"";
    NotReady {
        fault: Some(Fault::Configuration),
        ..not_ready(Command::StartTls, what)
    }
}

/// What came in clear after the 220 would be taken for the server's encrypted words.
fn injected() -> NotReady {
    let what = "something was sent in clear after the reply to STARTTLS: the connection was \
                closed, because somebody between here and the relay may have injected it";
    not_ready(Command::StartTls, what)
}
