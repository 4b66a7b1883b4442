//! A server's reply: reply code, enhanced status code, text, and the command that it answers
//! (RFC 5321 section 4.2, RFC 2034, RFC 3463); or the local reply in its place.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

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
    /// An HTTP `POST` of the whole message (RFC 9110 section 9.3.3), as Microsoft Graph takes it. The codes of its replies
    /// are HTTP status codes, and one reply is for all recipients: it transfers responsibility.
    Post,
    /// `RSET` (RFC 5321 section 4.1.1.5).
    Rset,
    /// `QUIT` (RFC 5321 section 4.1.1.10).
    Quit,
}

impl Command {
    /// The word in the column `Command` of the database.
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
            Self::Post => "POST",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
        }
    }

    /// True from `MAIL` on: a failure here counts as an attempt of the alert.
    pub fn spends_attempt(self) -> bool {
        matches!(
            self,
            Self::Mail | Self::Rcpt | Self::Data | Self::EndOfData | Self::Post
        )
    }

    /// Its positive reply transfers responsibility for the message.
    pub fn hands_over(self) -> bool {
        matches!(self, Self::EndOfData | Self::Post)
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

/// What a reply code means: by its first digit (RFC 5321 section 4.2.1), or as an HTTP status (RFC 9110 section 15).
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

/// What sendport itself found or decided, in place of a server's reply: the kind of a failure,
/// which no text has to be searched for.
///
/// The table of replies matches it by the key `local`, in the same words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalCause {
    /// The name has no address, or the DNS did not answer.
    NameNotFound,
    /// The host refused the TCP connection.
    ConnectionRefused,
    /// No route leads to the host.
    NetworkUnreachable,
    /// Nothing came within the time-out.
    Timeout,
    /// The connection ended without a reply.
    ConnectionClosed,
    /// Something came that is not an SMTP reply (RFC 5321 section 4.2).
    NotSmtp,
    /// The answer of a web server came.
    HttpServer,
    /// A reply that no command asked for, or that cannot answer the command.
    Desync,
    /// The relay is paused because its replies did not match the commands.
    DesyncPause,
    /// The TLS handshake failed (RFC 8446 section 4).
    TlsHandshakeFailed,
    /// No TLS on this port.
    TlsNotSpoken,
    /// The two ends have no version of TLS in common.
    TlsVersionMismatch,
    /// The server asks for a client certificate, or does not accept ours.
    ClientCertificateRequired,
    /// The server does not offer STARTTLS (RFC 3207).
    StarttlsNotOffered,
    /// Cleartext came behind the reply to STARTTLS (RFC 3207 section 6).
    CleartextInjected,
    /// The server's certificate has expired (RFC 5280 section 4.1.2.5).
    CertificateExpired,
    /// The server's certificate is not valid yet.
    CertificateNotYetValid,
    /// The server's certificate is for another name (RFC 6125).
    CertificateNameMismatch,
    /// No trusted authority issued the server's certificate (RFC 5280 section 6).
    CertificateUnknownAuthority,
    /// The server's certificate is self-signed.
    CertificateSelfSigned,
    /// The server's certificate does not match `pin_sha256`.
    CertificatePinMismatch,
    /// The server's certificate is not trusted for another reason.
    CertificateNotTrusted,
    /// The server offers no mechanism that is configured (RFC 4954 section 3).
    AuthMechanismNotOffered,
    /// The mechanism would send a secret over an unencrypted connection.
    CleartextAuthForbidden,
    /// The authentication could not be completed on this side, or the server did not
    /// authenticate itself.
    AuthNotPossible,
    /// The server left an authentication unanswered twice in a row.
    AuthUnanswered,
    /// The token endpoint is down, busy or out of reach.
    TokenEndpointUnavailable,
    /// There is no access token (RFC 6749).
    NoAccessToken,
    /// The send port does not send to the recipient's domain.
    RecipientDomainNotAllowed,
    /// The message exceeds the server's `SIZE` (RFC 1870).
    SizeExceeded,
    /// The message needs `8BITMIME` (RFC 6152), which the server does not offer.
    EightBitNotOffered,
    /// The message has a bare CR or LF.
    BareLineEnd,
    /// The message exceeds what one HTTP request of the relay may have.
    RequestTooLarge,
    /// The relay sends to whom the header names, and that are others than the recipients that are due.
    HeaderNamesOthers,
    /// The name servers did not answer, or failed.
    DnsFailed,
    /// No mail host of the recipient's domain took a connection.
    MailHostsUnreachable,
    /// No mail host of the recipient's domain fulfils its MTA-STS policy (RFC 8461).
    MtaStsNotMet,
    /// As many messages as the settings allow are under way to a mail host.
    HostLimit,
    /// The recipient's domain does not exist, or has neither MX nor address.
    DomainNotFound,
    /// The recipient's domain takes no mail (RFC 7505).
    NullMx,
    /// No mail host of the recipient's domain has an address.
    NoMailHost,
    /// The mail hosts of the recipient's domain are this host, or have private addresses alone.
    MailHostNotAllowed,
    /// The folder of a file relay does not exist or cannot be written.
    FolderNotUsable,
    /// Writing into the folder of a file relay failed.
    FolderFailed,
}

/// One reply of a server, or the local reply in its place.
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
    /// The kind of failure where sendport made this reply; `None` for a server's. The database
    /// does not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalCause>,
    /// The entry of the table of replies, once it was looked up.
    #[serde(skip)]
    pub(crate) explained: CachedExplanation,
}

/// Which entry of which table explains a reply, looked up once: a message may be refused for ten
/// thousand recipients, and each refusal is asked for its fault, its limit and its explanation. Two
/// replies are equal whether they were looked up or not.
#[derive(Debug, Clone, Default)]
pub(crate) struct CachedExplanation(OnceLock<(u32, Option<usize>)>);

impl CachedExplanation {
    /// The index that `look_up` finds in the table of this number: from the first look-up, unless
    /// that was another table's.
    pub(crate) fn in_table(
        &self,
        table: u32,
        look_up: impl Fn() -> Option<usize>,
    ) -> Option<usize> {
        match *self.0.get_or_init(|| (table, look_up())) {
            (known, index) if known == table => index,
            _ => look_up(),
        }
    }
}

impl PartialEq for CachedExplanation {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for CachedExplanation {}

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
            local: None,
            explained: CachedExplanation::default(),
        }
    }

    /// A local reply in place of a missing one: code 0, and a sentence about what happened.
    pub fn absent(command: Command, what_happened: impl Into<String>) -> Self {
        Self::new(command, 0, None, what_happened)
    }

    /// Adds to the text.
    pub fn append(&mut self, text: &str) {
        self.text += text;
        self.explained = CachedExplanation::default();
    }

    /// The same reply, of this kind.
    #[must_use]
    pub fn because(mut self, local: LocalCause) -> Self {
        self.local = Some(local);
        self.explained = CachedExplanation::default();
        self
    }

    /// A refusal by sendport itself, before a server was asked, with the codes of the standard.
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
        if self.command == Command::Post {
            return http_class(self.code);
        }
        match self.code / 100 {
            2 => Some(ReplyClass::Success),
            3 => Some(ReplyClass::Intermediate),
            4 => Some(ReplyClass::TransientFailure),
            5 => Some(ReplyClass::PermanentFailure),
            _ => None,
        }
    }

    /// It accepts what was asked.
    pub fn is_success(&self) -> bool {
        self.class() == Some(ReplyClass::Success)
    }

    /// 2yz or 3yz: the server agrees.
    pub fn is_positive(&self) -> bool {
        matches!(
            self.class(),
            Some(ReplyClass::Success | ReplyClass::Intermediate)
        )
    }

    /// 5yz, or an HTTP status that the same request gets again.
    pub fn is_permanent(&self) -> bool {
        self.class() == Some(ReplyClass::PermanentFailure)
    }

    /// 4yz, an HTTP status of a busy server, or no reply at all: trying again may help.
    pub fn is_transient(&self) -> bool {
        matches!(self.class(), Some(ReplyClass::TransientFailure) | None)
    }

    /// No reply came within a time-out.
    pub fn is_timeout(&self) -> bool {
        self.local == Some(LocalCause::Timeout)
    }
}

/// Of an HTTP status: 408, 425, 429 and 5xx pass with time. A redirect is not followed, so it refuses.
fn http_class(status: u16) -> Option<ReplyClass> {
    match status {
        200..=299 => Some(ReplyClass::Success),
        408 | 425 | 429 | 500..=599 => Some(ReplyClass::TransientFailure),
        300..=499 => Some(ReplyClass::PermanentFailure),
        _ => None,
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

/// The limit that a refusal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Connections, or transactions, at the same time.
    Connections,
    /// Messages per time.
    Rate,
    /// Recipients in one transaction (RFC 5321 section 4.5.3.1.10).
    Recipients,
}

/// The party at fault for a refusal: the retry policy, the circuits and the advice depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// This recipient; the others are not affected.
    Recipient,
    /// This message: too large, forbidden content, a malformed sender.
    Message,
    /// The relay: down, busy, limiting. It recovers without a change here.
    Relay,
    /// Our configuration: credentials, permission to relay, certificate. An operator has to fix it.
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

    /// The word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::Message => "message",
            Self::Relay => "relay",
            Self::Configuration => "configuration",
        }
    }
}
