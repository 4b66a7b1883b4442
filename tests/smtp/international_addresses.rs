//! Addresses beyond ASCII (RFC 6531): SMTPUTF8 is requested where it is needed and offered; where
//! it is not offered, only the recipients that need it are refused.

use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};
use sendport_core::domain::Message;
use sendport_core::domain::{DsnRequest, Envelope, Notify, ReversePath, SubmissionReport};
use sendport_smime::{ProtectionPlan, SecuredMessage, secure};
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, last_reply, relay, reply_to, small_message};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::scripted_peer::{Content, Expect, Peer, Something, hello, send, then};

const WITHIN: Duration = Duration::from_secs(60);

/// The command MAIL as the server hears it.
async fn mail(offered: &[&str], envelope: &Envelope, message: &SecuredMessage) -> String {
    let mut script = then(hello(offered), [Something, send("250 ok")]);
    for _ in &envelope.forward_paths {
        script = then(script, [Expect("RCPT"), send("250 ok")]);
    }
    let end = [
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 accepted"),
        Expect("QUIT"),
        send("221 bye"),
    ];
    let peer = Peer::start(vec![then(script, end)]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = relay.submit(envelope, message, &Open).await;
    assert!(report.is_accepted(), "{report:?}");
    relay.close().await;
    peer.finish().await.swap_remove(1)
}

fn from(sender: &str) -> Envelope {
    Envelope {
        reverse_path: ReversePath(Some(sender.parse().expect("an address"))),
        ..envelope(&["a@example.test"])
    }
}

/// A message whose header section holds an address beyond ASCII.
fn international_message() -> SecuredMessage {
    let bytes = "From: büro@example.test\r\nMessage-ID: <2@example.test>\r\n\r\nLate.\r\n";
    secure(
        Message {
            message_id: "<2@example.test>".into(),
            bytes: bytes.into(),
        },
        &ProtectionPlan::Unprotected,
    )
    .expect("needs nothing")
}

#[tokio::test]
async fn smtputf8_is_used_only_where_needed() {
    let offered = ["8BITMIME", "SMTPUTF8"];
    let small = small_message();
    let plain = mail(&offered, &envelope(&["a@example.test"]), &small).await;
    assert_eq!(plain, "MAIL FROM:<alerts@example.test>");
    let recipient = envelope(&["a@example.test", "jürgen@example.test"]);
    assert_eq!(
        mail(&offered, &recipient, &small).await,
        "MAIL FROM:<alerts@example.test> SMTPUTF8"
    );
    assert_eq!(
        mail(&offered, &from("büro@example.test"), &small).await,
        "MAIL FROM:<büro@example.test> SMTPUTF8"
    );
    let header = mail(
        &offered,
        &envelope(&["a@example.test"]),
        &international_message(),
    )
    .await;
    assert_eq!(
        header,
        "MAIL FROM:<alerts@example.test> BODY=8BITMIME SMTPUTF8"
    );
}

#[tokio::test]
async fn refuses_before_mail_what_needs_smtputf8() {
    for (envelope, message) in [
        (from("büro@example.test"), small_message()),
        (envelope(&["a@example.test"]), international_message()),
    ] {
        let script = then(hello(&["8BITMIME"]), [Expect("QUIT"), send("221 bye")]);
        let peer = Peer::start(vec![script]).await;
        let relay = relay(peer.address, "tls = \"none\"");
        let report = relay.submit(&envelope, &message, &Open).await;
        let reply = last_reply(&report).0.to_string();
        assert!(reply.starts_with("553 5.6.7"), "{reply}");
        assert!(report.wants_smtp_utf8());
        relay.close().await;
        peer.finish().await;
    }
}

/// In To or Cc such an address makes the message international, too.
#[tokio::test]
async fn a_recipient_beyond_ascii_is_refused_alone() {
    let script = then(hello(&["8BITMIME"]), [Expect("QUIT"), send("221 bye")]);
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let envelope = envelope(&["jürgen@example.test", "中文@example.test"]);
    let report = relay
        .submit(&envelope, &international_message(), &Open)
        .await;
    for ordinal in [0, 1] {
        let reply = reply_to(&report, ordinal);
        let expected = "553 5.6.7 the address is not ASCII, and the relay does not offer SMTPUTF8";
        assert_eq!(reply, expected);
    }
    assert!(report.wants_smtp_utf8());
    relay.close().await;
    peer.finish().await;
}

async fn postfix(smtputf8: &str) -> Postfix {
    Postfix::start(PostfixOptions {
        main_cf: vec![("smtputf8_enable".to_owned(), smtputf8.to_owned())],
        ..PostfixOptions::default()
    })
    .await
}

async fn send_to_three(postfix: &Postfix) -> SubmissionReport {
    let relay = relay(postfix.plain(), "tls = \"none\"");
    let mut envelope = envelope(&[
        "ops@example.test",
        "jürgen@example.test",
        "中文@example.test",
    ]);
    envelope.dsn = Some(DsnRequest {
        envelope_id: "4711".to_owned(),
        notify: Some(Notify::always()),
        returns: None,
        ..DsnRequest::default()
    });
    let report = relay.submit(&envelope, &small_message(), &Open).await;
    relay.close().await;
    report
}

#[tokio::test]
async fn postfix_accepts_them_and_reports_the_delivery() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix("yes").await;
    let report = send_to_three(&postfix).await;
    assert!(report.is_accepted(), "{report:?}");
    // Three, and the receipt.
    let delivered = postfix.wait_for_messages(4, WITHIN).await;
    for recipient in [
        "jürgen@example.test",
        "ops@example.test",
        "中文@example.test",
    ] {
        let mut got = delivered.iter().filter(|m| m.recipient == recipient);
        let message = got
            .next()
            .unwrap_or_else(|| panic!("nothing for {recipient}"));
        assert_eq!(message.as_submitted(), small_message().bytes());
    }
    let receipt = delivered
        .iter()
        .find(|message| message.recipient == "alerts@example.test")
        .expect("a receipt");
    let text = String::from_utf8_lossy(&receipt.bytes).into_owned();
    assert!(
        text.contains("Original-Recipient: utf-8;jürgen@example.test"),
        "{text}"
    );
}

#[tokio::test]
async fn only_they_are_refused_without_smtputf8() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix("no").await;
    let report = send_to_three(&postfix).await;
    assert!(report.is_accepted(), "{report:?}");
    assert!(reply_to(&report, 0).starts_with("250 2.1.5"));
    for ordinal in [1, 2] {
        let reply = reply_to(&report, ordinal);
        assert!(
            reply.starts_with("553 5.6.7") && reply.contains("SMTPUTF8"),
            "{reply}"
        );
    }
    let delivered = postfix.wait_for_messages(1, WITHIN).await;
    assert_eq!(delivered[0].recipient, "ops@example.test");
}

#[tokio::test]
async fn the_sink_accepts_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SinkOptions {
        folder: folder.path().to_owned(),
        ..SinkOptions::default()
    };
    let sink = Sink::start(options).await.expect("a sink");
    let relay = relay(
        sink.local_addr(),
        "tls = \"none\"\n[timeout]\nend_of_data = \"10s\"",
    );
    let mut taken = sink.subscribe();
    let envelope = Envelope {
        reverse_path: ReversePath(Some("büro@example.test".parse().expect("an address"))),
        ..envelope(&["jürgen@example.test"])
    };
    let report = relay
        .submit(&envelope, &international_message(), &Open)
        .await;
    assert!(report.is_accepted(), "{report:?}");
    let received = taken.recv().await.expect("a message");
    assert_eq!(received.sender, "büro@example.test");
    assert_eq!(received.recipients, ["jürgen@example.test"]);
    let kept = std::fs::read_to_string(received.file).expect("is UTF-8");
    assert!(kept.contains("\r\nFrom: büro@example.test\r\n"), "{kept}");
}
