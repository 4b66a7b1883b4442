use std::io::Write as _;
use std::process::{Command, Stdio};

use sendport_core::domain::parse_mailbox;

use super::returned::original_headers;
use super::*;
use crate::not_run::not_run;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn recipient(address: &str) -> ReportedRecipient {
    ReportedRecipient {
        address: address.to_owned(),
        original: None,
        status: "5.1.1".to_owned(),
        remote_mta: Some("mx.example.com".to_owned()),
        reply: Some("550 5.1.1 no such user here".to_owned()),
        is_of_relay: true,
        last_attempt: Some(at("2026-11-30T09:08:51Z")),
    }
}

struct Parts {
    from: Mailbox,
    to: Address,
    action: ReportAction,
    envelope_id: Option<&'static str>,
    message_id: &'static str,
    subject: Option<&'static str>,
    recipients: Vec<ReportedRecipient>,
    returned: Returned,
}

impl Parts {
    fn new(recipients: Vec<ReportedRecipient>) -> Self {
        Self {
            from: parse_mailbox("Mail service <alerts@contoso.com>").expect("a mailbox"),
            to: "app@contoso.com".parse().expect("an address"),
            action: ReportAction::Failed,
            envelope_id: None,
            message_id: "<1@app>",
            subject: Some("Order 4711"),
            recipients,
            returned: Returned::Headers(b"Subject: Order 4711\r\nMessage-ID: <1@app>\r\n".to_vec()),
        }
    }

    fn compose(&self) -> ComposedReport {
        DeliveryReport {
            id: Uuid::from_u128(7),
            message_id_domain: "contoso.com",
            from: &self.from,
            to: &self.to,
            date: at("2026-11-30T09:09:00Z"),
            action: self.action,
            reporting_mta: "host.contoso.com",
            arrival: at("2026-11-30T09:08:50Z"),
            retry_until: Some(at("2026-12-02T09:08:50Z")),
            envelope_id: self.envelope_id,
            message_id: self.message_id,
            subject: self.subject,
            recipients: &self.recipients,
            returned: self.returned.clone(),
        }
        .compose()
    }

    fn text(&self) -> String {
        String::from_utf8(self.compose().message.bytes).expect("text")
    }
}

/// Python's email module reads it: type and fields of each part, a line each.
fn read_by_python(report: &ComposedReport) -> Option<String> {
    const READ: &str = "
import email, email.policy, sys
m = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
assert not m.defects, m.defects
print(m.get_content_type(), m['content-type'].params['report-type'])
for part in m.iter_parts():
    assert not part.defects, part.defects
    print(part.get_content_type())
    if part.get_content_type().endswith('delivery-status'):
        blocks = part.get_payload()
        if isinstance(blocks, str):
            blocks = [email.message_from_string(b, policy=email.policy.default) for b in blocks.replace('\\r\\n', '\\n').strip().split('\\n\\n')]
        for block in blocks:
            for name, value in block.items():
                print('', name + '=' + str(value))
";
    let mut python = Command::new("python3")
        .args(["-c", READ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut input = python.stdin.take()?;
    input.write_all(&report.message.bytes).ok()?;
    drop(input);
    let output = python.wait_with_output().expect("python ends");
    assert!(output.status.success(), "see above");
    Some(String::from_utf8(output.stdout).expect("text"))
}

#[test]
fn pythons_email_module_reads_all_fields() {
    let mut parts = Parts::new(vec![
        ReportedRecipient {
            original: Some("rfc822;Ann+x@contoso.com".to_owned()),
            ..recipient("ann@contoso.com")
        },
        ReportedRecipient {
            status: "4.4.7".to_owned(),
            remote_mta: None,
            reply: Some("expired: older than the send port's max_age of 172800 s".to_owned()),
            is_of_relay: false,
            last_attempt: None,
            ..recipient("bob@contoso.com")
        },
    ]);
    parts.envelope_id = Some("Q 7");
    let report = parts.compose();
    assert_eq!((report.body, report.smtp_utf8), (BodyType::SevenBit, false));
    let Some(read) = read_by_python(&report) else {
        return not_run("python3 is not installed");
    };
    assert_eq!(
        read,
        "multipart/report delivery-status\ntext/plain\nmessage/delivery-status\n \
         Original-Envelope-Id=Q 7\n Reporting-MTA=dns; host.contoso.com\n \
         Arrival-Date=Mon, 30 Nov 2026 09:08:50 +0000\n Original-Recipient=rfc822;Ann+x@contoso.com\n \
         Final-Recipient=rfc822; ann@contoso.com\n Action=failed\n Status=5.1.1\n \
         Remote-MTA=dns; mx.example.com\n Diagnostic-Code=smtp; 550 5.1.1 no such user here\n \
         Last-Attempt-Date=Mon, 30 Nov 2026 09:08:51 +0000\n Final-Recipient=rfc822; bob@contoso.com\n \
         Action=failed\n Status=4.4.7\n \
         Diagnostic-Code=x-sendport; expired: older than the send port's max_age of 172800 s\n\
         text/rfc822-headers\n"
    );
}

#[test]
fn the_header_keeps_other_programs_from_answering() {
    let text = Parts::new(vec![recipient("ann@contoso.com")]).text();
    for field in [
        "From: Mail service <alerts@contoso.com>\r\n",
        "To: app@contoso.com\r\n",
        "Auto-Submitted: auto-replied\r\n",
        "In-Reply-To: <1@app>\r\n",
        "Message-ID: <00000000-0000-0000-0000-000000000007@contoso.com>\r\n",
    ] {
        assert!(text.contains(field), "{field}: {text}");
    }
}

#[test]
fn a_person_reads_who_did_not_get_it_and_what_to_do() {
    let mut parts = Parts::new(vec![recipient("ann@contoso.com")]);
    let text = parts.text();
    for line in [
        "Your message was not delivered\r\nto this recipient:\r\n",
        "  ann@contoso.com\r\n    mx.example.com replied: 550 5.1.1 no such user here\r\n",
        "  Subject: Order 4711\r\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    parts.action = ReportAction::Delayed;
    let text = parts.text();
    assert!(
        text.contains("it is tried until 2026-12-02T09:08:50Z."),
        "{text}"
    );
    assert!(
        text.contains("Will-Retry-Until: Wed, 02 Dec 2026 09:08:50 +0000\r\n"),
        "{text}"
    );
    parts.action = ReportAction::Relayed;
    assert!(parts.text().contains("Action: relayed\r\n"));
}

/// RFC 6533.
#[test]
fn addresses_beyond_ascii_are_in_the_international_forms() {
    let mut parts = Parts::new(vec![
        recipient("jürgen@contoso.com"),
        recipient("noü@xn--x-eha.example"),
    ]);
    parts.returned = Returned::Full("Subject: Grüße\r\n\r\ntext\r\n".as_bytes().to_vec());
    let report = parts.compose();
    assert_eq!(
        (report.body, report.smtp_utf8),
        (BodyType::EightBitMime, false)
    );
    let text = parts.text();
    assert!(text.contains(
        "Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"
    ));
    assert!(text.contains("Final-Recipient: utf-8; jürgen@contoso.com\r\n"));
    assert!(
        text.contains("Final-Recipient: utf-8; noü@xü.example\r\n"),
        "{text}"
    );
    assert!(text.contains("Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n"));
    parts.to = "jörg@contoso.com".parse().expect("an address");
    assert!(parts.compose().smtp_utf8);
    assert!(parts.text().contains("To: jörg@contoso.com\r\n"));
}

#[test]
fn nothing_from_outside_adds_a_field_or_a_long_line() {
    let evil = "x\r\nAction: delivered\r\n\r\nFinal-Recipient: rfc822; boss@contoso.com";
    let mut parts = Parts::new(vec![ReportedRecipient {
        original: Some(format!("rfc822;{evil}")),
        remote_mta: Some(evil.to_owned()),
        reply: Some(format!("550 {evil} {}", "Ž".repeat(5000))),
        ..recipient("ann@contoso.com")
    }]);
    parts.envelope_id = Some("1\r\nX: y");
    parts.message_id = "<1@app>\r\nX: y";
    parts.subject = Some("1\r\n--report\r\n");
    let text = parts.text();
    assert!(
        text.lines()
            .all(|line| line.len() <= 998 && !line.contains('\r'))
    );
    for line in [
        "\nAction: delivered",
        "\nX: y",
        "\nFinal-Recipient: rfc822; boss",
        "\n--report\r\n",
        "\nIn-Reply-To",
    ] {
        assert!(!text.contains(line), "{line}: {text}");
    }
    let machine = text
        .split("message/delivery-status")
        .nth(1)
        .expect("the part");
    let machine = machine.split("\r\n--report").next().expect("its end");
    assert!(machine.is_ascii(), "RFC 3464 section 2.1");
}

#[test]
fn an_encrypting_send_port_returns_no_content() {
    let message =
        b"Date: now\r\nSubject: secret\r\n folded\r\nMessage-ID: <1@app>\r\n\r\nsecret\r\n";
    let shown = Returned::Full(message.to_vec()).without_content();
    assert_eq!(
        shown,
        Returned::Headers(b"Date: now\r\nMessage-ID: <1@app>\r\n".to_vec())
    );
}

#[test]
fn a_header_section_is_found_and_bounded() {
    assert_eq!(original_headers(b"A: 1\r\n\r\ntext"), b"A: 1\r\n");
    assert_eq!(original_headers(b"\r\ntext\r\n\r\n"), b"");
    assert_eq!(original_headers(b"A: 1\r\n"), b"A: 1\r\n");
    let long = format!(
        "A: {}\r\nB: {}\r\n\r\n",
        "x".repeat(60_000),
        "y".repeat(60_000)
    );
    assert_eq!(original_headers(long.as_bytes()).len(), 60_005);
}

#[test]
fn nothing_that_relays_refuse_or_that_is_confidential_is_returned() {
    let words = "word ".repeat(400);
    let message = format!(
        "Return-Path: <a@x>\r\nBcc: secret@x\r\nSubject: {words}\r\nX-Long: {}\r\nTo: b@x\r\n\r\ntext\r\n",
        "\u{fc}".repeat(1500)
    );
    let mut parts = Parts::new(vec![recipient("ann@contoso.com")]);
    for returned in [
        Returned::full(message.as_bytes()),
        Returned::headers(message.as_bytes()),
    ] {
        parts.returned = returned;
        let text = parts.text();
        assert!(text.lines().all(|line| line.len() <= 998), "{text}");
        assert!(
            !text.contains("Bcc") && !text.contains("Return-Path"),
            "{text}"
        );
        assert!(text.contains("\r\nTo: b@x\r\n"), "{text}");
        // Unfolded, it is what it was.
        assert!(
            text.replace("\r\n ", " ").contains(words.trim_end()),
            "{text}"
        );
    }
    assert!(
        matches!(Returned::full(message.as_bytes()), Returned::Full(it) if it.ends_with(b"\r\n\r\ntext\r\n"))
    );
    let long_body = format!("To: b@x\r\n\r\n{}\r\n", "x".repeat(999));
    assert_eq!(
        Returned::full(long_body.as_bytes()),
        Returned::Headers(b"To: b@x\r\n".to_vec())
    );
    let allowed = format!("To: b@x\r\n\r\n{}\r\n", "x".repeat(998));
    assert_eq!(
        Returned::full(allowed.as_bytes()),
        Returned::Full(allowed.into_bytes())
    );
}

/// RFC 6532: `message/global-headers` is UTF-8.
#[test]
fn header_fields_in_latin_1_are_returned_in_utf_8() {
    let message = b"Subject: Gr\xfc\xdfe\r\nTo: J\xc3\xb6rg <b@x>\r\n\r\nGr\xfc\xdfe\r\n";
    let mut parts = Parts::new(vec![recipient("ann@contoso.com")]);
    parts.returned = Returned::headers(message);
    let text = parts.text();
    assert!(text.contains("message/global-headers"), "{text}");
    assert!(
        text.contains("Subject: Gr\u{fc}\u{df}e\r\nTo: J\u{f6}rg <b@x>\r\n"),
        "{text}"
    );
}
