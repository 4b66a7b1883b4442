//! The part for programs: `message/delivery-status` (RFC 3464 section 2), or `message/global-delivery-status`
//! (RFC 6533 section 3) where an address is not ASCII.

use sendport_core::domain::{ReportAction, domain_to_unicode};

use super::{DeliveryReport, MOST_RECIPIENTS, ReportedRecipient, date, one_line};

/// Characters of a reply.
const LONGEST_REPLY: usize = 500;

/// Characters of a value that a client chose: addresses and ENVID are shorter.
const LONGEST_VALUE: usize = 600;

/// Columns of a line (RFC 5322 section 2.1.1).
const LINE: usize = 78;

/// The part, with its header section.
pub(super) fn part(report: &DeliveryReport<'_>) -> Vec<u8> {
    let recipients = &report.recipients[..report.recipients.len().min(MOST_RECIPIENTS)];
    let is_global = recipients
        .iter()
        .any(|it| !it.address.is_ascii() || it.original.as_ref().is_some_and(|it| !it.is_ascii()));
    let mut out = match is_global {
        true => {
            "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"
        }
        false => "Content-Type: message/delivery-status\r\n",
    }
    .to_owned();
    out += "Content-Description: Delivery report\r\n\r\n";
    let mut fields = Fields { out, is_global };
    if let Some(id) = report.envelope_id {
        fields.add("Original-Envelope-Id", &one_line(id, LONGEST_VALUE));
    }
    fields.add("Reporting-MTA", &format!("dns; {}", report.reporting_mta));
    fields.add("Arrival-Date", &date(report.arrival));
    for recipient in recipients {
        fields.out += "\r\n";
        fields.recipient(report, recipient);
    }
    fields.out.into_bytes()
}

struct Fields {
    out: String,
    is_global: bool,
}

impl Fields {
    /// RFC 3464 section 2.3, in its order.
    fn recipient(&mut self, report: &DeliveryReport<'_>, recipient: &ReportedRecipient) {
        if let Some(original) = recipient.original.as_deref().filter(|it| is_typed(it)) {
            self.add("Original-Recipient", &one_line(original, LONGEST_VALUE));
        }
        let address = typed(&one_line(&recipient.address, LONGEST_VALUE));
        self.add("Final-Recipient", &address);
        self.add("Action", report.action.as_str());
        self.add("Status", &recipient.status);
        if let Some(name) = recipient.remote_mta.as_deref().filter(|it| is_host(it)) {
            self.add("Remote-MTA", &format!("dns; {name}"));
        }
        if let Some(reply) = &recipient.reply {
            let kind = match recipient.is_of_relay {
                true => "smtp",
                false => "x-sendport",
            };
            let reply = one_line(reply, LONGEST_REPLY);
            self.add("Diagnostic-Code", &format!("{kind}; {reply}"));
        }
        if let Some(at) = recipient.last_attempt {
            self.add("Last-Attempt-Date", &date(at));
        }
        let until = report
            .retry_until
            .filter(|_| report.action == ReportAction::Delayed);
        if let Some(until) = until {
            self.add("Will-Retry-Until", &date(until));
        }
    }

    /// Folded where it is long; a reply in another script is ASCII in a part that has to be.
    fn add(&mut self, name: &str, value: &str) {
        self.out += name;
        self.out.push(':');
        let mut column = name.len() + 1;
        for word in value.split_whitespace() {
            let length = word.chars().count();
            let is_first = column == name.len() + 1;
            if !is_first && column + 1 + length > LINE {
                self.out += "\r\n";
                column = 0;
            }
            self.out.push(' ');
            let ascii = |c: char| {
                if c.is_ascii() || self.is_global {
                    c
                } else {
                    '?'
                }
            };
            self.out.extend(word.chars().map(ascii));
            column += 1 + length;
        }
        self.out += "\r\n";
    }
}

/// With its type; beyond ASCII in Unicode as a whole (RFC 6533 section 3): addresses are stored with A-labels.
fn typed(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) if !address.is_ascii() => {
            format!("utf-8; {local}@{}", domain_to_unicode(domain))
        }
        _ => format!("rfc822; {address}"),
    }
}

/// `type;address` (RFC 3461 section 4.2).
fn is_typed(original: &str) -> bool {
    let kind = original.split_once(';').map(|(kind, _)| kind);
    kind.is_some_and(|kind| {
        !kind.is_empty()
            && kind
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || it == b'-')
    })
}

/// A domain name or an address literal: a relay may greet with any text.
fn is_host(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    !name.is_empty() && name.len() <= 255 && name.bytes().all(is_allowed)
}
