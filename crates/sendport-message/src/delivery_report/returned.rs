//! The part with the message itself, or its header section (RFC 3462 section 2, RFC 6533 sections 4 and 5).

use memchr::memmem;

use crate::received::{header_fields, passed_on};

/// Bytes of a header section that is returned; the rest is cut at the end of a field.
const MOST_HEADER_BYTES: usize = 64 * 1024;

/// Octets of a line without its CRLF (RFC 5322 section 2.1.1): relays refuse longer ones, which a client may have sent.
const LONGEST_LINE: usize = 998;

/// What a report brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// The header section, each line with its CRLF.
    Headers(Vec<u8>),
    /// The whole message.
    Full(Vec<u8>),
}

impl Returned {
    /// The header section of a message, or of its beginning.
    pub fn headers(message: &[u8]) -> Self {
        let header = original_headers(message).to_vec();
        Self::Headers(valid(&passed_on(header)))
    }

    /// The whole message; its header section alone if its body has a line that relays refuse.
    pub fn full(message: &[u8]) -> Self {
        let header = original_headers(message);
        let body = &message[header.len()..];
        let is_long = |line: &[u8]| line.trim_ascii_end().len() > LONGEST_LINE;
        // A header section that was cut has more behind it.
        if !body.starts_with(b"\r\n") || body.split(|byte| *byte == b'\n').any(is_long) {
            return Self::headers(message);
        }
        let mut whole = valid(&passed_on(header.to_vec()));
        whole.extend_from_slice(body);
        Self::Full(whole)
    }

    /// The part, with its header section.
    pub(super) fn part(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Headers(header) if header.is_ascii() => ("text/rfc822-headers", header),
            Self::Headers(header) => ("message/global-headers", header),
            Self::Full(message) if original_headers(message).is_ascii() => {
                ("message/rfc822", message)
            }
            Self::Full(message) => ("message/global", message),
        };
        let encoding = match content.is_ascii() {
            true => "",
            false => "Content-Transfer-Encoding: 8bit\r\n",
        };
        let part =
            format!("Content-Type: {kind}\r\n{encoding}Content-Description: Message\r\n\r\n");
        let mut part = part.into_bytes();
        part.extend_from_slice(content);
        part
    }

    /// Only what does not say what the message is about, for a send port that encrypts.
    #[must_use]
    pub fn without_content(self) -> Self {
        const SHOWN: [&[u8]; 2] = [b"date", b"message-id"];
        let (Self::Headers(octets) | Self::Full(octets)) = self;
        let mut shown = Vec::new();
        for (name, field) in header_fields(&octets) {
            if SHOWN.iter().any(|it| name.eq_ignore_ascii_case(it)) {
                shown.extend_from_slice(field);
            }
        }
        Self::Headers(shown)
    }
}

/// The header section of a message, or of its beginning; bounded.
pub(super) fn original_headers(message: &[u8]) -> &[u8] {
    let end = match message.starts_with(b"\r\n") {
        true => 0,
        false => memmem::find(message, b"\r\n\r\n").map_or(message.len(), |at| at + 2),
    };
    if end <= MOST_HEADER_BYTES {
        return &message[..end];
    }
    let mut kept = 0;
    for (_, field) in header_fields(&message[..end]) {
        if kept + field.len() > MOST_HEADER_BYTES {
            break;
        }
        kept += field.len();
    }
    &message[..kept]
}

/// A header section in UTF-8 (RFC 6532), its long lines folded.
fn valid(header: &[u8]) -> Vec<u8> {
    let mut valid = String::new();
    for (_, field) in header_fields(header) {
        // Clients that do not write UTF-8 write Latin-1.
        let text = match std::str::from_utf8(field) {
            Ok(text) => text.to_owned(),
            Err(_) => field.iter().copied().map(char::from).collect(),
        };
        for line in text.trim_end_matches("\r\n").split("\r\n") {
            fold(line, &mut valid);
        }
    }
    valid.into_bytes()
}

/// At the last space that fits; else anywhere.
fn fold(line: &str, folded: &mut String) {
    let mut rest = line;
    while rest.len() > LONGEST_LINE {
        // Room for the space in front of the next line.
        let most = rest.floor_char_boundary(LONGEST_LINE - 1);
        let space = rest[..most]
            .rfind(' ')
            .filter(|at| !rest[..*at].trim().is_empty());
        let (first, next) = rest.split_at(space.unwrap_or(most));
        *folded += first;
        *folded += match next.starts_with(' ') {
            true => "\r\n",
            false => "\r\n ",
        };
        rest = next;
    }
    *folded += rest;
    *folded += "\r\n";
}
