//! Whether a purge slows down the applications that insert: turns with and without it, one after the other beside one
//! service, so that a busy machine is equally unfair to both.

use std::time::Duration;

use crate::application::insert;
use crate::database::Database;
use crate::fill::{Rows, fill};
use crate::latency::Latencies;
use crate::print;

/// Alerts in a second.
const RATE: u32 = 200;
/// Rows of an alert: itself, its recipient, its attempt, and three replies.
const ROWS_OF_AN_ALERT: u32 = 6;
/// After the start of the service, before anything is measured. On Babelfish the first execution of a statement on a
/// connection takes seconds, and a service has several connections.
const WARM_UP: Duration = Duration::from_secs(40);
/// The service looks every minute whether it may purge.
const BETWEEN: Duration = Duration::from_secs(5);
const MOST_WAITS: u32 = 15;

/// What to measure.
pub(crate) struct Plan {
    /// Old ones, of all tables.
    pub(crate) rows: u32,
    /// Seconds of a turn.
    pub(crate) seconds: u32,
    /// Most pairs of turns; fewer where all is purged before.
    pub(crate) turns: u32,
}

pub(crate) async fn measure(database: &Database, plan: Plan) {
    let Plan {
        rows,
        seconds,
        turns,
    } = plan;
    let alerts = rows / ROWS_OF_AN_ALERT;
    let old = Rows {
        count: alerts,
        hours: 2400..2500,
        failed_every: 0,
        waiting: 0,
        has_attempts: true,
        alert_name: "order-late",
    };
    fill(database, old).await;
    print(&format!(
        "{alerts} old alerts; {RATE} alerts a second are inserted and sent\n\n| turn | purge | purged rows | {} |",
        Latencies::HEAD
    ));
    print("|---|---|---|---|---|---|---|---|");
    let turn = Duration::from_secs(u64::from(seconds));
    let service = database.site.run();
    insert(database, RATE, WARM_UP).await;
    let (mut with, mut without) = (Latencies::default(), Latencies::default());
    for number in 1..=turns {
        one_turn(database, number, false, turn, &mut without).await;
        one_turn(database, number, true, turn, &mut with).await;
        if database.number(OLDEST).await > i64::from(alerts) {
            break;
        }
    }
    database.stop(service);
    for (name, latencies) in [("off", &mut without), ("on", &mut with)] {
        print(&format!("| all | {name} | | {} |", latencies.cells()));
    }
    let share = with.percentile(0.999).as_secs_f64() / without.percentile(0.999).as_secs_f64();
    print(&format!(
        "\np99.9 with a purge is {share:.2} times that without"
    ));
}

async fn one_turn(
    database: &Database,
    number: u32,
    purges: bool,
    turn: Duration,
    all: &mut Latencies,
) {
    let before = database.number(PURGED).await;
    database.execute(if purges { ALLOW } else { FORBID }).await;
    insert(database, RATE, BETWEEN).await;
    let mut waits = 0;
    while purges && waits < MOST_WAITS && database.number(PURGED).await == before {
        insert(database, RATE, BETWEEN).await;
        waits += 1;
    }
    let before = database.number(PURGED).await;
    let took = insert(database, RATE, turn).await;
    let purged = database.number(PURGED).await - before;
    let mut latencies = Latencies::default();
    latencies.extend(took.clone());
    all.extend(took);
    let name = if purges { "on" } else { "off" };
    print(&format!(
        "| {number} | {name} | {purged} | {} |",
        latencies.cells()
    ));
}

/// No instance has the right to purge, until one may take it again.
const FORBID: &str = "UPDATE sendport.RetentionState SET InstanceId = '00000000-0000-0000-0000-000000000000', LeaseUntil = '2199-01-01T00:00:00.000Z'";
const ALLOW: &str = "UPDATE sendport.RetentionState SET LeaseUntil = NULL";
const PURGED: &str = "SELECT COALESCE(SUM(PurgedRowsToday), 0) FROM sendport.RetentionProgress";

/// The key of the oldest alert.
const OLDEST: &str = "SELECT MIN(AlertId) FROM sendport.AlertRow";
