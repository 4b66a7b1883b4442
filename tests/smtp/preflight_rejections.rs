//! What no server should see is refused in the standard's numbers, recipient by recipient.

use sendport_core::domain::SubmissionEnd;
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, last_reply, message, relay, reply_to, small_message};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, hello, send, then};

/// A port without a listener: what is refused here needs no server.
fn nowhere() -> sendport_smtp::SmtpRelay {
    relay(
        std::net::SocketAddr::from(([127, 0, 0, 1], 1)),
        "tls = \"none\"",
    )
}

#[tokio::test]
async fn rejects_a_recipient_that_needs_smtputf8_alone() {
    let script = [
        Expect("MAIL FROM:<alerts@example.test>"),
        send("250 ok"),
        Expect("RCPT TO:<good@example.test>"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 accepted"),
    ];
    let peer = Peer::start(vec![then(hello(&[]), script)]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let recipients = ["good@example.test", "jürgen@example.test"];
    let report = relay
        .submit(&envelope(&recipients), &small_message(), &Open)
        .await;
    assert!(report.is_accepted());
    assert_eq!(reply_to(&report, 0), "250 ok");
    assert!(reply_to(&report, 1).starts_with("553 5.6.7"), "{report:?}");
    peer.finish().await;
}

#[tokio::test]
async fn rejects_a_bare_line_feed() {
    let smuggled = message(
        "1@example.test",
        "a\r\n.\nMAIL FROM:<boss@example.test>\r\n",
    );
    let report = nowhere()
        .submit(&envelope(&["a@example.test"]), &smuggled, &Open)
        .await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert!(last_reply(&report).0.to_string().starts_with("554 5.6.11"));
}

async fn refused_by_what_is_offered(extensions: &[&str], body: &str) -> String {
    let script: Vec<Step> = then(hello(extensions), [Expect("QUIT"), send("221 bye")]);
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let message = message("1@example.test", body);
    let report = relay
        .submit(&envelope(&["a@example.test"]), &message, &Open)
        .await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    relay.close().await;
    peer.finish().await;
    last_reply(&report).0.to_string()
}

#[tokio::test]
async fn rejects_a_message_above_size() {
    let reply = refused_by_what_is_offered(&["SIZE 100"], "x\r\n").await;
    assert!(
        reply.starts_with("552 5.3.4") && reply.contains("at most 100"),
        "{reply}"
    );
}

#[tokio::test]
async fn rejects_8bit_without_8bitmime() {
    let reply = refused_by_what_is_offered(&["SIZE"], "grün\r\n").await;
    assert!(reply.starts_with("554 5.6.3"), "{reply}");
}
