use std::time::{Duration, Instant};

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::tsql::{run, server};
use crate::{plain_relay, send_port_over};

const ALERTS: u32 = 10_000;

/// A thousand rows a statement, as an application inserts them.
const INSERT: &str = "
    INSERT INTO sendport.Alert (ToRecipients, Subject, Body, Reference)
    SELECT CONCAT(N'user', (a.n + 10 * b.n) % 50, N'@example.test'),
           CONCAT(N'Order ', a.n + 10 * b.n + 100 * c.n, N' is late'),
           N'It is on its way.', N'order'
    FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) a (n)
    CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) b (n)
    CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) c (n)";

/// The same on a T-SQL engine, in a database of its own that is dropped afterwards.
#[tokio::test]
async fn ten_thousand_alerts_in_a_sql_server_are_relayed_once_by_two_instances() {
    let Some(server) = server() else { return };
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let database = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={database}");
    let site = Site::on(&own, &send_port_over(&plain_relay(postfix.plain())));
    for _ in 0..ALERTS / 1_000 {
        run(&own, INSERT).await.expect("insert");
    }
    let started = Instant::now();
    let instances = [site.run(), site.run()];
    wait_until_all_final(&own, Duration::from_secs(400)).await;
    println!(
        "{ALERTS} alerts relayed in {:.1} s",
        started.elapsed().as_secs_f64()
    );
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }
    let count = |query: &'static str| value(&own, query);
    assert_eq!(
        count("SELECT COUNT(*) FROM sendport.AlertStatus WHERE Status = 'relayed'").await,
        "10000"
    );
    assert_eq!(
        count("SELECT COUNT(*) FROM sendport.Attempt").await,
        "10000"
    );
    assert_eq!(
        count("SELECT COUNT(DISTINCT InstanceId) FROM sendport.Attempt").await,
        "2"
    );
    run(&server, &format!("DROP DATABASE {database}"))
        .await
        .expect("drop the database");

    postfix
        .wait_for_messages(ALERTS as usize, Duration::from_secs(120))
        .await;
    postfix.wait_until_idle(Duration::from_secs(60)).await;
    let arrived = postfix.count_by_message_id_and_recipient();
    assert_eq!(arrived.len(), ALERTS as usize);
    assert!(arrived.values().all(|count| *count == 1), "none twice");
}

async fn value(database: &str, query: &str) -> String {
    let value = run(database, query)
        .await
        .unwrap_or_else(|error| panic!("{query}: {error}"));
    value.unwrap_or_default()
}

async fn wait_until_all_final(database: &str, within: Duration) {
    let deadline = Instant::now() + within;
    let mut look = tokio::time::interval(Duration::from_secs(1));
    loop {
        look.tick().await;
        let left = value(
            database,
            "SELECT COUNT(*) FROM sendport.AlertRow WHERE FinalAt IS NULL",
        )
        .await;
        if left == "0" {
            return;
        }
        assert!(Instant::now() < deadline, "{left} are not final");
    }
}
