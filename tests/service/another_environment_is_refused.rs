use std::time::Duration;

use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

/// A restored copy sends nothing: the service of another environment refuses to run until an
/// operator adopts the database, and then what waited is held until it is released.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_database_sends_nothing_until_adopted() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    insert_many(&site, 3);
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(
        site.config(),
        config.replace("environment = \"test\"", "environment = \"copy\""),
    )
    .expect("write");

    let refused = site.sendport(&["run"]);
    assert_eq!(refused.status.code(), Some(4));
    let output = text(&refused);
    assert!(
        output.contains("belongs to the environment 'test'") && output.contains("sendport adopt"),
        "{output}"
    );

    let adopted = site.sendport(&["adopt", "--environment", "copy", "--hold"]);
    assert!(adopted.status.success(), "{}", text(&adopted));
    let service = site.run();
    insert_many(&site, 1);
    sink.wait_for(1).await;
    assert_eq!(
        site.value("SELECT Depth || ' ' || WaitingFor FROM Queue WHERE Status = 'held'"),
        "3 held by an operator until released"
    );

    assert!(site.sendport(&["release", "--all"]).status.success());
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(sink.received(), 4);
    sink.stop().await;
}

/// A service that runs when the database is given to another environment ends, and what is
/// inserted afterwards waits for the services of that one.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_ends_when_its_database_is_adopted_for_another_environment() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    let service = site.run();
    insert_many(&site, 1);
    site.wait_until_all_final(Duration::from_secs(60)).await;

    let name = site.value("SELECT Name FROM Instance");
    let adopted = site.sendport(&["adopt", "--environment", "production", "--hold"]);
    let output = text(&adopted);
    assert!(adopted.status.success(), "{output}");
    let running = format!("these instances were running on it: {name}; stop those that");
    assert!(output.contains(&running), "{output}");

    assert_eq!(service.wait(), Some(4), "{}", site.log());
    let log = site.log();
    assert!(
        log.contains(
            "belongs to the environment 'production', but this service is configured for 'test'"
        ),
        "{log}"
    );
    insert_many(&site, 1);
    let waits = site.value("SELECT count(*) FROM AlertState WHERE Status = 'queued'");
    assert_eq!((waits.as_str(), sink.received()), ("1", 1));
    sink.stop().await;
}
