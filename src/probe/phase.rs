//! The steps of a session, their names and exit codes.

use std::fmt;
use std::str::FromStr;

use sendport_core::domain::Command;
use serde::{Serialize, Serializer};

/// One step of a session, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The name look-up.
    Resolve,
    /// TCP.
    Connect,
    /// A TLS handshake: implicit, or after STARTTLS.
    Tls,
    /// The server's first reply (RFC 5321 section 3.1).
    Greeting,
    /// `EHLO`, or `HELO` instead.
    Ehlo,
    /// `STARTTLS` up to its reply (RFC 3207).
    Starttls,
    /// `AUTH` (RFC 4954).
    Auth,
    /// `MAIL`.
    Mail,
    /// `RCPT`, each.
    Rcpt,
    /// `DATA`, up to its 354.
    Data,
    /// Content and final dot.
    Content,
    /// `QUIT`, and `RSET` before it.
    Quit,
}

impl Phase {
    /// All of them, in their order.
    pub const ALL: [Self; 12] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Greeting,
        Self::Ehlo,
        Self::Starttls,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Content,
        Self::Quit,
    ];

    /// Its name in the output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::Starttls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Content => "content",
            Self::Quit => "quit",
        }
    }

    /// The exit code where this step failed: 10 and more.
    pub fn exit_code(self) -> u8 {
        10 + self as u8
    }

    /// The last command of a session that stops after this step.
    pub fn command(self) -> Command {
        match self {
            Self::Resolve | Self::Connect => Command::Connect,
            Self::Greeting => Command::Greeting,
            Self::Ehlo => Command::Ehlo,
            Self::Starttls | Self::Tls => Command::StartTls,
            Self::Auth => Command::Auth,
            Self::Mail => Command::Mail,
            Self::Rcpt => Command::Rcpt,
            Self::Data => Command::Data,
            Self::Content | Self::Quit => Command::EndOfData,
        }
    }

    /// The step that a reply to `command` belongs to, where nothing more precise is known.
    pub(super) fn of(command: Command) -> Self {
        match command {
            Command::Connect => Self::Connect,
            Command::Greeting => Self::Greeting,
            Command::Ehlo => Self::Ehlo,
            Command::StartTls => Self::Starttls,
            Command::Auth => Self::Auth,
            Command::Mail => Self::Mail,
            Command::Rcpt => Self::Rcpt,
            Command::Data => Self::Data,
            Command::EndOfData | Command::Post => Self::Content,
            Command::Rset | Command::Quit => Self::Quit,
        }
    }

    /// The step that a command line begins; `None` for a response within AUTH.
    pub(super) fn of_line(line: &str) -> Option<Self> {
        match line.split_ascii_whitespace().next()? {
            "EHLO" | "HELO" => Some(Self::Ehlo),
            "STARTTLS" => Some(Self::Starttls),
            "AUTH" => Some(Self::Auth),
            "MAIL" => Some(Self::Mail),
            "RCPT" => Some(Self::Rcpt),
            "DATA" => Some(Self::Data),
            "RSET" | "QUIT" => Some(Self::Quit),
            _ => None,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Phase {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// No step that a session can stop after.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {known}, found '{found}'")]
pub struct UnknownPhase {
    known: String,
    found: String,
}

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, UnknownPhase> {
        let stops = || Self::ALL.into_iter().filter(|phase| phase.may_be_last());
        stops().find(|phase| phase.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = stops().map(Self::as_str).collect();
            UnknownPhase {
                known: known.join(", "),
                found: text.to_owned(),
            }
        })
    }
}

impl Phase {
    /// A session can stop after it.
    fn may_be_last(self) -> bool {
        !matches!(self, Self::Resolve | Self::Tls | Self::Content | Self::Quit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_10_to_21() {
        let codes: Vec<u8> = Phase::ALL.into_iter().map(Phase::exit_code).collect();
        assert_eq!(codes, (10..22).collect::<Vec<u8>>());
    }

    #[test]
    fn parses_the_steps_that_a_session_can_stop_after() {
        assert_eq!("rcpt".parse(), Ok(Phase::Rcpt));
        let error = "quit"
            .parse::<Phase>()
            .expect_err("no step to stop after")
            .to_string();
        assert!(error.contains("greeting, ehlo, starttls"), "{error}");
        for phase in Phase::ALL.into_iter().filter(|phase| phase.may_be_last()) {
            assert_eq!(Phase::of(phase.command()), phase);
        }
    }
}
