//! What is done to the service while alerts come in.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::count::{Counts, count};
use crate::database::{Database, Engine};
use crate::proxy::{Mode, Proxy};

/// The lease that the services are configured with.
const LEASE: Duration = Duration::from_secs(4);

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Kill,
    RelayCutAfterDot,
    FreezeProcess,
    DatabaseCut,
    DatabaseFrozen,
}

pub(crate) const ALL: [Scenario; 5] = [
    Scenario::Kill,
    Scenario::RelayCutAfterDot,
    Scenario::FreezeProcess,
    Scenario::DatabaseCut,
    Scenario::DatabaseFrozen,
];

impl Scenario {
    /// A file has no link to cut.
    pub(crate) fn applies_to(self, engine: &Engine) -> bool {
        let on_the_link = matches!(self, Self::DatabaseCut | Self::DatabaseFrozen);
        !on_the_link || matches!(engine, Engine::TSql(_))
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 at random points",
            Self::RelayCutAfterDot => "relay cut after the final dot",
            Self::FreezeProcess => "SIGSTOP longer than the lease",
            Self::DatabaseCut => "database link cut at random",
            Self::DatabaseFrozen => "database link frozen beyond the lease",
        }
    }
}

/// How much of it.
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) kills: u32,
    pub(crate) faults: u32,
    pub(crate) rate: u32,
    pub(crate) keep: bool,
}

/// One line of the table.
pub(crate) struct Row {
    engine: &'static str,
    scenario: Scenario,
    faults: u32,
    counts: Counts,
}

impl Row {
    pub(crate) const HEAD: &str = "\
| engine | what was done | times | alerts | lost | duplicated | explained | unknown attempts |\n\
|---|---|---|---|---|---|---|---|";

    /// Nothing lost, every duplicate explained, and fewer than one kill in ten makes one.
    pub(crate) fn is_good(&self) -> bool {
        let counts = &self.counts;
        let rare = self.scenario != Scenario::Kill || counts.duplicated * 10 < self.faults;
        counts.lost == 0 && counts.duplicated == counts.explained && rare
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            alerts,
            lost,
            duplicated,
            explained,
            unknown,
        } = &self.counts;
        let (engine, what, times) = (self.engine, self.scenario.name(), self.faults);
        write!(
            f,
            "| {engine} | {what} | {times} | {alerts} | {lost} | {duplicated} | {explained} | {unknown} |"
        )
    }
}

/// Everything that one run needs.
struct Run<'a> {
    plan: &'a Plan,
    folder: tempfile::TempDir,
    database: Arc<Database>,
    relay: Option<Proxy>,
    link: Option<Proxy>,
}

pub(crate) async fn run(scenario: &Scenario, engine: &Engine, plan: &Plan) -> Row {
    let mut folder = tempfile::tempdir().expect("a folder");
    folder.disable_cleanup(plan.keep);
    let sink = Sink::start(SinkOptions {
        folder: folder.path().join("mails"),
        ..SinkOptions::default()
    })
    .await
    .expect("start the sink");
    let database = Arc::new(Database::new(engine, folder.path()));
    let cut_after = (*scenario == Scenario::RelayCutAfterDot).then_some(10);
    let relay = match cut_after {
        Some(every) => Some(Proxy::start(sink.local_addr().to_string(), Some(every)).await),
        None => None,
    };
    let link = match database.address() {
        Some(address) => Some(Proxy::start(address, None).await),
        None => None,
    };
    let run = Run {
        plan,
        folder,
        database,
        relay,
        link,
    };
    run.configure(sink.local_addr());
    let (faults, alerts) = run.work(*scenario).await;
    let counts = count(&run.database, &run.folder.path().join("mails"), alerts).await;
    sink.stop().await;
    run.database.remove().await;
    Row {
        engine: engine.name(),
        scenario: *scenario,
        faults,
        counts,
    }
}

impl Run<'_> {
    fn configure(&self, sink: std::net::SocketAddr) {
        let relay = self.relay.as_ref().map_or(sink, Proxy::address);
        let link = self.link.as_ref().map(Proxy::address);
        let text = format!(
            "environment = 'crash'\n[database]\nconnection = '{}'\n[http]\nlisten = ''\n\
             [service]\nlease = '{}s'\nrenew_interval = '1s'\nsweep_interval = '500ms'\npoll_interval = '200ms'\n\
             [relay.main]\nkind = 'smtp'\nhost = '{}'\nport = {}\ntls = 'none'\nehlo_name = 'crash.test'\n\
             [send_port.default]\nfrom = 'a@example.test'\nrelays = ['main']\n\
             [send_port.default.retry]\nfirst_delay = '1s'\nlongest_delay = '2s'\n",
            self.database.connection(link),
            LEASE.as_secs(),
            relay.ip(),
            relay.port()
        );
        std::fs::write(self.config(), text).expect("write the configuration");
        // Making a database can take a busy server longer than the time-out of a command.
        let migrate = || self.command(&["migrate", "--create-database"]).output();
        let mut migrated = migrate().expect("run migrate");
        for _ in 0..4 {
            if migrated.status.success() {
                return;
            }
            migrated = migrate().expect("run migrate");
        }
        panic!("{}", String::from_utf8_lossy(&migrated.stderr));
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("sendport.toml")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.plan.program);
        command.arg("--config").arg(self.config()).args(arguments);
        command
    }

    fn start(&self) -> Service {
        let log = log_file(self.folder.path());
        let child = self
            .command(&["run"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Service(child.expect("start sendport"))
    }

    /// Does it while alerts come in, then waits until everything is final.
    async fn work(&self, scenario: Scenario) -> (u32, u32) {
        let inserted = Arc::new(AtomicU32::new(0));
        let enough = Arc::new(AtomicBool::new(false));
        let writer = tokio::spawn(insert(
            self.database.clone(),
            self.plan.rate,
            inserted.clone(),
            enough.clone(),
        ));
        let mut services = [self.start(), self.start()];
        let faults = match scenario {
            Scenario::Kill => self.kill(&mut services).await,
            Scenario::RelayCutAfterDot => self.wait_for_cuts().await,
            Scenario::FreezeProcess => self.freeze(&services).await,
            Scenario::DatabaseCut | Scenario::DatabaseFrozen => self.disturb(scenario).await,
        };
        enough.store(true, Ordering::Relaxed);
        writer.await.expect("the writer");
        self.wait_until_all_final().await;
        (faults, inserted.load(Ordering::Relaxed))
    }

    async fn kill(&self, services: &mut [Service; 2]) -> u32 {
        // A server takes longer to sign in to: leave it time to work in between.
        let longest = if self.link.is_some() { 2_500 } else { 700 };
        for at in 0..self.plan.kills {
            pause(Duration::from_millis(u64::from(random(longest)) + 100)).await;
            let victim = &mut services[at as usize % 2];
            victim.signal("KILL");
            let _ = victim.0.wait();
            *victim = self.start();
        }
        self.plan.kills
    }

    async fn wait_for_cuts(&self) -> u32 {
        let cuts = &self.relay.as_ref().expect("a proxy").cuts;
        for _ in 0..1_200 {
            if cuts.load(Ordering::Relaxed) >= self.plan.faults {
                break;
            }
            pause(Duration::from_millis(100)).await;
        }
        cuts.load(Ordering::Relaxed)
    }

    async fn freeze(&self, services: &[Service; 2]) -> u32 {
        for at in 0..self.plan.faults {
            let victim = &services[at as usize % 2];
            pause(Duration::from_millis(u64::from(random(1000)))).await;
            victim.signal("STOP");
            pause(LEASE + LEASE / 2).await;
            victim.signal("CONT");
        }
        self.plan.faults
    }

    async fn disturb(&self, scenario: Scenario) -> u32 {
        let link = self.link.as_ref().expect("a proxy");
        let times = if scenario == Scenario::DatabaseCut {
            self.plan.faults * 5
        } else {
            self.plan.faults
        };
        for at in 0..times {
            pause(Duration::from_millis(u64::from(random(1500)))).await;
            if scenario == Scenario::DatabaseCut {
                link.set(Mode::Cut(at));
            } else {
                link.set(Mode::Freeze);
                pause(LEASE + Duration::from_secs(1)).await;
            }
            link.set(Mode::Pass);
        }
        times
    }

    async fn wait_until_all_final(&self) {
        for _ in 0..600 {
            let open = self
                .database
                .value("SELECT count(*) FROM {AlertState} WHERE FinalAt IS NULL")
                .await;
            if open == "0" {
                return;
            }
            pause(Duration::from_millis(250)).await;
        }
    }
}

/// Alerts at a steady rate, each in a transaction of its own, until it is enough.
async fn insert(
    database: Arc<Database>,
    rate: u32,
    inserted: Arc<AtomicU32>,
    enough: Arc<AtomicBool>,
) {
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    while !enough.load(Ordering::Relaxed) {
        tick.tick().await;
        database
            .insert(inserted.fetch_add(1, Ordering::Relaxed))
            .await;
    }
}

/// A running service; killed when dropped.
struct Service(Child);

impl Service {
    fn signal(&self, name: &str) {
        let told = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.0.id().to_string())
            .status();
        assert!(told.expect("run kill").success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log_file(folder: &Path) -> std::fs::File {
    let mut options = std::fs::File::options();
    options
        .create(true)
        .append(true)
        .open(folder.join("service.log"))
        .expect("open the log")
}

/// A harness waits; a test would not.
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// From 0 to below `end`.
fn random(end: u32) -> u32 {
    let octets = *uuid::Uuid::new_v4().as_bytes();
    u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]) % end
}
