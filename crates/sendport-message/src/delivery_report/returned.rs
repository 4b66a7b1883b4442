//! The part with the message itself, or its header section (RFC 3462 section 2, RFC 6533 sections 4 and 5).

use memchr::memmem;

use crate::received::header_fields;

/// Bytes of a header section that is returned; the rest is cut at the end of a field.
const MOST_HEADER_BYTES: usize = 64 * 1024;

/// What a report brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Returned {
    /// The header section, each line with its CRLF.
    Headers(Vec<u8>),
    /// The whole message.
    Full(Vec<u8>),
}

impl Returned {
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
pub fn original_headers(message: &[u8]) -> &[u8] {
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
