//! Silence is bounded; whether it counts as in doubt depends on the dot.

use sendport_core::domain::{Command, SubmissionEnd};

use crate::support::client::{last_reply, relay, submit};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, hello, send, then};

fn until_the_dot() -> Vec<Step> {
    let steps = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        Step::ClientGoes,
    ];
    then(hello(&[]), steps)
}

#[tokio::test]
async fn no_reply_after_the_final_dot_is_in_doubt() {
    let peer = Peer::start(vec![until_the_dot()]).await;
    let settings = "tls = \"none\"\n[timeout]\nend_of_data = \"300ms\"";
    let report = submit(&relay(peer.address, settings), &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt);
    let (last, _) = last_reply(&report);
    assert_eq!((last.command, last.code), (Command::EndOfData, 0));
    assert!(last.text.contains("timeout.end_of_data"), "{last}");
    peer.finish().await;
}

#[tokio::test]
async fn timeout_attempt_bounds_the_whole_attempt() {
    let peer = Peer::start(vec![until_the_dot()]).await;
    let settings = "tls = \"none\"\n[timeout]\nattempt = \"400ms\"\nend_of_data = \"10m\"";
    let report = submit(&relay(peer.address, settings), &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt);
    let (last, _) = last_reply(&report);
    assert!(last.text.contains("timeout.attempt"), "{last}");
    peer.finish().await;
}

#[tokio::test]
async fn a_stall_at_rcpt_is_broken() {
    let script = then(
        hello(&[]),
        [
            Expect("MAIL"),
            send("250 ok"),
            Expect("RCPT"),
            Step::ClientGoes,
        ],
    );
    let peer = Peer::start(vec![script]).await;
    let settings = "tls = \"none\"\n[timeout]\nrcpt = \"50ms\"";
    let report = submit(&relay(peer.address, settings), &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Broken);
    let (last, ordinal) = last_reply(&report);
    assert_eq!((last.command, ordinal), (Command::Rcpt, None));
    assert!(last.text.contains("timeout.rcpt"), "{last}");
    peer.finish().await;
}
