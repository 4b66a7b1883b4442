//! Where the server offers CHUNKING (RFC 3030) and its replies are distinguishable, content goes with
//! BDAT, behind the replies to all recipients; and nothing is taken for more than it is.

use sendport_core::domain::SubmissionEnd;
use sendport_smtp::relay::Relay;

use crate::support::certificates::TestAuthority;
use crate::support::client::{
    Open, Shut, envelope, last_reply, message, relay, reply_to, small_message, submit,
};
use crate::support::scripted_peer::{
    Alone, Chunk, ClientGoes, Expect, Peer, Step, Tls, good_transaction, hello, hello_again, send,
    then,
};

const SETTINGS: &str = "tls = \"none\"";
const OFFERS: &[&str] = &["PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"];

/// A transaction whose content waits for the replies to the recipients.
fn with_bdat() -> Vec<Step> {
    vec![
        Expect("MAIL"),
        send("250 2.1.0 ok"),
        Expect("RCPT"),
        Alone,
        send("250 2.1.5 ok"),
        Chunk,
        send("250 2.0.0 accepted"),
    ]
}

fn first() -> Vec<Step> {
    then(hello(OFFERS), with_bdat())
}

fn bye() -> [Step; 2] {
    [Expect("QUIT"), send("221 bye")]
}

#[tokio::test]
async fn bdat_follows_the_replies_to_all_recipients() {
    let peer = Peer::start(vec![then(then(first(), with_bdat()), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    for _ in 0..2 {
        let report = submit(&relay, &["a@example.test"]).await;
        assert!(report.is_accepted(), "{report:?}");
        assert_eq!(last_reply(&report).0.to_string(), "250 2.0.0 accepted");
    }
    relay.close().await;
    let heard = peer.finish().await;
    let content = String::from_utf8_lossy(small_message().bytes()).into_owned();
    assert_eq!(heard.iter().filter(|it| **it == content).count(), 2);
}

#[tokio::test]
async fn bdat_over_tls() {
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let script = then(then(vec![Tls], first()), then(with_bdat(), bye()));
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
async fn bdat_without_pipelining() {
    let mut step_by_step = with_bdat();
    step_by_step.insert(1, Alone);
    let offers = &["CHUNKING", "ENHANCEDSTATUSCODES"];
    let both = then(step_by_step.clone(), step_by_step);
    let peer = Peer::start(vec![then(then(hello(offers), both), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    for _ in 0..2 {
        assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    }
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_large_message_is_one_chunk() {
    let peer = Peer::start(vec![then(then(first(), with_bdat()), bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let large = message("big@example.test", &".\r\n0123456789\r\n".repeat(10_000));
    let report = relay
        .submit(&envelope(&["a@example.test"]), &large, &Open)
        .await;
    assert!(report.is_accepted());
    relay.close().await;
    let heard = peer.finish().await;
    let content = String::from_utf8_lossy(large.bytes()).into_owned();
    assert!(heard.contains(&content), "every octet as it is");
}

/// A late reply to a recipient would look like the one to BDAT.
#[tokio::test]
async fn uses_data_where_replies_are_ambiguous() {
    let silent = ["PIPELINING", "CHUNKING"];
    let vague = [
        Expect("MAIL"),
        send("250 2.1.0 ok"),
        Expect("RCPT"),
        send("250 ok"),
        Expect("DATA"),
        send("354 go"),
        Step::Content,
        send("250 2.0.0 accepted"),
    ];
    for script in [
        then(hello(&silent), good_transaction()),
        then(hello(OFFERS), vague),
    ] {
        let peer = Peer::start(vec![then(script, bye())]).await;
        let relay = relay(peer.address, SETTINGS);
        assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
        relay.close().await;
        peer.finish().await;
    }
}

/// The reply to RSET looks like the one to BDAT.
#[tokio::test]
async fn uses_data_after_a_reset() {
    let refused = vec![
        Expect("MAIL"),
        send("250 2.1.0 ok"),
        Expect("RCPT"),
        Alone,
        send("550 5.1.1 unknown"),
        Expect("RSET"),
        send("250 2.0.0 ok"),
    ];
    let script = then(then(first(), refused), good_transaction());
    let peer = Peer::start(vec![then(script, bye())]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(reply_to(&report, 0), "550 5.1.1 unknown");
    assert!(submit(&relay, &["c@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}

#[tokio::test]
async fn a_denied_bdat_is_repeated_with_data() {
    let mut denied = hello(OFFERS);
    denied.extend(with_bdat());
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
async fn a_refusal_like_a_denial_is_repeated_once() {
    let mut odd = then(first(), with_bdat());
    odd.pop();
    odd.extend([send("501 5.6.0 not like this"), ClientGoes]);
    let mut refused = then(hello(OFFERS), good_transaction());
    refused.pop();
    let refused = then(refused, [send("554 5.6.0 not at all"), Expect("RSET")]);
    let refused = then(refused, [send("250 2.0.0 ok")]);
    let refused = then(refused, then(hello_again(&[]), bye()));
    let peer = Peer::start(vec![odd, refused]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = submit(&relay, &["b@example.test"]).await;
    assert_eq!(report.end, SubmissionEnd::Answered);
    assert_eq!(last_reply(&report).0.to_string(), "554 5.6.0 not at all");
    relay.close().await;
    peer.finish().await;
}

/// A late reply to MAIL has no code; the reply to EHLO shows whether another one is still to come.
#[tokio::test]
async fn a_success_without_enhanced_code_counts_when_it_is_the_only_reply() {
    let odd = || {
        let mut odd = then(hello(OFFERS), with_bdat());
        odd.pop();
        then(odd, [send("250 sender ok"), Expect("RSET")])
    };
    let kept = then(odd(), [send("250 reset")]);
    let kept = then(kept, then(hello_again(&[]), bye()));
    let shifted = [
        send("250 recipient ok"),
        Expect("EHLO"),
        send("250 accepted"),
        ClientGoes,
    ];
    for (script, end) in [
        (kept, SubmissionEnd::Answered),
        (then(odd(), shifted), SubmissionEnd::InDoubt),
    ] {
        let peer = Peer::start(vec![script]).await;
        let relay = relay(peer.address, SETTINGS);
        let report = submit(&relay, &["a@example.test"]).await;
        assert_eq!(report.end, end, "{report:?}");
        assert_eq!(report.is_accepted(), end == SubmissionEnd::Answered);
        relay.close().await;
        peer.finish().await;
    }
}

#[tokio::test]
async fn uses_data_after_an_unanswered_bdat() {
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
async fn writes_no_content_without_a_lease() {
    let mut fenced = with_bdat();
    fenced.truncate(5);
    let peer = Peer::start(vec![then(then(first(), fenced), [ClientGoes])]).await;
    let relay = relay(peer.address, SETTINGS);
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    let report = relay
        .submit(&envelope(&["a@example.test"]), &small_message(), &Shut)
        .await;
    assert_eq!(report.end, SubmissionEnd::Fenced);
    peer.finish().await;
}

#[tokio::test]
async fn the_configuration_disables_bdat() {
    let peer = Peer::start(vec![then(then(hello(OFFERS), good_transaction()), bye())]).await;
    let relay = relay(
        peer.address,
        "tls = \"none\"\nignore_extensions = [\"CHUNKING\"]",
    );
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    relay.close().await;
    peer.finish().await;
}
