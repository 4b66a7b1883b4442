//! What the header of a report says about the report itself.

use crate::addresses;
use crate::diagnosis::one_line;
use crate::header::Header;
use crate::report::Report;

/// Fields with the address that a message was sent to: those that a mail system writes at the delivery come first.
const SENT_TO: [&str; 9] = [
    "Delivered-To",
    "X-Original-To",
    "Envelope-To",
    "X-Envelope-To",
    "X-Delivered-To",
    "X-RCPT-TO",
    "X-Receiver",
    "To",
    "Cc",
];

/// Addresses that are kept.
const MOST: usize = 50;

/// Characters of a value that is kept.
const LONGEST: usize = 400;

/// Adds it to the report.
pub(crate) fn read(header: &Header<'_>, report: &mut Report) {
    let written = |value: String| {
        let line: String = one_line(&value).chars().take(LONGEST).collect();
        (!line.is_empty()).then_some(line)
    };
    report.from = header.from().and_then(written);
    report.subject = written(header.subject());
    report.own_id = header.text("Message-ID").and_then(written);
    let values = SENT_TO.iter().flat_map(|name| header.texts(name));
    let mut sent_to: Vec<String> = Vec::new();
    for address in values.flat_map(|value| addresses::all(&value)) {
        if sent_to.len() < MOST && !sent_to.iter().any(|it| it.eq_ignore_ascii_case(&address)) {
            sent_to.push(address);
        }
    }
    report.sent_to = sent_to;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_address_that_the_report_was_sent_to() {
        let header = "Delivered-To: bounces@contoso.com\r\nDelivered-To: bounces+abc@contoso.com\r\n\
            From: =?utf-8?q?Z=C3=BCrich?= <mailer-daemon@mx.contoso.com>\r\nTo: <BOUNCES+abc@contoso.com>,\r\n ops@contoso.com\r\n\
            Message-ID: <1@mx.contoso.com>\r\nSubject: Undelivered\r\n\r\n";
        let mut report = Report::default();
        read(&Header::read(header.as_bytes()), &mut report);
        assert_eq!(
            report.sent_to,
            [
                "bounces@contoso.com",
                "bounces+abc@contoso.com",
                "ops@contoso.com"
            ]
        );
        assert_eq!(
            report.from.as_deref(),
            Some("Z\u{fc}rich <mailer-daemon@mx.contoso.com>")
        );
        assert_eq!(report.own_id.as_deref(), Some("<1@mx.contoso.com>"));
    }
}
