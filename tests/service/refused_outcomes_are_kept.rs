//! An outcome that the database refuses again and again: it stays on this machine, is shown, and is
//! never sent again; everything else goes on.

use std::time::Duration;

use crate::health::{get, wait_for, wait_for_sample};
use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const SOON: Duration = Duration::from_secs(60);

/// What a DBA's constraint may do to one alert.
const REFUSE: &str = "CREATE TRIGGER Refuse BEFORE INSERT ON Attempt WHEN NEW.AlertId = 7
                      BEGIN SELECT RAISE(ABORT, 'refused by a rule of this site'); END";

async fn wait_for_relayed(site: &Site, count: u32) {
    let sql = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    site.wait_until(sql, &count.to_string(), SOON).await;
}

fn run_sql(site: &Site, sql: &str) {
    site.database().execute_batch(sql).expect(sql);
}

fn status_of_7(site: &Site) -> String {
    site.value("SELECT Status FROM AlertState WHERE AlertId = 7")
}

fn spool_of(site: &Site) -> String {
    std::fs::read_to_string(site.path("sendport-state/spool-1.jsonl")).expect("the spool")
}

/// By `/readyz`, in the database and by `status`.
async fn is_shown(site: &Site, address: std::net::SocketAddr) {
    let (_, why) = get(address, "/readyz");
    assert!(why.contains("refused by a rule of this site"), "{why}");
    let events =
        "SELECT AlertId || ' ' || Severity FROM EventLog WHERE EventType = 'outcome-not-recorded'";
    site.wait_until(events, "7 error", SOON).await;
    let waiting_for = "SELECT Depth || ' ' || coalesce(WaitingFor, '') LIKE '1 1 outcomes not recorded by instance %'
                       FROM Queue WHERE Status = 'sending'";
    site.wait_until(waiting_for, "1", SOON).await;
    let status = text(&site.sendport(&["status"]));
    assert!(
        status.contains("could not record 1 outcomes since"),
        "{status}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_restart_until_the_database_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(&site, REFUSE);
    insert_many(&site, 40);
    let service = site.run();
    let address = site.health_address().await;
    wait_for_relayed(&site, 39).await;
    wait_for(
        address,
        "/readyz",
        503,
        "outcomes: 1 cannot be recorded since",
    )
    .await;
    is_shown(&site, address).await;

    assert_eq!(service.stop(), Some(5), "{}", site.log());
    let spool = spool_of(&site);
    assert!(spool.contains("\"outcome\""), "the fact stays here");
    assert_eq!(status_of_7(&site), "sending");

    let service = site.run();
    insert_many(&site, 1);
    wait_for_relayed(&site, 40).await;
    // A whole lease of the instance before, and of this one: no instance takes the alert over.
    let lease_of_first =
        "SELECT max(LeaseUntil) < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-8 seconds')
                          FROM Instance WHERE StoppedAt IS NOT NULL";
    site.wait_until(lease_of_first, "1", SOON).await;
    assert_eq!(status_of_7(&site), "sending");
    let address = site.health_address().await;
    wait_for(
        address,
        "/readyz",
        503,
        "outcomes: 1 cannot be recorded since",
    )
    .await;

    run_sql(&site, "DROP TRIGGER Refuse");
    wait_for_relayed(&site, 41).await;
    wait_for(address, "/readyz", 200, "ready").await;
    site.wait_until(
        "SELECT count(*) FROM EventLog WHERE EventType = 'outcome-recorded'",
        "1",
        SOON,
    )
    .await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 41, "nothing twice");
    assert_eq!(
        site.value("SELECT count(*) FROM Attempt WHERE Outcome = 'unknown'"),
        "0"
    );
    sink.stop().await;
}

/// No statement fails, and the row is as it was.
#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_a_trigger_ignores_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(
        &site,
        "CREATE TRIGGER Ignore BEFORE UPDATE ON AlertState WHEN NEW.Status = 'relayed' AND NEW.AlertId = 7
         BEGIN SELECT RAISE(IGNORE); END",
    );
    insert_many(&site, 10);
    let service = site.run();
    let address = site.health_address().await;
    wait_for_relayed(&site, 9).await;
    let says = "outcomes: 1 cannot be recorded since";
    wait_for(address, "/readyz", 503, says).await;
    let (_, why) = get(address, "/readyz");
    assert!(why.contains("a trigger leaves its row as it was"), "{why}");
    let events =
        "SELECT AlertId || ' ' || Severity FROM EventLog WHERE EventType = 'outcome-not-recorded'";
    site.wait_until(events, "7 error", SOON).await;
    assert_eq!(service.stop(), Some(5), "{}", site.log());

    run_sql(&site, "DROP TRIGGER Ignore");
    let service = site.run();
    wait_for_relayed(&site, 10).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 10, "nothing twice");
    sink.stop().await;
}

/// The stop says what is kept and where, the next start records it, and both are reported.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_start_records_kept_outcomes() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(&site, REFUSE);
    insert_many(&site, 10);
    let service = site.run();
    wait_for_relayed(&site, 9).await;
    let events = "SELECT count(*) FROM EventLog WHERE EventType = 'outcome-not-recorded'";
    site.wait_until(events, "1", SOON).await;
    assert_eq!(service.stop(), Some(5), "{}", site.log());
    let log = site.log();
    let kept = log.rsplit_once("sendport: stopped before everything under way was recorded: ");
    let (_, kept) = kept.unwrap_or_else(|| panic!("the kept outcomes are not reported: {log}"));
    assert!(
        kept.starts_with("1 outcomes are kept in the state folder "),
        "{kept}"
    );
    assert!(kept.contains("sendport-state; the next start"), "{kept}");
    assert!(kept.contains("see EventLog"), "{kept}");
    assert!(
        !log.contains("a previous instance"),
        "no instance died: {log}"
    );

    run_sql(&site, "DROP TRIGGER Refuse");
    let service = site.run();
    wait_for_relayed(&site, 10).await;
    let events =
        "SELECT AlertId || ' ' || Severity FROM EventLog WHERE EventType = 'outcome-recorded'";
    let events = format!("SELECT coalesce(({events}), 'none')");
    site.wait_until(&events, "7 information", SOON).await;
    let before = "SELECT sum(UnrecordedCount) || coalesce(max(WaitingFor), '') FROM Instance";
    site.wait_until(before, "0", SOON).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 10, "nothing twice");
    sink.stop().await;
}

/// The database refuses the text of a relay; the outcome is recorded without it.
#[tokio::test(flavor = "multi_thread")]
async fn or_recorded_without_the_relays_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(
        &site,
        "CREATE TRIGGER Refuse BEFORE INSERT ON AttemptReply BEGIN SELECT RAISE(ABORT, 'no words'); END",
    );
    insert_many(&site, 3);
    let service = site.run();
    wait_for_relayed(&site, 3).await;
    let events = "SELECT count(*) FROM EventLog WHERE EventType = 'outcome-partly-recorded' AND Severity = 'error'";
    site.wait_until(events, "3", SOON).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 3);
    sink.stop().await;
}

/// What the service does not know is waited for: for users it is an outage.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_error_is_no_refusal() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(
        &site,
        "CREATE TRIGGER Fail BEFORE INSERT ON Attempt BEGIN SELECT json('{'); END",
    );
    insert_many(&site, 5);
    let service = site.run();
    let address = site.health_address().await;
    wait_for(
        address,
        "/readyz",
        503,
        "outcomes: 5 cannot be recorded since",
    )
    .await;
    let (_, why) = get(address, "/readyz");
    assert!(why.contains("malformed JSON"), "{why}");
    let waiting_for = "SELECT count(*) FROM Instance WHERE WaitingFor LIKE 'outcomes: 5 cannot be recorded since %' AND UnrecordedCount = 5";
    site.wait_until(waiting_for, "1", SOON).await;
    insert_many(&site, 1);
    site.wait_until(
        // The engine's words may hold what others wrote.
        "SELECT WaitingFor LIKE 'instance %: outcomes: 5 cannot be recorded since %: see EventLog%' FROM Queue WHERE Status = 'queued'",
        "1",
        SOON,
    )
    .await;
    assert_eq!(sink.received(), 5, "nothing more is sent meanwhile");
    run_sql(&site, "DROP TRIGGER Fail");
    wait_for_relayed(&site, 6).await;
    wait_for(address, "/readyz", 200, "ready").await;
    site.wait_until(
        "SELECT count(*) FROM EventLog WHERE EventType = 'outcomes-recorded-late'",
        "1",
        SOON,
    )
    .await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 6);
    sink.stop().await;
}

/// It is the only one, so the cause may not be its own: the others wait for seconds.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_error_of_a_lone_alert_delays_the_next_for_seconds() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(
        &site,
        "CREATE TRIGGER Fail BEFORE INSERT ON Attempt WHEN NEW.AlertId = 1 BEGIN SELECT json('{'); END",
    );
    insert_many(&site, 1);
    let service = site.run();
    let waits = "SELECT count(*) FROM Instance WHERE UnrecordedCount = 1";
    site.wait_until(waits, "1", SOON).await;
    insert_many(&site, 1);
    let relayed = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    site.wait_until(relayed, "1", Duration::from_secs(20)).await;
    run_sql(&site, "DROP TRIGGER Fail");
    wait_for_relayed(&site, 2).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 2);
    sink.stop().await;
}

/// What the service does not know and what befalls one alert alone: the others go on at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_error_of_one_alert_does_not_delay_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    run_sql(
        &site,
        "CREATE TRIGGER Fail BEFORE INSERT ON Attempt WHEN NEW.AlertId = 7 BEGIN SELECT json('{'); END",
    );
    insert_many(&site, 60);
    let service = site.run();
    let address = site.health_address().await;
    wait_for_relayed(&site, 59).await;
    let events = "SELECT AlertId FROM EventLog WHERE EventType = 'outcome-not-recorded'";
    let sql = format!("SELECT coalesce(({events}), 0)");
    site.wait_until(&sql, "7", SOON).await;
    wait_for_sample(address, "sendport_outcomes_unrecorded", 1.0).await;
    run_sql(&site, "DROP TRIGGER Fail");
    wait_for_relayed(&site, 60).await;
    wait_for_sample(address, "sendport_outcomes_unrecorded", 0.0).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 60);
    sink.stop().await;
}
