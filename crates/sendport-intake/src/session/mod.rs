//! One session (RFC 5321 section 3): commands in, replies out.
//!
//! `mail` has MAIL and RCPT, `content` DATA, BDAT and the commit, `authentication` AUTH. Dropping a session closes its
//! connection and commits nothing that is not complete.

mod authentication;
mod content;
mod mail;
mod start;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::address_literal;
use tokio::time::{Instant, timeout_at};

use crate::access::Grant;
use crate::command::{Command, SyntaxError, parse};
use crate::connection::{AUTH_LINE, COMMAND_LINE, Connection, ConnectionError, LineError};
use crate::listener::Intake;
use crate::observer::IntakeActivity;
use crate::reply::Reply;
use crate::transaction::Transaction;
pub(crate) use mail::reply_to;
pub(crate) use start::serve;

/// Most commands without an accepted message, RCPT aside: NOOP and the like cost the server more than the client.
const MOST_IDLE_COMMANDS: u32 = 500;

/// The session of one client.
pub(crate) struct Session {
    intake: Arc<Intake>,
    connection: Connection,
    client: IpAddr,
    /// TLS version and cipher.
    tls: Option<String>,
    /// The user that the client's certificate authenticates.
    certificate_user: Option<String>,
    /// The user of a successful AUTH.
    auth_user: Option<String>,
    helo: Option<Helo>,
    transaction: Option<Box<Transaction>>,
    /// Transactions so far.
    messages: u32,
    /// Commands answered by 5xx since the last accepted message.
    errors: u32,
    /// Commands since the last accepted message.
    idle_commands: u32,
}

/// EHLO or HELO.
struct Helo {
    /// `None` where the client gave none.
    name: Option<String>,
    is_extended: bool,
}

/// What follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The next command.
    Command,
    /// A TLS handshake.
    Handshake,
    /// The end of the session.
    Close,
}

/// Why a session ended without QUIT.
#[derive(Debug, thiserror::Error)]
enum SessionEnd {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The client was too slow: 421 4.4.2.
    #[error("the client was too slow (setting timeout.{0})")]
    Timeout(&'static str),
    /// The service stops: 421 4.3.2.
    #[error("the service stops")]
    Stop,
}

impl SessionEnd {
    /// The last reply.
    fn reply(&self) -> Option<Reply> {
        match self {
            Self::Connection(_) => None,
            Self::Timeout(_) => Some(Reply::new(421, "4.4.2", "you were too slow, closing")),
            Self::Stop => Some(Reply::new(
                421,
                "4.3.2",
                "the service stops, try again later",
            )),
        }
    }
}

impl Session {
    fn new(intake: Arc<Intake>, connection: Connection, client: IpAddr) -> Self {
        Self {
            intake,
            connection,
            client,
            tls: None,
            certificate_user: None,
            auth_user: None,
            helo: None,
            transaction: None,
            messages: 0,
            errors: 0,
            idle_commands: 0,
        }
    }

    /// Serves until a handshake is due (`Some`) or the session is over.
    async fn commands(mut self) -> Option<Self> {
        loop {
            match self.command().await {
                Ok(Next::Command) => {}
                Ok(Next::Handshake) => return Some(self),
                Ok(Next::Close) => break,
                Err(end) => {
                    tracing::debug!(reason = %end, "SMTP session ended early");
                    match end.reply() {
                        Some(reply) => self.queue(&reply),
                        None => return None,
                    }
                    break;
                }
            }
        }
        self.connection.close().await;
        None
    }

    async fn command(&mut self) -> Result<Next, SessionEnd> {
        let most = match self.offers_auth() {
            true => AUTH_LINE,
            false => COMMAND_LINE,
        };
        let line = match self.line(most).await? {
            Ok(line) => line,
            Err(error) => return Ok(self.refuse_line(error)),
        };
        let parsed = parse(&line, self.intake.settings.postmaster.as_ref());
        let is_auth = matches!(parsed, Ok(Command::Auth(_)));
        if line.len() + 2 > COMMAND_LINE && !is_auth {
            return Ok(self.refuse_line(LineError::TooLong));
        }
        match parsed {
            Ok(command) => self.carry_out(command).await,
            Err(error) => Ok(self.refuse_syntax(&error)),
        }
    }

    /// The next line of the client.
    async fn line(&mut self, most: usize) -> Result<Result<String, LineError>, SessionEnd> {
        let end = Instant::now() + self.intake.settings.timeout.command;
        tokio::select! {
            biased;
            () = self.intake.stop.cancelled() => Err(SessionEnd::Stop),
            line = timeout_at(end, self.connection.line(most)) => match line {
                Ok(line) => Ok(line?),
                Err(_) => Err(SessionEnd::Timeout("command")),
            },
        }
    }

    fn refuse_line(&mut self, error: LineError) -> Next {
        let (text, next) = match error {
            LineError::TooLong => ("the line is too long", Next::Command),
            LineError::Endless => ("the line is too long, closing", Next::Close),
            LineError::NotUtf8 => ("the line is not UTF-8", Next::Command),
            LineError::Control => ("the line has a control character", Next::Command),
            LineError::BareLineFeed => ("bare LF, end lines with CRLF; closing", Next::Close),
            LineError::BareCarriageReturn => ("bare CR, end lines with CRLF; closing", Next::Close),
        };
        match self.answer(&Reply::new(500, "5.5.2", text)) {
            Next::Command => next,
            other => other,
        }
    }

    fn refuse_syntax(&mut self, error: &SyntaxError) -> Next {
        match self.answer(&error.reply()) {
            Next::Command if error.ends_session() => Next::Close,
            next => next,
        }
    }

    async fn carry_out(&mut self, command: Command) -> Result<Next, SessionEnd> {
        if !matches!(command, Command::Rcpt(_) | Command::Bdat(_)) {
            self.idle_commands += 1;
            if self.idle_commands > MOST_IDLE_COMMANDS {
                self.queue(&Reply::new(
                    421,
                    "4.7.0",
                    "too many commands without a message",
                ));
                return Ok(Next::Close);
            }
        }
        let reply = match command {
            Command::Ehlo(name) => self.ehlo(name),
            Command::Helo(name) => self.helo(name),
            Command::Mail(mail) => match self.mail(mail).await {
                Ok(reply) => reply,
                Err(last) => {
                    self.queue(&last);
                    return Ok(Next::Close);
                }
            },
            Command::Rcpt(rcpt) => self.rcpt(*rcpt),
            Command::Data => return self.data().await,
            Command::Bdat(chunk) => return self.bdat(chunk).await,
            Command::Auth(auth) => return self.auth(auth).await,
            Command::Starttls => return Ok(self.starttls()),
            Command::Rset => {
                self.transaction = None;
                Reply::new(250, "2.0.0", "reset")
            }
            Command::Noop => Reply::new(250, "2.0.0", "ok"),
            Command::Vrfy => Reply::new(
                252,
                "2.5.2",
                "send a message, this server knows no mailboxes",
            ),
            Command::Help => Reply::new(214, "2.0.0", "see RFC 5321"),
            Command::Quit => {
                self.queue(&Reply::new(221, "2.0.0", "bye"));
                return Ok(Next::Close);
            }
        };
        Ok(self.answer(&reply))
    }

    /// Queues a reply, counts it, and ends a session with too many errors.
    fn answer(&mut self, reply: &Reply) -> Next {
        self.queue(reply);
        self.errors += u32::from(reply.is_permanent_failure());
        if self.errors > self.intake.settings.max_errors {
            self.queue(&Reply::new(421, "4.7.0", "too many errors"));
            return Next::Close;
        }
        match reply.code {
            421 => Next::Close,
            _ => Next::Command,
        }
    }

    fn queue(&mut self, reply: &Reply) {
        if reply.is_failure() {
            tracing::debug!(%reply, "SMTP command refused");
            self.intake
                .observer
                .record(IntakeActivity::Refused(reply.code));
        }
        self.connection.queue(reply);
    }

    fn grant(&self) -> Grant<'_> {
        self.intake.rules.grant(self.client, self.user())
    }

    fn user(&self) -> Option<&str> {
        self.auth_user
            .as_deref()
            .or(self.certificate_user.as_deref())
    }

    fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    fn set_helo(&mut self, name: String, is_extended: bool) {
        self.transaction = None;
        let name = Some(name).filter(|name| !name.is_empty());
        self.helo = Some(Helo { name, is_extended });
    }

    fn greeting_name(&self) -> String {
        let client = address_literal(self.client);
        format!("{} greets {client}", self.intake.hostname)
    }

    fn helo(&mut self, name: String) -> Reply {
        self.set_helo(name, false);
        Reply::new(250, "", self.greeting_name())
    }

    fn ehlo(&mut self, name: String) -> Reply {
        self.set_helo(name, true);
        let settings = &self.intake.settings;
        let mut keywords: Vec<String> = [
            "PIPELINING",
            "8BITMIME",
            "SMTPUTF8",
            "CHUNKING",
            "DSN",
            "ENHANCEDSTATUSCODES",
        ]
        .map(str::to_owned)
        .to_vec();
        keywords.push(format!("SIZE {}", settings.max_message_size.0));
        keywords.push(format!(
            "LIMITS MAILMAX={} RCPTMAX={}",
            settings.max_messages_per_connection, settings.max_recipients
        ));
        if self.offers_starttls() {
            keywords.push("STARTTLS".to_owned());
        }
        let mechanisms = self.mechanisms();
        if !mechanisms.is_empty() {
            let names: Vec<_> = mechanisms.iter().map(|it| it.name()).collect();
            keywords.push(format!("AUTH {}", names.join(" ")));
        }
        keywords.push("HELP".to_owned());
        Reply::ehlo(self.greeting_name(), keywords)
    }

    /// The end of a wait, and the setting that it is from.
    fn wait_end(&self, longest: Duration) -> Instant {
        Instant::now() + longest
    }
}

#[cfg(test)]
mod tests;
