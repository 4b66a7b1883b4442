//! Where the server offers CHUNKING (RFC 3030), content goes with BDAT, behind a transaction
//! without a refusal in one write with MAIL and RCPT; and nothing is taken for more than it is.

use sendport::domain::{Command, SubmissionEnd};
use sendport::relay::Relay;

use crate::support::certificates::TestAuthority;
use crate::support::client::{
    Open, Shut, envelope, last_reply, message, relay, said_to, small_message, submit,
};
use crate::support::scripted_peer::{
    Alone, Chunk, ClientGoes, Expect, Peer, Step, Tls, good_transaction, hello, send, then,
};

const SETTINGS: &str = "tls = \"none\"";
const OFFERS: &[&str] = &["PIPELINING", "CHUNKING"];

/// A transaction whose content waits for the replies to the recipients.
fn one_after_the_other() -> Vec<Step> {
    vec![
        Expect("MAIL"),
        send("250 ok"),
        Expect("RCPT"),
        Alone,
        send("250 ok"),
        Chunk,
        send("250 taken"),
    ]
}

fn first() -> Vec<Step> {
    then(hello(OFFERS), one_after_the_other())
}

/// Answered only when the content is here: who waits for the reply to RCPT waits for ever.
fn all_at_once(replies: &[&str]) -> Vec<Step> {
    let replies = replies.iter().map(|reply| send(reply));
    then(vec![Expect("MAIL"), Expect("RCPT"), Chunk], replies)
}

fn bye() -> [Step; 2] {
    [Expect("QUIT"), send("221 bye")]
}

#[tokio::test]
async fn the_second_message_goes_at_once() {
    let second = all_at_once(&["250 ok", "250 ok", "250 taken"]);
    let peer = Peer::start(vec![then(then(first(), second), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    for _ in 0..2 {
        let report = submit(&relay, &["a@example.test"]).await;
        assert!(report.is_accepted(), "{report:?}");
        assert_eq!(last_reply(&report).0.to_string(), "250 taken");
    }
    relay.close().await;
    let heard = peer.finish().await;
    let content = String::from_utf8_lossy(small_message().octets()).into_owned();
    assert_eq!(heard.iter().filter(|it| **it == content).count(), 2);
}

#[tokio::test]
async fn over_tls_as_well() {
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let opened = then(vec![Tls], first());
    let second = all_at_once(&["250 ok", "250 ok", "250 taken"]);
    let script = then(then(opened, second), bye());
    let peer = Peer::start_with(vec![script], Some(server.acceptor())).await;
    let relay = relay(
        peer.address,
        "tls = \"implicit\"\nverify_certificate = false",
    );
    for _ in 0..2 {
        let report = submit(&relay, &["a@example.test"]).await;
        assert!(report.is_accepted(), "{report:?}");
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn without_pipelining_it_waits_for_each_reply() {
    let step_by_step = vec![
        Expect("MAIL"),
        Alone,
        send("250 ok"),
        Expect("RCPT"),
        Alone,
        send("250 ok"),
        Chunk,
        send("250 taken"),
    ];
    let both = then(step_by_step.clone(), step_by_step);
    let peer = Peer::start(vec![then(then(hello(&["CHUNKING"]), both), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    for _ in 0..2 {
        assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_large_message_waits_for_the_replies() {
    let script = then(first(), one_after_the_other());
    let peer = Peer::start(vec![then(script, bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let large = message("big@example.test", &".\r\n0123456789\r\n".repeat(10_000));
    let report = relay
        .submit(&envelope(&["a@example.test"]), &large, &Open)
        .await;
    assert!(report.is_accepted());
    relay.close().await;
    let heard = peer.finish().await;
    let content = String::from_utf8_lossy(large.octets()).into_owned();
    assert!(heard.contains(&content), "every octet as it is");
}

#[tokio::test]
async fn a_refused_recipient_is_not_mistaken_for_a_refused_message() {
    let refused = all_at_once(&[
        "250 ok",
        "550 5.1.1 unknown",
        "554 5.5.1 no valid recipients",
    ]);
    let refused = then(refused, [Expect("RSET"), send("250 ok")]);
    // And the next goes step by step.
    let script = then(then(first(), refused), one_after_the_other());
    let peer = Peer::start(vec![then(script, bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert_eq!(last_reply(&report).0.to_string(), "550 5.1.1 unknown");
    assert!(submit(&relay, &["c@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn content_on_its_way_is_in_doubt_when_the_connection_ends() {
    let peer = Peer::start(vec![then(first(), all_at_once(&[]))]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt, "not sent again at once");
    let (last, _) = last_reply(&report);
    assert_eq!((last.command, last.code), (Command::EndOfData, 0));
    peer.finish().await;
}

#[tokio::test]
async fn a_refusal_stands_where_the_rest_is_in_doubt() {
    let steps = [
        Expect("MAIL"),
        Expect("RCPT"),
        Expect("RCPT"),
        Expect("RCPT"),
        Chunk,
    ];
    let replies = [send("250 ok"), send("550 5.1.1 unknown"), send("250 ok")];
    let peer = Peer::start(vec![then(then(first(), steps), replies)]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let three = ["b@example.test", "c@example.test", "d@example.test"];
    let report = submit(&relay, &three).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt);
    assert_eq!(said_to(&report, 0), "550 5.1.1 unknown");
    assert_eq!(said_to(&report, 1), "250 ok");
    assert_eq!(said_to(&report, 2), "nothing");
    peer.finish().await;
}

#[tokio::test]
async fn a_goodbye_in_place_of_mail_costs_nothing() {
    let limit = all_at_once(&["421 4.7.0 20 messages are enough"]);
    let peer = Peer::start(vec![then(first(), limit), then(first(), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    relay.close().await;
    peer.finish().await;
}

/// In one segment with the last reply: over TLS in a record of its own.
#[tokio::test]
async fn no_content_is_written_into_a_connection_that_said_goodbye() {
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let goodbye = || {
        [
            send("421 4.4.2 idle for too long"),
            Expect("MAIL"),
            Expect("RCPT"),
            Alone,
            ClientGoes,
        ]
    };
    for (settings, begin) in [
        (SETTINGS, vec![]),
        ("tls = \"implicit\"\nverify_certificate = false", vec![Tls]),
    ] {
        let said = then(then(begin.clone(), first()), goodbye());
        let second = then(then(begin, first()), bye());
        let peer = Peer::start_with(vec![said, second], Some(server.acceptor())).await;
        let relay = relay(peer.address, settings);
        assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
        let report = submit(&relay, &["b@example.test"]).await;
        assert!(report.is_accepted(), "{report:?}");
        relay.close().await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn a_relay_that_denies_bdat_gets_data() {
    let mut denied = hello(OFFERS);
    denied.extend(one_after_the_other());
    denied.pop();
    let denied = then(
        denied,
        [send("502 5.5.1 command not implemented"), ClientGoes],
    );
    let both = then(good_transaction(), good_transaction());
    let peer = Peer::start(vec![denied, then(then(hello(OFFERS), both), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    for recipient in ["a@example.test", "b@example.test"] {
        let report = submit(&relay, &[recipient]).await;
        assert!(report.is_accepted(), "{report:?}");
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_refusal_that_sounds_like_a_denial_is_asked_for_once_more() {
    let mut odd = then(first(), all_at_once(&["250 ok", "250 ok"]));
    odd.extend([send("501 5.6.0 not like this"), ClientGoes]);
    let mut refused = then(hello(OFFERS), good_transaction());
    refused.pop();
    let refused = then(refused, [send("554 5.6.0 not at all"), Expect("RSET")]);
    let refused = then(refused, [send("250 ok"), Expect("QUIT"), send("221 bye")]);
    let peer = Peer::start(vec![odd, refused]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert_eq!(last_reply(&report).0.to_string(), "554 5.6.0 not at all");
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_relay_that_never_answered_bdat_gets_data_the_next_time() {
    let mut silent = first();
    silent.pop();
    let second = then(then(hello(OFFERS), good_transaction()), bye());
    let peer = Peer::start(vec![silent, second]).await;
    let relay = relay(peer.address, SETTINGS);
    let report = submit(&relay, &["a@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::InDoubt, "{report:?}");
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn an_instance_without_its_lease_writes_nothing() {
    let peer = Peer::start(vec![then(first(), [ClientGoes])]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = relay
        .submit(&envelope(&["a@example.test"]), &small_message(), &Shut)
        .await;
    assert_eq!(report.end, SubmissionEnd::Fenced);
    peer.finish().await;
}

#[tokio::test]
async fn the_configuration_can_forbid_it() {
    let peer = Peer::start(vec![then(then(hello(OFFERS), good_transaction()), bye())]).await;
    let relay = relay(
        peer.address,
        "tls = \"none\"\nignore_extensions = [\"CHUNKING\"]",
    );
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}
