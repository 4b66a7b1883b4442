//! Parses command lines (RFC 5321 section 4.1 and the extensions that are offered).
//!
//! Strict but for what people type into a terminal, as the documentation of IIS and BizTalk shows it: verbs in any
//! case, spaces after `FROM:` and `TO:`, a path without angle brackets, EHLO and HELO without a name.

mod parameters;
mod path;
mod xtext;

use secrecy::zeroize::Zeroizing;
use sendport_core::domain::{Address, BodyType, DsnReturn, Notify};

use crate::reply::Reply;
use parameters::Parameters;
pub(crate) use path::{Path, PathError, parse as parse_path};
pub(crate) use xtext::encode as encode_xtext;

/// A command of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// The name may be missing.
    Ehlo(String),
    /// The name may be missing.
    Helo(String),
    Mail(Box<Mail>),
    Rcpt(Box<Rcpt>),
    Data,
    Bdat(Chunk),
    Rset,
    Noop,
    Quit,
    Vrfy,
    Help,
    Starttls,
    Auth(AuthCommand),
}

/// `MAIL FROM`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    /// `None` for the null reverse-path.
    pub(crate) path: Option<Address>,
    /// `SIZE` (RFC 1870).
    pub(crate) size: Option<u64>,
    /// `BODY` (RFC 6152).
    pub(crate) body: BodyType,
    /// `SMTPUTF8` (RFC 6531).
    pub(crate) smtp_utf8: bool,
    /// `RET` (RFC 3461).
    pub(crate) returns: Option<DsnReturn>,
    /// `ENVID` (RFC 3461), decoded.
    pub(crate) envelope_id: Option<String>,
}

/// `RCPT TO`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rcpt {
    pub(crate) path: Address,
    /// It was written beyond ASCII: MAIL has to have `SMTPUTF8`.
    pub(crate) needs_smtp_utf8: bool,
    /// `NOTIFY` (RFC 3461).
    pub(crate) notify: Option<Notify>,
    /// `ORCPT` (RFC 3461), decoded.
    pub(crate) original: Option<String>,
}

/// `BDAT` (RFC 3030).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) size: u64,
    pub(crate) is_last: bool,
}

/// `AUTH` (RFC 4954).
#[derive(PartialEq, Eq)]
pub(crate) struct AuthCommand {
    /// In upper case.
    pub(crate) mechanism: String,
    /// In base64; `=` for an empty one.
    pub(crate) initial_response: Option<Zeroizing<String>>,
}

/// Without the response.
impl std::fmt::Debug for AuthCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuthCommand")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

/// Why a line is refused without a look at the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SyntaxError {
    /// No verb that this server knows: 500 5.5.2 (RFC 5248).
    Unknown,
    /// A verb that it does not carry out: 502 5.5.1.
    NotImplemented,
    /// A verb of HTTP, or a header line: another protocol is spoken.
    OtherProtocol,
    /// Arguments where there are none, or none where there have to be some: 501 5.5.4.
    Arguments(&'static str),
    /// A path: [`PathError::reply`].
    Path(PathError),
    /// A parameter that is not offered: 555 5.5.4.
    UnknownParameter(String),
    /// A parameter that occurs twice, or has a malformed value: 501 5.5.4.
    Parameter(&'static str, &'static str),
    /// `BODY=BINARYMIME`, which is not offered: 504 5.5.4.
    BinaryMime,
    /// The octets behind it cannot be told from commands: 501 5.5.4, and the end of the session.
    Chunk,
}

impl SyntaxError {
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Unknown => Reply::new(500, "5.5.2", "command not recognized"),
            Self::NotImplemented => Reply::new(502, "5.5.1", "command not implemented"),
            Self::OtherProtocol => Reply::new(421, "4.7.0", "this is an SMTP server"),
            Self::Arguments(expected) => Reply::new(501, "5.5.4", *expected),
            Self::Path(error) => error.reply(),
            Self::UnknownParameter(keyword) => {
                Reply::new(555, "5.5.4", format!("parameter {keyword} is not offered"))
            }
            Self::Parameter(keyword, problem) => {
                Reply::new(501, "5.5.4", format!("{keyword}: {problem}"))
            }
            Self::BinaryMime => Reply::new(504, "5.5.4", "BODY=BINARYMIME is not supported"),
            Self::Chunk => Reply::new(
                501,
                "5.5.4",
                "expected BDAT, a size in octets, and LAST or nothing",
            ),
        }
    }

    /// Nothing after such a line may be read as a command.
    pub(crate) fn ends_session(&self) -> bool {
        matches!(self, Self::OtherProtocol | Self::Chunk)
    }
}

/// What browsers and proxies begin a request with. A page can make a browser on this host send one.
const OTHER_PROTOCOLS: [&str; 10] = [
    "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "DELETE", "PATCH", "TRACE", "PRI",
];

/// Parses one line, without its end. `postmaster` is that of this server.
pub(crate) fn parse(line: &str, postmaster: Option<&Address>) -> Result<Command, SyntaxError> {
    let (verb, rest) = line.split_at(line.find([' ', '\t']).unwrap_or(line.len()));
    let rest = rest.trim_matches([' ', '\t']);
    let alone = |command: Command| match rest.is_empty() {
        true => Ok(command),
        false => Err(SyntaxError::Arguments("the command has no arguments")),
    };
    let verb = verb.to_ascii_uppercase();
    match &*verb {
        "EHLO" => Ok(Command::Ehlo(rest.to_owned())),
        "HELO" => Ok(Command::Helo(rest.to_owned())),
        "MAIL" => mail(rest).map(|mail| Command::Mail(Box::new(mail))),
        "RCPT" => rcpt(rest, postmaster).map(|rcpt| Command::Rcpt(Box::new(rcpt))),
        "DATA" => alone(Command::Data),
        "BDAT" => chunk(rest).map(Command::Bdat).ok_or(SyntaxError::Chunk),
        "RSET" => alone(Command::Rset),
        "NOOP" => Ok(Command::Noop),
        "QUIT" => alone(Command::Quit),
        "VRFY" => Ok(Command::Vrfy),
        "HELP" => Ok(Command::Help),
        "STARTTLS" => alone(Command::Starttls),
        "AUTH" => auth(rest),
        "EXPN" | "ETRN" | "ATRN" | "TURN" | "SEND" | "SOML" | "SAML" | "BURL" | "LHLO" => {
            Err(SyntaxError::NotImplemented)
        }
        other if OTHER_PROTOCOLS.contains(&other) || other.ends_with(':') => {
            Err(SyntaxError::OtherProtocol)
        }
        _ => Err(SyntaxError::Unknown),
    }
}

fn mail(rest: &str) -> Result<Mail, SyntaxError> {
    let expected = SyntaxError::Arguments("expected MAIL FROM:<address>, and parameters");
    let (path, parameters) = path::split(rest, "FROM:").ok_or(expected)?;
    let mut parameters = Parameters::parse(parameters)?;
    let smtp_utf8 = parameters.flag("SMTPUTF8")?;
    let mail = Mail {
        size: parameters.take("SIZE", parameters::size)?,
        body: match parameters.take("BODY", parameters::body)? {
            Some(Some(body)) => body,
            Some(None) => return Err(SyntaxError::BinaryMime),
            None => BodyType::SevenBit,
        },
        returns: parameters.take("RET", parameters::returns)?,
        envelope_id: parameters.take("ENVID", parameters::envelope_id)?,
        path: match path::parse(path).map_err(SyntaxError::Path)? {
            Path::Null => None,
            Path::Address(address) => Some(address),
        },
        smtp_utf8,
    };
    // RFC 4954 section 5: who wrote the message first. It is not forwarded.
    parameters.take("AUTH", |value| (!value.is_empty()).then_some(()))?;
    parameters.finish()?;
    if !smtp_utf8 && !path.is_ascii() {
        return Err(SyntaxError::Path(PathError::NeedsSmtpUtf8));
    }
    Ok(mail)
}

fn rcpt(rest: &str, postmaster: Option<&Address>) -> Result<Rcpt, SyntaxError> {
    let expected = SyntaxError::Arguments("expected RCPT TO:<address>, and parameters");
    let (path, parameters) = path::split(rest, "TO:").ok_or(expected)?;
    let mut parameters = Parameters::parse(parameters)?;
    let rcpt = Rcpt {
        notify: parameters.take("NOTIFY", parameters::notify)?,
        original: parameters.take("ORCPT", parameters::original)?,
        path: forward_path(path, postmaster).map_err(SyntaxError::Path)?,
        needs_smtp_utf8: !path.is_ascii(),
    };
    parameters.finish()?;
    Ok(rcpt)
}

fn forward_path(path: &str, postmaster: Option<&Address>) -> Result<Address, PathError> {
    if path::is_postmaster(path) {
        return postmaster.cloned().ok_or(PathError::NoPostmaster);
    }
    match path::parse(path)? {
        Path::Null => Err(PathError::NullRecipient),
        Path::Address(address) => Ok(address),
    }
}

/// MAIL of a file: a path and parameters, as they stand behind `MAIL FROM:`. A name without a domain is of `domain`.
pub(crate) fn mail_of_file(value: &str, domain: &str) -> Result<Mail, SyntaxError> {
    let mut arguments = with_domain("FROM:", value, domain);
    // A program that writes a file cannot ask whether the parameter is offered.
    if !arguments.is_ascii() && !arguments.to_ascii_uppercase().contains(" SMTPUTF8") {
        arguments += " SMTPUTF8";
    }
    mail(&arguments)
}

/// RCPT of a file, likewise.
pub(crate) fn rcpt_of_file(value: &str, domain: &str) -> Result<Rcpt, SyntaxError> {
    rcpt(&with_domain("TO:", value, domain), None)
}

fn with_domain(keyword: &str, value: &str, domain: &str) -> String {
    let arguments = format!("{keyword}{value}");
    match path::split(&arguments, keyword) {
        Some((path, parameters)) if !path.contains('@') && path != "<>" => {
            let name = path.trim_start_matches('<').trim_end_matches('>');
            format!("{keyword}<{name}@{domain}>{parameters}")
        }
        _ => arguments,
    }
}

fn chunk(rest: &str) -> Option<Chunk> {
    let mut words = rest.split_ascii_whitespace();
    let size = words.next()?;
    let is_last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return None,
    };
    let is_number = size.len() <= 20 && size.bytes().all(|byte| byte.is_ascii_digit());
    (words.next().is_none() && is_number).then_some(())?;
    Some(Chunk {
        size: size.parse().ok()?,
        is_last,
    })
}

fn auth(rest: &str) -> Result<Command, SyntaxError> {
    let mut words = rest.split(' ');
    let expected = SyntaxError::Arguments("expected AUTH, a mechanism, and its initial response");
    let mechanism = words
        .next()
        .filter(|word| !word.is_empty())
        .ok_or(expected.clone())?;
    let initial_response = words.next().map(|word| Zeroizing::new(word.to_owned()));
    match words.next() {
        Some(_) => Err(expected),
        None => Ok(Command::Auth(AuthCommand {
            mechanism: mechanism.to_ascii_uppercase(),
            initial_response,
        })),
    }
}

#[cfg(test)]
mod tests;
