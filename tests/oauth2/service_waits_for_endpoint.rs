//! The whole service: alerts wait, unspent, for a token endpoint in trouble, and go out when it
//! is well.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::SystemClock;

use crate::check_explains_errors::site;
use crate::support::bearer_smtp::BearerSmtp;
use crate::support::token_endpoint::{CLIENT_SECRET, NextReply, TokenBook, TokenEndpoint};

#[tokio::test(flavor = "multi_thread")]
async fn alerts_spend_no_attempt_while_the_endpoint_is_down() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    endpoint.next(NextReply::Answer("503 Service Unavailable", "", ""));
    let smtp = BearerSmtp::start(book).await;
    let site = site(&smtp, &endpoint.url, CLIENT_SECRET);
    for _ in 0..5 {
        site.database().execute(INSERT, []).expect("insert");
    }

    let service = site.run();
    let opened = format!("{OPENED} AND Message LIKE '%HTTP 503%'");
    site.wait_until(&opened, "1", Duration::from_secs(60)).await;
    assert_eq!(site.value("SELECT sum(AttemptCount) FROM AlertState"), "0");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT group_concat(DISTINCT Status) FROM AlertStatus"),
        "relayed"
    );
    assert_eq!(site.value("SELECT sum(AttemptCount) FROM AlertState"), "5");
    assert_eq!(smtp.seen().messages, 5);
    assert_eq!(endpoint.requests().len(), 2);
    assert!(!site.log().contains(CLIENT_SECRET), "{}", site.log());
}

const OPENED: &str = "SELECT count(*) FROM EventLog WHERE EventType = 'relay-circuit-opened'";
const INSERT: &str =
    "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@contoso.example', 'late', 'x')";

/// A page of a proxy does not pause the relay for a person.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_sent_soon_after_a_proxy_page() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    endpoint.next(NextReply::Untyped("200 OK", "", "<html>Please log in"));
    let smtp = BearerSmtp::start(book).await;
    let site = site(&smtp, &endpoint.url, CLIENT_SECRET);
    site.database().execute(INSERT, []).expect("insert");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let named = format!("{OPENED} AND Message LIKE '%<html>Please log in%'");
    assert_eq!(site.value(&named), "1");
    assert_eq!(smtp.seen().messages, 1);
}

/// The first trial is the one that the endpoint allowed: the relay is connected to twice in all.
#[tokio::test(flavor = "multi_thread")]
async fn contacts_no_server_during_retry_after() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    let busy = "503 Service Unavailable";
    endpoint.next(NextReply::Answer(busy, "Retry-After: 7\r\n", ""));
    let smtp = BearerSmtp::start(book).await;
    let site = site(&smtp, &endpoint.url, CLIENT_SECRET);
    site.database().execute(INSERT, []).expect("insert");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(smtp.seen().messages, 1);
    assert_eq!(smtp.seen().connections, 2);
    assert_eq!(endpoint.requests().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_a_long_wait() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    let busy = "429 Too Many Requests";
    endpoint.next(NextReply::Answer(busy, "Retry-After: 2400\r\n", ""));
    let smtp = BearerSmtp::start(book).await;
    let site = site(&smtp, &endpoint.url, CLIENT_SECRET);
    site.database().execute(INSERT, []).expect("insert");
    let service = site.run();
    let shown = "SELECT coalesce(max(CAST(round((julianday(RetryAt) - julianday(Since)) * 8640) AS INTEGER)), 0) \
                 FROM Relay WHERE Condition = 'open'";
    site.wait_until(shown, "240", Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
}
