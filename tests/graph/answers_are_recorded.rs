//! What an operator reads in SQL of answers of Graph.

use std::time::Duration;

use crate::support::fake_graph::NextAnswer;
use crate::{Cloud, insert};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_alert_is_relayed_for_all_its_recipients() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    insert(
        &site,
        "ToRecipients, CcRecipients",
        "'ops@contoso.example', 'chief@contoso.example'",
    );
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT group_concat(DISTINCT Status || ' ' || Command || ' ' || ReplyCode) FROM Delivery"),
        "relayed POST 202"
    );
    let text = site.value("SELECT ReplyText FROM Delivery LIMIT 1");
    assert!(
        text.contains("for all 2 recipients, which is no answer for each of them"),
        "{text}"
    );
    assert_eq!(
        site.value("SELECT Outcome || ' ' || AuthMechanism || ' ' || (RemoteAddress LIKE '127.0.0.1:%') FROM Attempt"),
        "relayed Bearer 1"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_shows_its_cause_and_what_to_do() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    cloud.graph.next(NextAnswer::Refuse(
        "400 Bad Request",
        "",
        "ErrorInvalidRecipients",
    ));
    insert(&site, "ToRecipients", "'ops@contoso.example'");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(
        site.value("SELECT Status || ' ' || ReplyCode || ' ' || Fault || ' ' || (Advice LIKE 'Correct the address%') FROM Delivery"),
        "failed 400 message 1"
    );
    cloud
        .graph
        .next(NextAnswer::Refuse("403 Forbidden", "", "ErrorAccessDenied"));
    insert(&site, "ToRecipients", "'ops@contoso.example'");
    let paused = "SELECT count(*) FROM RelayState WHERE Condition = 'paused' AND ExplanationKey = 'graph-permission-missing'";
    site.wait_until(paused, "1", WITHIN).await;
    assert_eq!(
        site.value("SELECT count(*) FROM AlertState WHERE AttemptCount > 0 AND FinalAt IS NULL"),
        "0"
    );
    assert_eq!(service.stop(), Some(0));
}

/// The same Message-ID arrives twice, and the first attempt says that it is in doubt.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_shown_in_doubt_and_tried_again() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    cloud.graph.next(NextAnswer::TakeAndClose);
    insert(&site, "ToRecipients", "'ops@contoso.example'");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value(
            "SELECT group_concat(Outcome) FROM (SELECT Outcome FROM Attempt ORDER BY AttemptNumber)"
        ),
        "unknown,relayed"
    );
    let taken = cloud.graph.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].message_id, taken[1].message_id);
}
