//! 429 and 503 with Retry-After: Graph is left alone for so long, and no attempt is spent.

use std::time::Duration;

use crate::support::fake_graph::NextAnswer;
use crate::{Cloud, insert};

const WITHIN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_sent_during_retry_after() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    for (status, name) in [
        ("429 Too Many Requests", "ApplicationThrottled"),
        ("503 Service Unavailable", "ErrorServerBusy"),
    ] {
        cloud
            .graph
            .next(NextAnswer::Refuse(status, "Retry-After: 3\r\n", name));
    }
    for _ in 0..20 {
        insert(&site, "ToRecipients", "'ops@contoso.example'");
    }
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(cloud.graph.taken().len(), 20);
    assert_eq!(site.value("SELECT sum(AttemptCount) FROM AlertState"), "20");
    assert!(
        cloud.graph.most_at_once() <= 4,
        "{}",
        cloud.graph.most_at_once()
    );
    // The first request is alone, because no token was accepted before.
    let times = cloud.graph.times();
    for pair in times[..3].windows(2) {
        assert!(
            pair[1] - pair[0] >= Duration::from_secs(3),
            "{:?}",
            pair[1] - pair[0]
        );
    }
    let events = "SELECT count(*) FROM EventLog WHERE Message LIKE '%429 ApplicationThrottled%'";
    assert_eq!(site.value(events), "1");
}
