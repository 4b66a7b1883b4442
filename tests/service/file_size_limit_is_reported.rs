//! A limit of a file's size (`ulimit -f`, `LimitFSIZE=`) ends no process: a write beyond it fails, and is waited for.

use std::time::Duration;

use crate::health::wait_for;
use crate::site::Site;
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const SOON: Duration = Duration::from_secs(60);

async fn wait_for_relayed(site: &Site, count: u32) {
    let sql = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    site.wait_until(sql, &count.to_string(), SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_database_reaches_the_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::watched(&send_port_over(&plain_relay(sink.local_addr())));
    let service = site.run_limited("--fsize=2000000");
    insert_many(&site, 3);
    wait_for_relayed(&site, 3).await;
    let address = site.health_address().await;
    // Others have no such limit: the log grows beyond it, and the service writes at its end.
    let ballast = "CREATE TABLE Ballast (Octets); INSERT INTO Ballast VALUES (zeroblob(3000000))";
    site.database().execute_batch(ballast).expect("ballast");
    insert_many(&site, 3);
    wait_for(address, "/readyz", 503, "ulimit -f").await;
    assert!(
        service.stop().is_some(),
        "a signal ended it: {}",
        site.log()
    );
    assert_eq!(sink.received(), 3);

    let service = site.run();
    wait_for_relayed(&site, 6).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), 6, "nothing twice");
    sink.stop().await;
}
