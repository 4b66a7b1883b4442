//! The service, from start to stop.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{InstanceId, InstanceInfo, SendPortInfo, domain_to_ascii};
use sendport_core::replies::ReplyTable;
use sendport_delivery::audit::{AuditTrail, Auditor, DatabaseTrail};
use sendport_delivery::delivery_report::ReportRules;
use sendport_delivery::dispatcher::{Dispatcher, DispatcherDependencies, TemplateCache};
use sendport_delivery::protection::CertificateCache;
use sendport_delivery::relays::RelayRegistry;
use sendport_delivery::send_port::SendPort;
use sendport_delivery::settings::SendPortConfig;
use sendport_delivery::worker::{
    self, GuardedSpool, InDoubtPolicies, LeaseGuard, Liveness, Notice, Notices, ObstacleKind,
    Obstacles, RecoveredOutcomes, Reports, RunEnd, Worker, WorkerSettings,
};
use sendport_intake::settings::IntakeConfig;
use sendport_smime::CrlCache;
use sendport_smtp::ehlo_name;
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::authentication::AuthLedger;
use sendport_smtp::relay::observer::RelayObserver;
use sendport_store::spool::{OutcomeSpool, SpoolError};
use sendport_store::{Event, EventSeverity, Explanation, Store, StoreError, StoreErrorKind};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::auth_ledger::DatabaseAuthLedger;
use super::components::{
    make_relays, make_send_ports, open_audit_folders, reply_table, template_cache,
};
use super::feedback::FeedbackReaders;
use super::health_server;
use super::instance::{host_name, instance};
use super::intake::Intakes;
use super::protection::crl_folder;
use super::purge::retention_plan;
use super::running_transactions::RunningTransactions;
use super::{AppError, system_clock};
use crate::certificate_monitor::CertificateMonitor;
use crate::config::{Config, ServiceConfig};
use crate::observability::health::{HealthDependencies, HealthMonitor};
use crate::observability::metrics::Metrics;
use crate::observability::systemd;

/// A stop drains, records and settles, each for up to `service.drain_timeout`, and takes no longer
/// than this beside.
const MARGIN: Duration = Duration::from_secs(15);

/// Outcomes that a stop left to the next start.
#[derive(Debug, thiserror::Error)]
#[error(
    "stopped before everything under way was recorded: {entries} outcomes are kept in the state folder {}; \
     the next start of a service with this folder records them. Start it soon: once the lease has run \
     out, another instance may send their alerts again. Why: {why}", .folder.display()
)]
pub struct UnrecordedOutcomes {
    /// How many outcomes, and attempts that may have been sent.
    pub entries: usize,
    /// Where they are kept.
    pub folder: PathBuf,
    /// Why they could not be recorded.
    pub why: String,
}

/// The components of the service. All that the configuration can get wrong is built before the
/// database is contacted.
pub struct Service {
    pub(super) store: Arc<dyn Store>,
    pub(super) send_ports: BTreeMap<String, SendPort>,
    crl_cache: Arc<CrlCache>,
    templates: Arc<TemplateCache>,
    certificates: Arc<CertificateCache>,
    pub(super) replies: Arc<ReplyTable>,
    relays: Vec<Arc<dyn Relay>>,
    authentications: Arc<DatabaseAuthLedger>,
    audit_folders: BTreeMap<String, Arc<dyn AuditTrail>>,
    metrics: Arc<Metrics>,
    liveness: Arc<Liveness>,
    pub(super) obstacles: Arc<Obstacles>,
    running_transactions: RunningTransactions,
    pub(super) migrate: bool,
    pub(super) config: Config,
}

impl Service {
    /// Builds the components.
    ///
    /// # Errors
    /// [`AppError::Config`].
    pub async fn new(config: Config, store: Arc<dyn Store>) -> Result<Self, AppError> {
        let crl_cache = Arc::new(CrlCache::read_write(&crl_folder(&config)));
        let authentications = DatabaseAuthLedger::new(store.clone());
        let ledger: Arc<dyn AuthLedger> = authentications.clone();
        let metrics = Metrics::new(
            config.send_port.keys().map(String::as_str),
            config.relay.keys().map(String::as_str),
            config.intake.keys().map(String::as_str),
            config.feedback.source.keys().map(String::as_str),
        );
        Ok(Self {
            templates: Arc::new(template_cache(&config, &store).await?),
            certificates: Arc::new(CertificateCache::new(store.clone())),
            store,
            send_ports: make_send_ports(&config, &crl_cache)?,
            crl_cache,
            replies: Arc::new(reply_table(&config)?),
            relays: make_relays(&config, &ledger, Some(&metrics))?,
            authentications,
            audit_folders: open_audit_folders(&config)?
                .into_iter()
                .map(|(port, folder)| (port, Arc::new(folder) as Arc<dyn AuditTrail>))
                .collect(),
            metrics: Arc::new(metrics),
            liveness: Arc::default(),
            obstacles: Arc::new(Obstacles::new(system_clock())),
            running_transactions: RunningTransactions::default(),
            migrate: false,
            config,
        })
    }

    /// The same service, which creates or updates the tables at its start.
    #[must_use]
    pub fn migrating(self) -> Self {
        Self {
            migrate: true,
            ..self
        }
    }

    /// Its transactions that are not recorded yet.
    pub fn running_transactions(&self) -> RunningTransactions {
        self.running_transactions.clone()
    }

    /// Waits for the database, checks it, and works until `stop` is cancelled. `None` if all outcomes
    /// were recorded.
    ///
    /// # Errors
    /// [`AppError`] if an operator has to act.
    pub async fn run(
        self,
        stop: CancellationToken,
    ) -> Result<Option<UnrecordedOutcomes>, AppError> {
        let intakes = Intakes::start(&self.config, &self.store, &self.metrics, &stop).await?;
        let drain_timeout = self.config.service.drain_timeout;
        let ended = self.work(stop).await;
        if ended.is_ok() {
            intakes.end(drain_timeout).await;
        }
        ended
    }

    async fn work(self, stop: CancellationToken) -> Result<Option<UnrecordedOutcomes>, AppError> {
        let (events_in, mut events) = mpsc::unbounded_channel();
        self.templates.report_to(&events_in);
        let registry = self.registry(&events_in);
        let health = self.health_monitor(&registry, &stop);
        let stop_timeout = self.config.service.drain_timeout * 3 + MARGIN;
        let _notifier = systemd::start(health.clone(), stop.clone(), stop_timeout);
        let lease = self.config.service.lease;
        let _health_tasks =
            health_server::start(&self.config.http, lease, &health, &self.store).await?;
        if !self.wait_for_database(&stop).await? {
            return Ok(None);
        }
        let Some(slots) = self.enter_state_folder(&stop).await? else {
            return Ok(None);
        };
        let mut before = Vec::new();
        for slot in &slots {
            if !self.recover(slot, &mut before, &stop).await {
                return Ok(self.left_in(&slots));
            }
        }
        let spool = Arc::new(self.gather(slots)?);
        self.running_transactions.journaled_in(&spool);
        let readers = FeedbackReaders::start(&self.config, &self.store, &self.metrics, &stop)?;
        let folder = &self.config.service.state_folder;
        let _kept = self.certificate_monitor(&events_in).begin(folder);
        loop {
            let auditors = self.auditors(&events_in);
            let driver = self.driver(&registry, auditors, &spool, &before, &events_in, &stop)?;
            health.instance_started(driver.guard.clone(), driver.spool.clone());
            let _ = events_in.send(started(&driver.instance));
            match driver.run(&mut events).await {
                Ok(RunEnd::CleanStop) => {
                    readers.end(self.config.service.drain_timeout).await;
                    return Ok(None);
                }
                Ok(RunEnd::ForcedStop) => return Ok(self.settle(&spool).await),
                Ok(RunEnd::LeaseLoss) => {
                    self.obstacles.begin_anew("the lease was lost");
                    if !self.recover(&spool, &mut before, &stop).await {
                        return Ok(self.left_in(std::slice::from_ref(&*spool)));
                    }
                }
                Err(error) if is_waited_for(&error) => {
                    if self.obstacles.meet(ObstacleKind::Register, &error) {
                        tracing::warn!(%error, "instance registration failed, retrying");
                    }
                    if !pause(&stop, self.config.service.poll_interval).await {
                        return Ok(self.left_in(std::slice::from_ref(&*spool)));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The outcomes that a stop during the start leaves in the spool.
    fn left_in(&self, slots: &[OutcomeSpool]) -> Option<UnrecordedOutcomes> {
        let entries = slots.iter().map(|slot| slot.size().0).sum();
        (entries > 0).then(|| UnrecordedOutcomes {
            entries,
            folder: self.config.service.state_folder.clone(),
            why: self.obstacles.in_words().join("; "),
        })
    }

    /// The instance uses the first slot, which takes over what the database refused of the others.
    fn gather(&self, slots: Vec<OutcomeSpool>) -> Result<OutcomeSpool, AppError> {
        let (policies, clock, database) = (self.policies(), SystemClock, self.store.identity());
        let mut slots = slots.into_iter();
        let first = slots
            .next()
            .ok_or_else(|| AppError::config_at("service.state_folder", "it has no free slot"))?;
        for other in slots.filter(|slot| !slot.is_empty()) {
            worker::hand_over(&other, &first, &database, &policies, &clock)
                .map_err(spool_failed)?;
        }
        Ok(first)
    }

    /// After a stop that aborted transactions: records those in doubt and releases the rest at once.
    /// `None` if that worked; else the next start does it.
    async fn settle(&self, spool: &OutcomeSpool) -> Option<UnrecordedOutcomes> {
        let (policies, clock) = (self.policies(), SystemClock);
        tracing::info!(
            entries = spool.size().0,
            "recording outcomes of aborted transactions"
        );
        let recovery = worker::recover(&*self.store, spool, &policies, &clock);
        let longest = self.config.service.drain_timeout;
        let why = match tokio::time::timeout(longest, recovery).await {
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(_))) => "the database refuses them: see EventLog".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!(
                "the database took longer than service.drain_timeout, {} s",
                longest.as_secs()
            ),
        };
        let (entries, folder) = (spool.size().0, self.config.service.state_folder.clone());
        tracing::warn!(entries, folder = %folder.display(), why, "outcomes kept in the spool until the next start");
        Some(UnrecordedOutcomes {
            entries,
            folder,
            why,
        })
    }

    pub(super) fn policies(&self) -> InDoubtPolicies {
        let policy = |port: &SendPort| (port.in_doubt, port.retry.first_delay);
        let named = |(name, port): (&String, &SendPort)| (name.clone(), policy(port));
        self.send_ports.iter().map(named).collect()
    }

    fn driver(
        &self,
        registry: &Arc<RelayRegistry>,
        auditors: BTreeMap<String, Auditor>,
        spool: &Arc<OutcomeSpool>,
        before: &[InstanceId],
        events: &mpsc::UnboundedSender<Event>,
        stop: &CancellationToken,
    ) -> Result<Worker, AppError> {
        let guard = Arc::new(LeaseGuard::new(self.config.service.lease));
        let recovered =
            RecoveredOutcomes::from_spool(spool, before, &self.policies(), &SystemClock);
        let spool = Arc::new(GuardedSpool::new(
            guard.clone(),
            spool.clone(),
            self.obstacles.clone(),
            events.clone(),
        ));
        let dispatcher = Dispatcher::new(DispatcherDependencies {
            send_ports: self.send_ports.clone(),
            registry: registry.clone(),
            auditors,
            contents: self.store.clone(),
            received: self.store.clone(),
            files: self.store.clone(),
            requests: self.store.clone(),
            templates: self.templates.clone(),
            certificates: self.certificates.clone(),
            replies: self.replies.clone(),
            clock: system_clock(),
            submit_guard: spool.clone(),
            chance: Box::new(chance),
            stop: stop.clone(),
        });
        let instance = instance(&self.config);
        self.authentications.set_instance(instance.id);
        Ok(Worker {
            store: self.store.clone(),
            instance,
            recovered: recovered.map_err(spool_failed)?,
            send_ports: self.send_ports.values().map(send_port_info).collect(),
            explanations: explanations(&self.replies),
            registry: registry.clone(),
            dispatcher: Arc::new(dispatcher),
            guard,
            spool,
            notices: self.notices(),
            reports: self.reports(),
            retention: retention_plan(&self.config),
            observer: self.metrics.clone(),
            obstacles: self.obstacles.clone(),
            liveness: self.liveness.clone(),
            settings: worker_settings(&self.config.service),
            stop: stop.clone(),
        })
    }
}

impl Service {
    fn registry(&self, events: &mpsc::UnboundedSender<Event>) -> Arc<RelayRegistry> {
        let (relays, replies) = (self.relays.clone(), self.replies.clone());
        let registry = RelayRegistry::new(relays, replies, system_clock(), events.clone());
        let watch = |relay: &str| -> Option<Arc<dyn RelayObserver>> {
            let metrics = self.metrics.relay(relay)?;
            Some(metrics.clone())
        };
        Arc::new(registry.watched_by(watch))
    }

    fn health_monitor(
        &self,
        registry: &Arc<RelayRegistry>,
        stop: &CancellationToken,
    ) -> Arc<HealthMonitor> {
        Arc::new(HealthMonitor::new(HealthDependencies {
            metrics: self.metrics.clone(),
            obstacles: self.obstacles.clone(),
            liveness: self.liveness.clone(),
            registry: registry.clone(),
            rest: self.config.service.poll_interval,
            clock: system_clock(),
            stop: stop.clone(),
        }))
    }

    /// Monitors the expiry of certificates and downloads CRLs.
    fn certificate_monitor(&self, events: &mpsc::UnboundedSender<Event>) -> CertificateMonitor {
        let ports = self.send_ports.iter();
        let protectors = ports.map(|(name, port)| (name.clone(), port.protector.clone()));
        CertificateMonitor {
            protectors: protectors.collect(),
            crl_cache: self.crl_cache.clone(),
            metrics: self.metrics.clone(),
            events: events.clone(),
            clock: system_clock(),
        }
    }

    /// The auditor of each send port that has an audit.
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

    /// Of the send ports of the configuration.
    fn reports(&self) -> Reports {
        let rules = self.send_ports.values().filter_map(|port| {
            let config = self.config.send_port.get(&port.name)?;
            Some(ReportRules::new(port, config))
        });
        Reports {
            host_name: ehlo_name::of_this_host().unwrap_or_else(host_name),
            intake_host_names: self.intake_host_names(),
            rules: rules.collect(),
        }
    }

    fn intake_host_names(&self) -> BTreeMap<String, String> {
        let own = |(name, intake): (&String, &IntakeConfig)| {
            let hostname = domain_to_ascii(intake.hostname()?).ok()?;
            Some((name.clone(), hostname.into_owned()))
        };
        self.config.intake.iter().filter_map(own).collect()
    }

    fn notices(&self) -> Notices {
        let notice = |(name, port): (&String, &SendPortConfig)| {
            Some(Notice {
                send_port: name.clone(),
                to: port.notify_failures_to.as_ref()?.to_string(),
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

pub(super) fn spool_failed(error: SpoolError) -> AppError {
    AppError::config_at("service.state_folder", error)
}

/// The service waits until the database recovers or is repaired. It does not need a restart then. A
/// login that was refused is not tried again meanwhile.
pub(super) fn is_waited_for(error: &StoreError) -> bool {
    error.kind() != StoreErrorKind::Schema
}

/// False if `stop` is cancelled meanwhile.
pub(super) async fn pause(stop: &CancellationToken, wait: Duration) -> bool {
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

/// Random enough to spread retries: from a new UUID, without another crate.
fn chance() -> f64 {
    let random = u32::from_be_bytes(first_four(uuid::Uuid::new_v4().as_bytes()));
    f64::from(random) / f64::from(u32::MAX)
}

fn first_four(bytes: &[u8; 16]) -> [u8; 4] {
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

pub(super) fn send_port_info(port: &SendPort) -> SendPortInfo {
    SendPortInfo {
        name: port.name.clone(),
        from_address: port.from.to_string(),
        relays: port.relays.clone(),
        protection: port.protection.as_str().to_owned(),
        max_age: port.retry.max_age,
        in_doubt: port.in_doubt,
    }
}

pub(super) fn explanations(replies: &ReplyTable) -> Vec<Explanation> {
    let explanation = |entry: &sendport_core::replies::Entry| Explanation {
        key: entry.key.clone(),
        fault: entry.fault.as_str().to_owned(),
        cause: entry.cause.clone(),
        advice: entry.advice.clone(),
    };
    let bounces = ReplyTable::of_bounces();
    let entries = replies.explanations().chain(bounces.explanations());
    entries.map(explanation).collect()
}

fn worker_settings(config: &ServiceConfig) -> WorkerSettings {
    WorkerSettings {
        max_in_flight: config.max_in_flight,
        poll_interval: config.poll_interval,
        lease: config.lease,
        renew_interval: config.renew_interval,
        sweep_interval: config.sweep_interval,
        drain_timeout: config.drain_timeout,
    }
}
