//! Delivery status notifications (RFC 3461): asked for where the relay offers them, and in a
//! form that a real server understands.

use std::collections::BTreeSet;
use std::time::Duration;

use sendport_core::domain::{DsnRequest, DsnReturn, Envelope, Notify, NotifyOn};
use sendport_smtp::relay::Relay;

use crate::support::client::{Open, envelope, relay, small_message};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, hello, send, then};

const WITHIN: Duration = Duration::from_secs(60);
const ENVELOPE_ID: &str = "01234567-89ab-4def-8123-456789abcdef";

fn asking(recipients: &[&str], notify: Notify) -> Envelope {
    Envelope {
        dsn: Some(DsnRequest {
            envelope_id: ENVELOPE_ID.to_owned(),
            notify: Some(notify),
            returns: Some(DsnReturn::Headers),
            ..DsnRequest::default()
        }),
        ..envelope(recipients)
    }
}

fn script(extensions: &[&str]) -> Vec<Step> {
    then(
        hello(extensions),
        [
            Expect("MAIL"),
            send("250 ok"),
            Expect("RCPT"),
            send("250 ok"),
            Expect("DATA"),
            send("354 go"),
            Content,
            send("250 accepted"),
            Expect("QUIT"),
            send("221 bye"),
        ],
    )
}

/// The commands MAIL and RCPT as the server hears them.
async fn heard(offered: &[&str], settings: &str, notify: Notify) -> (Vec<String>, bool) {
    let peer = Peer::start(vec![script(offered)]).await;
    let relay = relay(peer.address, &format!("tls = \"none\"\n{settings}"));
    let envelope = asking(&["a+b@example.test"], notify);
    let report = relay.submit(&envelope, &small_message(), &Open).await;
    assert!(report.is_accepted(), "{report:?}");
    relay.close().await;
    let mut heard = peer.finish().await;
    heard.retain(|line| line.starts_with("MAIL") || line.starts_with("RCPT"));
    (heard, report.facts.offers_dsn)
}

#[tokio::test]
async fn requests_dsn_where_it_is_offered() {
    let on: BTreeSet<_> = [NotifyOn::Delay, NotifyOn::Failure].into();
    let (heard, offered) = heard(&["DSN"], "", Notify::On(on)).await;
    assert!(offered);
    assert_eq!(
        heard,
        [
            format!("MAIL FROM:<alerts@example.test> RET=HDRS ENVID={ENVELOPE_ID}"),
            "RCPT TO:<a+b@example.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;a+2Bb@example.test"
                .to_owned(),
        ]
    );
}

#[tokio::test]
async fn requests_no_dsn_where_it_is_not_offered_or_ignored() {
    for (offered, settings) in [
        (&["SIZE"][..], ""),
        (&["DSN"], "ignore_extensions = [\"DSN\"]"),
    ] {
        let (heard, offers) = heard(offered, settings, Notify::always()).await;
        assert!(!offers);
        assert_eq!(heard[1], "RCPT TO:<a+b@example.test>");
        assert!(!heard[0].contains("RET=") && !heard[0].contains("ENVID="));
    }
}

#[tokio::test]
async fn postfix_reports_the_delivery_with_our_envelope_id() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let relay = relay(postfix.plain(), "tls = \"none\"");
    let envelope = asking(&["user1@example.test"], Notify::always());
    let report = relay.submit(&envelope, &small_message(), &Open).await;
    assert!(report.is_accepted(), "{report:?}");
    let delivered = postfix.wait_for_messages(2, WITHIN).await;
    let receipt = delivered
        .iter()
        .find(|message| message.recipient == "alerts@example.test")
        .expect("a report to the return path");
    let text = String::from_utf8_lossy(&receipt.bytes).into_owned();
    for reply in [
        &format!("Original-Envelope-Id: {ENVELOPE_ID}"),
        "Original-Recipient: rfc822;user1@example.test",
        "Action: delivered",
    ] {
        assert!(text.contains(reply), "expected '{reply}' in:\n{text}");
    }
}
