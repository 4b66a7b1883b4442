//! What a server announces with LIMITS (RFC 9422) is kept to.

use sendport_smtp::relay::Relay;

use crate::support::client::{relay, submit};
use crate::support::scripted_peer::{Expect, Peer, Step, good_transaction, hello, send, then};

fn good_transaction_of_two() -> Vec<Step> {
    let second = [Expect("RCPT TO:"), send("250 2.1.5 ok")];
    let mut steps = good_transaction();
    steps.splice(4..4, second);
    steps
}

fn goodbye() -> [Step; 2] {
    [Expect("QUIT"), send("221 bye")]
}

#[tokio::test]
async fn sends_at_most_rcptmax_recipients() {
    let script = then(hello(&["LIMITS RCPTMAX=2"]), good_transaction_of_two());
    let peer = Peer::start(vec![then(script, goodbye())]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = submit(&relay, &["a@x.test", "b@x.test", "c@x.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    assert!(report.reply_to_recipient(1).is_some() && report.reply_to_recipient(2).is_none());
    assert_eq!(report.facts.limits.recipients, Some(2));
    relay.close().await;
    let heard = peer.finish().await;
    assert!(
        !heard.iter().any(|line| line.contains("c@x.test")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_connection_at_mailmax_is_not_reused() {
    let once = || {
        then(
            then(hello(&["LIMITS MAILMAX=1"]), good_transaction()),
            goodbye(),
        )
    };
    let peer = Peer::start(vec![once(), once()]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    for recipient in ["a@example.test", "b@example.test"] {
        assert!(submit(&relay, &[recipient]).await.is_accepted());
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn sends_at_most_rcptdomainmax_domains() {
    let script = then(
        hello(&["LIMITS RCPTDOMAINMAX=1"]),
        good_transaction_of_two(),
    );
    let peer = Peer::start(vec![then(script, goodbye())]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = submit(&relay, &["a@x.test", "b@y.test", "c@x.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    relay.close().await;
    let heard = peer.finish().await;
    assert!(
        !heard.iter().any(|line| line.contains("b@y.test")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn ignores_a_malformed_limit() {
    let script = then(
        hello(&["LIMITS RCPTMAX=0 MAILMAX=none"]),
        good_transaction_of_two(),
    );
    let peer = Peer::start(vec![then(script, goodbye())]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    assert!(
        submit(&relay, &["a@x.test", "b@x.test"])
            .await
            .is_accepted()
    );
    relay.close().await;
    peer.finish().await;
}
