//! How long each monitoring view takes for the last 24 hours beside many rows.

use std::time::{Duration, Instant};

use crate::database::Database;
use crate::fill::{Rows, fill};
use crate::{print, tsql};

/// What the documents say, and the views of which they say nothing more.
const QUERIES: [&str; 22] = [
    "SELECT MAX(OldestAgeSeconds) FROM sendport.Queue WHERE Status <> N'held'",
    "SELECT COUNT(*) FROM sendport.InstanceStatus WHERE State = N'running'",
    "SELECT Relay, Condition, Reply FROM sendport.Relay WHERE Condition IN (N'open', N'paused')",
    "SELECT SUM(FailedCount + ExpiredCount) FROM sendport.ThroughputByMinute WHERE [Minute] >= {minutes 15}",
    "SELECT MAX(P95Ms) FROM sendport.LatencyByMinute WHERE [Minute] >= {minutes 15}",
    "SELECT MAX([Minute]) FROM sendport.MinuteCount",
    "SELECT PausedReason FROM sendport.RetentionProgress",
    "SELECT LoggedAt, EventType, Message FROM sendport.EventLog WHERE Severity = N'error' AND LoggedAt >= {minutes 60}",
    "SELECT * FROM sendport.ThroughputByMinute",
    "SELECT [Hour], SendPort, AlertCount, FailedCount, RecipientCount FROM sendport.ThroughputByHour ORDER BY [Hour], SendPort",
    "SELECT [Minute], SendPort, AlertCount, P50Ms, P95Ms, P99Ms, MaxMs FROM sendport.LatencyByMinute WHERE AlertCount >= 10 ORDER BY [Minute] DESC",
    "SELECT * FROM sendport.LatencyByHour",
    "SELECT Cause, Advice, SendPort, Relay, RecipientCount, LastAt, SampleAlertId, Sample FROM sendport.FailureByCause ORDER BY RecipientCount DESC",
    "SELECT Name, HostName, State, RenewedAt, WaitingFor, LeasedCount FROM sendport.InstanceStatus ORDER BY StartedAt DESC",
    "SELECT * FROM sendport.Relay",
    "SELECT * FROM sendport.ExpiringCertificate",
    "SELECT * FROM sendport.Queue",
    "SELECT * FROM sendport.RetentionProgress",
    "SELECT SendPort, Status, Depth, OldestAt, WaitingFor FROM sendport.Queue ORDER BY OldestAt",
    "SELECT StatusAt, AlertId, Subject, Address, ReplyCode, Reason, Cause, Advice FROM sendport.FailedDelivery WHERE StatusAt > {minutes 60} ORDER BY StatusAt DESC",
    "SELECT StatusAt, AlertId, Subject, Address, ReplyCode, Reason, Cause, Advice FROM sendport.FailedDelivery WHERE StatusAt > {minutes 1440} ORDER BY StatusAt DESC",
    "SELECT AlertId, PublicId, Subject, SendPort, Status, Relay, MessageId, EndedAt, NextAttemptAt FROM sendport.InDoubt ORDER BY EndedAt",
];

/// Of the rows, so many wait, and so many failed.
const WAITING: u32 = 100;
const FAILED: u32 = 200;
/// Each query, on one connection.
const REPEATED: usize = 5;
/// Ten days.
const HOURS: u32 = 240;

pub(crate) async fn measure(database: &Database, alerts: u32) {
    let rows = Rows {
        count: alerts,
        hours: 0..HOURS,
        failed_every: FAILED,
        waiting: alerts / WAITING,
        has_attempts: false,
        alert_name: "order-late",
    };
    let begun = Instant::now();
    fill(database, rows).await;
    let store = database.store();
    while store.roll_up().await.expect("count the minutes").more {}
    print(&format!(
        "{alerts} alerts of {HOURS} hours and their recipients; {} alerts wait, 1 of {FAILED} failed; filled in {:.0} s",
        alerts / WAITING,
        begun.elapsed().as_secs_f64()
    ));
    // An instance with its relay, which leaves the queue alone.
    database
        .execute(
            "INSERT INTO sendport.OperatorRequest (Verb, SendPort) VALUES (N'hold', N'default')",
        )
        .await;
    let service = database.site.run();
    while database.number("SELECT COUNT(*) FROM sendport.Relay").await == 0
        || database
            .number("SELECT COUNT(*) FROM sendport.RetentionProgress")
            .await
            == 0
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    print("\n| first ms | median ms | rows | query |\n|---|---|---|---|");
    let mut slowest = Duration::ZERO;
    for query in QUERIES {
        let query = with_times(database, query);
        let (first, median, rows) = time(database, &query).await;
        slowest = slowest.max(median);
        let [first, median] = [first, median].map(|it| it.as_secs_f64() * 1e3);
        print(&format!(
            "| {first:.0} | {median:.0} | {rows} | `{query}` |"
        ));
    }
    print(&format!(
        "\nthe slowest median is {:.0} ms",
        slowest.as_secs_f64() * 1e3
    ));
    database.stop(service);
}

/// With its `{minutes N}` as this engine writes so many minutes ago.
fn with_times(database: &Database, query: &str) -> String {
    let query = database.translated(query);
    let Some((before, (minutes, after))) = query
        .split_once("{minutes ")
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    else {
        return query;
    };
    let ago = match database.connection() {
        Some(_) => format!("DATEADD(minute, -{minutes}, SYSUTCDATETIME())"),
        None => format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-{minutes} minutes')"),
    };
    format!("{before}{ago}{after}")
}

/// The first time, the median of all, and the rows.
async fn time(database: &Database, query: &str) -> (Duration, Duration, usize) {
    let queries = vec![query.to_owned(); REPEATED];
    // On one connection: a new one has an empty cache of catalogs.
    let timed = match database.connection() {
        Some(connection) => tsql::timed(&connection, &queries).await.expect(query),
        None => {
            let connection = database.site.database();
            queries
                .iter()
                .map(|query| sqlite(&connection, query))
                .collect()
        }
    };
    let rows = timed[0].1;
    let mut took: Vec<_> = timed.into_iter().map(|(took, _)| took).collect();
    let first = took[0];
    took.sort_unstable();
    (first, took[took.len() / 2], rows)
}

fn sqlite(connection: &rusqlite::Connection, query: &str) -> (Duration, usize) {
    let mut statement = connection.prepare(query).expect(query);
    let begun = Instant::now();
    let mut rows = statement.query([]).expect(query);
    let mut count = 0;
    while rows.next().expect(query).is_some() {
        count += 1;
    }
    (begun.elapsed(), count)
}
