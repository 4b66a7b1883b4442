//! The header section of a message (RFC 5322 section 2.2): where it ends, and what it says for people.

use mail_parser::{HeaderName, HeaderValue, MessageParser};
use memchr::memchr;
use sendport_core::domain::{Address, Mailbox};

/// Longest text of From, and longest subject, in characters, as their columns have them.
const LONGEST_FROM: usize = 1000;
const LONGEST_SUBJECT: usize = 998;

/// Looks for the end of a header section that arrives in pieces. Its lines end with CRLF.
#[derive(Debug, Default)]
pub(super) struct HeaderScan {
    /// Where the line begins that is not complete.
    line: usize,
    /// So much of it has no line end.
    searched: usize,
}

/// What a [`HeaderScan`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanResult {
    /// It may go on.
    Incomplete,
    /// It ends in front of this offset: at an empty line, or at a line that is no header field.
    End { at: usize, has_separator: bool },
}

impl HeaderScan {
    /// `content` is everything so far.
    pub(super) fn resume(&mut self, content: &[u8]) -> ScanResult {
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
    pub(super) fn finish(&self, content: &[u8]) -> (usize, bool) {
        let line = &content[self.line..];
        match line.is_empty() || self.continues(line) {
            true => (content.len(), true),
            false => (self.line, false),
        }
    }

    /// The line is a header field, or the continuation of one.
    fn continues(&self, line: &[u8]) -> bool {
        match line.first() {
            Some(b' ' | b'\t') => self.line > 0,
            _ => field_name(line).is_some(),
        }
    }
}

/// The name of the header field that begins on this line.
fn field_name(line: &[u8]) -> Option<&[u8]> {
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

/// Number of fields with this name.
fn count(section: &[u8], name: &[u8]) -> usize {
    let lines = section.split(|&byte| byte == b'\n');
    let names = lines.filter(|line| !line.starts_with(b" ") && !line.starts_with(b"\t"));
    names
        .filter_map(field_name)
        .filter(|found| found.eq_ignore_ascii_case(name))
        .count()
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
