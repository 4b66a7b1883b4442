//! Replies as they are seen in the wild.

use sendport::domain::SubmissionEnd;

use crate::support::client::{relay, said_to, submit};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, send};

#[tokio::test]
async fn every_reply_keeps_its_code_and_text() {
    let script = vec![
        Step::Send(b"220-peer\r\n220\r\n".to_vec()),
        Expect("EHLO"),
        send("502 what"),
        Expect("HELO client.example.test"),
        Step::Send(b"250\n".to_vec()),
        Expect("MAIL FROM:<alerts@example.test>"),
        send("250"),
        Expect("RCPT"),
        send("571 5.7.1 no"),
        Expect("RCPT"),
        Step::Send(b"550-5.7.606 kein\r\n550 5.7.606 Empf\xe4nger\r\n".to_vec()),
        Expect("RCPT"),
        send("251 forwarded"),
        Expect("DATA"),
        send("354"),
        Content,
        send("250-2.6.0 queued\r\n250 2.6.0 as 7"),
    ];
    let peer = Peer::start(vec![script]).await;
    let relay = relay(peer.address, "tls = \"none\"");
    let report = submit(
        &relay,
        &["a@example.test", "b@example.test", "c@example.test"],
    )
    .await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert_eq!(said_to(&report, 0), "571 5.7.1 no");
    assert_eq!(said_to(&report, 1), "550 5.7.606 kein Empf\u{fffd}nger");
    assert_eq!(said_to(&report, 2), "251 forwarded");
    let last = report.replies.last().expect("the dot's");
    assert_eq!(last.reply.to_string(), "250 2.6.0 queued as 7");
    peer.finish().await;
}
