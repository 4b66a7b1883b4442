//! An instance whose lease is not certain transfers no responsibility.

use sendport_core::domain::SubmissionEnd;
use sendport_smtp::relay::Relay;

use crate::support::client::{Shut, envelope, message, relay, small_message};
use crate::support::scripted_peer::{Expect, Peer, Step, hello, send, then};

fn script(rest: Step) -> Vec<Step> {
    let steps = [
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        rest,
    ];
    then(hello(&[]), steps)
}

#[tokio::test]
async fn sends_no_byte_of_a_small_message() {
    let peer = Peer::start(vec![script(Step::ClientGoes)]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = relay
        .submit(&envelope(&["a@example.test"]), &small_message(), &Shut)
        .await;
    assert_eq!(report.end, SubmissionEnd::Fenced);
    peer.finish().await;
}

#[tokio::test]
async fn a_large_message_lacks_its_end() {
    let peer = Peer::start(vec![script(Expect("From:"))]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let large = message("big@example.test", &"0123456789\r\n".repeat(10_000));
    let report = relay
        .submit(&envelope(&["a@example.test"]), &large, &Shut)
        .await;
    assert_eq!(report.end, SubmissionEnd::Fenced);
    assert!(!report.is_accepted());
}
