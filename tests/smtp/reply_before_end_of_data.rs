//! A reply that comes before the dot is not the dot's: nothing counts as accepted by mistake.

use sendport_core::domain::SubmissionEnd;

use crate::support::client::{last_reply, relay, submit};
use crate::support::scripted_peer::{Expect, Peer, Step, hello, send, then};

async fn with_answer_to_data(answer: &str) -> sendport_core::domain::SubmissionReport {
    let script = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 ok"),
        Expect("DATA"),
        send(answer),
        Step::ClientGoes,
    ];
    let peer = Peer::start(vec![then(hello(&[]), script)]).await;
    let report = submit(&relay(peer.address, "tls = \"none\""), &["a@example.test"]).await;
    peer.finish().await;
    report
}

#[tokio::test]
async fn a_second_reply_after_354_is_no_acceptance() {
    let report = with_answer_to_data("354 go\r\n250 2.0.0 accepted").await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    assert!(!report.is_accepted());
}

#[tokio::test]
async fn a_refusal_after_354_refuses_nothing() {
    let report = with_answer_to_data("354 go\r\n552 5.3.4 too large").await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    assert_ne!(last_reply(&report).0.code, 552, "{report:?}");
}

#[tokio::test]
async fn success_instead_of_354_is_no_acceptance() {
    let report = with_answer_to_data("250 2.0.0 ok").await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    assert!(!report.is_accepted());
}
