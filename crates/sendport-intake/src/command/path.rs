//! The paths of MAIL and RCPT (RFC 5321 section 4.1.2).

use sendport_core::domain::Address;

use crate::reply::Reply;

/// What names a route in a local part, and what a server that normalizes addresses (NFKC) takes for it.
const ROUTE: [char; 13] = [
    '%', '!', '@', '\u{ff05}', '\u{fe6a}', '\u{ff01}', '\u{fe57}', '\u{fe15}', '\u{203c}',
    '\u{2048}', '\u{2049}', '\u{ff20}', '\u{fe6b}',
];

/// A path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Path {
    /// `<>`.
    Null,
    /// An address.
    Address(Address),
}

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathError {
    /// No address: 501 5.1.3.
    Malformed(&'static str),
    /// A route through other servers, in front of the address or hidden in it: 550 5.7.1.
    Route,
    /// `RCPT TO:<>`: 550 5.7.1.
    NullRecipient,
    /// `RCPT TO:<postmaster>`, and there is none: 550 5.1.1.
    NoPostmaster,
    /// Beyond ASCII without the parameter `SMTPUTF8`: 553 5.6.7 (RFC 6531 section 3.5).
    NeedsSmtpUtf8,
}

impl PathError {
    pub(crate) fn reply(&self) -> Reply {
        match self {
            Self::Malformed(problem) => {
                Reply::new(501, "5.1.3", format!("not a mail address: {problem}"))
            }
            Self::Route => Reply::new(
                550,
                "5.7.1",
                "relaying denied: the address names a route (%, !, @ or a list of hosts)",
            ),
            Self::NullRecipient => Reply::new(
                550,
                "5.7.1",
                "relaying denied: the null path is no recipient",
            ),
            Self::NoPostmaster => Reply::new(
                550,
                "5.1.1",
                "there is no postmaster here: its administrator has to set postmaster of the intake",
            ),
            Self::NeedsSmtpUtf8 => Reply::new(
                553,
                "5.6.7",
                "the address needs the parameter SMTPUTF8 of MAIL",
            ),
        }
    }
}

/// The path with its angle brackets if it has them, and the parameters after it. `None` where the keyword or the path
/// is missing, or a bracket or a quotation mark is not closed.
pub(super) fn split<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, tail) = rest.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let tail = tail.trim_start_matches([' ', '\t']);
    let end = match tail.starts_with('<') {
        true => find_outside_quotes(tail, |c| c == '>')? + 1,
        false => find_outside_quotes(tail, |c| c == ' ' || c == '\t').unwrap_or(tail.len()),
    };
    let (path, parameters) = tail.split_at(end);
    let is_separate = parameters.is_empty() || parameters.starts_with([' ', '\t']);
    (is_separate && !path.is_empty()).then_some((path, parameters))
}

fn find_outside_quotes(text: &str, wanted: impl Fn(char) -> bool) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if !quoted && wanted(c) => return Some(at),
            _ => {}
        }
        None
    })
}

/// `<postmaster>` without a domain, which every server has (RFC 5321 section 4.1.1.3).
pub(super) fn is_postmaster(path: &str) -> bool {
    let inner = path.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
    inner.unwrap_or(path).eq_ignore_ascii_case("postmaster")
}

/// An address that is written as SMTP has it: no name, no comment, no space beside it.
pub(crate) fn parse(path: &str) -> Result<Path, PathError> {
    let inner = match path.strip_prefix('<') {
        Some(inner) => inner.strip_suffix('>').unwrap_or(inner),
        None => path,
    };
    if inner.is_empty() {
        return Ok(Path::Null);
    }
    if inner.starts_with('@') {
        return Err(PathError::Route);
    }
    let (local, domain) = inner
        .rsplit_once('@')
        .ok_or(PathError::Malformed("there is no '@'"))?;
    let is_quoted = local.len() > 1 && local.starts_with('"') && local.ends_with('"');
    let foreign = |c: char| c.is_whitespace() || "<>(),;\"".contains(c);
    if (!is_quoted && local.contains(foreign)) || domain.contains(foreign) {
        return Err(PathError::Malformed(
            "it has a character that an address in SMTP cannot have",
        ));
    }
    // `user%host@`, `host!user@` and `"user@host"@` ask the next server to send elsewhere.
    if local.contains(ROUTE) {
        return Err(PathError::Route);
    }
    let address = inner.parse::<Address>();
    address
        .map(Path::Address)
        .map_err(|error| PathError::Malformed(error.problem))
}
