//! The connection breaks: before the dot it is broken, after it in doubt.

use sendport_core::domain::{Command, SubmissionEnd};
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, last_reply, message, relay, reply_to, submit};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, hello, send, then};

fn until_354() -> Vec<Step> {
    let script = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 2.1.5 ok"),
        Expect("DATA"),
    ];
    then(hello(&[]), script)
}

#[tokio::test]
async fn replies_before_354_count() {
    let peer = Peer::start(vec![until_354()]).await;
    let report = submit(&relay(peer.address, "tls = \"none\""), &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    assert_eq!(reply_to(&report, 0), "250 2.1.5 ok");
    let (last, ordinal) = last_reply(&report);
    assert_eq!((last.command, last.code, ordinal), (Command::Data, 0, None));
    assert!(last.text.contains("closed"), "{last}");
}

#[tokio::test]
async fn a_close_within_the_content_is_broken() {
    let script = then(
        until_354(),
        [send("354 go"), Expect("From:"), send("452 4.3.1 disk full")],
    );
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let large = message("big@example.test", &"0123456789\r\n".repeat(1_000_000));
    let report = relay
        .submit(&envelope(&["a@example.test"]), &large, &Open)
        .await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    let (last, _) = last_reply(&report);
    assert_eq!(last.command, Command::EndOfData);
    assert!(!report.is_accepted());
}

#[tokio::test]
async fn no_reply_after_the_final_dot_is_in_doubt() {
    let peer = Peer::start(vec![then(until_354(), [send("354 go"), Content])]).await;
    let report = submit(&relay(peer.address, "tls = \"none\""), &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt);
    let (last, _) = last_reply(&report);
    assert_eq!((last.command, last.code), (Command::EndOfData, 0));
}
