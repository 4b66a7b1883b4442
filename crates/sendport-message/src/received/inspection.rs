//! What a message is before a send port signs or encrypts it.

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use super::content_type::ContentType;
use super::part::{DEEPEST, Part, Piece, Written, each_piece};
use super::seven_bit::{NotChanged, has_line};

/// Why a message is not signed or encrypted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlreadyProtected {
    /// A part is `multipart/signed`.
    Signed,
    /// A part is encrypted, or S/MIME that only its readers open.
    Encrypted,
    /// A text has OpenPGP in it (RFC 9580 section 6.2).
    OpenPgp,
    /// A report about another message (RFC 6522).
    Report,
}

impl AlreadyProtected {
    /// The words after "the message is".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signed => "signed already",
            Self::Encrypted => "encrypted already, or signed in a form that only its readers open",
            Self::OpenPgp => "signed or encrypted by OpenPGP already",
            Self::Report => "a report about another message",
        }
    }
}

const PGP: [&[u8]; 2] = [
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN PGP SIGNED MESSAGE-----",
];

/// What a message is already; a message inside it does not count.
///
/// # Errors
/// [`NotChanged`]: it cannot be said what its parts are.
pub fn already_protected(message: &[u8]) -> Result<Option<AlreadyProtected>, NotChanged> {
    inspect(message, false, 0)
}

fn inspect(
    octets: &[u8],
    in_digest: bool,
    depth: usize,
) -> Result<Option<AlreadyProtected>, NotChanged> {
    if depth >= DEEPEST {
        return Err(NotChanged::Depth);
    }
    let part = Part::read(octets);
    let content_type = part.content_type(in_digest)?;
    if content_type.is_signed() {
        return Ok(Some(AlreadyProtected::Signed));
    }
    if content_type.is_opaque() {
        return Ok(Some(AlreadyProtected::Encrypted));
    }
    if content_type.essence == "multipart/report" {
        return Ok(Some(AlreadyProtected::Report));
    }
    if content_type.is_multipart() {
        return inspect_parts(part.content, &content_type, depth);
    }
    let is_pgp = content_type.is_text() && has_pgp(&part)?;
    Ok(is_pgp.then_some(AlreadyProtected::OpenPgp))
}

fn inspect_parts(
    content: &[u8],
    content_type: &ContentType,
    depth: usize,
) -> Result<Option<AlreadyProtected>, NotChanged> {
    let boundary = content_type.boundary.as_ref().ok_or(NotChanged::Boundary)?;
    let is_digest = content_type.essence == "multipart/digest";
    let mut found = None;
    let has_boundary = each_piece(content, boundary, |piece| {
        if let (None, Piece::Part(octets)) = (found, piece) {
            found = inspect(octets, is_digest, depth + 1)?;
        }
        Ok(())
    })?;
    has_boundary.then_some(found).ok_or(NotChanged::Boundary)
}

fn has_pgp(part: &Part<'_>) -> Result<bool, NotChanged> {
    let decoded = match part.written()? {
        Written::QuotedPrintable => quoted_printable_decode(part.content),
        Written::Base64 => base64_decode(part.content),
        Written::Plain | Written::Unknown => None,
    };
    let text = decoded.as_deref().unwrap_or(part.content);
    Ok(PGP.iter().any(|line| has_line(text, line)))
}

/// Why a message has no address in From that a signature could be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FromProblem {
    /// There is none.
    #[error("there is none")]
    Missing,
    /// Readers would choose one of them.
    #[error("there are several")]
    Several,
    /// RFC 6532 section 3.2.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// A list, a group, or a display name without the quotation marks that it needs.
    #[error(
        "it is not exactly one mailbox; a display name with one of , ; : @ needs quotation marks"
    )]
    NotOne,
}

/// The value of the only From, on one line. It contains one mailbox at most: readers that take a display name for
/// an address find none.
///
/// # Errors
/// [`FromProblem`].
pub fn from_field(message: &[u8]) -> Result<String, FromProblem> {
    let value = Part::read(message)
        .only(b"from")
        .map_err(|_| FromProblem::Several)?
        .filter(|value| !value.is_empty())
        .ok_or(FromProblem::Missing)?;
    let value = std::str::from_utf8(value).map_err(|_| FromProblem::NotUtf8)?;
    let value = value.replace("\r\n", "");
    match is_one_mailbox(&value) {
        true => Ok(value),
        false => Err(FromProblem::NotOne),
    }
}

/// One `@`, and nothing that separates mailboxes, outside quotation marks, comments and address literals.
fn is_one_mailbox(value: &str) -> bool {
    let (mut quoted, mut literal, mut comments, mut ats) = (false, false, 0_usize, 0);
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if quoted || comments > 0 => drop(characters.next()),
            '"' if comments == 0 => quoted = !quoted,
            _ if quoted => {}
            '(' => comments += 1,
            ')' if comments > 0 => comments -= 1,
            _ if comments > 0 => {}
            '[' => literal = true,
            ']' => literal = false,
            _ if literal => {}
            '@' => ats += 1,
            ',' | ';' | ':' => return false,
            _ => {}
        }
    }
    ats == 1 && !quoted && !literal && comments == 0
}

#[cfg(test)]
#[path = "inspection_tests.rs"]
mod tests;
