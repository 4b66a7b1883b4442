//! As many connections as configured, and none longer than it is of use.

use sendport_smtp::relay::Relay;

use crate::support::client::{relay, submit};
use crate::support::scripted_peer::{Expect, Peer, good_transaction, hello, send, then};

#[tokio::test]
async fn two_submissions_share_one_connection() {
    let script = then(then(hello(&[]), good_transaction()), good_transaction());
    let script = then(script, [Expect("QUIT"), send("221 bye")]);
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"\nmax_connections = 1");
    let (a, b) = tokio::join!(
        submit(&relay, &["a@example.test"]),
        submit(&relay, &["b@example.test"])
    );
    assert!(a.is_accepted() && b.is_accepted());
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn an_idle_connection_is_quit() {
    let goodbye = [Expect("QUIT"), send("221 bye")];
    let peer = Peer::start(vec![then(then(hello(&[]), good_transaction()), goodbye)]).await;
    let relay = relay(peer.address, "tls = \"none\"\nidle_timeout = \"20ms\"");
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    peer.finish().await;
}

#[tokio::test]
async fn a_check_connects_and_quits() {
    let script = then(hello(&["SIZE"]), [Expect("QUIT"), send("221 bye")]);
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let facts = relay.verify().await.expect("a server");
    assert_eq!(facts.remote_address, Some(peer.address.to_string()));
    peer.finish().await;
}
