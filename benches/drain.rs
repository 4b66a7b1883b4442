//! How fast a queue of alerts goes into a real Postfix, against what Postfix's own load
//! generator `smtp-source` gets into the same Postfix in the same run.
//!
//! Both use ten connections, keep them open, and submit messages of the same size to one
//! recipient each. They take turns; before each turn Postfix is idle. The time of the service
//! goes from the commit that made the alerts visible until the last one is recorded.
//!
//! A relay is mostly on another machine, so Postfix has half of the processors and the
//! service has the others; with `shared` all of them share all, which says how much of the
//! processors the service takes from the relay.
//!
//!     tests/peers/install.sh target/peers && cargo bench --bench drain [-- <messages> <rounds> [shared]]

#[path = "../tests/support/not_run.rs"]
mod not_run;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../tests/support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod maildir;
    pub(crate) mod peer;
    pub(crate) mod postfix;
}
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../tests/support/site.rs"]
mod site;

use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use site::Site;
use support::postfix::{Postfix, PostfixOptions};

const CONNECTIONS: u32 = 10;
/// Of the text of a message, about; Postfix counts a few hundred more, for its header.
const BYTES: usize = 3200;
/// So much more has to be asked of `smtp-source`, whose header is shorter, for as many bytes.
const SHORTER_HEADER: usize = 145;
const WITHIN: Duration = Duration::from_secs(300);

/// One thread: what it starts runs where it runs.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    if !Postfix::available() {
        return;
    }
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let messages = numbers.next().unwrap_or(3000);
    let rounds = numbers.next().unwrap_or(5);
    let (of_the_relay, ours) = processors(std::env::args().any(|argument| argument == "shared"));
    run_on(&of_the_relay);
    let postfix = Postfix::start(PostfixOptions::default()).await;
    run_on(&ours);
    let site = Site::new(&relay_and_send_port(&postfix));
    let service = site.run();

    let (mut source, mut drain) = (Vec::new(), Vec::new());
    let of = |set: &CpuSet| set.count();
    print(&format!(
        "{} processors for Postfix, {} for who submits; {messages} messages a turn\n\n\
         | round | smtp-source, messages/s | sendport, messages/s | ratio |\n|---|---|---|---|",
        of(&of_the_relay),
        of(&ours)
    ));
    for round in 0..=rounds {
        let one = run_source(&postfix, messages);
        postfix.wait_until_idle(WITHIN).await;
        let other = run_drain(&site, messages).await;
        postfix.wait_until_idle(WITHIN).await;
        // The first round warms everything up.
        if round > 0 {
            print(&line(&round.to_string(), one, other));
            source.push(one);
            drain.push(other);
        }
    }
    print(&line("median", median(source), median(drain)));
    assert_eq!(service.stop(), Some(0));
}

/// For Postfix, and for the others.
fn processors(shared: bool) -> (CpuSet, CpuSet) {
    let all = sched_getaffinity(None).expect("the processors");
    let numbers: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|&cpu| all.is_set(cpu))
        .collect();
    if shared || numbers.len() < 2 {
        return (all, all);
    }
    let (half, other_half) = numbers.split_at(numbers.len() / 2);
    (set_of(half), set_of(other_half))
}

fn set_of(numbers: &[usize]) -> CpuSet {
    let mut set = CpuSet::new();
    numbers.iter().for_each(|&cpu| set.set(cpu));
    set
}

/// From here on, with all that is started from here on.
fn run_on(set: &CpuSet) {
    sched_setaffinity(None, set).expect("choose processors");
}

fn relay_and_send_port(postfix: &Postfix) -> String {
    format!(
        "[log]\nlevel = \"warn\"\n[relay.main]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         max_connections = {CONNECTIONS}\nmessages_per_connection = 1000000\n\
         [send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n",
        postfix.plain().port()
    )
}

/// Messages a second.
fn run_source(postfix: &Postfix, messages: usize) -> f64 {
    let (connections, count, length) = (
        CONNECTIONS.to_string(),
        messages.to_string(),
        (BYTES + SHORTER_HEADER).to_string(),
    );
    let arguments = [
        "-d",
        "-s",
        &connections,
        "-m",
        &count,
        "-l",
        &length,
        "-f",
        "alerts@example.test",
        "-t",
        "user@example.test",
    ];
    let start = Instant::now();
    postfix.smtp_source(postfix.plain(), &arguments);
    rate(messages, start)
}

async fn run_drain(site: &Site, messages: usize) -> f64 {
    let line = "An order is late. ".repeat(4);
    let body = vec![line.trim_end(); BYTES / 73].join("\r\n");
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO Alert (ToRecipients, Subject, Body) SELECT 'user@example.test', 'Order ' || i, ?2 FROM n";
    let database = site.database();
    let count = i64::try_from(messages).expect("a small number");
    database.execute(sql, (count, &body)).expect("insert");
    let start = Instant::now();
    wait_until_all_final(&database).await;
    rate(messages, start)
}

/// Looks often enough that the looking does not count.
async fn wait_until_all_final(database: &Connection) {
    let sql = "SELECT EXISTS (SELECT 1 FROM AlertState WHERE FinalAt IS NULL)";
    let mut live = database.prepare(sql).expect("prepare");
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let deadline = Instant::now() + WITHIN;
    while live.query_row([], |row| row.get(0)).expect("query") {
        assert!(Instant::now() < deadline, "not all alerts became final");
        look.tick().await;
    }
}

fn rate(messages: usize, start: Instant) -> f64 {
    f64::from(u32::try_from(messages).expect("a small number")) / start.elapsed().as_secs_f64()
}

fn line(round: &str, source: f64, drain: f64) -> String {
    format!(
        "| {round} | {source:.0} | {drain:.0} | {:.3} |",
        drain / source
    )
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the result of the benchmark")]
fn print(text: &str) {
    println!("{text}");
}
