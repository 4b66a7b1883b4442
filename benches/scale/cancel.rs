//! How long it takes to cancel a whole queue by one row, while other alerts are inserted and sent.

use std::time::{Duration, Instant};

use crate::application::insert;
use crate::database::Database;
use crate::fill::{Rows, fill};
use crate::latency::Latencies;
use crate::print;

/// Alerts in a second, of other applications.
const RATE: u32 = 50;
/// The service sends some of the queue first.
const BEFORE: Duration = Duration::from_secs(5);
/// Between two looks.
const TURN: Duration = Duration::from_secs(10);

/// The queue is what exists now; alerts of other applications are urgent, and are inserted later.
const REQUEST: &str = "INSERT INTO sendport.OperatorRequest (Verb, AlertName, CreatedUntil) VALUES (N'cancel', N'runaway', {now})";
const IS_DONE: &str = "SELECT COUNT(*) FROM sendport.OperatorRequest WHERE State = 'done'";
const CANCELLED: &str = "SELECT AppliedCount FROM sendport.OperatorRequest";
const SENT: &str = "SELECT COUNT(*) FROM sendport.Attempt";
const SENT_AFTER: &str = "SELECT COUNT(*) FROM sendport.Attempt t JOIN sendport.AlertStatus a ON a.AlertId = t.AlertId
    WHERE a.AlertName = 'runaway' AND t.StartedAt > (SELECT q.RequestedAt FROM sendport.OperatorRequest q)";
const LAST_SENT_AFTER: [&str; 2] = [
    "SELECT CAST((julianday(max(t.StartedAt)) - julianday(max(q.RequestedAt))) * 86400000 AS INTEGER)
     FROM OperatorRequest q CROSS JOIN Attempt t CROSS JOIN Alert a ON a.AlertId = t.AlertId
     WHERE a.AlertName = 'runaway' AND t.StartedAt > q.RequestedAt",
    "SELECT DATEDIFF(millisecond, MAX(q.RequestedAt), MAX(t.StartedAt))
     FROM sendport.OperatorRequest q CROSS JOIN sendport.Attempt t JOIN sendport.Alert a ON a.AlertId = t.AlertId
     WHERE a.AlertName = N'runaway' AND t.StartedAt > q.RequestedAt",
];

pub(crate) async fn measure(database: &Database, alerts: u32) {
    let queue = Rows {
        count: alerts,
        hours: 0..1,
        failed_every: 0,
        waiting: alerts,
        has_attempts: false,
        alert_name: "runaway",
    };
    fill(database, queue).await;
    let service = database.site.run();
    tokio::time::sleep(BEFORE).await;
    let sent = database.number(SENT).await;
    let begun = Instant::now();
    database.execute(REQUEST).await;
    let committed = begun.elapsed();
    let mut inserts = Latencies::default();
    while database.number(IS_DONE).await == 0 {
        inserts.extend(insert(database, RATE, TURN).await);
    }
    let took = begun.elapsed();
    database.stop(service);
    let which = usize::from(database.connection().is_some());
    let (cancelled, after) = (
        database.number(CANCELLED).await,
        database.number(SENT_AFTER).await,
    );
    let last = database.number(LAST_SENT_AFTER[which]).await;
    print(&format!(
        "{alerts} alerts in the queue, {sent} attempts before the request\n\
         committed after {:.1} ms\n\
         {after} attempts began later, which were claimed before; the last one {last} ms after the request\n\
         {cancelled} alerts cancelled, the last one within {:.0} s, {:.0} a second\n\n\
         inserts of other alerts meanwhile, {RATE} a second:\n\n| {} |\n|---|---|---|---|---|\n| {} |",
        committed.as_secs_f64() * 1e3,
        took.as_secs_f64(),
        count(cancelled) / took.as_secs_f64(),
        Latencies::HEAD,
        inserts.cells(),
    ));
}

fn count(alerts: i64) -> f64 {
    f64::from(i32::try_from(alerts).unwrap_or(i32::MAX))
}
