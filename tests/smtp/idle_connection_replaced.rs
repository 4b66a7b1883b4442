//! A kept connection that the server gave up meanwhile costs the alert nothing.

use sendport_smtp::relay::Relay;

use crate::support::client::{relay, submit};
use crate::support::scripted_peer::{Expect, Peer, Step, good_transaction, hello, send, then};

async fn the_second_message_goes_over_a_new_connection(after_the_first: Vec<Step>) {
    let first = then(then(hello(&[]), good_transaction()), after_the_first);
    let second = then(
        then(hello(&[]), good_transaction()),
        [Expect("QUIT"), send("221 bye")],
    );
    let peer = Peer::start(vec![first, second]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    assert_eq!(
        report.replies.len(),
        4,
        "nothing of the first try is in the report"
    );
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn replaced_after_a_close() {
    the_second_message_goes_over_a_new_connection(vec![]).await;
}

#[tokio::test]
async fn replaced_after_an_unsolicited_421() {
    let timed_out = vec![send("421 4.4.2 idle for too long")];
    the_second_message_goes_over_a_new_connection(timed_out).await;
}

#[tokio::test]
async fn replaced_after_421_to_mail() {
    let limit = vec![Expect("MAIL"), send("421 4.7.0 20 messages are enough")];
    the_second_message_goes_over_a_new_connection(limit).await;
}

/// Refused for good by a kept connection: it may be a closing reply that crossed the command.
#[tokio::test]
async fn replaced_after_5yz_to_mail() {
    let crossed = vec![
        Expect("MAIL"),
        send("554 5.4.7 idle too long"),
        Expect("RSET"),
    ];
    the_second_message_goes_over_a_new_connection(crossed).await;
}

#[tokio::test]
async fn replaced_after_a_refused_mail_and_a_close() {
    let crossed = vec![
        Expect("MAIL"),
        send("451 4.7.0 Timeout waiting for client input"),
    ];
    the_second_message_goes_over_a_new_connection(crossed).await;
}

#[tokio::test]
async fn replaced_after_messages_per_connection() {
    let full = |after| then(then(hello(&[]), good_transaction()), after);
    let goodbye = || [Expect("QUIT"), send("221 bye")];
    let peer = Peer::start(vec![full(goodbye()), full(goodbye())]).await;
    let relay = relay(peer.address, "tls = \"none\"\nmessages_per_connection = 1");
    for recipient in ["a@example.test", "b@example.test"] {
        assert!(submit(&relay, &[recipient]).await.is_accepted());
    }
    peer.finish().await;
}

/// A service that lost its lease sends QUIT, and begins anew with the same relays.
#[tokio::test]
async fn keeps_connections_again_after_a_close() {
    let goodbye = || [Expect("QUIT"), send("221 bye")];
    let first = then(then(hello(&[]), good_transaction()), goodbye());
    let two = then(then(hello(&[]), good_transaction()), good_transaction());
    let peer = Peer::start(vec![first, then(two, goodbye())]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    relay.close().await;
    for recipient in ["b@example.test", "c@example.test"] {
        assert!(submit(&relay, &[recipient]).await.is_accepted());
    }
    relay.close().await;
    peer.finish().await;
}
