//! What millions of rows cost: a purge beside inserts, a cancel of a whole queue, and the monitoring views.
//!
//! The real service works on a real database with a relay that discards, in a folder of its own that is removed
//! afterwards, or, where `SENDPORT_TEST_SQLSERVER` holds a connection string, in a database of its own on that server.
//!
//!     cargo bench --bench scale -- purge [<rows> [<seconds of a turn> [<turns>]]]
//!     cargo bench --bench scale -- cancel [<alerts>]
//!     cargo bench --bench scale -- views [<alerts>]

#[path = "../../tests/support/not_run.rs"]
mod not_run;
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../../tests/support/site.rs"]
mod site;
#[expect(
    dead_code,
    reason = "this binary needs a part of what the client offers"
)]
#[path = "../../tests/support/tsql.rs"]
mod tsql;

mod application;
mod cancel;
mod database;
mod fill;
mod latency;
mod purge;
mod views;

use database::Database;

#[tokio::main(worker_threads = 8)]
async fn main() {
    let arguments: Vec<_> = std::env::args()
        .skip(1)
        .filter(|it| !it.starts_with("--"))
        .collect();
    let number = |at: usize, otherwise: u32| {
        let given = arguments.get(at).map(|text| text.parse());
        given.map_or(otherwise, |number| number.expect("a number"))
    };
    let what = arguments.first().map_or("", String::as_str);
    if !["purge", "cancel", "views"].contains(&what) {
        print("name what to measure: purge, cancel or views, and how many rows");
        return;
    }
    let database = Database::create().await;
    print(&format!("{what} on {}", database.engine()));
    match what {
        "purge" => {
            let plan = purge::Plan {
                rows: number(1, 1_000_000),
                seconds: number(2, 60),
                turns: number(3, 60),
            };
            purge::measure(&database, plan).await;
        }
        "cancel" => cancel::measure(&database, number(1, 1_000_000)).await,
        _ => views::measure(&database, number(1, 10_000_000)).await,
    }
    database.remove().await;
}

#[expect(clippy::print_stdout, reason = "the result of the benchmark")]
fn print(text: &str) {
    println!("{text}");
}
