//! Retention of a database whose clock the test moves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use parking_lot::Mutex;
use rusqlite::{Connection, params};
use sendport_core::clock::Clock;
use sendport_core::domain::{InstanceId, Timestamp};
use sendport_store::sqlite::SqliteStore;
use sendport_store::{Store, StoreAdmin};
use tokio::sync::Notify;

use super::retention::{Retention, RetentionPlan, Round};
use crate::observer::{SendPortObserver, WorkerActivity, WorkerObserver};
use crate::settings::{RetentionConfig, SendPortRetention};

const HOUR: TimeDelta = TimeDelta::hours(1);
const DAY: TimeDelta = TimeDelta::days(1);

struct MovingClock(Mutex<Timestamp>);

impl Clock for MovingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

struct NoObserver;

impl WorkerObserver for NoObserver {
    fn record(&self, _: WorkerActivity<'_>) {}

    fn send_port(&self, _: &str) -> Option<Arc<dyn SendPortObserver>> {
        None
    }
}

/// A database in a folder of its own.
struct Site {
    _folder: tempfile::TempDir,
    path: PathBuf,
    clock: Arc<MovingClock>,
    store: Arc<dyn Store>,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendport.db");
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Arc::new(MovingClock(Mutex::new(start)));
        let store = SqliteStore::open(&path, clock.clone()).unwrap();
        store.migrate().await.unwrap();
        Self {
            _folder: folder,
            path,
            clock,
            store: Arc::new(store),
        }
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(60)).unwrap();
        connection
    }

    fn pass(&self, time: TimeDelta) {
        *self.clock.0.lock() += time;
    }

    /// Alerts with one recipient and one attempt that became final just now.
    fn send(&self, count: usize, send_port: &str, status: &str) {
        let now = self
            .clock
            .now()
            .format("%Y-%m-%dT%H:%M:%S%.3fZ")
            .to_string();
        let mut connection = self.connection();
        let tx = connection.transaction().unwrap();
        for _ in 0..count {
            let body = "Order 4711 is late. ".repeat(100);
            tx.execute(
                "INSERT INTO Alert (ToRecipients, SendPort, Body, CreatedAt) VALUES ('ops@contoso.com', ?1, ?2, ?3)",
                params![send_port, body, now],
            )
            .unwrap();
            let id = tx.last_insert_rowid();
            let statements = [
                "INSERT INTO Attachment (AlertId, Content) SELECT ?1, zeroblob(3000)",
                "UPDATE AlertState SET Status = ?2, DueAt = NULL, FinalAt = ?3 WHERE AlertId = ?1",
                "INSERT INTO Recipient (AlertId, Ordinal, Kind, Address, Status, StatusAt)
                 SELECT ?1, 0, 'to', 'ops@contoso.com', ?2, ?3",
                "INSERT INTO Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, EndedAt)
                 SELECT ?1, ?1, 1, ?2, ?3",
                "INSERT INTO AttemptReply (AttemptId, Ordinal, Command, ReplyCode, ReplyText)
                 SELECT AttemptId, 0, 'MAIL', 250, 'ok' FROM Attempt WHERE AlertId = ?1",
            ];
            for statement in statements {
                let mut statement = tx.prepare(statement).unwrap();
                let values: [&dyn rusqlite::ToSql; 3] = [&id, &status, &now];
                let used = statement.parameter_count();
                statement.execute(&values[..used]).unwrap();
            }
        }
        tx.commit().unwrap();
    }

    fn count(&self, query: &str) -> i64 {
        self.connection()
            .query_row(query, [], |row| row.get(0))
            .unwrap()
    }

    fn retention(&self, plan: &RetentionPlan) -> Retention {
        let store = Arc::clone(&self.store);
        Retention::new(
            store,
            InstanceId::random(),
            plan.clone(),
            Arc::new(NoObserver),
            Arc::new(Notify::new()),
        )
    }
}

const PLAN: &str = r#"
        enabled = true
        relayed = { bodies = "1d", alerts = "7d" }
        partial = { bodies = "2d", alerts = "14d" }
        failed = { bodies = "2d", alerts = "14d" }
        expired = { bodies = "2d", alerts = "14d" }
        cancelled = { bodies = "1d", alerts = "7d" }
        suppressed = { bodies = "1d", alerts = "7d" }
        event_log = "30d"
        minute_counts = "30d"
        daily_counts = "forever"
        rows_per_second = 1000
        bytes_per_second = "10MB"
"#;

fn plan() -> RetentionPlan {
    let config: RetentionConfig = toml::from_str(PLAN).unwrap();
    let billing: SendPortRetention =
        toml::from_str(r#"relayed = { bodies = "forever", alerts = "forever" }"#).unwrap();
    RetentionPlan::new(config, [("billing".to_owned(), billing)].into())
}

/// Seconds instead of days, at the pace of `config/default.toml`.
fn plan_of_seconds() -> RetentionPlan {
    let text = r#"
        enabled = true
        relayed = { bodies = "20s", alerts = "40s" }
        partial = { bodies = "20s", alerts = "40s" }
        failed = { bodies = "20s", alerts = "40s" }
        expired = { bodies = "20s", alerts = "40s" }
        cancelled = { bodies = "20s", alerts = "40s" }
        suppressed = { bodies = "20s", alerts = "40s" }
        event_log = "30d"
        minute_counts = "30d"
        daily_counts = "forever"
        rows_per_second = 2000
        bytes_per_second = "20MB"
    "#;
    RetentionPlan::new(toml::from_str(text).unwrap(), [].into())
}

/// Until nothing old is left.
async fn purge(retention: &mut Retention) {
    while retention.round().await == Round::More {}
}

#[tokio::test(start_paused = true)]
async fn a_database_that_receives_alerts_steadily_stops_growing() {
    let site = Site::new().await;
    let mut retention = site.retention(&plan());
    let mut pages = Vec::new();
    for _day in 0..16 {
        for _ in 0..8 {
            site.send(60, "default", "relayed");
            site.pass(HOUR * 3);
            purge(&mut retention).await;
        }
        pages.push(site.count("PRAGMA page_count"));
    }
    let (grown, last) = (pages[8], pages[15]);
    assert!(pages[0] < grown / 2, "it grows at first: {pages:?}");
    assert!(last <= grown + grown / 50, "{pages:?}");
    let left = site.count("SELECT count(*) FROM Alert");
    // The last ones that are as old as that are gone.
    assert_eq!(left, (7 * 8 - 1) * 60);
    let bodies = site.count("SELECT count(*) FROM Alert WHERE Body IS NOT NULL");
    assert_eq!(bodies, (8 - 1) * 60);
    let counted = site.count("SELECT sum(AlertCount) FROM DailyCount");
    assert_eq!(counted, (9 * 8 + 1) * 60);
}

/// However long rows are kept, as many have to be deleted in a second as come in.
#[tokio::test(start_paused = true)]
async fn fifty_alerts_a_second_are_deleted_as_fast_as_they_come() {
    const RATE: u64 = 50;
    let site = Site::new().await;
    let mut retention = site.retention(&plan_of_seconds());
    let mut pages = Vec::new();
    while pages.len() < 10 {
        let began = tokio::time::Instant::now();
        if retention.round().await != Round::More {
            tokio::time::sleep(Duration::from_secs(20)).await;
        }
        // What came in meanwhile.
        let seconds = began.elapsed().as_secs().max(1);
        site.pass(TimeDelta::seconds(seconds.cast_signed()));
        site.send(
            usize::try_from(RATE * seconds).unwrap(),
            "default",
            "relayed",
        );
        pages.push(site.count("PRAGMA page_count"));
    }
    assert!(pages[0] < pages[5] / 2, "it grows at first: {pages:?}");
    assert!(pages[9] <= pages[5] + pages[5] / 20, "{pages:?}");
    let left = site.count("SELECT count(*) FROM Alert");
    assert!(left <= 50 * 80, "{left} alerts are left");
}

#[tokio::test(start_paused = true)]
async fn a_send_port_keeps_what_its_section_says() {
    let site = Site::new().await;
    for send_port in ["default", "billing", "of a configuration long ago"] {
        site.send(3, send_port, "relayed");
        site.send(3, send_port, "failed");
    }
    site.pass(DAY * 8);
    let mut retention = site.retention(&plan());
    purge(&mut retention).await;
    let kept = |condition: &str| {
        site.count(&format!(
            "SELECT count(*) FROM AlertStatus WHERE {condition}"
        ))
    };
    assert_eq!(kept("SendPort = 'billing' AND BodyPurgedAt IS NULL"), 3);
    assert_eq!(kept("Status = 'relayed'"), 3);
    assert_eq!(kept("Status = 'failed' AND BodyPurgedAt IS NOT NULL"), 9);
    site.pass(DAY * 7);
    purge(&mut retention).await;
    assert_eq!(kept("1 = 1"), 3);
}

#[tokio::test(start_paused = true)]
async fn one_instance_purges_until_its_lease_ends() {
    let site = Site::new().await;
    let [mut first, mut second] = [site.retention(&plan()), site.retention(&plan())];
    site.send(1, "default", "relayed");
    site.pass(DAY * 2);
    assert_eq!(first.round().await, Round::Ended);
    assert_eq!(second.round().await, Round::Elsewhere);
    assert_eq!(site.count("SELECT PurgedBodies FROM RetentionState"), 1);
    site.pass(HOUR);
    assert_eq!(second.round().await, Round::Ended);
    assert_eq!(first.round().await, Round::Elsewhere);
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept() {
    let site = Site::new().await;
    site.send(1000, "default", "relayed");
    site.pass(DAY * 2);
    let began = tokio::time::Instant::now();
    let mut retention = site.retention(&plan());
    purge(&mut retention).await;
    // Each body and each attachment is a row: 2,000 rows at 1,000 a second, less what the batches themselves took.
    let took = began.elapsed();
    assert!(took > Duration::from_millis(500), "{took:?}");
    assert_eq!(site.count("SELECT count(*) FROM Attachment"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_of_the_site_keeps_is_reported_once_and_stops_no_other() {
    let site = Site::new().await;
    site.send(1, "default", "relayed");
    site.send(5, "default", "failed");
    site.connection()
        .execute_batch(
            "CREATE TRIGGER SiteRule BEFORE DELETE ON Alert WHEN OLD.AlertId = 4
             BEGIN SELECT RAISE(ABORT, 'under legal hold'); END",
        )
        .unwrap();
    site.pass(DAY * 20);
    let mut retention = site.retention(&plan());
    for _ in 0..3 {
        purge(&mut retention).await;
    }
    assert_eq!(site.count("SELECT max(AlertId) FROM Alert"), 4);
    assert_eq!(site.count("SELECT count(*) FROM Alert"), 1);
    let events = "SELECT count(*) FROM EventLog WHERE EventType = 'retention-refused' AND Message LIKE '%under legal hold%'";
    assert_eq!(site.count(events), 1);
    let shown =
        "SELECT count(*) FROM RetentionProgress WHERE PausedReason LIKE '%under legal hold%'";
    assert_eq!(site.count(shown), 1);
}

/// It needs neither `enabled = true` nor an age of the configuration.
#[tokio::test(start_paused = true)]
async fn a_request_of_an_operator_is_carried_out() {
    let site = Site::new().await;
    site.send(300, "default", "failed");
    site.send(300, "bulk", "failed");
    site.pass(HOUR * 5);
    site.connection()
        .execute_batch(&format!(
            "CREATE TRIGGER SiteRule BEFORE DELETE ON Alert WHEN OLD.AlertId = 4
             BEGIN SELECT RAISE(ABORT, 'under legal hold'); END;
             INSERT INTO OperatorRequest (Verb, SendPort, FinalBefore, RequestedAt) VALUES ('purge', 'default', '{0}', '{0}')",
            "2199-01-01T00:00:00.000Z"
        ))
        .expect_err("younger than an hour");
    let at = |ago: TimeDelta| (site.clock.now() - ago).format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let request = format!(
        "INSERT INTO OperatorRequest (Verb, SendPort, FinalBefore, RequestedAt) VALUES ('purge', 'default', '{}', '{}')",
        at(HOUR),
        at(TimeDelta::zero())
    );
    site.connection().execute_batch(&request).unwrap();
    let off = RetentionPlan::new(
        toml::from_str(&PLAN.replace("enabled = true", "enabled = false")).unwrap(),
        BTreeMap::new(),
    );
    let mut retention = site.retention(&off);
    purge(&mut retention).await;
    assert_eq!(
        site.count("SELECT count(*) FROM Alert WHERE SendPort = 'default'"),
        1
    );
    assert_eq!(
        site.count("SELECT count(*) FROM Alert WHERE SendPort = 'bulk'"),
        300
    );
    let done = "SELECT count(*) FROM OperatorRequest WHERE State = 'done' AND AppliedCount = 299 AND RefusedCount = 1";
    assert_eq!(site.count(done), 1);
    for event in ["request-done", "request-refused"] {
        let events = format!("SELECT count(*) FROM EventLog WHERE EventType = '{event}'");
        assert_eq!(site.count(&events), 1, "{event}");
    }
    assert_eq!(site.count("SELECT PurgedAlerts FROM RetentionState"), 299);
}
