//! The header section of a message (RFC 5322 section 2.2): where it ends, and what it says for people.

use mail_parser::{HeaderName, HeaderValue, MessageParser};
use memchr::memchr;
use sendport_core::domain::{Address, Mailbox};
use sendport_core::header_fields::fields;

/// Longest text of From, and longest subject, in characters, as their columns have them.
const LONGEST_FROM: usize = 1000;
const LONGEST_SUBJECT: usize = 998;

/// Looks for the end of a header section that arrives in pieces. Its lines end with CRLF.
#[derive(Debug, Default)]
pub(crate) struct HeaderScan {
    /// Where the line begins that is not complete.
    line: usize,
    /// So much of it has no line end.
    searched: usize,
}

/// What a [`HeaderScan`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanResult {
    /// It may go on.
    Incomplete,
    /// It ends in front of this offset: at an empty line, or at a line that is no header field.
    End { at: usize, has_separator: bool },
}

impl HeaderScan {
    /// `content` is everything so far.
    pub(crate) fn resume(&mut self, content: &[u8]) -> ScanResult {
        while let Some(end) = memchr(b'\n', &content[self.line + self.searched..]) {
            let end = self.line + self.searched + end;
            let line = &content[self.line..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() || !self.continues(line) {
                return ScanResult::End {
                    at: self.line,
                    has_separator: line.is_empty(),
                };
            }
            self.line = end + 1;
            self.searched = 0;
        }
        self.searched = content.len() - self.line;
        ScanResult::Incomplete
    }

    /// The end of content that ends in its header section, or in its first line.
    pub(crate) fn finish(&self, content: &[u8]) -> (usize, bool) {
        let line = &content[self.line..];
        match line.is_empty() || self.continues(line) {
            true => (content.len(), true),
            false => (self.line, false),
        }
    }

    /// The line is a header field, or the continuation of one.
    fn continues(&self, line: &[u8]) -> bool {
        match is_continuation(line) {
            true => self.line > 0,
            false => field_name(line).is_some(),
        }
    }
}

/// The line continues the field before it.
pub(crate) fn is_continuation(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t'))
}

/// The name of the header field that begins on this line.
pub(crate) fn field_name(line: &[u8]) -> Option<&[u8]> {
    let name = &line[..memchr(b':', line)?];
    // RFC 5322 section 4.5 has spaces there.
    let name = name.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then_some(name)
}

/// What a header section says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HeaderSection {
    /// Number of `Received` fields.
    pub(super) hops: usize,
    pub(super) has_date: bool,
    /// `Message-ID` with its angle brackets; `None` where there is no such field.
    pub(crate) message_id: Option<String>,
    /// The mailboxes of From.
    pub(crate) from: Option<String>,
    /// Subject, decoded.
    pub(crate) subject: Option<String>,
    /// The addresses in To.
    pub(crate) to: Vec<Address>,
    /// The addresses in Cc.
    pub(crate) cc: Vec<Address>,
}

impl HeaderSection {
    pub(super) fn read(section: &[u8]) -> Self {
        let mut header = Self {
            hops: count(section, b"Received"),
            has_date: count(section, b"Date") > 0,
            ..Self::default()
        };
        let parser = MessageParser::new();
        let Some(message) = parser.parse_headers(section) else {
            return header;
        };
        header.from = mailboxes(message.header_values(HeaderName::From));
        header.subject = message
            .subject()
            .map(|subject| shown(subject, LONGEST_SUBJECT));
        header.to = addresses(message.header_values(HeaderName::To));
        header.cc = addresses(message.header_values(HeaderName::Cc));
        if count(section, b"Message-ID") > 0 {
            let id = message.message_id().unwrap_or_default();
            let id = shown(id, LONGEST_SUBJECT - 2);
            header.message_id = Some(if id.is_empty() { id } else { format!("<{id}>") });
        }
        header
    }
}

/// Addresses in the header section that can be an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressList {
    /// Of `Sender`, else of `From`.
    Sender,
    /// Of `To`, `Cc` and `Bcc`.
    Recipients,
}

impl AddressList {
    /// The addresses as they are written, without names and groups; those of the `Resent-` fields if there are any
    /// (RFC 5322 section 3.6.6).
    pub(crate) fn read(self, section: &[u8]) -> Vec<String> {
        let parser = MessageParser::new();
        let Some(message) = parser.parse_headers(section) else {
            return Vec::new();
        };
        let of = |names: &[HeaderName<'static>]| -> Vec<String> {
            let values = names
                .iter()
                .flat_map(|name| message.header_values(name.clone()));
            let addresses = values.filter_map(HeaderValue::as_address);
            let entries = addresses.flat_map(mail_parser::Address::iter);
            // Without an address, the name is what somebody wrote instead of one.
            let written = entries.filter_map(|it| it.address.as_ref().or(it.name.as_ref()));
            written.map(|it| it.clone().into_owned()).collect()
        };
        let lists: &[&[HeaderName<'static>]] = match self {
            Self::Sender => &[
                &[HeaderName::ResentSender],
                &[HeaderName::ResentFrom],
                &[HeaderName::Sender],
                &[HeaderName::From],
            ],
            Self::Recipients => &[
                &[
                    HeaderName::ResentTo,
                    HeaderName::ResentCc,
                    HeaderName::ResentBcc,
                ],
                &[HeaderName::To, HeaderName::Cc, HeaderName::Bcc],
            ],
        };
        let mut found = lists.iter().map(|names| of(names));
        found.find(|list| !list.is_empty()).unwrap_or_default()
    }
}

/// Number of fields with this name.
pub(crate) fn count(section: &[u8], name: &[u8]) -> usize {
    let fields = fields(section).into_iter();
    fields.filter(|field| field.is(section, name)).count()
}

fn mailboxes<'a>(values: impl Iterator<Item = &'a HeaderValue<'a>>) -> Option<String> {
    let addresses = values.filter_map(HeaderValue::as_address);
    let each = addresses.flat_map(mail_parser::Address::iter).map(|entry| {
        let address = entry.address().unwrap_or_default();
        match address.parse::<Address>() {
            Ok(address) => {
                let name = entry.name().map(|name| shown(name, LONGEST_FROM));
                let display_name = name.filter(|name| !name.is_empty());
                Mailbox {
                    display_name,
                    address,
                }
                .to_string()
            }
            Err(error) => error.written,
        }
    });
    let text = shown(&each.collect::<Vec<_>>().join(", "), LONGEST_FROM);
    Some(text).filter(|text| !text.is_empty())
}

fn addresses<'a>(values: impl Iterator<Item = &'a HeaderValue<'a>>) -> Vec<Address> {
    let addresses = values.filter_map(HeaderValue::as_address);
    let entries = addresses.flat_map(mail_parser::Address::iter);
    entries
        .filter_map(|entry| entry.address()?.parse().ok())
        .collect()
}

/// One line, for a column.
fn shown(text: &str, longest: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(longest).map(visible).collect()
}
