use std::net::TcpListener;
use std::time::Duration;

use crate::health::{get, wait_for, wait_for_sample};
use crate::site::{Site, text};
use crate::{insert_many, plain_relay, send_port_over};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

/// Another process keeps the database locked, and lets go of it.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_while_the_database_is_away() {
    let site = Site::watched(&send_port_over(DISCARD));
    let service = site.run();
    let address = site.health_address().await;
    wait_for(address, "/readyz", 200, "ready").await;
    let database = site.database();
    let lock = database.execute_batch("BEGIN EXCLUSIVE");
    lock.expect("lock the database");
    wait_for(address, "/readyz", 503, "lease").await;
    let (status, why) = get(address, "/readyz");
    assert!(status == 503 && why.starts_with("not ready\n"), "{why}");
    assert_eq!(get(address, "/healthz").0, 200, "it need not be restarted");
    wait_for_sample(address, "sendport_ready", 0.0).await;
    database.execute_batch("ROLLBACK").expect("let go");
    wait_for(address, "/readyz", 200, "ready").await;
    wait_for_sample(address, "sendport_ready", 1.0).await;
    assert_eq!(service.stop(), Some(0));
}

/// A newer program has been at the database.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_while_the_schema_is_another() {
    let site = Site::watched(&send_port_over(DISCARD));
    let service = site.run();
    let address = site.health_address().await;
    wait_for(address, "/readyz", 200, "ready").await;
    wait_for_sample(address, "sendport_queue_up", 1.0).await;
    let database = site.database();
    let newer = "INSERT INTO SchemaVersion (Version, Name, Checksum, AppliedAt)
                 SELECT 999, 'later', Checksum, AppliedAt FROM SchemaVersion WHERE Version = 1";
    database.execute(newer, []).expect("insert");
    wait_for(address, "/readyz", 503, "schema has version 999").await;
    wait_for_sample(address, "sendport_database_outages_total", 1.0).await;
    wait_for_sample(address, "sendport_queue_up", 0.0).await;
    let removed = database.execute("DELETE FROM SchemaVersion WHERE Version = 999", []);
    removed.expect("delete");
    wait_for(address, "/readyz", 200, "ready").await;
    assert_eq!(service.stop(), Some(0));
}

/// A relay that takes the connection and says nothing makes the stop last.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_while_it_stops() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let relay = plain_relay(silent.local_addr().expect("its address"));
    let site = Site::watched(&send_port_over(&relay));
    insert_many(&site, 1);
    let service = site.run();
    let address = site.health_address().await;
    wait_for(address, "/readyz", 200, "ready").await;
    let in_flight = "sendport_alerts_in_flight{send_port=\"default\"}";
    wait_for_sample(address, in_flight, 1.0).await;
    service.terminate();
    wait_for(address, "/readyz", 503, "the service stops").await;
    assert_eq!(get(address, "/healthz").0, 200);
    drop(silent);
    assert_eq!(service.wait(), Some(0));
}

/// The database is not there at the start: the service waits, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_before_the_database_answers() {
    let site = Site::watched(&send_port_over(DISCARD));
    let database = site.database();
    database
        .execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE")
        .expect("lock");
    let service = site.run();
    let address = site.health_address().await;
    wait_for(
        address,
        "/readyz",
        503,
        "starting: it waits for the database",
    )
    .await;
    assert_eq!(get(address, "/healthz").0, 200);
    database.execute_batch("ROLLBACK").expect("let go");
    wait_for(address, "/readyz", 200, "ready").await;
    assert_eq!(service.stop(), Some(0));
}

/// What holds the database is not mounted, then is and has no database: the service waits for both.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_before_the_database_file_is_there() {
    let site = Site::watched(&send_port_over(DISCARD));
    insert_many(&site, 1);
    let config = std::fs::read_to_string(site.config()).expect("read");
    let config = config.replace("sqlite:sendport.db", "sqlite:volume/sendport.db");
    std::fs::write(site.config(), config).expect("write");
    let service = site.run();
    let address = site.health_address().await;
    let (file, folder) = (site.path("volume/sendport.db"), site.path("volume"));
    let (file, folder) = (file.display(), folder.display());
    let no_folder = &format!(
        "there is no database file '{file}', nor its folder '{folder}'; mount what holds it"
    );
    wait_for(address, "/readyz", 503, no_folder).await;
    let checked = text(&site.sendport(&["check"]));
    assert!(checked.contains(no_folder), "{checked}");

    std::fs::create_dir(site.path("volume")).expect("make the folder");
    let no_file =
        &format!("there is no database file '{file}' in its folder; run `sendport migrate`");
    wait_for(address, "/readyz", 503, no_file).await;
    let checked = text(&site.sendport(&["check"]));
    assert!(checked.contains(no_file), "{checked}");

    std::fs::rename(site.path("sendport.db"), site.path("volume/sendport.db")).expect("move");
    wait_for(address, "/readyz", 200, "ready").await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
}

/// As soon as a claim of what is due has failed, and not at the second one, which takes ten seconds more.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_while_the_database_is_locked() {
    let site = Site::watched(&send_port_over(DISCARD));
    let service = site.run();
    let address = site.health_address().await;
    wait_for(address, "/readyz", 200, "ready").await;
    let database = site.database();
    let due_soon = "BEGIN IMMEDIATE; INSERT INTO Alert (ToRecipients, Subject, Body, NotBefore)
        VALUES ('ops@example.test', 's', 'b', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+5 seconds')); COMMIT;
        BEGIN IMMEDIATE";
    database.execute_batch(due_soon).expect("lock");
    wait_for_log(&site, "claim failed, retrying").await;
    let (status, why) = get(address, "/readyz");
    let output =
        "queue: alerts cannot be claimed: cannot claim alerts: another process keeps the database";
    assert!(status == 503 && why.contains(output), "{why}");
    assert!(why.contains(" locked, since 20"), "{why}");
    database.execute_batch("ROLLBACK").expect("let go");
    wait_for(address, "/readyz", 200, "ready").await;
    assert_eq!(service.stop(), Some(0));
}

/// Another process has no signal for it.
async fn wait_for_log(site: &Site, words: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(180);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while !site.log().contains(words) {
        look.tick().await;
        assert!(tokio::time::Instant::now() < deadline, "{}", site.log());
    }
}

/// The instance that worked on an alert died, and something keeps the others from taking it over.
#[tokio::test(flavor = "multi_thread")]
async fn not_ready_while_an_alert_hangs_beyond_a_lease() {
    let site = Site::watched(&send_port_over(DISCARD));
    insert_many(&site, 1);
    let hang = "UPDATE AlertState SET Status = 'sending', DueAt = NULL, LeasedAt = '2026-01-31T12:00:00.000Z',
                    LeaseToken = '00000000-0000-4000-8000-000000000001',
                    LeaseOwner = '00000000-0000-4000-8000-000000000002';
                CREATE TRIGGER Keep BEFORE UPDATE ON AlertState BEGIN SELECT RAISE(ABORT, 'kept'); END";
    site.database().execute_batch(hang).expect("hang");
    let service = site.run();
    let address = site.health_address().await;
    let output = "alerts: 1 hang in 'sending', the first since 2026-01-31T12:00:00Z";
    wait_for(address, "/readyz", 503, output).await;
    let status = site.sendport(&["status"]);
    assert!(text(&status).contains(output), "{}", text(&status));
    let free = site.database().execute_batch("DROP TRIGGER Keep");
    free.expect("let go");
    wait_for(address, "/readyz", 200, "ready").await;
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
}
