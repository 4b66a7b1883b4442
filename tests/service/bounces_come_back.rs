//! A real Postfix accepts what it cannot deliver, and reports it afterwards to a Maildir that the service reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::site::{Site, text};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{plain_relay, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// It knows `ops` and the mailbox of the bounces, and accepts any other recipient before it looks.
async fn postfix() -> Postfix {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = PostfixOptions {
        main_cf: vec![
            setting("recipient_delimiter", "+"),
            setting("smtpd_reject_unlisted_recipient", "no"),
            setting(
                "virtual_mailbox_maps",
                "inline:{ bounces@example.test=bounces/, ops@example.test=all/ }",
            ),
        ],
        ..PostfixOptions::default()
    };
    Postfix::start(options).await
}

/// A site whose bounces come back into the Maildir; the key is in a file beside its configuration.
fn site(postfix: &Postfix, maildir: &Path) -> Site {
    let key = maildir.with_file_name("return-path.key");
    std::fs::write(&key, "k".repeat(44)).expect("a key");
    let port = send_port_over(&plain_relay(postfix.plain())).replace(
        "relays = [\"main\"]",
        "relays = [\"main\"]\nreturn_path = \"bounces@example.test\"\nreturn_path_token = true",
    );
    Site::new(&format!(
        "{port}
[feedback]
return_path_keys = [{{ file = {key:?} }}]
[feedback.source.bounces]
kind = \"maildir\"
folder = {maildir:?}
poll_interval = \"200ms\"
"
    ))
}

fn insert(site: &Site, to: &str) {
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body, DeliveryReceipt) VALUES (?1, 'Late', 'It is late.', 1)";
    site.database().execute(sql, [to]).expect("insert");
}

fn reports_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|it| it.expect("an entry").path()).collect()
}

/// What is reported of each recipient of alert 1.
const REPORTED: &str = "SELECT group_concat(Address || ' ' || Status || ' ' || coalesce(ReportedOutcome, '-') || ' ' || \
    coalesce(ReportedEnhancedStatusCode, '-') || ' ' || coalesce(ReportedClass, '-'), '; ') \
    FROM (SELECT * FROM Delivery WHERE AlertId = 1 ORDER BY Ordinal)";

#[tokio::test(flavor = "multi_thread")]
async fn bounces_and_receipts_are_on_the_rows_of_their_recipients() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix().await;
    let maildir = postfix.mailbox("bounces");
    let site = site(&postfix, &maildir);
    insert(&site, "ops@example.test; gone@example.test");
    let service = site.run();
    let expected =
        "ops@example.test relayed delivered 2.0.0 -; gone@example.test relayed bounced 5.1.1 hard";
    site.wait_until(REPORTED, expected, WITHIN).await;
    let counts = "SELECT DeliveredCount || ' ' || BouncedCount || ' ' || Status FROM AlertStatus WHERE AlertId = 1";
    assert_eq!(site.value(counts), "1 1 relayed");
    let advice = "SELECT ReportedAdvice FROM Delivery WHERE ReportedOutcome = 'bounced'";
    assert_ne!(site.value(advice), "", "an operator reads what to do");

    // Recipients see the return path of their message, so an answering machine can write to it.
    let delivered = postfix.messages().remove(0);
    let delivered = String::from_utf8(delivered.bytes).expect("text");
    let return_path = delivered
        .lines()
        .find_map(|it| it.strip_prefix("Return-Path: "));
    let return_path = return_path.expect("a return path").trim_matches(['<', '>']);
    assert!(
        return_path.starts_with("bounces+") && return_path.len() > 40,
        "{return_path}"
    );
    let public_id = site.value("SELECT lower(PublicId) FROM AlertStatus WHERE AlertId = 1");
    for (name, to, report) in [
        (
            "reply",
            return_path,
            "Auto-Submitted: auto-replied\nSubject: Out of office\n\nI am away.\n".to_owned(),
        ),
        ("forged", "bounces@example.test", forged(&public_id)),
        ("poison", return_path, "\0".repeat(9)),
    ] {
        let file = maildir.join("tmp").join(name);
        let message =
            format!("Delivered-To: {to}\nFrom: mallory@example.test\nTo: <{to}>\n{report}");
        std::fs::write(&file, message).expect("write");
        std::fs::rename(file, maildir.join("new").join(name)).expect("rename");
    }
    site.wait_until("SELECT count(*) FROM Feedback", "5", WITHIN)
        .await;
    assert_eq!(
        site.value(REPORTED),
        expected,
        "none of them changes what is known"
    );
    let auto_reply = "SELECT AlertId FROM Feedback WHERE Kind = 'auto-reply'";
    assert_eq!(site.value(auto_reply), "1");
    let forged = "SELECT UnmatchedReason FROM Feedback WHERE AlertId IS NULL";
    let why = site.value(forged);
    assert!(
        why.contains("was not sent to a return path with a token"),
        "{why}"
    );

    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(reports_in(&maildir.join("new")), [] as [PathBuf; 0]);
    assert_eq!(reports_in(&maildir.join(".Read/cur")).len(), 5);
}

/// A bounce of the recipient who got the message, by what every recipient knows.
fn forged(public_id: &str) -> String {
    format!(
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\
         Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.test\n\
         Original-Envelope-Id: {public_id}\n\nFinal-Recipient: rfc822; ops@example.test\nAction: failed\n\
         Status: 5.1.1\n\n--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <{public_id}@example.test>\n\n--b--\n"
    )
}

/// What another process left in the Maildir when it was killed after the commit is recorded once, and what comes while the
/// service is down is not lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_recorded_once_whenever_the_service_ends() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix().await;
    let maildir = postfix.mailbox("bounces");
    let site = site(&postfix, &maildir);
    insert(&site, "gone@example.test");
    let service = site.run();
    site.wait_until("SELECT count(*) FROM RecipientFeedback", "1", WITHIN)
        .await;
    let read = maildir.join(".Read/cur");
    site.wait_for_log("report recorded", WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let report = reports_in(&read).remove(0);
    std::fs::rename(report, maildir.join("new/again")).expect("rename");
    insert(&site, "gone-too@example.test");
    let service = site.run();
    site.wait_until("SELECT count(*) FROM RecipientFeedback", "2", WITHIN)
        .await;
    service.kill();
    let service = site.run();
    insert(&site, "gone-three@example.test");
    site.wait_until("SELECT count(*) FROM RecipientFeedback", "3", WITHIN)
        .await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value("SELECT count(*) FROM Feedback"), "3");
    let bounced = "SELECT count(*) FROM AlertStatus WHERE BouncedCount = 1";
    assert_eq!(site.value(bounced), "3");
}

#[test]
fn check_says_what_a_return_path_with_a_token_lacks() {
    let port = send_port_over(&plain_relay(([127, 0, 0, 1], 25).into()));
    let with = |keys: &str| {
        let keys = format!("relays = [\"main\"]\n{keys}");
        let site = Site::new(&port);
        let config = std::fs::read_to_string(site.config()).expect("read");
        let config = config.replace("relays = [\"main\"]", &keys);
        std::fs::write(site.config(), config).expect("write");
        text(&site.sendport(&["check", "--offline"]))
    };
    let without_address = with("return_path_token = true");
    assert!(
        without_address.contains("there is no return_path"),
        "{without_address}"
    );
    let without_key = with("return_path = 'bounces@example.test'\nreturn_path_token = true");
    assert!(
        without_key.contains("there is no key; write feedback.return_path_keys"),
        "{without_key}"
    );
    let long = with("return_path = 'undeliverable@example.test'\nreturn_path_token = true");
    assert!(long.contains("at most 10 characters"), "{long}");
}
