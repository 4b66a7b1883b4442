//! Recipients whose addresses are not ASCII, among others: neither affects the other.

use std::net::SocketAddr;
use std::time::Duration;

use crate::site::Site;
use crate::support::certificates::TestAuthority;
use crate::support::exim::{Authenticator, Exim};
use crate::support::maildir::DeliveredMessage;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{plain_relay, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

async fn postfix(smtputf8: &str) -> Postfix {
    Postfix::start(PostfixOptions {
        main_cf: vec![("smtputf8_enable".to_owned(), smtputf8.to_owned())],
        ..PostfixOptions::default()
    })
    .await
}

fn insert(site: &Site) {
    let sql = "INSERT INTO Alert (ToRecipients, CcRecipients, BccRecipients, Subject, Body)
        VALUES ('ops@example.test; \"Groß, Jürgen\" <jürgen@EXAMPLE.test>',
                '中文@example.test; ops@example.test', 'hidden@example.test; ju' || char(776) || 'rgen@example.test',
                'Größe', 'Größe')";
    site.database().execute(sql, []).expect("insert");
}

/// A send port that tries each recipient once.
fn once_over(relay: SocketAddr) -> String {
    send_port_over(&plain_relay(relay)) + "attempts = 1\n"
}

/// The status of all recipients, in the order in which they were written.
fn statuses(site: &Site) -> String {
    site.value(
        "SELECT group_concat(Address || ' ' || Status, ', ') FROM
         (SELECT Address, Status FROM Delivery ORDER BY Ordinal)",
    )
}

fn to_header(delivered: &[DeliveredMessage], recipient: &str) -> String {
    let message = delivered.iter().find(|m| m.recipient == recipient);
    let message = message.unwrap_or_else(|| panic!("nothing for {recipient}"));
    let text = String::from_utf8(message.as_submitted()).expect("is UTF-8");
    let (header, body) = text.split_once("\r\n\r\n").expect("a body");
    assert!(body.is_ascii() && !header.contains("hidden"), "{text}");
    let unfolded = header.replace("\r\n ", " ");
    let mut lines = unfolded.lines();
    let header = lines.find(|line| line.starts_with("To: "));
    header.expect("a header To").to_owned()
}

#[tokio::test]
async fn a_relay_that_offers_smtputf8_takes_them_and_the_others_do_without() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix("yes").await;
    let site = Site::new(&once_over(postfix.plain()));
    insert(&site);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        statuses(&site),
        "ops@example.test relayed, jürgen@EXAMPLE.test relayed, 中文@example.test relayed, hidden@example.test relayed"
    );
    let spent = site.value("SELECT group_concat(DISTINCT AttemptCount) FROM Recipient");
    assert_eq!(spent, "1", "one attempt was spent on each");
    postfix.wait_for_messages(4, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    let delivered = postfix.messages();
    assert_eq!(delivered.len(), 4);
    for recipient in ["ops@example.test", "hidden@example.test"] {
        assert_eq!(
            to_header(&delivered, recipient),
            "To: ops@example.test, =?utf-8?q?Gro=C3=9F=2C_J=C3=BCrgen_=3Cj=C3=BCrgen=40EXAMPLE=2Etest=3E?= <invalid@internationalized-address.invalid>",
        );
    }
    for recipient in ["jürgen@EXAMPLE.test", "中文@example.test"] {
        assert_eq!(
            to_header(&delivered, recipient),
            "To: ops@example.test, =?utf-8?q?Gro=C3=9F=2C_J=C3=BCrgen?= <jürgen@EXAMPLE.test>"
        );
    }
}

#[tokio::test]
async fn without_smtputf8_only_international_recipients_fail() {
    if !Postfix::available() {
        return;
    }
    let postfix = postfix("no").await;
    let site = Site::new(&once_over(postfix.plain()));
    insert(&site);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        statuses(&site),
        "ops@example.test relayed, jürgen@EXAMPLE.test failed, 中文@example.test failed, hidden@example.test relayed"
    );
    assert_eq!(site.value("SELECT Status FROM AlertStatus"), "partial");
    let why = site.value(
        "SELECT ReplyCode || ' ' || EnhancedStatusCode || ' ' || Cause || ' ' || Advice
         FROM Delivery WHERE Address LIKE 'j%'",
    );
    assert!(
        why.starts_with("553 5.6.7 ") && why.contains("offers SMTPUTF8"),
        "{why}"
    );
    assert_eq!(postfix.wait_for_messages(2, WITHIN).await.len(), 2);
}

fn two_relays(first: SocketAddr, second: SocketAddr) -> String {
    let second = plain_relay(second).replace("relay.main", "relay.second");
    send_port_over(&(plain_relay(first) + &second)).replace("[\"main\"]", "[\"main\", \"second\"]")
}

#[tokio::test]
async fn another_relay_of_the_send_port_is_asked() {
    if !Postfix::available() {
        return;
    }
    let (first, second) = (postfix("no").await, postfix("yes").await);
    let site = Site::new(&two_relays(first.plain(), second.plain()));
    insert(&site);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value("SELECT Status FROM AlertStatus"), "relayed");
    let by = "SELECT group_concat(Relay) FROM (SELECT Relay FROM Delivery ORDER BY Ordinal)";
    assert_eq!(site.value(by), "main,second,second,main");
    assert_eq!(first.wait_for_messages(2, WITHIN).await.len(), 2);
    assert_eq!(second.wait_for_messages(2, WITHIN).await.len(), 2);
}

/// The relay that takes them is away, before or behind the one that does not.
async fn they_wait_for(away_first: bool) {
    let (without, mut away) = (postfix("no").await, postfix("yes").await);
    away.stop().await;
    let site = Site::new(&match away_first {
        true => two_relays(away.plain(), without.plain()),
        false => two_relays(without.plain(), away.plain()),
    });
    insert(&site);
    let service = site.run();
    let waits = "SELECT count(*) FROM AlertStatus WHERE StatusReason LIKE 'waits for a relay that may offer SMTPUTF8%'";
    site.wait_until(waits, "1", WITHIN).await;
    let failed = "SELECT count(*) FROM Delivery WHERE Status = 'failed'";
    assert_eq!(site.value(failed), "0");
    away.start_again().await;
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value("SELECT Status FROM AlertStatus"), "relayed");
    assert_eq!(without.wait_for_messages(2, WITHIN).await.len(), 2);
    assert_eq!(away.wait_for_messages(2, WITHIN).await.len(), 2);
}

#[tokio::test]
async fn they_wait_while_a_relay_that_may_take_them_is_away() {
    if Postfix::available() {
        they_wait_for(true).await;
        they_wait_for(false).await;
    }
}

#[tokio::test]
async fn an_international_sender_needs_smtputf8_for_every_recipient() {
    if !Postfix::available() {
        return;
    }
    for (smtputf8, status) in [("yes", "relayed"), ("no", "failed")] {
        let postfix = postfix(smtputf8).await;
        let port = send_port_over(&plain_relay(postfix.plain()));
        let site = Site::new(&port.replace("<alerts@", "<büro@"));
        let sql =
            "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@example.test', 's', 'b')";
        site.database().execute(sql, []).expect("insert");
        let service = site.run();
        site.wait_until_all_final(WITHIN).await;
        assert_eq!(service.stop(), Some(0));
        assert_eq!(site.value("SELECT Status FROM AlertStatus"), status);
        if status == "failed" {
            let why = "SELECT Fault || ' ' || EnhancedStatusCode FROM Delivery";
            assert_eq!(site.value(why), "message 5.6.7");
            continue;
        }
        let delivered = postfix.wait_for_messages(1, WITHIN).await;
        let text = String::from_utf8(delivered[0].bytes.clone()).expect("is UTF-8");
        assert!(
            text.contains("From: Contoso alerts <büro@example.test>\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn exim_takes_them_too() {
    if !Exim::available() {
        return;
    }
    let exim = Exim::start(&TestAuthority::new(), Authenticator::Spa).await;
    let site = Site::new(&send_port_over(&plain_relay(exim.plain())));
    insert(&site);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT Status FROM AlertStatus"),
        "relayed",
        "{}",
        statuses(&site)
    );
    let delivered = exim.wait_for_messages(4, WITHIN).await;
    assert_eq!(delivered.len(), 4);
}
