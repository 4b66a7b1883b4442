use std::time::Duration;

use crate::send_port_over;
use crate::site::Site;

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

/// Without any retention of its own, and with SIGKILL in the middle: what is old is deleted and counted exactly once, and
/// what waits is not touched.
#[tokio::test]
async fn a_purge_survives_a_kill_and_counts_each_alert_once() {
    let retention = "[retention]\nenabled = false\nrows_per_second = 1500\n";
    let site = Site::new(&format!("{}\n{retention}", send_port_over(DISCARD)));
    let old = "INSERT INTO Alert (ToRecipients, Body)
               WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
               SELECT 'ops@contoso.com', 'It is late' FROM n;
               UPDATE AlertState SET Status = 'failed', DueAt = NULL, FinalAt = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 days');
               INSERT INTO Alert (ToRecipients, SendPort) VALUES ('ops@contoso.com', 'nobody');
               INSERT INTO OperatorRequest (Verb, Status, FinalBefore, RequestedBy)
               VALUES ('purge', 'failed', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 day'), 'anna')";
    site.database().execute_batch(old).expect("insert");
    let service = site.run();
    let begun = "SELECT AppliedCount > 0 FROM OperatorRequest";
    site.wait_until(begun, "1", Duration::from_secs(60)).await;
    service.kill();
    assert_eq!(site.value("SELECT State FROM OperatorRequest"), "open");
    let service = site.run();
    // The right to purge of the instance that was killed ends after three minutes.
    let free = "UPDATE RetentionState SET LeaseUntil = NULL";
    site.database().execute(free, []).expect("update");
    let done = "SELECT State FROM OperatorRequest";
    site.wait_until(done, "done", Duration::from_secs(90)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(
        site.value("SELECT AppliedCount FROM OperatorRequest"),
        "2000"
    );
    assert_eq!(site.value("SELECT sum(AlertCount) FROM DailyCount"), "2000");
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "1");
    let events = "SELECT count(*) FROM EventLog WHERE EventType = 'request-done' AND Message LIKE '%of anna is done: purge%'";
    assert_eq!(site.value(events), "1");
}
