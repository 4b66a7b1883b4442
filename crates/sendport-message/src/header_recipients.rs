//! The recipients that a header section names, for a relay that sends to those and not to an envelope.
//!
//! `To`, `Cc` and `Bcc` (RFC 5322 section 3.6.3) of any message are read. A message whose header names others than the
//! recipients that are due gets a header that names them alone: addresses that are not due leave `To` and `Cc`, and
//! the recipients that neither names go into `Bcc`, which such a relay removes.

use std::collections::BTreeSet;

use mail_parser::{Addr, HeaderName, HeaderValue, MessageParser};
use sendport_core::domain::{Address, Mailbox};

use crate::mime::header::{HeaderSection, Script};
use crate::received::header_fields;

/// `To` where every recipient is in `Bcc` (RFC 5322 section 3.4).
const NOBODY: &str = "undisclosed-recipients:;";

/// A header section that names exactly the recipients that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderFit {
    /// The header of the message names them.
    Exact,
    /// The message's own header, with the recipients in a new field `Bcc` that `To` and `Cc` do not name. A signature of
    /// the header stays valid.
    WithBcc(Vec<u8>),
    /// Another header: `To` and `Cc` of the message named recipients that are not due, or could not be read.
    Rewritten(Vec<u8>),
}

/// The header section in which `message` goes to these recipients, without the empty line that ends it.
pub fn fit_header<'a>(message: &[u8], due: impl IntoIterator<Item = &'a Address>) -> HeaderFit {
    let due: BTreeSet<String> = due.into_iter().map(Address::comparable).collect();
    let named = NamedRecipients::read(message);
    let all: BTreeSet<String> = named.all().map(comparable).collect();
    if named.is_readable && all == due {
        return HeaderFit::Exact;
    }
    let visible: BTreeSet<String> = named.visible().map(comparable).collect();
    match named.is_readable && named.bcc.is_empty() && visible.is_subset(&due) {
        true => HeaderFit::WithBcc(named.with_bcc(message, &due)),
        false => HeaderFit::Rewritten(named.rewritten(message, &due)),
    }
}

fn comparable(mailbox: &Mailbox) -> String {
    mailbox.address.comparable()
}

/// What `To`, `Cc` and `Bcc` of a message name.
#[derive(Default)]
struct NamedRecipients {
    to: Vec<Mailbox>,
    cc: Vec<Mailbox>,
    bcc: Vec<Mailbox>,
    /// Each of them is an address, and no field of a resent message (RFC 5322 section 3.6.6) names others.
    is_readable: bool,
}

impl NamedRecipients {
    fn read(message: &[u8]) -> Self {
        let mut named = Self {
            is_readable: true,
            ..Self::default()
        };
        for (name, field) in header_fields(message) {
            let list = match FieldKind::of(name) {
                FieldKind::To => &mut named.to,
                FieldKind::Cc => &mut named.cc,
                FieldKind::Bcc => &mut named.bcc,
                FieldKind::Resent => {
                    named.is_readable = false;
                    continue;
                }
                FieldKind::Other => continue,
            };
            named.is_readable &= append_mailboxes(field, list);
        }
        named
    }

    fn visible(&self) -> impl Iterator<Item = &Mailbox> {
        self.to.iter().chain(&self.cc)
    }

    fn all(&self) -> impl Iterator<Item = &Mailbox> {
        self.visible().chain(&self.bcc)
    }

    fn with_bcc(&self, message: &[u8], due: &BTreeSet<String>) -> Vec<u8> {
        let mut header: Vec<u8> = Vec::new();
        for (_, field) in header_fields(message) {
            header.extend_from_slice(field);
        }
        header.extend(section(message, |it| {
            it.mailboxes("Bcc", &self.hidden(due));
        }));
        header
    }

    fn rewritten(&self, message: &[u8], due: &BTreeSet<String>) -> Vec<u8> {
        let is_due = |it: &&Mailbox| due.contains(&comparable(it));
        let to: Vec<&Mailbox> = self.to.iter().filter(is_due).collect();
        let cc: Vec<&Mailbox> = self.cc.iter().filter(is_due).collect();
        let mut recipients = Some(section(message, |it| {
            match to.is_empty() && cc.is_empty() {
                true => it.literal("To", NOBODY),
                false => it.mailboxes("To", &to),
            }
            it.mailboxes("Cc", &cc);
            it.mailboxes("Bcc", &self.hidden(due));
        }));
        let mut header = Vec::new();
        for (name, field) in header_fields(message) {
            match FieldKind::of(name) {
                FieldKind::Other => header.extend_from_slice(field),
                _ => header.extend(recipients.take().unwrap_or_default()),
            }
        }
        header.extend(recipients.unwrap_or_default());
        header
    }

    /// Those that are due and that neither `To` nor `Cc` names, each once.
    fn hidden(&self, due: &BTreeSet<String>) -> Vec<Mailbox> {
        let visible: BTreeSet<String> = self.visible().map(comparable).collect();
        let hidden = due.difference(&visible).filter_map(|it| it.parse().ok());
        let without_name = |address| Mailbox {
            display_name: None,
            address,
        };
        hidden.map(without_name).collect()
    }
}

/// The field of a header section, as far as it names recipients.
enum FieldKind {
    To,
    Cc,
    Bcc,
    Resent,
    Other,
}

impl FieldKind {
    fn of(name: &[u8]) -> Self {
        match name.to_ascii_lowercase().as_slice() {
            b"to" => Self::To,
            b"cc" => Self::Cc,
            b"bcc" => Self::Bcc,
            b"resent-to" | b"resent-cc" | b"resent-bcc" => Self::Resent,
            _ => Self::Other,
        }
    }
}

/// The addresses of one field; false where it names something that is no address.
fn append_mailboxes(field: &[u8], list: &mut Vec<Mailbox>) -> bool {
    // The parser reads one field by a name of its own choice.
    let Some(colon) = field.iter().position(|&byte| byte == b':') else {
        return false;
    };
    let field = [b"To", &field[colon..], b"\r\n"].concat();
    let parser = MessageParser::new().header_address(HeaderName::To);
    let parsed = parser.parse_headers(&field);
    let value = parsed.as_ref().and_then(|it| it.headers().first());
    let addresses = match value.map(|it| &it.value) {
        Some(HeaderValue::Address(addresses)) => addresses,
        Some(HeaderValue::Empty) => return true,
        _ => return false,
    };
    let mut is_readable = true;
    for addr in addresses.iter() {
        match mailbox(addr) {
            Some(mailbox) => list.push(mailbox),
            None => is_readable = false,
        }
    }
    is_readable
}

fn mailbox(addr: &Addr<'_>) -> Option<Mailbox> {
    Some(Mailbox {
        display_name: addr.name.as_deref().map(str::to_owned),
        address: addr.address.as_deref()?.parse().ok()?,
    })
}

/// Fields in the script of the message: addresses that are not ASCII are written where its header has some.
fn section(message: &[u8], write: impl FnOnce(&mut HeaderSection)) -> Vec<u8> {
    let international = header_fields(message).any(|(_, field)| !field.is_ascii());
    let mut section = HeaderSection::new(Script {
        international,
        ..Script::default()
    });
    write(&mut section);
    section.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(header: &str, due: &[&str]) -> HeaderFit {
        let due: Vec<Address> = due.iter().map(|it| it.parse().unwrap()).collect();
        fit_header(format!("{header}\r\nTo: x@y\r\n").as_bytes(), &due)
    }

    fn text(header: &[u8]) -> &str {
        std::str::from_utf8(header).unwrap()
    }

    #[test]
    fn a_header_that_names_the_recipients_stays() {
        for header in [
            "To: Ops <ops@contoso.com>, \"B, C\" <b@contoso.com>\r\n",
            "to: ops@CONTOSO.com\r\nSubject: 1\r\nCC:\r\n b@contoso.com\r\n",
            "To: team: ops@contoso.com, b@contoso.com;\r\n",
            "To: ops@contoso.com\r\nTo: b@contoso.com\r\nCc: ops@contoso.com\r\n",
            "To: ops@contoso.com\r\nBcc: b@contoso.com\r\n",
        ] {
            let fit = fit(header, &["ops@contoso.com", "b@contoso.com"]);
            assert_eq!(fit, HeaderFit::Exact, "{header}");
        }
    }

    #[test]
    fn recipients_that_are_not_named_go_into_bcc_and_nothing_else_changes() {
        let header = "DKIM-Signature: v=1;\r\n\tb=x\r\nTo: =?utf-8?q?=C3=96?= <ops@contoso.com>\r\nSubject: 1\r\n";
        let HeaderFit::WithBcc(found) = fit(header, &["ops@contoso.com", "b@contoso.com"]) else {
            panic!("expected a Bcc");
        };
        assert_eq!(text(&found), format!("{header}Bcc: b@contoso.com\r\n"));
        let nobody = "To: undisclosed-recipients:;\r\n";
        let HeaderFit::WithBcc(found) = fit(nobody, &["b@contoso.com"]) else {
            panic!("expected a Bcc");
        };
        assert_eq!(text(&found), format!("{nobody}Bcc: b@contoso.com\r\n"));
    }

    #[test]
    fn recipients_that_are_not_due_leave_the_header() {
        let header = "From: a@contoso.com\r\nTo: Ops <ops@contoso.com>,\r\n b@contoso.com\r\nSubject: 1\r\nCc: Chief \
                      <c@contoso.com>\r\n";
        let rewritten = |due: &[&str]| match fit(header, due) {
            HeaderFit::Rewritten(found) => text(&found).to_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            rewritten(&["ops@contoso.com", "d@contoso.com"]),
            "From: a@contoso.com\r\nTo: Ops <ops@contoso.com>\r\nBcc: d@contoso.com\r\nSubject: 1\r\n"
        );
        assert_eq!(
            rewritten(&["c@contoso.com"]),
            "From: a@contoso.com\r\nCc: Chief <c@contoso.com>\r\nSubject: 1\r\n"
        );
        assert_eq!(
            rewritten(&["d@contoso.com"]),
            "From: a@contoso.com\r\nTo: undisclosed-recipients:;\r\nBcc: d@contoso.com\r\nSubject: 1\r\n"
        );
    }

    #[test]
    fn a_header_that_cannot_be_read_is_never_exact() {
        for header in [
            "To: ops@contoso.com\r\nResent-To: b@contoso.com\r\n",
            "To: ops@contoso.com, no address\r\n",
            "Bcc: b@contoso.com\r\nTo: ops@contoso.com\r\n",
        ] {
            let HeaderFit::Rewritten(found) = fit(header, &["ops@contoso.com"]) else {
                panic!("expected another header: {header}");
            };
            assert_eq!(text(&found), "To: ops@contoso.com\r\n", "{header}");
        }
    }
}
