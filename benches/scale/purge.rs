//! Whether a purge slows down the applications that insert: turns with and without it, one after the other, so that a
//! busy machine is equally unfair to both.

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
/// After the start of a service, before anything is measured.
const WARM_UP: Duration = Duration::from_secs(5);
/// The same on a server: on Babelfish the first execution of a statement on a connection takes seconds, and a service
/// has several connections.
const SERVER_WARM_UP: Duration = Duration::from_secs(40);
const MOST_TURNS: u32 = 60;

pub(crate) async fn measure(database: &Database, rows: u32, seconds: u32) {
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
    let (mut with, mut without) = (Latencies::default(), Latencies::default());
    for number in 1..=MOST_TURNS {
        one_turn(database, number, false, turn, &mut without).await;
        one_turn(database, number, true, turn, &mut with).await;
        if database.number(OLDEST).await > i64::from(alerts) {
            break;
        }
    }
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
    set_retention(database, purges);
    database.execute(END_LEASE).await;
    let service = database.site.run();
    let warm_up = database.connection().map_or(WARM_UP, |_| SERVER_WARM_UP);
    insert(database, RATE, warm_up).await;
    let before = database.number(PURGED).await;
    let took = insert(database, RATE, turn).await;
    let purged = database.number(PURGED).await - before;
    database.stop(service);
    let mut latencies = Latencies::default();
    latencies.extend(took.clone());
    all.extend(took);
    let name = if purges { "on" } else { "off" };
    print(&format!(
        "| {number} | {name} | {purged} | {} |",
        latencies.cells()
    ));
}

/// The service of the turn before may purge for three minutes more.
const END_LEASE: &str = "UPDATE sendport.RetentionState SET LeaseUntil = NULL";
const PURGED: &str = "SELECT COALESCE(SUM(PurgedRowsToday), 0) FROM sendport.RetentionProgress";

/// The key of the oldest alert.
const OLDEST: &str = "SELECT MIN(AlertId) FROM sendport.AlertRow";

/// What the next service does.
fn set_retention(database: &Database, is_enabled: bool) {
    let file = database.site.config();
    let text = std::fs::read_to_string(&file).expect("read");
    let text = text.split("\n[retention]").next().unwrap_or_default();
    std::fs::write(
        &file,
        format!("{text}\n[retention]\nenabled = {is_enabled}\n"),
    )
    .expect("write");
}
