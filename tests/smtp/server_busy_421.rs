//! 421 ends the session wherever it comes; the replies before it count.

use sendport_core::domain::{Command, SubmissionEnd};

use crate::support::client::{last_reply, not_begun, relay, reply_to, submit};
use crate::support::scripted_peer::{Content, Expect, Peer, hello, send, then};

#[tokio::test]
async fn a_421_greeting_begins_no_transaction() {
    let peer = Peer::start(vec![vec![send("421 4.3.2 too many connections")]]).await;
    let report = submit(&relay(peer.address, "tls = \"none\""), &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(
        (reply.command, reply.code, fault),
        (Command::Greeting, 421, None)
    );
}

#[tokio::test]
async fn a_421_to_rcpt_belongs_to_that_recipient() {
    let script = [
        Expect("MAIL"),
        Expect("RCPT"),
        Expect("RCPT"),
        Expect("RCPT"),
        send("250 ok\r\n550 5.1.1 unknown\r\n421 4.7.0 too many errors"),
    ];
    let peer = Peer::start(vec![then(hello(&["PIPELINING"]), script)]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = submit(
        &relay,
        &["a@example.test", "b@example.test", "c@example.test"],
    )
    .await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    assert_eq!(reply_to(&report, 0), "550 5.1.1 unknown");
    assert_eq!(reply_to(&report, 1), "421 4.7.0 too many errors");
    assert_eq!(reply_to(&report, 2), "nothing");
    assert_eq!(last_reply(&report).1, Some(1));
}

#[tokio::test]
async fn a_421_to_the_final_dot_is_an_answer() {
    let script = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("421 4.3.2 shutting down"),
    ];
    let peer = Peer::start(vec![then(hello(&[]), script)]).await;
    let report = submit(&relay(peer.address, "tls = \"none\""), &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert!(!report.is_accepted());
    assert_eq!(last_reply(&report).0.to_string(), "421 4.3.2 shutting down");
}
