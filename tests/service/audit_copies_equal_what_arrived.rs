use std::path::PathBuf;
use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::site::Site;
use crate::support::received::{messages, received, sorted};
use crate::{insert_many, plain_relay, send_port_over};

fn kept_in_database(site: &Site, stage: &str) -> Vec<Vec<u8>> {
    let database = site.database();
    let mut statement = database
        .prepare("SELECT c.Content FROM AuditCopy c JOIN Attempt a ON a.AttemptKey = c.AttemptKey WHERE c.Stage = ?1 AND a.Outcome = 'relayed'")
        .expect("prepare");
    let rows = statement
        .query_map([stage], |row| row.get(0))
        .expect("query");
    sorted(rows.map(|row| row.expect("octets")))
}

/// Byte for byte what arrived lies in the audit folder and in the database, tied to the
/// attempt that relayed it.
#[tokio::test(flavor = "multi_thread")]
async fn folder_and_database_hold_exactly_what_the_relay_received() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mails, audit] = ["mails", "audit"].map(|name| folder.path().join(name));
    std::fs::create_dir(&audit).expect("create");
    let sink = Sink::start(SinkOptions {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: mails.clone(),
        ..SinkOptions::default()
    })
    .await
    .expect("start");
    let settings = format!(
        "{}[send_port.default.audit]\nkeep = \"both\"\nfolder = \"{}\"\ndatabase = true\n",
        send_port_over(&plain_relay(sink.local_addr())),
        audit.display()
    );
    let site = Site::new(&settings);
    insert_many(&site, 20);
    let dots = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('a@example.test', 'dots', '.' || char(10) || '..' || char(10) || '.x' || char(10) || 'äöü ' || char(10))";
    site.database().execute_batch(dots).expect("insert");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let arrived = received(&mails);
    assert_eq!(arrived.len(), 21);
    for stage in ["before", "after"] {
        let of_stage = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(&format!("-{stage}.eml"))
        };
        let kept = messages(&audit).into_iter().filter(of_stage);
        let kept = sorted(kept.map(|path| std::fs::read(path).expect("readable")));
        assert!(
            kept == arrived,
            "{stage}: the folder differs from what arrived"
        );
        assert!(
            kept_in_database(&site, stage) == arrived,
            "{stage}: the database differs"
        );
    }
    sink.stop().await;
}

/// A full or missing place stops the send port, says why, and harms nothing: with the place
/// back everything goes out.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_submitted_while_copies_cannot_be_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let [mails, audit] = ["mails", "audit"].map(|name| folder.path().join(name));
    std::fs::create_dir(&audit).expect("create");
    let sink = Sink::start(SinkOptions {
        listen: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: mails,
        ..SinkOptions::default()
    })
    .await
    .expect("start");
    let settings = format!(
        "{}[send_port.default.audit]\nkeep = \"after\"\nfolder = \"{}\"\n",
        send_port_over(&plain_relay(sink.local_addr())),
        audit.display()
    );
    let site = Site::new(&settings);
    let service = site.run();
    let runs = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL";
    site.wait_until(runs, "1", Duration::from_secs(60)).await;
    std::fs::remove_dir(&audit).expect("remove");
    insert_many(&site, 5);
    let waiting = "SELECT count(*) FROM AlertStatus WHERE Status = 'queued' AND AttemptCount = 0 AND StatusReason LIKE 'waits for its audit copy to be kept: the audit folder%'";
    site.wait_until(waiting, "5", Duration::from_secs(60)).await;
    let text =
        "SELECT count(*) FROM EventLog WHERE EventType = 'audit-failed' AND Severity = 'error'";
    site.wait_until(text, "1", Duration::from_secs(60)).await;
    assert_eq!(sink.received(), 0);

    std::fs::create_dir(&audit).expect("create again");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let recovered = "SELECT count(*) FROM EventLog WHERE EventType = 'audit-recovered'";
    site.wait_until(recovered, "1", Duration::from_secs(60))
        .await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 5);
    assert_eq!(messages(&audit).len(), 5);
    assert_eq!(site.value(text), "1", "reported once");
    sink.stop().await;
}
