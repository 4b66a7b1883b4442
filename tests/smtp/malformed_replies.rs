//! Replies as they are seen in the wild.

use sendport_core::domain::SubmissionEnd;

use crate::support::client::{relay, reply_to, submit};
use crate::support::scripted_peer::{
    ClientGoes, Content, Expect, Mute, Peer, Step, hello, send, then,
};

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
    assert_eq!(reply_to(&report, 0), "571 5.7.1 no");
    assert_eq!(reply_to(&report, 1), "550 5.7.606 kein Empf\u{e4}nger");
    assert_eq!(reply_to(&report, 2), "251 forwarded");
    let last = report.replies.last().expect("the dot's");
    assert_eq!(last.reply.to_string(), "250 2.6.0 queued as 7");
    peer.finish().await;
}

/// A reply that is too long does not discard the replies before it.
#[tokio::test]
async fn a_long_reply_counts_like_a_short_one() {
    let long =
        |code: u16| send(&(format!("{code}-word\r\n").repeat(9_000) + &format!("{code} end")));
    let script = then(
        hello(&["PIPELINING"]),
        [
            Expect("MAIL"),
            Expect("RCPT"),
            Expect("RCPT"),
            Expect("RCPT"),
            send("250 ok\r\n550 5.1.1 unknown"),
            long(550),
            send("250 ok"),
            Expect("DATA"),
            send("354 go"),
            Content,
            long(250),
        ],
    );
    let peer = Peer::start(vec![script]).await;
    let recipients = ["a@example.test", "b@example.test", "c@example.test"];
    let report = submit(&relay(peer.address, "tls = \"none\""), &recipients).await;
    assert!(report.is_accepted(), "{:?}", report.end);
    assert_eq!(reply_to(&report, 0), "550 5.1.1 unknown");
    assert!(reply_to(&report, 1).starts_with("550 word word"));
    assert_eq!(reply_to(&report, 2), "250 ok");
    peer.finish().await;
}

/// The connection is half-closed: the server hears what it does not answer any more.
#[tokio::test]
async fn replies_before_a_stall_count() {
    for extensions in [&["PIPELINING"][..], &[]] {
        let mut script = hello(extensions);
        script.extend([Expect("MAIL")]);
        let answers = [send("250 ok"), send("550 5.1.1 unknown"), Mute];
        match extensions.is_empty() {
            true => script.extend([
                send("250 ok"),
                Expect("RCPT"),
                send("550 5.1.1 unknown"),
                Mute,
            ]),
            false => script.extend(then(vec![Expect("RCPT"), Expect("RCPT")], answers)),
        }
        let peer = Peer::start(vec![then(script, [ClientGoes])]).await;
        let recipients = ["a@example.test", "b@example.test"];
        let report = submit(&relay(peer.address, "tls = \"none\""), &recipients).await;
        assert_eq!(report.end, SubmissionEnd::Broken, "{report:?}");
        assert_eq!(reply_to(&report, 0), "550 5.1.1 unknown");
        assert_eq!(reply_to(&report, 1), "nothing");
        peer.finish().await;
    }
}
