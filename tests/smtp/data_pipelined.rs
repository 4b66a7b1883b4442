//! Behind a transaction without a refusal, DATA goes in one write with MAIL and RCPT
//! (RFC 2920): one round trip less for each message of a queue.

use sendport_smtp::relay::Relay as _;

use crate::support::client::{last_reply, relay, reply_to, submit};
use crate::support::scripted_peer::{
    Alone, ClientGoes, Content, Expect, Peer, Step, good_transaction, hello, send, then,
};

const SETTINGS: &str = "tls = \"none\"";

/// Answered only after DATA: a client that waits for the reply to RCPT waits for ever.
fn all_at_once(recipient: &str, data: &str) -> Vec<Step> {
    vec![
        Expect("MAIL"),
        Expect("RCPT"),
        Expect("DATA"),
        send("250 ok"),
        send(recipient),
        send(data),
    ]
}

fn taken() -> [Step; 2] {
    [Content, send("250 accepted")]
}

fn bye() -> [Step; 2] {
    [Expect("QUIT"), send("221 bye")]
}

/// The first of a connection goes step by step.
fn first() -> Vec<Step> {
    let first = vec![
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        Alone,
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
    ];
    then(hello(&["PIPELINING"]), then(first, taken()))
}

#[tokio::test]
async fn the_second_message_pipelines_data() {
    let second = then(all_at_once("250 ok", "354 go"), taken());
    let peer = Peer::start(vec![then(then(first(), second), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    for _ in 0..2 {
        let report = submit(&relay, &["a@example.test"]).await;
        assert!(report.is_accepted(), "{report:?}");
        assert_eq!(last_reply(&report).0.to_string(), "250 accepted");
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_refused_recipient_is_not_a_refused_message() {
    let refused = all_at_once("550 5.1.1 unknown", "554 5.5.1 no valid recipients");
    let refused = then(refused, [Expect("RSET"), send("250 2.0.0 ok")]);
    // And the next goes step by step.
    let third = then(vec![Expect("MAIL")], first().split_off(4));
    let script = then(then(first(), refused), third);
    let peer = Peer::start(vec![then(script, bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(reply_to(&report, 0), "550 5.1.1 unknown");
    assert_eq!(last_reply(&report).0.to_string(), "550 5.1.1 unknown");
    assert!(submit(&relay, &["c@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn sends_no_content_without_a_recipient() {
    let wanted = all_at_once("550 5.1.1 unknown", "354 go");
    let first_connection = then(then(first(), wanted), [ClientGoes]);
    let second_connection = then(then(hello(&["PIPELINING"]), good_transaction()), bye());
    let peer = Peer::start(vec![first_connection, second_connection]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(reply_to(&report, 0), "550 5.1.1 unknown");
    assert!(submit(&relay, &["c@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}
