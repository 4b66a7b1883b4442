//! A service crashes with alerts under way, and a rule of the site keeps one of them from being released: the
//! next service sends all others, says it once, and sends that one as well once the rule is gone.

use std::net::TcpListener;
use std::time::Duration;

use crate::site::Site;
use crate::{insert_many, plain_relay, send_port_over, sink_at};

const SOON: Duration = Duration::from_secs(60);

/// `lost`: its state folder, so that only the lease is left of it.
async fn all_others_are_sent(lost: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = TcpListener::bind("127.0.0.1:0").expect("listen");
    let relay = silent.local_addr().expect("an address");
    let send_port = send_port_over(&plain_relay(relay));
    let site = Site::with_service("state_folder = \"state\"", &send_port);
    insert_many(&site, 5);
    let service = site.run();
    let sending = "SELECT count(*) FROM AlertState WHERE Status = 'sending'";
    site.wait_until(sending, "5", SOON).await;
    service.kill();
    drop(silent);
    if lost {
        std::fs::remove_dir_all(site.path("state")).expect("remove");
    }
    let rule = "CREATE TRIGGER Refuse BEFORE UPDATE OF Status ON AlertState
                WHEN NEW.AlertId = 3 AND NEW.Status = 'queued'
                BEGIN SELECT RAISE(ABORT, 'refused by a rule of this site'); END";
    site.database().execute_batch(rule).expect(rule);

    let sink = sink_at(relay, folder.path(), &[]).await;
    let service = site.run();
    let relayed = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    site.wait_until(relayed, "4", SOON).await;
    let text = "SELECT count(*) || ' ' || max(AlertId) || ' ' || max(Severity)
                FROM EventLog WHERE EventType = 'alert-not-swept'";
    site.wait_until(text, "1 3 error", SOON).await;
    assert_eq!(site.value(sending), "1");

    let database = site.database();
    database.execute_batch("DROP TRIGGER Refuse").expect("drop");
    site.wait_until(relayed, "5", SOON).await;
    let ended = "SELECT count(*) FROM EventLog WHERE EventType = 'alert-swept' AND AlertId = 3";
    site.wait_until(ended, "1", SOON).await;
    assert_eq!(site.value(text), "1 3 error", "once");
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 5, "nothing twice");
    sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_one_that_takes_over() {
    all_others_are_sent(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_next_one_on_its_state_folder() {
    all_others_are_sent(false).await;
}
