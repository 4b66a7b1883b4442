//! A hundred requests of operators at random moments, while alerts are inserted and sent and instances are killed:
//! no alert is lost, none is sent twice without a reason, and what was cancelled and sent says so.

mod database;
mod evidence;
mod random;

use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::site::{Service, Site};
use crate::tsql::server;
use crate::{any_port, plain_relay};
use database::Database;
use random::Random;

const REQUESTS: u32 = 100;
const NAMES: u64 = 5;
const SEND_PORTS: [&str; 2] = ["default", "reports"];

/// How long each step lasts at most, and how often an instance is killed.
struct Pace {
    between_requests: Duration,
    requests_between_kills: u32,
    alerts_at_first: u64,
    alerts_in_a_step: u64,
    final_within: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_between_kills_lose_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let site = Site::new(&relays_and_send_ports(&sink));
    let database = Database::sqlite(&site);
    let pace = Pace {
        between_requests: Duration::from_millis(120),
        requests_between_kills: 8,
        alerts_at_first: 400,
        alerts_in_a_step: 14,
        final_within: Duration::from_secs(90),
    };
    run(&site, &database, folder.path(), &pace).await;
    sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_requests_between_kills_lose_nothing_in_a_sql_server() {
    let Some(server) = server() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink(folder.path()).await;
    let name = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={name}");
    let site = Site::on(&own, &relays_and_send_ports(&sink));
    let database = Database::tsql(&own).await;
    let pace = Pace {
        between_requests: Duration::from_millis(1_000),
        requests_between_kills: 20,
        alerts_at_first: 200,
        alerts_in_a_step: 6,
        final_within: Duration::from_secs(400),
    };
    run(&site, &database, folder.path(), &pace).await;
    sink.stop().await;
    crate::tsql::run(&server, &format!("DROP DATABASE {name}"))
        .await
        .expect("drop the database");
}

/// Refuses one person, and answers another with 451 now and then.
async fn sink(folder: &std::path::Path) -> Sink {
    let options = SinkOptions {
        listen: any_port(),
        folder: folder.to_owned(),
        refuse: vec!["user3@example.test".to_owned()],
        delay: vec![("user7@example.test".to_owned(), 40)],
    };
    Sink::start(options).await.expect("start")
}

/// Two send ports over one relay.
fn relays_and_send_ports(sink: &Sink) -> String {
    let port = |name: &str| {
        format!(
            "[send_port.{name}]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
             [send_port.{name}.retry]\nfirst_delay = \"1s\"\nlongest_delay = \"2s\"\n"
        )
    };
    let ports = SEND_PORTS.map(port).concat();
    format!(
        "{}max_connections = 2\n{ports}",
        plain_relay(sink.local_addr())
    )
}

async fn run(site: &Site, database: &Database<'_>, mails: &std::path::Path, pace: &Pace) {
    let mut random = Random::from_environment();
    let mut services = [Some(site.run()), Some(site.run())];
    let (mut alerts, mut added) = (pace.alerts_at_first, 0);
    database.insert(0, alerts).await;
    for request in 0..REQUESTS {
        let count = random.below(pace.alerts_in_a_step);
        database.insert(alerts, count).await;
        alerts += count;
        let next = random_request(&mut random, alerts, request);
        added += u64::from(database.request(&next).await);
        tokio::time::sleep(pace.between_requests.mul_f64(random.share())).await;
        if request % pace.requests_between_kills == 0 {
            kill_one(site, &mut services, &mut random);
        }
    }
    added += u64::from(database.request(&Request::release_all(REQUESTS)).await);
    database.wait_until_done(pace.final_within).await;
    for service in services.into_iter().flatten() {
        assert_eq!(service.stop(), Some(0));
    }
    let evidence = evidence::Evidence::read(database, mails).await;
    evidence.check(alerts, added);
}

/// SIGKILL, and another one on the same state folder.
fn kill_one(site: &Site, services: &mut [Option<Service>; 2], random: &mut Random) {
    let victim = &mut services[usize::from(random.below(2) == 1)];
    if let Some(service) = victim.take() {
        service.kill();
    }
    *victim = Some(site.run());
}

/// What an operator asks for.
struct Request {
    verb: &'static str,
    filter: Filter,
    /// A requeue: everybody, too who has it.
    all_recipients: bool,
    new_message_id: bool,
    comment: String,
}

enum Filter {
    Alert(u64),
    AlertName(String),
    SendPort(&'static str),
    Status(&'static str),
    All,
}

impl Request {
    fn release_all(number: u32) -> Self {
        Self {
            verb: "release",
            filter: Filter::All,
            all_recipients: false,
            new_message_id: false,
            comment: format!("request {number}"),
        }
    }
}

/// Holds end often, so that most alerts go on; a requeue of everybody is about one alert.
fn random_request(random: &mut Random, alerts: u64, number: u32) -> Request {
    let verb = random.one_of(&["cancel", "hold", "release", "requeue"]);
    let name = Filter::AlertName(format!("job-{}", random.below(NAMES)));
    let alert = Filter::Alert(alerts.saturating_sub(random.below(100)).max(1));
    let port = Filter::SendPort(random.one_of(&SEND_PORTS));
    let which = random.below(10);
    let filter = match (verb, which) {
        ("release", 0..=3) => Filter::All,
        (_, 0..=3) => alert,
        ("cancel", 4) => Filter::Status("delayed"),
        ("requeue", 4 | 5) => Filter::Status("failed"),
        (_, 5) => port,
        _ => name,
    };
    let is_one = matches!(filter, Filter::Alert(_));
    Request {
        verb,
        filter,
        all_recipients: is_one && random.below(2) == 0,
        new_message_id: random.below(3) == 0,
        comment: format!("request {number}"),
    }
}
