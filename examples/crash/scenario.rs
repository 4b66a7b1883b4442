//! What is done to the service while alerts come in.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use sendport::sink::{Sink, SinkOptions};

use crate::clients::Clients;
use crate::count::{Counts, count};
use crate::database::{Database, Engine};
use crate::disk::Disk;
use crate::proxy::{Mode, Proxy};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    Kill,
    KillBesideClients,
    KillBesideClientsWithSpool,
    RelayCutAfterDot,
    FreezeProcess,
    DatabaseCut,
    DatabaseFrozen,
    EngineRestartedImmediately,
    EngineRestartedFast,
    EngineKilled,
    FileLocked,
    DiskFull,
}

pub(crate) const ALL: [Scenario; 12] = [
    Scenario::Kill,
    Scenario::KillBesideClients,
    Scenario::KillBesideClientsWithSpool,
    Scenario::RelayCutAfterDot,
    Scenario::FreezeProcess,
    Scenario::DatabaseCut,
    Scenario::DatabaseFrozen,
    Scenario::EngineRestartedImmediately,
    Scenario::EngineRestartedFast,
    Scenario::EngineKilled,
    Scenario::FileLocked,
    Scenario::DiskFull,
];

impl Scenario {
    /// A file has no link to cut and no engine to restart: it is locked for a while, or its disk is
    /// full. A server's disk and locks are its own.
    pub(crate) fn applies_to(self, engine: &Engine) -> bool {
        match self {
            Self::Kill
            | Self::KillBesideClients
            | Self::KillBesideClientsWithSpool
            | Self::RelayCutAfterDot
            | Self::FreezeProcess => true,
            Self::FileLocked | Self::DiskFull => matches!(engine, Engine::Sqlite),
            _ => matches!(engine, Engine::TSql(_)),
        }
    }

    /// What is missing for it, in words.
    pub(crate) fn cannot_run(self, engine: &Engine, plan: &Plan) -> Option<&'static str> {
        match self {
            Self::DiskFull => (!Disk::available()).then_some("file systems cannot be mounted here"),
            _ if self.is_of_the_engine() && plan.engine.command(self).is_none() => Some(
                "name a command by --engine-restart-immediate, --engine-restart-fast, --engine-kill",
            ),
            _ if self.applies_to(engine) => None,
            _ => Some("does not apply"),
        }
    }

    fn is_of_the_engine(self) -> bool {
        let of_the_engine = [
            Self::EngineRestartedImmediately,
            Self::EngineRestartedFast,
            Self::EngineKilled,
        ];
        of_the_engine.contains(&self)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 at random points",
            Self::KillBesideClients => "kill -9 while two clients submit messages",
            Self::KillBesideClientsWithSpool => {
                "kill -9 while two clients submit messages and the database is away now and then"
            }
            Self::RelayCutAfterDot => "relay cut after the final dot",
            Self::FreezeProcess => "SIGSTOP longer than the lease",
            Self::DatabaseCut => "database link cut at random",
            Self::DatabaseFrozen => "database link frozen beyond the lease",
            Self::EngineRestartedImmediately => "engine restarted, immediate, with a queue of 300",
            Self::EngineRestartedFast => "engine restarted, fast, with a queue of 300",
            Self::EngineKilled => "engine killed for memory, with a queue of 300",
            Self::FileLocked => "database file locked, with a queue of 300",
            Self::DiskFull => "disk of the database full, with a queue of 300",
        }
    }
}

/// Shell commands that do something to a T-SQL engine, each until it runs again.
pub(crate) struct EngineCommands {
    pub(crate) restart_immediate: Option<String>,
    pub(crate) restart_fast: Option<String>,
    pub(crate) kill: Option<String>,
}

impl EngineCommands {
    fn command(&self, scenario: Scenario) -> Option<&str> {
        let command = match scenario {
            Scenario::EngineRestartedImmediately => &self.restart_immediate,
            Scenario::EngineRestartedFast => &self.restart_fast,
            Scenario::EngineKilled => &self.kill,
            _ => &None,
        };
        command.as_deref()
    }
}

/// How much of it.
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) kills: u32,
    pub(crate) faults: u32,
    pub(crate) rate: u32,
    /// Alerts that wait before each fault of a drain.
    pub(crate) drain: u32,
    /// The lease that the services are configured with.
    pub(crate) lease: Duration,
    /// Of a T-SQL engine, in seconds.
    pub(crate) command_timeout: u64,
    pub(crate) engine: EngineCommands,
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
    /// Unmounted before its folder goes.
    disk: Option<Disk>,
    folder: tempfile::TempDir,
    database: Arc<Database>,
    relay: Option<Proxy>,
    link: Option<Proxy>,
    sink: Sink,
    /// Where the only instance takes messages, if it does.
    intake: Option<SocketAddr>,
    /// The intake has a spool, and the database is away now and then.
    has_spool: bool,
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
    let disk = (*scenario == Scenario::DiskFull).then(|| folder.path().join("disk"));
    let place = disk.as_deref().unwrap_or(folder.path());
    std::fs::create_dir_all(place).expect("create a folder");
    let disk = disk.as_deref().and_then(Disk::mount);
    let database = Arc::new(Database::new(engine, place, plan.command_timeout));
    let cut_after = (*scenario == Scenario::RelayCutAfterDot).then_some(10);
    let relay = match cut_after {
        Some(every) => Some(Proxy::start(sink.local_addr().to_string(), Some(every)).await),
        None => None,
    };
    let link = match database.address() {
        Some(address) => Some(Proxy::start(address, None).await),
        None => None,
    };
    let has_spool = *scenario == Scenario::KillBesideClientsWithSpool;
    let has_clients = has_spool || *scenario == Scenario::KillBesideClients;
    let intake = has_clients.then(free_port);
    let run = Run {
        plan,
        intake,
        has_spool,
        disk,
        folder,
        database,
        relay,
        link,
        sink,
    };
    run.configure();
    let (faults, counts) = match intake {
        Some(intake) => run.kill_beside_clients(intake).await,
        None => {
            let (faults, alerts) = run.work(*scenario).await;
            let mails = run.folder.path().join("mails");
            (faults, count(&run.database, &mails, alerts).await)
        }
    };
    run.sink.stop().await;
    run.database.remove().await;
    Row {
        engine: engine.name(),
        scenario: *scenario,
        faults,
        counts,
    }
}

impl Run<'_> {
    fn configure(&self) {
        let sink = self.sink.local_addr();
        let relay = self.relay.as_ref().map_or(sink, Proxy::address);
        let link = self.link.as_ref().map(Proxy::address);
        let text = format!(
            "environment = 'crash'\n[database]\nconnection = '{}'\n[http]\nlisten = ''\n\
             [service]\nlease = '{}s'\nrenew_interval = '1s'\nsweep_interval = '500ms'\npoll_interval = '200ms'\n\
             [relay.main]\nkind = 'smtp'\nhost = '{}'\nport = {}\ntls = 'none'\nehlo_name = 'crash.test'\n\
             [send_port.default]\nfrom = 'a@example.test'\nrelays = ['main']\n\
             [send_port.default.retry]\nfirst_delay = '1s'\nlongest_delay = '2s'\n{}",
            self.database.connection(link),
            self.plan.lease.as_secs(),
            relay.ip(),
            relay.port(),
            self.intake
                .map(|it| intake_section(it, self.has_spool))
                .unwrap_or_default()
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
        if scenario.is_of_the_engine()
            || matches!(scenario, Scenario::FileLocked | Scenario::DiskFull)
        {
            return self.drain(scenario).await;
        }
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
            _ => self.disturb(scenario).await,
        };
        enough.store(true, Ordering::Relaxed);
        writer.await.expect("the writer");
        self.wait_until_all_final().await;
        (faults, inserted.load(Ordering::Relaxed))
    }

    /// Each time many alerts wait, and it is done when some of them were handed over.
    async fn drain(&self, scenario: Scenario) -> (u32, u32) {
        let _services = [self.start(), self.start()];
        let mut inserted = 0;
        for _ in 0..self.plan.faults {
            let before = self.sink.received();
            self.database
                .insert_many(inserted..inserted + self.plan.drain)
                .await;
            inserted += self.plan.drain;
            let some = before + u64::from(random(self.plan.drain / 2)) + 1;
            self.wait_for_mails(some).await;
            self.strike(scenario).await;
        }
        self.wait_until_all_final().await;
        (self.plan.faults, inserted)
    }

    async fn wait_for_mails(&self, count: u64) {
        for _ in 0..1_200 {
            if self.sink.received() >= count {
                return;
            }
            pause(Duration::from_millis(50)).await;
        }
    }

    async fn strike(&self, scenario: Scenario) {
        let beyond = self.plan.lease + Duration::from_secs(1);
        match (scenario, &self.disk) {
            (Scenario::FileLocked, _) => {
                let _lock = self.database.lock();
                pause(beyond).await;
            }
            (Scenario::DiskFull, Some(disk)) => {
                disk.fill();
                pause(beyond).await;
                disk.make_room();
            }
            _ => {
                let command = self
                    .plan
                    .engine
                    .command(scenario)
                    .expect("looked at before");
                let ended = tokio::process::Command::new("sh")
                    .args(["-c", command])
                    .output()
                    .await;
                let ended = ended.expect("run a shell");
                assert!(ended.status.success(), "{command}: {ended:?}");
                self.database.wait_until_up().await;
            }
        }
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

    /// What a client was told is compared with the rows; whether they were relayed is what the other scenarios are about.
    async fn kill_beside_clients(&self, intake: SocketAddr) -> (u32, Counts) {
        let clients = Clients::start(2, intake);
        let longest = if self.link.is_some() { 8_000 } else { 300 };
        let mut service = self.start();
        for _ in 0..self.plan.kills {
            if self.has_spool && random(2) == 0 {
                self.take_away(longest).await;
            }
            pause(Duration::from_millis(u64::from(random(longest)) + 100)).await;
            service.signal("KILL");
            let _ = service.0.wait();
            service = self.start();
        }
        let submitted = clients.stop().await;
        if self.has_spool {
            self.wait_until_spool_is_empty().await;
        }
        (self.plan.kills, submitted.count(&self.database).await)
    }

    /// The database answers nothing for longer than a client waits for it.
    async fn take_away(&self, longest: u32) {
        let away = Duration::from_millis(u64::from(random(longest)) + 700);
        match &self.link {
            Some(link) => {
                link.set(Mode::Freeze);
                pause(away).await;
                link.set(Mode::Pass);
            }
            None => {
                let _lock = self.database.lock();
                pause(away).await;
            }
        }
    }

    async fn wait_until_spool_is_empty(&self) {
        let folder = self.folder.path().join("sendport-state/intake-spool/local");
        for _ in 0..1_200 {
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            if files.count() == 0 {
                return;
            }
            pause(Duration::from_millis(250)).await;
        }
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
            pause(self.plan.lease * 3 / 2).await;
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
                pause(self.plan.lease + Duration::from_secs(1)).await;
            }
            link.set(Mode::Pass);
        }
        times
    }

    async fn wait_until_all_final(&self) {
        for _ in 0..1_200 {
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
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.0.id().to_string())
            .status();
        assert!(sent.expect("run kill").success());
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn intake_section(listen: SocketAddr, has_spool: bool) -> String {
    let spool = match has_spool {
        true => "spool = true\n[intake.local.timeout]\ncommit = '1s'\n",
        false => "",
    };
    format!(
        "[intake.local]\nkind = 'smtp'\nlisten = ['{listen}']\nsend_port = 'default'\nallow_senders = ['*']\n{spool}"
    )
}

/// The service listens there again after each kill.
fn free_port() -> SocketAddr {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address")
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
    let bytes = *uuid::Uuid::new_v4().as_bytes();
    u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) % end
}
