//! What somebody may send to a mailbox for reports: bounded time, bounded memory, no panic.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use sendport_core::replies::ReplyTable;
use sendport_feedback::{READ_BYTES, Report, ReportKind, read};

/// Its expressions are compiled once.
static TABLE: LazyLock<ReplyTable> = LazyLock::new(ReplyTable::of_bounces);

/// A build without optimisation on a busy machine; an optimised one takes a twentieth of it.
const LIMIT: Duration = Duration::from_secs(20);

const REPORT: &str = "From: MAILER-DAEMON@contoso.example\nSubject: Undelivered Mail\n\
    Content-Type: multipart/report; boundary=\"b\"\n\n--b\nContent-Type: text/plain\n\nnot delivered\n\
    --b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.contoso.example\n\n\
    Final-Recipient: rfc822; jo@contoso.example\nAction: failed\nStatus: 5.1.1\n\
    Diagnostic-Code: smtp; 550 5.1.1 User unknown\n\n--b\nContent-Type: message/rfc822\n\n";

#[expect(clippy::print_stdout, reason = "figures, shown with --nocapture")]
fn bounded(name: &str, message: &[u8]) -> Report {
    let started = Instant::now();
    let report = read(message, &TABLE);
    let took = started.elapsed();
    println!(
        "{name}: {} bytes in {took:?}, {} recipients",
        message.len(),
        report.recipients.len()
    );
    assert!(took < LIMIT, "{name} took {took:?}");
    assert!(report.recipients.len() <= Report::MOST_RECIPIENTS, "{name}");
    report
}

#[test]
fn a_report_that_returns_50_mb_is_read_by_its_beginning() {
    let mut message = REPORT.as_bytes().to_vec();
    message.extend(b"Message-ID: <1@fabrikam.example>\n\n".iter());
    let line = [b'x'; 77].iter().chain(b"\n").copied().collect::<Vec<u8>>();
    while message.len() < 50 << 20 {
        message.extend_from_slice(&line);
    }
    let report = bounded("50 MB", &message);
    assert!(report.is_truncated);
    assert_eq!(report.kind, ReportKind::DeliveryStatus);
    assert_eq!(report.message_id.as_deref(), Some("<1@fabrikam.example>"));
    assert_eq!(report.recipients[0].address(), Some("jo@contoso.example"));
}

#[test]
fn multiparts_inside_one_another_are_opened_ten_deep() {
    let nested = |depth: usize| -> String {
        let mut message = "From: MAILER-DAEMON@contoso.example\n".to_owned();
        for level in 0..depth {
            message +=
                &format!("Content-Type: multipart/mixed; boundary=\"b{level}\"\n\n--b{level}\n");
        }
        message + REPORT
    };
    let report = bounded("nested 9", nested(9).as_bytes());
    assert_eq!(report.recipients.len(), 1);
    let report = bounded("nested 30,000", nested(30_000).as_bytes());
    assert_eq!(report.kind, ReportKind::NotAReport);
}

#[test]
fn messages_inside_one_another_are_not_opened() {
    let message = "Content-Type: message/rfc822\n\n".repeat(READ_BYTES / 30);
    bounded("messages in messages", message.as_bytes());
}

#[test]
fn encodings_inside_one_another_are_decoded_once() {
    let mut inner = REPORT.as_bytes().to_vec();
    for _ in 0..10 {
        let encoded = data_encoding::BASE64.encode(&inner);
        let head = "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n";
        inner = format!("{head}{encoded}").into_bytes();
    }
    let report = bounded("base64 in base64", &inner);
    assert_eq!(report.kind, ReportKind::NotAReport);
}

#[test]
fn a_hundred_thousand_parts_are_not_read_to_the_end() {
    let mut message = "Content-Type: multipart/report; boundary=b\n\n".to_owned();
    message += &"--b\n\nx\n".repeat(100_000);
    bounded("100,000 parts", message.as_bytes());
}

#[test]
fn a_hundred_thousand_recipients_are_cut() {
    let mut message = REPORT
        .split("Final-Recipient")
        .next()
        .expect("a head")
        .to_owned();
    for number in 0..100_000 {
        message += &format!(
            "Final-Recipient: rfc822; {number}@contoso.example\nAction: failed\nDiagnostic-Code: smtp; 550 what\n\n"
        );
    }
    let report = bounded("100,000 recipients", message.as_bytes());
    assert_eq!(report.recipients.len(), Report::MOST_RECIPIENTS);
}

#[test]
fn long_texts_of_addresses_quotes_and_brackets_are_bounded() {
    let head = "From: MAILER-DAEMON@contoso.example\nSubject: Undelivered Mail\n\ncould not be delivered\n";
    for piece in [
        "@",
        "\"@",
        "a@[",
        "a@b.c ",
        "<a@b.c>:\n",
        "550 5.1.1 ",
        "(",
        "user ",
        "mailbox ",
        "x",
        "\u{1}",
        "\u{fc}",
        "quota mailbox user 552 ",
    ] {
        let body = piece.repeat(READ_BYTES / piece.len());
        bounded(piece, format!("{head}{body}").as_bytes());
        bounded(
            piece,
            format!("Subject: {body}\nFrom: {body}\nX-Failed-Recipients: {body}\n\n{body}")
                .as_bytes(),
        );
        bounded(
            piece,
            format!("{REPORT}Message-ID: {body}\nTo: {body}\n").as_bytes(),
        );
        let status = REPORT.replace("User unknown", &body);
        bounded(piece, status.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
        let report = read(&bytes, &TABLE);
        prop_assert!(report.recipients.len() <= Report::MOST_RECIPIENTS);
    }

    /// A report with anything inserted anywhere.
    #[test]
    fn a_damaged_report_is_read_without_a_panic(
        at in 0..REPORT.len(),
        inserted in proptest::collection::vec(any::<u8>(), 0..40),
        removed in 0..40_usize,
    ) {
        let mut bytes = REPORT.as_bytes().to_vec();
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, inserted);
        for it in read(&bytes, &TABLE).recipients {
            prop_assert!(!it.text.contains(char::is_control));
        }
    }
}
