//! The message that a report returns: its header, in a part of its own or behind the text.

use crate::addresses;
use crate::header::Header;
use crate::parts::{Part, split_header};

/// What the header of the returned message says.
#[derive(Debug, Default)]
pub(crate) struct Original {
    /// With its angle brackets.
    pub(crate) message_id: Option<String>,
    /// The addresses of To and Cc.
    pub(crate) recipients: Vec<String>,
    /// The addresses of From, Sender and Reply-To.
    pub(crate) senders: Vec<String>,
}

/// The types of a returned message or header (RFC 3462, RFC 6533).
const TYPES: &[&str] = &[
    "message/rfc822",
    "text/rfc822-headers",
    "text/rfc822-header",
    "message/rfc822-headers",
    "message/global",
    "message/global-headers",
];

impl Original {
    /// Of the first part that is one.
    pub(crate) fn in_parts(parts: &[Part<'_>]) -> Self {
        let part = parts.iter().find(|it| TYPES.contains(&&*it.essence));
        part.map(|it| Self::read(&it.bytes())).unwrap_or_default()
    }

    /// Of a returned message, or of its header section.
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace());
        let (section, _) = split_header(&bytes[start.unwrap_or(0)..]);
        let header = Header::read(section);
        let of = |names: &[&str]| -> Vec<String> {
            let texts = names.iter().filter_map(|name| header.text(name));
            let found = texts.flat_map(|text| addresses::all(&text));
            found.take(100).collect()
        };
        Self {
            message_id: header.text("Message-ID").and_then(|it| message_id(&it)),
            recipients: of(&["To", "Cc"]),
            senders: of(&["From", "Sender", "Reply-To", "Return-Path"]),
        }
    }
}

/// The first `<...>` of a value.
pub(crate) fn message_id(value: &str) -> Option<String> {
    let start = value.find('<')?;
    let end = value[start..].find('>')?;
    let id = &value[start..=start + end];
    (id.len() > 2 && id.len() < 1000).then(|| id.to_owned())
}

/// How servers begin the copy of the message, in lower case, at the beginning of a line without its dashes.
const MARKS: &[&str] = &[
    "below this line is a copy of the message",
    "this is a copy of your message",
    "this is a copy of the message",
    "this is a copy of the headers",
    "original message",
    "the original message follows",
    "the original message was included",
    "original mail",
    "original headers",
    "message header",
    "headers of the original",
    "header of the original message",
    "the header of the original message",
    "the headers of the message",
    "unsent message",
    "returned message",
    "returned mail follows",
    "undelivered message",
    "no message was collected",
    "included is a copy of the message",
    "copy of the message",
    "a copy of the original message",
    "the attachment contains the original",
    "the body of the message is",
    "the header and top",
    "enclosed are the original headers",
    "the first 50 lines of the original message",
    "forwarded message",
    "rejected message",
    "start of returned message",
    "mensaje original",
    "message d'origine",
    "urspr\u{fc}ngliche nachricht",
    "messaggio originale",
    "\u{30aa}\u{30ea}\u{30b8}\u{30ca}\u{30eb}",
];

/// Fields that begin the header of a returned message without any mark.
const FIELDS: &[&str] = &[
    "received:",
    "return-path:",
    "message-id:",
    "delivered-to:",
    "x-envelope-from:",
];

/// Cuts a text into what it says and the copy of the message behind that.
pub(crate) fn cut(text: &str) -> (&str, &str) {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_lowercase();
        let is_field = FIELDS.iter().any(|it| lower.starts_with(it)) && at > 0;
        let words = lower.trim().trim_matches(|c: char| !c.is_alphanumeric());
        let is_mark = MARKS.iter().any(|it| words.starts_with(it))
            && !words.starts_with("original message was received")
            && !words.starts_with("original message received");
        if is_field {
            return (&text[..at], &text[at..]);
        }
        if is_mark {
            return (&text[..at], &text[at + line.len()..]);
        }
        at += line.len();
    }
    (text, "")
}
