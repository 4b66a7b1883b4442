use std::time::Duration;

use rusqlite::Connection;

use crate::health::wait_for;
use crate::send_port_over;
use crate::site::Site;

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";
const WITHIN: Duration = Duration::from_secs(60);

/// `run --migrate` waits for a database that is away, as `run` does, and makes the tables then.
#[tokio::test(flavor = "multi_thread")]
async fn once_the_database_is_there() {
    let site = Site::watched(&send_port_over(DISCARD));
    let path = site.path("sendport.db");
    for file in ["sendport.db", "sendport.db-wal", "sendport.db-shm"] {
        let _ = std::fs::remove_file(site.path(file));
    }
    let empty = Connection::open(&path).expect("create");
    empty.execute_batch("BEGIN EXCLUSIVE").expect("lock");
    let service = site.run_under(&[], &["--migrate"]);
    let address = site.health_address().await;
    wait_for(address, "/readyz", 503, "it waits for the database").await;
    empty.execute_batch("ROLLBACK").expect("let go");
    wait_for(address, "/readyz", 200, "ready").await;
    site.wait_until("SELECT Name FROM Environment", "test", WITHIN)
        .await;
    assert_eq!(service.stop(), Some(0));
}
