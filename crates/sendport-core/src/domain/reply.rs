//! What a server says: reply code, enhanced status code, text, and the command it answers
//! (RFC 5321 section 4.2, RFC 2034, RFC 3463).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The SMTP command, or the moment of a session, that a reply belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Opening the connection: name look-up, TCP connect, an implicit TLS handshake.
    Connect,
    /// The server's greeting (RFC 5321 section 3.1).
    Greeting,
    /// `EHLO` or its fall-back `HELO` (RFC 5321 section 4.1.1.1).
    Ehlo,
    /// `STARTTLS` and the handshake after it (RFC 3207).
    StartTls,
    /// `AUTH` with its challenges (RFC 4954).
    Auth,
    /// `MAIL FROM` (RFC 5321 section 4.1.1.2).
    Mail,
    /// `RCPT TO` (RFC 5321 section 4.1.1.3).
    Rcpt,
    /// `DATA`, up to its 354 (RFC 5321 section 4.1.1.4).
    Data,
    /// The content and its final dot, or `BDAT` (RFC 3030) with it: the reply that transfers
    /// responsibility.
    EndOfData,
    /// `RSET` (RFC 5321 section 4.1.1.5).
    Rset,
    /// `QUIT` (RFC 5321 section 4.1.1.10).
    Quit,
}

impl Command {
    /// The word as it stands in the column `Command` of the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Greeting => "GREETING",
            Self::Ehlo => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::EndOfData => "END-OF-DATA",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
        }
    }

    /// True from `MAIL` on: a fault here spends an attempt of the alert.
    pub fn spends_attempt(self) -> bool {
        matches!(self, Self::Mail | Self::Rcpt | Self::Data | Self::EndOfData)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `class.subject.detail` of RFC 3463. Subject and detail are kept as wide as servers send
/// them (Exchange Online answers `5.7.606`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnhancedStatusCode {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// Subject sub-code: 1 address, 2 mailbox, 3 mail system, 4 network, 5 protocol,
    /// 6 content, 7 security or policy.
    pub subject: u16,
    /// Detail sub-code.
    pub detail: u16,
}

impl EnhancedStatusCode {
    /// A code from its three numbers.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self {
            class,
            subject,
            detail,
        }
    }
}

impl fmt::Display for EnhancedStatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

/// The text was not `digit.1-3 digits.1-3 digits` with a class of 2, 4 or 5.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an enhanced status code such as 5.1.1")]
pub struct NotAnEnhancedStatusCode(String);

impl FromStr for EnhancedStatusCode {
    type Err = NotAnEnhancedStatusCode;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || NotAnEnhancedStatusCode(text.chars().take(16).collect());
        let mut parts = text.split('.');
        let (Some(class), Some(subject), Some(detail), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let class = match class {
            "2" => 2,
            "4" => 4,
            "5" => 5,
            _ => return Err(refuse()),
        };
        let sub_code = |digits: &str| {
            let plain =
                (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if plain { digits.parse().ok() } else { None }
        };
        match (sub_code(subject), sub_code(detail)) {
            (Some(subject), Some(detail)) => Ok(Self::new(class, subject, detail)),
            _ => Err(refuse()),
        }
    }
}

/// What the first digit of a reply code means (RFC 5321 section 4.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReplyClass {
    /// 2yz.
    Success,
    /// 3yz: the server waits for more.
    Intermediate,
    /// 4yz: try again later.
    TransientFailure,
    /// 5yz: do not try the same again.
    PermanentFailure,
}

/// One reply of a server, or what stands for it where none came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// Three digits as the server sent them, 200 to 599; 0 where no reply came (the text
    /// then says what happened instead: a refused connection, a time-out, a TLS alert).
    pub code: u16,
    /// The enhanced status code in front of the text, if there was one.
    pub enhanced: Option<EnhancedStatusCode>,
    /// The text without codes, lines joined by a space; bytes that are not UTF-8 replaced.
    pub text: String,
    /// The command that this answers.
    pub command: Command,
}

impl Reply {
    /// A reply that a server sent.
    pub fn new(
        command: Command,
        code: u16,
        enhanced: Option<EnhancedStatusCode>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            code,
            enhanced,
            text: text.into(),
            command,
        }
    }

    /// What stands for a reply where none came: code 0 and our own words.
    pub fn absent(command: Command, what_happened: impl Into<String>) -> Self {
        Self::new(command, 0, None, what_happened)
    }

    /// A refusal of our own, before any server was asked, in the standard's numbers.
    pub fn local(
        command: Command,
        code: u16,
        enhanced: EnhancedStatusCode,
        text: impl Into<String>,
    ) -> Self {
        Self::new(command, code, Some(enhanced), text)
    }

    /// The class, or `None` where no reply came or its first digit means nothing.
    pub fn class(&self) -> Option<ReplyClass> {
        match self.code / 100 {
            2 => Some(ReplyClass::Success),
            3 => Some(ReplyClass::Intermediate),
            4 => Some(ReplyClass::TransientFailure),
            5 => Some(ReplyClass::PermanentFailure),
            _ => None,
        }
    }

    /// 2yz.
    pub fn is_success(&self) -> bool {
        self.class() == Some(ReplyClass::Success)
    }

    /// 2yz or 3yz: the server goes along.
    pub fn is_positive(&self) -> bool {
        matches!(
            self.class(),
            Some(ReplyClass::Success | ReplyClass::Intermediate)
        )
    }

    /// 5yz.
    pub fn is_permanent(&self) -> bool {
        self.class() == Some(ReplyClass::PermanentFailure)
    }

    /// 4yz, and also no reply at all: trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self.class(), Some(ReplyClass::TransientFailure) | None)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code != 0 {
            write!(f, "{}", self.code)?;
            if let Some(enhanced) = self.enhanced {
                write!(f, " {enhanced}")?;
            }
            if !self.text.is_empty() {
                f.write_str(" ")?;
            }
        }
        f.write_str(&self.text)
    }
}

/// What a server that refuses has had too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Connections, or transactions, at the same time.
    Connections,
    /// Messages in a time.
    Rate,
    /// Recipients in one transaction (RFC 5321 section 4.5.3.1.10).
    Recipients,
}

/// Whose fault a refusal is: the one question that retry, circuit and advice ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// This addressee: the other recipients go on.
    Recipient,
    /// This message: too large, forbidden content, a malformed sender.
    Message,
    /// The relay: down, busy, limiting. Time heals it.
    Relay,
    /// Our configuration: credentials, permission to relay, certificate. A person heals it.
    Configuration,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Recipient,
        Self::Message,
        Self::Relay,
        Self::Configuration,
    ];

    /// The word as it stands in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Relay => "relay",
            Self::Configuration => "configuration",
        }
    }
}
