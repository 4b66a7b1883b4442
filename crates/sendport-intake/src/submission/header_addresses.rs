//! The addresses in the header section of a message that a program on this host wrote: `root` gets a domain (RFC 6409
//! section 8), and where there is no other envelope the addresses are the envelope.

use memchr::memchr;
use sendport_core::domain::Address;

use crate::command::{Path, PathError, parse_path};
use crate::content::header::{AddressList, HeaderScan, ScanResult, field_name, is_continuation};

/// Fields with addresses of mailboxes.
const ADDRESS_FIELDS: [&str; 12] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-Reply-To",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
];

/// Stands for the domain of a name that has none. RFC 2606 section 2 reserves it.
const NO_DOMAIN: &str = "no-domain.invalid";

/// An address in the header section that cannot be in an envelope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header has an address that cannot be used: '{written}': {problem}")]
pub struct HeaderAddressError {
    /// The address as it is written.
    pub written: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The recipients that the header section names in `To`, `Cc` and `Bcc`, or in `Resent-To`, `Resent-Cc` and
/// `Resent-Bcc` if it has one of these. A name without a domain is returned as it is. Lines may end with LF alone; the
/// section ends at an empty line.
///
/// # Errors
/// [`HeaderAddressError`] of the first address that is malformed.
pub fn header_recipients(section: &[u8]) -> Result<Vec<String>, HeaderAddressError> {
    let (mut converter, mut lines) = (super::crlf::CrlfConverter::default(), Vec::new());
    converter.convert(section, &mut lines);
    let mut scan = HeaderScan::default();
    let end = match scan.resume(&lines) {
        ScanResult::End { at, .. } => at,
        ScanResult::Incomplete => scan.finish(&lines).0,
    };
    let addresses = recipients(&with_domains(&lines[..end], NO_DOMAIN))?;
    let as_written = |address: Address| match address.domain() == NO_DOMAIN {
        true => address.local_part().to_owned(),
        false => address.into(),
    };
    Ok(addresses.into_iter().map(as_written).collect())
}

/// The same, of a section whose addresses have domains and whose lines end with CRLF.
pub(crate) fn recipients(section: &[u8]) -> Result<Vec<Address>, HeaderAddressError> {
    let list = AddressList::Recipients.read(section);
    list.iter().map(|written| address(written)).collect()
}

/// Who sent the message: `Sender`, or the first mailbox of `From`, or the same of the last `Resent-` fields.
pub(crate) fn sender(section: &[u8]) -> Result<Option<Address>, HeaderAddressError> {
    let list = AddressList::Sender.read(section);
    list.first().map(|written| address(written)).transpose()
}

fn address(written: &str) -> Result<Address, HeaderAddressError> {
    let problem = match parse_path(written) {
        Ok(Path::Address(address)) => return Ok(address),
        Ok(Path::Null) => "it is empty",
        Err(PathError::Malformed(problem)) => problem,
        Err(_) => "it names a route (%, ! or a second @)",
    };
    let written = written.chars().filter(|c| !c.is_control()).take(320);
    Err(HeaderAddressError {
        written: written.collect(),
        problem,
    })
}

/// The header section with `domain` behind each name in an address field that has no domain. Everything else is as it
/// was.
pub(crate) fn with_domains(section: &[u8], domain: &str) -> Vec<u8> {
    let mut output = Vec::with_capacity(section.len());
    let mut rest = section;
    while !rest.is_empty() {
        let (field, next) = rest.split_at(field_length(rest));
        rest = next;
        let name = field_name(field).map(String::from_utf8_lossy);
        let has_addresses = name.is_some_and(|name| {
            ADDRESS_FIELDS
                .iter()
                .any(|it| name.eq_ignore_ascii_case(it))
        });
        let colon = memchr(b':', field).filter(|_| has_addresses);
        let Some(colon) = colon else {
            output.extend_from_slice(field);
            continue;
        };
        let (head, value) = field.split_at(colon + 1);
        output.extend_from_slice(head);
        let mut copied = 0;
        for end in ends_without_domain(value) {
            output.extend_from_slice(&value[copied..end]);
            output.push(b'@');
            output.extend_from_slice(domain.as_bytes());
            copied = end;
        }
        output.extend_from_slice(&value[copied..]);
    }
    output
}

/// The length of the first field with its continuation lines.
pub(crate) fn field_length(section: &[u8]) -> usize {
    let mut end = 0;
    while let Some(line) = memchr(b'\n', &section[end..]) {
        end += line + 1;
        if !is_continuation(&section[end..]) {
            return end;
        }
    }
    section.len()
}

/// One entry of a list of addresses, while it is read.
#[derive(Default)]
struct Entry {
    /// Atoms and quoted strings of what may be the address.
    words: usize,
    in_word: bool,
    has_at: bool,
    /// Where the last word ends.
    end: usize,
    /// It began as an encoded word, which is no address.
    is_encoded: bool,
    /// The address was in angle brackets.
    is_complete: bool,
}

impl Entry {
    fn word(&mut self, at: usize, value: &[u8]) {
        if !self.in_word {
            self.words += 1;
            self.is_encoded = value[at..].starts_with(b"=?");
        }
        self.in_word = true;
        self.end = at + 1;
    }

    fn finish(&mut self, ends: &mut Vec<usize>) {
        if self.words == 1 && !self.has_at && !self.is_encoded && !self.is_complete {
            ends.push(self.end);
        }
    }
}

/// Where the addresses of a list end that are one word without `@` (RFC 5322 section 3.4).
fn ends_without_domain(value: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut entry = Entry::default();
    let (mut comments, mut is_quoted, mut is_angle, mut is_escaped) = (0_u32, false, false, false);
    for (at, &byte) in value.iter().enumerate() {
        if std::mem::take(&mut is_escaped) {
            entry.end = if comments == 0 { at + 1 } else { entry.end };
            continue;
        }
        match byte {
            b'\\' if comments > 0 || is_quoted => is_escaped = true,
            b'(' if !is_quoted => (comments, entry.in_word) = (comments + 1, false),
            b')' if comments > 0 => comments -= 1,
            _ if comments > 0 => {}
            b'"' => {
                entry.word(at, value);
                is_quoted = !is_quoted;
            }
            _ if is_quoted => entry.end = at + 1,
            b'<' => (is_angle, entry) = (true, Entry::default()),
            b'>' if is_angle => {
                entry.finish(&mut ends);
                (is_angle, entry.is_complete) = (false, true);
            }
            b',' | b';' if !is_angle => {
                entry.finish(&mut ends);
                entry = Entry::default();
            }
            // The name of a group.
            b':' if !is_angle => entry = Entry::default(),
            b' ' | b'\t' | b'\r' | b'\n' => entry.in_word = false,
            b'@' => {
                entry.word(at, value);
                entry.has_at = true;
            }
            _ => entry.word(at, value),
        }
    }
    if !is_quoted && comments == 0 && !is_angle {
        entry.finish(&mut ends);
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_domain_gets_one() {
        for (field, expected) in [
            ("To: root", "To: root@h.test"),
            ("to:root", "to:root@h.test"),
            (
                "From: mdadm monitoring <root>",
                "From: mdadm monitoring <root@h.test>",
            ),
            (
                "From: root (Cron Daemon)",
                "From: root@h.test (Cron Daemon)",
            ),
            (
                "From: \"(Cron Daemon)\" <root>",
                "From: \"(Cron Daemon)\" <root@h.test>",
            ),
            (
                "To: a, b@x.test,\r\n c (\"d, e\")",
                "To: a@h.test, b@x.test,\r\n c@h.test (\"d, e\")",
            ),
            (
                "Cc: \"a, b\" <c>, \"d e\"",
                "Cc: \"a, b\" <c@h.test>, \"d e\"@h.test",
            ),
            ("Bcc: team: a, <b>;", "Bcc: team: a@h.test, <b@h.test>;"),
            // Nothing that is a name.
            (
                "To: undisclosed-recipients:;",
                "To: undisclosed-recipients:;",
            ),
            ("To: John Doe", "To: John Doe"),
            ("To: =?utf-8?q?x?=", "To: =?utf-8?q?x?="),
            ("To: <>", "To: <>"),
            ("To:", "To:"),
            ("To: \"not closed", "To: \"not closed"),
            ("Subject: root", "Subject: root"),
            ("X-To: root", "X-To: root"),
        ] {
            let (section, expected) = (format!("{field}\r\n"), format!("{expected}\r\n"));
            let found = with_domains(section.as_bytes(), "h.test");
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        }
    }

    #[test]
    fn the_header_names_recipients_once_for_all_fields() {
        let found = |section: &str| header_recipients(section.as_bytes());
        let fields =
            "To: A <a@x.test>, root\nCc: b@x.test\nBcc: g: c@x.test, d;\nSubject: e@x.test\n";
        let expected = ["a@x.test", "root", "b@x.test", "c@x.test", "d"];
        assert_eq!(found(fields).unwrap(), expected);
        let resent = format!("Resent-To: r@x.test\n{fields}Resent-Bcc: s\n");
        assert_eq!(found(&resent).unwrap(), ["r@x.test", "s"]);
        assert_eq!(found("Subject: x\n\nTo: in@the.body\n").unwrap(), [""; 0]);
        assert_eq!(found("To: undisclosed-recipients:;\n").unwrap(), [""; 0]);
        for wrong in ["To: John Doe\n", "To: a%b@x.test\n", "To: a@x.test, b@\n"] {
            assert!(found(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_sender_is_the_one_who_sent_it() {
        for (section, expected) in [
            ("From: a@x.test, b@x.test\r\n", Some("a@x.test")),
            (
                "From: a@x.test\r\nSender: B <b@x.test>\r\n",
                Some("b@x.test"),
            ),
            (
                "From: a@x.test\r\nResent-From: c@x.test\r\n",
                Some("c@x.test"),
            ),
            ("Subject: x\r\n", None),
        ] {
            let found = sender(section.as_bytes()).unwrap();
            assert_eq!(found.as_deref(), expected, "{section}");
        }
    }
}
