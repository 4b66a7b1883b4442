use std::time::Duration;

use crate::site::{Service, Site};
use crate::{any_port, import, insert_many, plain_relay, send_port_over, sink_at};

/// Takes seconds, so that the service can be ended meanwhile.
const SLOW: &str = "{% if slow is defined %}{% set v = namespace(x=[1], y=[1]) %}{% for i in range(60) %}{% set v.x = [v.x, v.x] %}{% set v.y = [v.y, v.y] %}{% endfor %}{{ v.x == v.y }}{% endif %}";

/// Waits until the state folder says that the message of the alert is being made, after so many
/// crashes.
async fn wait_until_it_is_made(site: &Site, alert: &str, crashes: u32) {
    let file = site.path("state/spool-1.preparing");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut look = tokio::time::interval(Duration::from_millis(10));
    loop {
        look.tick().await;
        let noted = std::fs::read_to_string(&file).unwrap_or_default();
        let begun = noted.rfind(&format!("{{\"begin\":[{alert},"));
        let known = noted.contains(&format!("{{\"crashes\":[{alert},{crashes}]}}"));
        if known == (crashes > 0) && begun > noted.rfind(&format!("{{\"end\":{alert}}}")) {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "{noted}");
    }
}

/// The alert fails for the crashes of the service, and the twenty beside it are relayed.
async fn assert_fails_alone(site: &Site, service: Service, reference: &str) {
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let good =
        "SELECT count(*) FROM AlertStatus WHERE Reference LIKE 'order-%' AND Status = 'relayed'";
    assert_eq!(site.value(good), "20");
    let reason = format!("SELECT Reason FROM FailedDelivery WHERE Reference = '{reference}'");
    let reason = site.value(&reason);
    assert!(reason.contains("crashed 3 times"), "{reason}");
}

/// Whatever crashes the service: after the third crash during the preparation of the
/// same alert that one fails, and all others are relayed.
#[tokio::test]
async fn alert_that_kills_the_service_fails() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let site = Site::with_service("state_folder = \"state\"", &port);
    import(&site, &[("slow.txt.j2", SLOW)]);
    site.database()
        .execute_batch(
            "INSERT INTO Alert (ToRecipients, Subject, Template, Payload, Reference)
             VALUES ('user1@example.test', 's', 'slow', '{\"slow\": true}', 'slow')",
        )
        .expect("insert");
    insert_many(&site, 20);
    let alert = site.value("SELECT AlertId FROM Alert WHERE Reference = 'slow'");
    for crashes in 0..3 {
        let service = site.run();
        wait_until_it_is_made(&site, &alert, crashes).await;
        service.kill();
    }
    assert_fails_alone(&site, site.run(), "slow").await;
    let event = format!(
        "SELECT Message FROM EventLog WHERE EventType = 'alerts-failed' AND AlertId = {alert}"
    );
    let event = site.value(&event);
    assert!(event.contains("crashed 3 times"), "{event}");
}

/// A text for which this process has no memory ends it while the row is read.
#[tokio::test]
async fn so_does_one_that_cannot_even_be_read() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let port = send_port_over(&plain_relay(sink.local_addr()));
    let site = Site::with_service("state_folder = \"state\"", &port);
    site.database()
        .execute_batch(
            "INSERT INTO Alert (ToRecipients, Subject, Body, Reference)
             VALUES ('user1@example.test', 's', replace(hex(zeroblob(200000000)), '0', 'x'), 'long')",
        )
        .expect("insert");
    insert_many(&site, 20);
    for _ in 0..3 {
        assert_eq!(site.run_within(512 << 20).wait(), None, "a signal ends it");
    }
    assert_fails_alone(&site, site.run_within(512 << 20), "long").await;
}
