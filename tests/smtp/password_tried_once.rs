//! A refused password is an answer, and is not tried again: no account is locked.

use sendport_core::domain::{Command, Fault};

use crate::support::client::{not_begun, relay_with_password, submit};
use crate::support::scripted_peer::{ClientGoes, Expect, Peer, hello, send, then};

const SETTINGS: &str = "tls = \"none\"\n[auth]\nmechanism = \"auto\"\nusername = \"alice\"\n\
                        allow_cleartext_auth = true\n";

#[tokio::test]
async fn no_second_connection_presents_it() {
    let refusal = [Expect("AUTH PLAIN"), send("535 5.7.8 wrong"), ClientGoes];
    let peer = Peer::start(vec![then(hello(&["AUTH PLAIN LOGIN"]), refusal)]).await;
    let relay = relay_with_password(peer.address, SETTINGS, Some("wrong"));
    let (a, b, c) = tokio::join!(
        submit(&relay, &["a@example.test"]),
        submit(&relay, &["b@example.test"]),
        submit(&relay, &["c@example.test"]),
    );
    for report in [a, b, c] {
        let (reply, fault) = not_begun(&report);
        assert_eq!((reply.command, reply.code), (Command::Auth, 535));
        assert_eq!(fault, Some(Fault::Configuration));
    }
    peer.finish().await;
}

#[tokio::test]
async fn a_transient_refusal_is_retried() {
    let refusal = || [Expect("AUTH PLAIN"), send("454 4.7.0 later"), ClientGoes];
    let script = || then(hello(&["AUTH PLAIN"]), refusal());
    let peer = Peer::start(vec![script(), script()]).await;
    let relay = relay_with_password(peer.address, SETTINGS, Some("right"));
    for _ in 0..2 {
        let report = submit(&relay, &["a@example.test"]).await;
        assert_eq!(not_begun(&report).1, None);
    }
    peer.finish().await;
}
