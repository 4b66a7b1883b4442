//! The composition root: the only file that names concrete adapters.

mod sign_ins;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::audit::{AuditTrail, Auditor, DatabaseTrail, FolderTrail};
use crate::clock::{Clock, SystemClock};
use crate::config::secret::resolve_password;
use crate::config::{Config, RelayConfig, SendPortConfig, ServiceConfig, sqlite_file};
use crate::dispatcher::{Dispatcher, Parts, RelayBoard};
use crate::domain::{InstanceId, InstanceInfo, SendPortInfo};
use crate::driver::{
    self, Driver, Ended, InDoubtPolicies, LeaseGuard, Ledger, Notice, Notices, RecoveryError,
    Rhythm,
};
use crate::oauth2;
use crate::relay::sign_in::{SignInLedger, Unshared};
use crate::relay::{Relay, discard::DiscardRelay, file::FileRelay};
use crate::replies::ReplyTable;
use crate::send_port::SendPort;
use crate::smtp::{SmtpRelay, Surroundings, ehlo_name};
use crate::spool::{Spool, SpoolError};
use crate::store::sqlite::{self, SqliteStore};
use crate::store::sqlserver::{self, SqlServerStore};
use crate::store::{
    Event, EventSeverity, Explanation, SchemaState, Store, StoreAdmin as _, StoreError,
};
use crate::template::TemplateSet;
use sign_ins::SharedSignIns;

/// Why the service cannot start or go on. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration.
    #[error("{0}")]
    Config(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database is not one that this configuration may work on.
    #[error("{0}")]
    WrongDatabase(String),
}

/// Opens the database that the configuration names. Does not check its schema.
///
/// # Errors
/// [`AppError::Config`] if the connection string cannot be read, [`AppError::Store`] if the
/// database cannot be opened at all.
pub fn open_store(config: &Config) -> Result<Arc<dyn Store>, AppError> {
    let connection = config
        .database
        .resolve()
        .map_err(|error| AppError::Config(format!("database.connection: {error}")))?;
    match sqlite_file(connection.expose()) {
        Some(file) => Ok(Arc::new(SqliteStore::open(&file, system_clock())?)),
        None => Ok(Arc::new(SqlServerStore::open(connection.expose())?)),
    }
}

/// Everything that `migrate` does, as a script for sqlcmd or sqlite3.
pub fn migration_script(connection: &str) -> String {
    match sqlite_file(connection) {
        Some(_) => sqlite::migration_script(),
        None => sqlserver::migration_script(),
    }
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

/// Refuses a database whose schema or environment is not this program's and configuration's.
///
/// # Errors
/// [`AppError::WrongDatabase`] with the command that mends it.
pub async fn check_database(store: &dyn Store, environment: &str) -> Result<(), AppError> {
    if let Some(problem) = schema_problem(store).await? {
        return Err(AppError::WrongDatabase(problem));
    }
    let found = store.name_environment(environment).await?;
    if found == environment {
        return Ok(());
    }
    Err(AppError::WrongDatabase(format!(
        "{} belongs to the environment '{found}', but this service is configured for '{environment}'. \
         If this is a copy, run `sendport adopt --environment {environment} --expire` (or --hold) once; \
         else set environment = \"{found}\".",
        store.describe()
    )))
}

/// What is wrong with the schema, in a sentence; `None` if nothing is.
///
/// # Errors
/// [`StoreError`] if the database cannot be asked.
pub async fn schema_problem(store: &dyn Store) -> Result<Option<String>, StoreError> {
    let database = store.describe();
    Ok(match store.schema_state().await? {
        SchemaState::Current(_) => None,
        SchemaState::Absent => Some(format!(
            "{database} has no sendport schema; run `sendport migrate` once"
        )),
        SchemaState::Behind { found, expected } => Some(format!(
            "{database} has schema version {found}, this program needs {expected}; run `sendport migrate`"
        )),
        SchemaState::Ahead { found, expected } => Some(format!(
            "{database} has schema version {found}, this program knows {expected} at most; run the newer sendport"
        )),
        SchemaState::Altered { version } => Some(format!(
            "{database} was made by another version of migration {version}; run the sendport that made it"
        )),
    })
}

/// What is known together about refused secrets in the database that `config` names; nothing
/// where it cannot be asked.
pub async fn sign_ins_of(config: &Config) -> Arc<dyn SignInLedger> {
    if let Ok(store) = open_store(config)
        && let Ok(None) = schema_problem(&*store).await
    {
        return SharedSignIns::new(store);
    }
    Arc::new(Unshared)
}

/// Makes every relay of the configuration.
///
/// # Errors
/// [`AppError::Config`] naming relay and key.
pub fn make_relays(
    config: &Config,
    sign_ins: &Arc<dyn SignInLedger>,
) -> Result<Vec<Arc<dyn Relay>>, AppError> {
    let make = |(name, relay): (&String, &RelayConfig)| -> Result<Arc<dyn Relay>, AppError> {
        Ok(match relay {
            RelayConfig::Smtp(smtp) => {
                let wrong = |error: &dyn std::fmt::Display| {
                    AppError::Config(format!("relay.{name}: {error}"))
                };
                let password = resolve_password(&smtp.auth).map_err(|error| wrong(&error))?;
                let around = Surroundings {
                    password,
                    default_ehlo_name: ehlo_name::of_this_host(),
                    sign_ins: sign_ins.clone(),
                    clock: system_clock(),
                };
                let mut relay =
                    SmtpRelay::new(name, smtp, around).map_err(|error| wrong(&error))?;
                if let Some(section) = &smtp.auth.oauth2 {
                    let tokens = oauth2::source(name, section, system_clock());
                    let tokens = tokens.map_err(|what| wrong(&format!("auth.oauth2: {what}")))?;
                    relay = relay.with_token_source(tokens);
                }
                Arc::new(relay)
            }
            RelayConfig::File(file) => Arc::new(FileRelay::new(name, file, system_clock())),
            RelayConfig::Discard(_) => Arc::new(DiscardRelay::new(name, system_clock())),
        })
    };
    config.relay.iter().map(make).collect()
}

/// Reads every send port of the configuration.
///
/// # Errors
/// [`AppError::Config`] naming the send port.
pub fn make_send_ports(config: &Config) -> Result<BTreeMap<String, SendPort>, AppError> {
    let make = |(name, port): (&String, &SendPortConfig)| {
        let port = SendPort::from_config(name, port)
            .map_err(|error| AppError::Config(format!("send_port.{name}: {error}")))?;
        Ok((name.clone(), port))
    };
    config.send_port.iter().map(make).collect()
}

/// Whether the delivery windows are open, in words, by the name of the send port; what cannot
/// be read is left to [`make_send_ports`].
pub fn window_states(config: &Config) -> Vec<(String, String)> {
    let ports = make_send_ports(config).unwrap_or_default();
    let now = system_clock().now();
    let state = |(name, port): (String, SendPort)| Some((name, port.window_state(now)?));
    ports.into_iter().filter_map(state).collect()
}

/// Opens the audit folder of every send port that has one.
///
/// # Errors
/// [`AppError::Config`] naming the key.
pub fn open_audit_folders(config: &Config) -> Result<BTreeMap<String, FolderTrail>, AppError> {
    let mut opened = BTreeMap::new();
    for (name, port) in &config.send_port {
        let Some(folder) = port.audit.as_ref().and_then(|audit| audit.folder.as_ref()) else {
            continue;
        };
        let trail = FolderTrail::open(folder)
            .map_err(|error| AppError::Config(format!("send_port.{name}.audit.folder: {error}")))?;
        opened.insert(name.clone(), trail);
    }
    Ok(opened)
}

/// Loads the templates.
///
/// # Errors
/// [`AppError::Config`] naming file and line.
pub fn load_templates(folder: &Path) -> Result<TemplateSet, AppError> {
    if folder.as_os_str().is_empty() {
        return Ok(TemplateSet::empty());
    }
    TemplateSet::load(folder)
        .map_err(|error| AppError::Config(format!("templates.folder: {error}")))
}

/// Everything of the configuration that may be wrong, made once before the database is
/// touched.
pub struct Service {
    store: Arc<dyn Store>,
    send_ports: BTreeMap<String, SendPort>,
    templates: Arc<TemplateSet>,
    replies: Arc<ReplyTable>,
    relays: Vec<Arc<dyn Relay>>,
    sign_ins: Arc<SharedSignIns>,
    audit_folders: BTreeMap<String, Arc<dyn AuditTrail>>,
    config: Config,
}

impl Service {
    /// Makes the parts.
    ///
    /// # Errors
    /// [`AppError::Config`].
    pub fn new(config: Config, store: Arc<dyn Store>) -> Result<Self, AppError> {
        let sign_ins = SharedSignIns::new(store.clone());
        let ledger: Arc<dyn SignInLedger> = sign_ins.clone();
        Ok(Self {
            store,
            send_ports: make_send_ports(&config)?,
            templates: Arc::new(load_templates(&config.templates.folder)?),
            replies: Arc::new(ReplyTable::built_in()),
            relays: make_relays(&config, &ledger)?,
            sign_ins,
            audit_folders: open_audit_folders(&config)?
                .into_iter()
                .map(|(port, folder)| (port, Arc::new(folder) as Arc<dyn AuditTrail>))
                .collect(),
            config,
        })
    }

    /// Waits for the database, checks it, and works until `stop` is cancelled. True if
    /// everything under way was recorded.
    ///
    /// # Errors
    /// [`AppError`] where a person has to do something.
    pub async fn run(self, stop: CancellationToken) -> Result<bool, AppError> {
        if !self.wait_for_database(&stop).await? {
            return Ok(true);
        }
        let database = self.store.describe();
        let Some(spool) = self.recover(&database, &stop).await? else {
            return Ok(true);
        };
        let (events_in, mut events) = mpsc::unbounded_channel();
        let board = Arc::new(RelayBoard::new(
            self.relays.clone(),
            self.replies.clone(),
            system_clock(),
            events_in.clone(),
        ));
        loop {
            let auditors = self.auditors(&events_in);
            let driver = self.driver(&board, auditors, &spool, &stop);
            spool
                .begin(driver.instance.id, &database)
                .map_err(spool_failed)?;
            let _ = events_in.send(started(&driver.instance));
            match driver.run(&mut events).await {
                Ok(Ended::Stopped) => return Ok(true),
                Ok(Ended::StoppedHard) => return Ok(self.settle(&spool).await),
                Ok(Ended::LeaseLost) => {}
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "cannot register");
                    if !pause(&stop, self.config.service.poll_interval).await {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Brings what dead instances left over to the database, before anything is claimed, and
    /// returns the slot to work with; `None` if told to stop meanwhile.
    async fn recover(
        &self,
        database: &str,
        stop: &CancellationToken,
    ) -> Result<Option<Arc<Spool>>, AppError> {
        let folder = &self.config.service.state_folder;
        let spools = Spool::enter(folder, database).map_err(spool_failed)?;
        let policies = self.policies();
        let clock = SystemClock;
        for spool in &spools {
            while let Err(error) = driver::recover(&*self.store, spool, &policies, &clock).await {
                match error {
                    RecoveryError::Store(error) if error.is_transient() => {
                        tracing::warn!(%error, "what a dead instance left over waits for the database");
                    }
                    RecoveryError::Store(error) => return Err(error.into()),
                    RecoveryError::Spool(error) => return Err(spool_failed(error)),
                }
                if !pause(stop, self.config.service.poll_interval).await {
                    return Ok(None);
                }
            }
        }
        Ok(spools.into_iter().next().map(Arc::new))
    }

    /// After a stop that cut transactions off: writes down what is in doubt and releases the
    /// rest at once. True if that worked; else the next start does it.
    async fn settle(&self, spool: &Spool) -> bool {
        let (policies, clock) = (self.policies(), SystemClock);
        let recovery = driver::recover(&*self.store, spool, &policies, &clock);
        match tokio::time::timeout(self.config.service.drain_timeout, recovery).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "what was cut off waits for the next start");
                false
            }
            Err(_) => false,
        }
    }

    fn policies(&self) -> InDoubtPolicies {
        let policy = |port: &SendPort| (port.in_doubt, port.retry.first_delay);
        let named = |(name, port): (&String, &SendPort)| (name.clone(), policy(port));
        self.send_ports.iter().map(named).collect()
    }

    /// True once the database answered and is the right one; false if told to stop before.
    async fn wait_for_database(&self, stop: &CancellationToken) -> Result<bool, AppError> {
        let mut wait = std::time::Duration::from_millis(250);
        let mut said = false;
        loop {
            match check_database(&*self.store, &self.config.environment).await {
                Ok(()) => return Ok(true),
                Err(AppError::Store(error)) if error.is_transient() => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(%error, database = %self.store.describe(), "waiting for the database");
                    }
                    if !pause(stop, wait).await {
                        return Ok(false);
                    }
                    wait = (wait * 2).min(std::time::Duration::from_secs(10));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn driver(
        &self,
        board: &Arc<RelayBoard>,
        auditors: BTreeMap<String, Auditor>,
        spool: &Arc<Spool>,
        stop: &CancellationToken,
    ) -> Driver {
        let guard = Arc::new(LeaseGuard::new(self.config.service.lease));
        let ledger = Arc::new(Ledger::new(guard.clone(), spool.clone()));
        let dispatcher = Dispatcher::new(Parts {
            send_ports: self.send_ports.clone(),
            board: board.clone(),
            auditors,
            templates: self.templates.clone(),
            replies: self.replies.clone(),
            clock: system_clock(),
            journal: ledger.clone(),
            chance: Box::new(chance),
            stop: stop.clone(),
        });
        let instance = instance(&self.config.service);
        self.sign_ins.act_as(instance.id);
        Driver {
            store: self.store.clone(),
            instance,
            send_ports: self.send_ports.values().map(send_port_info).collect(),
            explanations: explanations(&self.replies),
            board: board.clone(),
            dispatcher: Arc::new(dispatcher),
            guard,
            ledger,
            notices: self.notices(),
            rhythm: rhythm(&self.config.service),
            stop: stop.clone(),
        }
    }
}

impl Service {
    /// Who keeps copies for each send port that has an audit.
    fn auditors(&self, events: &mpsc::UnboundedSender<Event>) -> BTreeMap<String, Auditor> {
        let mut auditors = BTreeMap::new();
        for (name, port) in &self.config.send_port {
            let Some(audit) = &port.audit else { continue };
            let mut trails: Vec<_> = self.audit_folders.get(name).cloned().into_iter().collect();
            if audit.database {
                trails.push(Arc::new(DatabaseTrail::new(self.store.clone())));
            }
            let auditor = Auditor::new(name, audit.stages(), trails, events.clone());
            auditors.insert(name.clone(), auditor);
        }
        auditors
    }

    fn notices(&self) -> Notices {
        let notice = |(name, port): (&String, &SendPortConfig)| {
            Some(Notice {
                send_port: name.clone(),
                to: port.notify_failures_to.clone()?,
                interval: port.notify_interval,
            })
        };
        Notices {
            environment: self.config.environment.clone(),
            notices: self.config.send_port.iter().filter_map(notice).collect(),
            clock: system_clock(),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn spool_failed(error: SpoolError) -> AppError {
    AppError::Config(format!("service.state_folder: {error}"))
}

/// False if told to stop meanwhile.
async fn pause(stop: &CancellationToken, wait: std::time::Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(wait) => true,
    }
}

fn started(instance: &InstanceInfo) -> Event {
    Event {
        severity: EventSeverity::Information,
        event_type: "instance-started",
        instance: Some(instance.id),
        alert: None,
        send_port: None,
        relay: None,
        message: format!("sendport {} started as {}", instance.version, instance.name),
    }
}

/// Random enough to spread retries: taken from a fresh UUID, so that no crate is needed for it.
fn chance() -> f64 {
    let random = u32::from_be_bytes(first_four(uuid::Uuid::new_v4().as_bytes()));
    f64::from(random) / f64::from(u32::MAX)
}

fn first_four(bytes: &[u8; 16]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

fn instance(config: &ServiceConfig) -> InstanceInfo {
    let host_name = host_name();
    let process_id = std::process::id();
    let name = match config.instance_name.trim() {
        "" => format!("{host_name}:{process_id}"),
        name => name.to_owned(),
    };
    InstanceInfo {
        id: InstanceId::random(),
        name,
        host_name,
        process_id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The kernel's own word, else what the shell says.
fn host_name() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let variable = || {
        std::env::var("COMPUTERNAME")
            .or_else(|_| std::env::var("HOSTNAME"))
            .ok()
    };
    kernel
        .or_else(variable)
        .map_or_else(|| "localhost".to_owned(), |name| name.trim().to_owned())
}

fn send_port_info(port: &SendPort) -> SendPortInfo {
    SendPortInfo {
        name: port.name.clone(),
        from_address: port.from.to_string(),
        relays: port.relays.clone(),
        protection: port.protection.as_str().to_owned(),
        max_age: port.retry.max_age,
        in_doubt: port.in_doubt,
    }
}

fn explanations(replies: &ReplyTable) -> Vec<Explanation> {
    let explanation = |entry: &crate::replies::Entry| Explanation {
        key: entry.key.clone(),
        fault: entry.fault.as_str().to_owned(),
        cause: entry.cause.clone(),
        advice: entry.advice.clone(),
    };
    replies.explanations().map(explanation).collect()
}

fn rhythm(config: &ServiceConfig) -> Rhythm {
    Rhythm {
        max_in_flight: config.max_in_flight,
        poll_interval: config.poll_interval,
        lease: config.lease,
        renew_interval: config.renew_interval,
        sweep_interval: config.sweep_interval,
        drain_timeout: config.drain_timeout,
    }
}

/// The demonstration's database: an embedded one that also answers plain SQL.
pub struct DemoDatabase {
    store: Arc<SqliteStore>,
}

impl DemoDatabase {
    /// Creates the file and its tables.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create(file: &Path) -> Result<Self, StoreError> {
        let store = Arc::new(SqliteStore::open(file, system_clock())?);
        store.create_database().await?;
        store.migrate().await?;
        Ok(Self { store })
    }

    /// For the service.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Runs statements, as sqlite3 would.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_script(&self, sql: &str) -> Result<(), StoreError> {
        self.store.run_script(sql).await
    }

    /// Column names and rows of a query, everything as text.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn query(&self, sql: &str) -> Result<(Vec<String>, Vec<Vec<String>>), StoreError> {
        self.store.query(sql).await
    }
}
