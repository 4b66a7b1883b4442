//! Alerts whose rows a rule of the site keeps from being claimed: they wait, over restarts, and
//! are reported; all others are sent, and so are they once the rule is gone.

use std::net::SocketAddr;
use std::time::Duration;

use crate::health::{get, wait_for, wait_for_sample};
use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const SOON: Duration = Duration::from_secs(60);

fn run_sql(site: &Site, sql: &str) {
    site.database().execute_batch(sql).expect(sql);
}

async fn wait_for_relayed(site: &Site, count: u32) {
    let sql = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    site.wait_until(sql, &count.to_string(), SOON).await;
}

/// By `/readyz`, `/metrics`, in the database and by `status`.
async fn is_reported(site: &Site, address: SocketAddr) {
    wait_for(
        address,
        "/readyz",
        503,
        "alerts: 1 cannot be claimed since 20",
    )
    .await;
    let (_, why) = get(address, "/readyz");
    assert!(why.contains("7: refused by a rule of this site"), "{why}");
    assert!(!why.contains("queue:"), "{why}");
    wait_for_sample(address, "sendport_alerts_unclaimed", 1.0).await;
    let waiting_for =
        "SELECT WaitingFor LIKE '1 alerts refused by the database to instance % since 20%: see EventLog'
         FROM Queue WHERE Status = 'queued' AND Depth = 1";
    site.wait_until(waiting_for, "1", SOON).await;
    let status = text(&site.sendport(&["status"]));
    assert!(status.contains("cannot claim 1 alerts since"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_restart_until_the_rule_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(
        &site,
        "CREATE TRIGGER Refuse BEFORE UPDATE OF Status ON AlertState WHEN NEW.AlertId = 7
         BEGIN SELECT RAISE(ABORT, 'refused by a rule of this site'); END",
    );
    insert_many(&site, 40);
    let service = site.run();
    wait_for_relayed(&site, 39).await;
    is_reported(&site, site.health_address().await).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    let output =
        "SELECT count(*) || ' ' || max(AlertId) || ' ' || max(Severity) || ' ' || max(SendPort)
                FROM EventLog WHERE EventType = 'alert-not-claimed'";
    assert_eq!(site.value(output), "1 7 error default");

    let service = site.run();
    insert_many(&site, 10);
    wait_for_relayed(&site, 49).await;
    let address = site.health_address().await;
    is_reported(&site, address).await;
    assert_eq!(site.value(output), "2 7 error default", "once for each run");

    run_sql(&site, "DROP TRIGGER Refuse");
    wait_for_relayed(&site, 50).await;
    wait_for(address, "/readyz", 200, "ready").await;
    wait_for_sample(address, "sendport_alerts_unclaimed", 0.0).await;
    let ended = "SELECT count(*) FROM EventLog WHERE EventType = 'alert-claimed' AND AlertId = 7";
    site.wait_until(ended, "1", SOON).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 50, "nothing twice");
    sink.stop().await;
}

/// There is a bound to what is left out; beyond it the queue waits, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn up_to_a_thousand() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let other = "[send_port.a-first]\nfrom = \"alerts@contoso.com\"\nrelays = [\"main\"]\n";
    let config = send_port_over(&plain_relay(sink.local_addr())) + other;
    let site = Site::watched(&config);
    run_sql(
        &site,
        "CREATE TRIGGER Refuse BEFORE UPDATE OF Status ON AlertState
         WHEN NEW.Status = 'sending' AND NEW.SendPort = 'a-first'
         BEGIN SELECT RAISE(ABORT, 'refused by a rule of this site'); END;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1200)
         INSERT INTO Alert (ToRecipients, Subject, SendPort) SELECT 'ops@contoso.com', 'held up', 'a-first' FROM n;",
    );
    insert_many(&site, 1);
    let service = site.run();
    wait_for_relayed(&site, 1).await;
    let address = site.health_address().await;
    wait_for(
        address,
        "/readyz",
        503,
        "refuses to change more than 1000 alerts",
    )
    .await;
    wait_for(
        address,
        "/readyz",
        503,
        "alerts: 1000 cannot be claimed since",
    )
    .await;
    run_sql(&site, "DROP TRIGGER Refuse");
    wait_for_relayed(&site, 1_201).await;
    wait_for(address, "/readyz", 200, "ready").await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    sink.stop().await;
}
