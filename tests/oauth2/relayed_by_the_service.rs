//! The whole service: alerts wait, unspent, for a token endpoint in trouble, and go out when it
//! is well.

use std::sync::Arc;
use std::time::Duration;

use sendport::clock::SystemClock;

use crate::check_says_why::site;
use crate::support::bearer_smtp::BearerSmtp;
use crate::support::token_endpoint::{CLIENT_SECRET, Instead, TokenBook, TokenEndpoint};

#[tokio::test(flavor = "multi_thread")]
async fn alerts_wait_unspent_for_the_endpoint() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let endpoint = TokenEndpoint::start(book.clone()).await;
    endpoint.next(Instead::Answer("503 Service Unavailable", "", ""));
    let smtp = BearerSmtp::start(book).await;
    let site = site(&smtp, &endpoint.url, CLIENT_SECRET);
    let insert = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('ops@contoso.example', 'late', 'x')";
    for _ in 0..5 {
        site.database().execute(insert, []).expect("insert");
    }

    let service = site.run();
    let opened = "SELECT count(*) FROM EventLog WHERE EventType = 'relay-opened' AND Message LIKE '%HTTP 503%'";
    site.wait_until(opened, "1", Duration::from_secs(20)).await;
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
