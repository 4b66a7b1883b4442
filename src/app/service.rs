//! The service from its start to its end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::database::check_database;
use super::http;
use super::instance::instance;
use super::parts::{make_relays, make_send_ports, open_audit_folders, reply_table, template_shelf};
use super::protectors::crl_folder;
use super::sign_ins::SharedSignIns;
use super::{AppError, system_clock};
use crate::audit::{AuditTrail, Auditor, DatabaseTrail};
use crate::clock::SystemClock;
use crate::config::{Config, SendPortConfig, ServiceConfig};
use crate::dispatcher::{CertificateShelf, Dispatcher, Parts, RelayBoard, TemplateShelf};
use crate::domain::{InstanceId, InstanceInfo, SendPortInfo};
use crate::driver::{
    self, Driver, Ended, InDoubtPolicies, Inherited, LeaseGuard, Ledger, Notice, Notices, Pulses,
    Rhythm,
};
use crate::keeper::Keeper;
use crate::metrics::Metrics;
use crate::relay::Relay;
use crate::relay::sign_in::SignInLedger;
use crate::relay::watch::RelayWatch;
use crate::replies::ReplyTable;
use crate::send_port::SendPort;
use crate::service_manager;
use crate::smime::CrlShelf;
use crate::spool::{Spool, SpoolError};
use crate::store::{Event, EventSeverity, Explanation, Store, StoreError, StoreErrorKind};
use crate::watch::{self, Watch};

/// Beside what is drained, recorded and settled, each up to `service.drain_timeout`, a stop takes
/// no longer than that.
const MARGIN: Duration = Duration::from_secs(15);

/// Everything of the configuration that may be wrong, made once before the database is
/// touched.
pub struct Service {
    store: Arc<dyn Store>,
    send_ports: BTreeMap<String, SendPort>,
    shelf: Arc<CrlShelf>,
    templates: Arc<TemplateShelf>,
    certificates: Arc<CertificateShelf>,
    replies: Arc<ReplyTable>,
    relays: Vec<Arc<dyn Relay>>,
    sign_ins: Arc<SharedSignIns>,
    audit_folders: BTreeMap<String, Arc<dyn AuditTrail>>,
    metrics: Arc<Metrics>,
    pulses: Arc<Pulses>,
    migrate: bool,
    config: Config,
}

impl Service {
    /// Makes the parts.
    ///
    /// # Errors
    /// [`AppError::Config`].
    pub async fn new(config: Config, store: Arc<dyn Store>) -> Result<Self, AppError> {
        let shelf = Arc::new(CrlShelf::keeping(&crl_folder(&config)));
        let sign_ins = SharedSignIns::new(store.clone());
        let ledger: Arc<dyn SignInLedger> = sign_ins.clone();
        let metrics = Metrics::new(
            config.send_port.keys().map(String::as_str),
            config.relay.keys().map(String::as_str),
        );
        Ok(Self {
            templates: Arc::new(template_shelf(&config, &store).await?),
            certificates: Arc::new(CertificateShelf::new(store.clone())),
            store,
            send_ports: make_send_ports(&config, &shelf)?,
            shelf,
            replies: Arc::new(reply_table(&config)?),
            relays: make_relays(&config, &ledger, Some(&metrics))?,
            sign_ins,
            audit_folders: open_audit_folders(&config)?
                .into_iter()
                .map(|(port, folder)| (port, Arc::new(folder) as Arc<dyn AuditTrail>))
                .collect(),
            metrics: Arc::new(metrics),
            pulses: Arc::default(),
            migrate: false,
            config,
        })
    }

    /// The same, and it makes or updates the tables before it works.
    #[must_use]
    pub fn migrating(self) -> Self {
        Self {
            migrate: true,
            ..self
        }
    }

    /// Waits for the database, checks it, and works until `stop` is cancelled. True if
    /// everything under way was recorded.
    ///
    /// # Errors
    /// [`AppError`] where a person has to do something.
    pub async fn run(self, stop: CancellationToken) -> Result<bool, AppError> {
        let (events_in, mut events) = mpsc::unbounded_channel();
        let board = self.board(&events_in);
        let watch = self.watch(&board, &stop);
        let may_take = self.config.service.drain_timeout * 3 + MARGIN;
        let _told = service_manager::begin(watch.clone(), stop.clone(), may_take);
        let lease = self.config.service.lease;
        let _shown = http::show(&self.config.http, lease, &watch, &self.store).await?;
        if !self.wait_for_database(&watch, &stop).await? {
            return Ok(true);
        }
        let Some(slots) = self.enter_state_folder(&watch, &stop).await? else {
            return Ok(true);
        };
        let mut before = Vec::new();
        for slot in &slots {
            if !self.recover(slot, &mut before, &watch, &stop).await {
                return Ok(true);
            }
        }
        let spool = Arc::new(self.gather(slots)?);
        let folder = &self.config.service.state_folder;
        let _kept = self.keeper(&events_in).begin(folder);
        loop {
            let auditors = self.auditors(&events_in);
            let driver = self.driver(&board, auditors, &spool, &before, &events_in, &stop)?;
            watch.works(driver.guard.clone(), driver.ledger.clone());
            let _ = events_in.send(started(&driver.instance));
            match driver.run(&mut events).await {
                Ok(Ended::Stopped) => return Ok(true),
                Ok(Ended::StoppedHard) => return Ok(self.settle(&spool).await),
                Ok(Ended::LeaseLost) => {
                    if !self.recover(&spool, &mut before, &watch, &stop).await {
                        return Ok(true);
                    }
                }
                Err(error) if is_waited_for(&error) => {
                    tracing::warn!(%error, "cannot register");
                    watch.waits(format!("it cannot register: {error}"));
                    if !pause(&stop, self.config.service.poll_interval).await {
                        return Ok(true);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Enters the state folder as soon as it can be used; `None` if told to stop meanwhile.
    async fn enter_state_folder(
        &self,
        watch: &Watch,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<Spool>>, AppError> {
        let folder = &self.config.service.state_folder;
        let mut said = false;
        loop {
            let error = match Spool::enter(folder, &self.store.describe()) {
                Ok(slots) => return Ok(Some(slots)),
                Err(error @ SpoolError::OtherDatabase { .. }) => return Err(spool_failed(error)),
                Err(error) => error,
            };
            watch.waits(format!("{error}; nothing is sent"));
            if !std::mem::replace(&mut said, true) {
                tracing::error!(%error, "spool cannot be written, nothing is handed over");
                self.log(&driver::unwritable(&error)).await;
            }
            if !pause(stop, self.config.service.poll_interval).await {
                return Ok(None);
            }
        }
    }

    async fn log(&self, event: &Event) {
        if let Err(error) = self.store.log_event(event).await {
            tracing::warn!(%error, event = %event.message, "event cannot be written");
        }
    }

    /// Brings what a dead instance left over to the database, before anything is claimed; adds it
    /// to `before` where the database refused some of that. False if told to stop meanwhile.
    async fn recover(
        &self,
        spool: &Spool,
        before: &mut Vec<InstanceId>,
        watch: &Watch,
        stop: &CancellationToken,
    ) -> bool {
        let (policies, clock) = (self.policies(), SystemClock);
        let mut said = false;
        loop {
            let error = match driver::recover(&*self.store, spool, &policies, &clock).await {
                Ok(refused_of) => {
                    before.extend(refused_of);
                    return true;
                }
                Err(error) => error,
            };
            watch.waits(format!(
                "what a dead instance left over waits for the database: {error}"
            ));
            if !std::mem::replace(&mut said, true) {
                tracing::warn!(%error, "what a dead instance left over waits for the database");
            }
            if !pause(stop, self.config.service.poll_interval).await {
                return false;
            }
        }
    }

    /// The first slot is worked with, and has what the database refused of the others.
    fn gather(&self, slots: Vec<Spool>) -> Result<Spool, AppError> {
        let (policies, clock, database) = (self.policies(), SystemClock, self.store.describe());
        let mut slots = slots.into_iter();
        let first = slots.next().ok_or_else(|| {
            AppError::Config("service.state_folder: it has no free slot".to_owned())
        })?;
        for other in slots.filter(|slot| !slot.is_empty()) {
            driver::bequeath(&other, &first, &database, &policies, &clock).map_err(spool_failed)?;
        }
        Ok(first)
    }

    /// After a stop that cut transactions off: writes down what is in doubt and releases the
    /// rest at once. True if that worked; else the next start does it.
    async fn settle(&self, spool: &Spool) -> bool {
        let (policies, clock) = (self.policies(), SystemClock);
        let recovery = driver::recover(&*self.store, spool, &policies, &clock);
        match tokio::time::timeout(self.config.service.drain_timeout, recovery).await {
            Ok(Ok(refused_of)) => refused_of.is_none(),
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
    async fn wait_for_database(
        &self,
        watch: &Watch,
        stop: &CancellationToken,
    ) -> Result<bool, AppError> {
        let mut wait = Duration::from_millis(250);
        let mut said = None;
        loop {
            match self.prepare_database().await {
                Ok(()) => return Ok(true),
                Err(AppError::Store(error)) if is_waited_for(&error) => {
                    watch.waits(format!("it waits for the database: {error}"));
                    if said.replace(error.kind()) != Some(error.kind()) {
                        tracing::warn!(%error, database = %self.store.describe(), "waiting for the database");
                    }
                    if !pause(stop, wait).await {
                        return Ok(false);
                    }
                    wait = (wait * 2).min(Duration::from_secs(10));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes the tables where that was asked for, and looks whether it may work on them.
    async fn prepare_database(&self) -> Result<(), AppError> {
        if self.migrate {
            self.store.migrate().await?;
        }
        check_database(&*self.store, &self.config.environment).await
    }

    fn driver(
        &self,
        board: &Arc<RelayBoard>,
        auditors: BTreeMap<String, Auditor>,
        spool: &Arc<Spool>,
        before: &[InstanceId],
        events: &mpsc::UnboundedSender<Event>,
        stop: &CancellationToken,
    ) -> Result<Driver, AppError> {
        let guard = Arc::new(LeaseGuard::new(self.config.service.lease));
        let ledger = Ledger::new(guard.clone(), spool.clone(), system_clock(), events.clone());
        let ledger = Arc::new(ledger);
        let inherited = Inherited::of(spool, before, &self.policies(), &SystemClock);
        let dispatcher = Dispatcher::new(Parts {
            send_ports: self.send_ports.clone(),
            board: board.clone(),
            auditors,
            contents: self.store.clone(),
            templates: self.templates.clone(),
            certificates: self.certificates.clone(),
            replies: self.replies.clone(),
            clock: system_clock(),
            journal: ledger.clone(),
            chance: Box::new(chance),
            stop: stop.clone(),
        });
        let instance = instance(&self.config.service);
        self.sign_ins.act_as(instance.id);
        Ok(Driver {
            store: self.store.clone(),
            instance,
            inherited: inherited.map_err(spool_failed)?,
            send_ports: self.send_ports.values().map(send_port_info).collect(),
            explanations: explanations(&self.replies),
            board: board.clone(),
            dispatcher: Arc::new(dispatcher),
            guard,
            ledger,
            notices: self.notices(),
            metrics: self.metrics.clone(),
            pulses: self.pulses.clone(),
            rhythm: rhythm(&self.config.service),
            stop: stop.clone(),
        })
    }
}

impl Service {
    fn board(&self, events: &mpsc::UnboundedSender<Event>) -> Arc<RelayBoard> {
        let (relays, replies) = (self.relays.clone(), self.replies.clone());
        let board = RelayBoard::new(relays, replies, system_clock(), events.clone());
        let watch = |relay: &str| -> Option<Arc<dyn RelayWatch>> {
            let metrics = self.metrics.relay(relay)?;
            Some(metrics.clone())
        };
        let board = board.with_throttles(self.store.clone());
        Arc::new(board.watched_by(watch))
    }

    fn watch(&self, board: &Arc<RelayBoard>, stop: &CancellationToken) -> Arc<Watch> {
        Arc::new(Watch::new(watch::Parts {
            metrics: self.metrics.clone(),
            pulses: self.pulses.clone(),
            board: board.clone(),
            rest: self.config.service.poll_interval,
            clock: system_clock(),
            stop: stop.clone(),
        }))
    }

    /// Who looks after certificates.
    fn keeper(&self, events: &mpsc::UnboundedSender<Event>) -> Keeper {
        let ports = self.send_ports.iter();
        let protectors = ports.map(|(name, port)| (name.clone(), port.protector.clone()));
        Keeper {
            protectors: protectors.collect(),
            shelf: self.shelf.clone(),
            metrics: self.metrics.clone(),
            events: events.clone(),
            clock: system_clock(),
        }
    }

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

/// Somebody at the database heals it, or time does: whoever started the service need not start it
/// again. A login that was refused rests meanwhile.
fn is_waited_for(error: &StoreError) -> bool {
    !matches!(
        error.kind(),
        StoreErrorKind::Schema | StoreErrorKind::Rejected
    )
}

/// False if told to stop meanwhile.
async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
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
