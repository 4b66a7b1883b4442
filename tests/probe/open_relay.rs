//! Whether a server relays for strangers, checked without authentication and without sending.

use crate::support::probe::probe_at;
use crate::support::scripted_peer::{Expect, Peer, Step, hello, send, then};

fn session() -> Vec<Step> {
    then(hello(&[]), [Expect("QUIT"), send("221 bye")])
}

fn asked_for_a_stranger(reply: &str) -> Vec<Step> {
    then(
        hello(&[]),
        [
            Expect("MAIL FROM:"),
            send("250 ok"),
            Expect("RCPT TO:<open-relay-check@example.com>"),
            send(reply),
            Expect("RSET"),
            send("250 2.0.0 ok"),
            Expect("QUIT"),
            send("221 bye"),
        ],
    )
}

async fn checked(reply: &str) -> crate::support::probe::ProbeOutput {
    let peer = Peer::start(vec![session(), asked_for_a_stranger(reply)]).await;
    let arguments = [
        "--from",
        "alerts@example.test",
        "--stop-after",
        "auth",
        "--open-relay-check",
    ];
    let probed = probe_at(peer.address, &arguments).await;
    peer.finish().await;
    probed
}

#[tokio::test]
async fn warns_of_an_open_relay() {
    checked("250 ok").await.is_as_expected("open_relay", 30);
}

#[tokio::test]
async fn a_refusal_is_correct() {
    let probed = checked("554 5.7.1 <open-relay-check@example.com>: Relay access denied").await;
    probed.prints(
        0,
        &[
            "does not accept mail for open-relay-check@example.com",
            "as it should be",
        ],
    );
}
