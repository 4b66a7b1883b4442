//! A server that offers PIPELINING and does not do it: the message goes all the same, a
//! command at a time, and so do those behind it.

use std::time::Duration;

use sendport_core::domain::{SubmissionEnd, SubmissionReport};
use sendport_smtp::SmtpRelay;
use sendport_smtp::relay::Relay as _;

use crate::support::client::{last_reply, relay, reply_to, submit};
use crate::support::scripted_peer::{
    Alone, ClientGoes, Content, Expect, Peer, Something, Step, hello, send, then,
};

const SETTINGS: &str = "tls = \"none\"\n[timeout]\nrcpt = \"1s\"\nquit = \"300ms\"";

fn offered() -> Vec<Step> {
    hello(&["PIPELINING"])
}

/// Two recipients, one of them refused, and never a command before the reply to the last one.
fn one_at_a_time() -> Vec<Step> {
    vec![
        Expect("MAIL"),
        Alone,
        send("250 ok"),
        Expect("RCPT TO:<a@example.test>"),
        Alone,
        send("250 ok"),
        Expect("RCPT TO:<b@example.test>"),
        Alone,
        send("550 5.1.1 unknown"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 accepted"),
    ]
}

async fn submit_two(relay: &SmtpRelay) -> SubmissionReport {
    submit(relay, &["a@example.test", "b@example.test"]).await
}

/// `lie` is what the server does with MAIL and two RCPTs that come at once.
async fn the_message_goes_all_the_same(lie: Vec<Step>) {
    let honest = then(then(offered(), one_at_a_time()), one_at_a_time());
    let honest = then(honest, [Expect("QUIT"), send("221 bye")]);
    let peer = Peer::start(vec![then(offered(), lie), honest]).await;
    let relay = relay(peer.address, SETTINGS);
    for _ in 0..2 {
        let report = submit_two(&relay).await;
        assert!(report.is_accepted(), "{report:?}");
        assert_eq!(reply_to(&report, 0), "250 ok");
        assert_eq!(reply_to(&report, 1), "550 5.1.1 unknown");
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn repeats_where_only_the_first_command_is_answered() {
    let lie = vec![
        Expect("MAIL"),
        Something,
        Something,
        send("250 ok"),
        ClientGoes,
    ];
    the_message_goes_all_the_same(lie).await;
}

#[tokio::test]
async fn repeats_where_one_reply_is_missing() {
    let lie = vec![
        Expect("MAIL"),
        Something,
        Something,
        send("250 ok"),
        send("250 ok"),
        ClientGoes,
    ];
    the_message_goes_all_the_same(lie).await;
}

#[tokio::test]
async fn repeats_where_there_is_a_reply_too_many() {
    let replies = b"250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n".to_vec();
    let lie = vec![
        Expect("MAIL"),
        Something,
        Something,
        Step::Send(replies),
        ClientGoes,
    ];
    the_message_goes_all_the_same(lie).await;
}

#[tokio::test]
async fn repeats_after_an_impossible_reply() {
    for answer in [
        "503 5.5.1 Bad sequence of commands",
        "554 5.5.0 SMTP synchronization error",
        "354 go",
    ] {
        let lie = vec![
            Expect("MAIL"),
            Something,
            Something,
            send("250 ok"),
            send(answer),
            send(answer),
            ClientGoes,
        ];
        the_message_goes_all_the_same(lie).await;
    }
}

#[tokio::test]
async fn repeats_after_a_close() {
    let lie = vec![Expect("MAIL"), Something, Something, send("250 ok")];
    the_message_goes_all_the_same(lie).await;
}

#[tokio::test]
async fn a_later_break_does_not_count() {
    let group = |reply: Vec<Step>| then(vec![Expect("MAIL"), Expect("RCPT")], reply);
    let taken = group(vec![
        send("250 ok"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 accepted"),
    ]);
    let breaks = group(vec![send("250 ok")]);
    let peer = Peer::start(vec![
        then(then(offered(), taken.clone()), breaks),
        then(offered(), taken),
    ])
    .await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let broken = submit(&relay, &["a@example.test"]).await;
    assert_eq!(broken.end, SubmissionEnd::Broken, "{broken:?}");
    assert!(last_reply(&broken).0.text.contains("closed"));
    let report = submit(&relay, &["a@example.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    peer.finish().await;
}

#[tokio::test]
async fn reports_the_first_result_where_the_second_cannot_connect() {
    let lie = vec![Expect("MAIL"), Something, send("250 ok"), ClientGoes];
    let peer = Peer::start(vec![then(offered(), lie)]).await;
    let relay = relay(peer.address, SETTINGS);
    let started = std::time::Instant::now();
    let report = submit(&relay, &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Broken, "{report:?}");
    assert!(last_reply(&report).0.text.contains("timeout.rcpt"));
    assert!(started.elapsed() < Duration::from_secs(60));
    peer.finish().await;
}
