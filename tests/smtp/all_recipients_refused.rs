//! All recipients refused: no DATA, and the connection serves the next transaction.

use sendport_core::domain::SubmissionEnd;

use crate::support::client::{relay, reply_to, submit};
use crate::support::scripted_peer::{Expect, Peer, good_transaction, hello, send, then};

#[tokio::test]
async fn resets_the_transaction_and_keeps_the_connection() {
    let refusal = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("550 5.1.1 unknown"),
        Expect("RSET"),
        send("250 2.0.0 reset"),
    ];
    let script = then(then(hello(&[]), refusal), good_transaction());
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let refused = submit(&relay, &["a@example.test"]).await;
    assert_eq!(refused.end, SubmissionEnd::Answered);
    assert_eq!(reply_to(&refused, 0), "550 5.1.1 unknown");
    assert!(!refused.is_accepted());
    assert!(submit(&relay, &["b@example.test"]).await.is_accepted());
    peer.finish().await;
}

#[tokio::test]
async fn a_refused_sender_does_not_count_against_recipients() {
    let refusal = [
        Expect("MAIL"),
        Expect("RCPT"),
        send("550 5.7.60 not your address"),
        send("503 5.5.1 MAIL first"),
        Expect("RSET"),
        send("250 2.0.0 ok"),
    ];
    let peer = Peer::start(vec![then(hello(&["PIPELINING"]), refusal)]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = submit(&relay, &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert_eq!(report.replies.len(), 1);
    assert_eq!(
        report.replies[0].reply.to_string(),
        "550 5.7.60 not your address"
    );
    assert_eq!(reply_to(&report, 0), "nothing");
    peer.finish().await;
}
