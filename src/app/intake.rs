//! The intakes of the service: what clients submit becomes rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertOrigin, ReceivedMessage};
use sendport_intake::observer::NoObserver;
use sendport_intake::settings::{IntakeConfig, PickupConfig, SmtpIntakeConfig};
use sendport_intake::{
    IntakeDependencies, MessageQueue, PickupIntake, QueueError, Queued, SmtpIntake,
    SpoolDependencies, SpoolError, SpooledQueue,
};
use sendport_smtp::ehlo_name;
use sendport_store::{Store, StoreError, StoreErrorKind};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::instance::host_name;
use super::owner::owner_of_file;
use super::{AppError, SettingError, intake_spool, schema_problem, system_clock};
use crate::config::{Config, section, sqlite_file};
use crate::observability::metrics::Metrics;

/// Free space beyond a message: the log of a SQLite database and the outcomes of alerts need some, else what was accepted
/// could not leave.
const FREE_BYTES: u64 = 64 << 20;

/// The intakes that run. Dropping it ends their sessions at once.
pub(super) struct Intakes {
    tasks: JoinSet<()>,
}

impl Intakes {
    /// Listens at once, so that clients get a reply while the database is away, until `stop`.
    ///
    /// # Errors
    /// [`AppError::Config`] with the key that cannot be used.
    pub(super) async fn start(
        config: &Config,
        store: &Arc<dyn Store>,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> Result<Self, AppError> {
        let queue: Arc<dyn MessageQueue> = Arc::new(DatabaseQueue::new(config, store));
        let of_spools = SpoolDependencies {
            queue: Arc::clone(&queue),
            database: store.identity(),
            observer: Arc::new(NoObserver),
            clock: system_clock(),
            free_space: check_space,
        };
        let mut spools = intake_spool::left_over(config, &of_spools).map_err(unusable_spool)?;
        let (mut servers, mut pickups) = (Vec::new(), Vec::new());
        for (name, intake) in &config.intake {
            let Some(observer) = metrics.intake(name).cloned() else {
                continue;
            };
            let dependencies = IntakeDependencies {
                queue: Arc::clone(&queue),
                observer,
                clock: system_clock(),
                folder: config.service.state_folder.clone(),
                default_hostname: ehlo_name::of_this_host().unwrap_or_else(host_name),
                host_name: host_name(),
                database: store.identity(),
            };
            match intake {
                IntakeConfig::Smtp(settings) => {
                    let spool = open_spool(config, name, settings, &of_spools, &dependencies)?;
                    servers.push(bind(name, settings, spool.as_ref(), dependencies).await?);
                    spools.extend(spool);
                }
                IntakeConfig::Pickup(pickup) => {
                    pickups.push(open_folder(
                        name,
                        AlertOrigin::Pickup,
                        pickup,
                        dependencies,
                    )?);
                }
                IntakeConfig::Sendmail(pickup) => {
                    pickups.push(open_folder(
                        name,
                        AlertOrigin::Sendmail,
                        pickup,
                        dependencies,
                    )?);
                }
            }
        }
        let mut tasks = JoinSet::new();
        for spool in spools {
            tasks.spawn(spool.run(stop.clone()));
        }
        for server in servers {
            tasks.spawn(server.run(stop.clone()));
        }
        for pickup in pickups {
            tasks.spawn(pickup.run(stop.clone()));
        }
        Ok(Self { tasks })
    }

    /// Waits after a stop until the clients have the replies to what they submitted, at most so long.
    pub(super) async fn end(mut self, at_most: Duration) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(at_most, ended).await.is_err() {
            tracing::warn!("intakes were stopped before they had committed every message");
        }
    }
}

fn open_spool(
    config: &Config,
    name: &str,
    settings: &SmtpIntakeConfig,
    of_spools: &SpoolDependencies,
    dependencies: &IntakeDependencies,
) -> Result<Option<SpooledQueue>, AppError> {
    let open = || {
        let of_spool = SpoolDependencies {
            observer: Arc::clone(&dependencies.observer),
            ..of_spools.clone()
        };
        intake_spool::open(config, name, settings, of_spool).map_err(unusable_spool)
    };
    settings.spool.then(open).transpose()
}

async fn bind(
    name: &str,
    settings: &SmtpIntakeConfig,
    spool: Option<&SpooledQueue>,
    mut dependencies: IntakeDependencies,
) -> Result<SmtpIntake, SettingError> {
    if let Some(spool) = spool {
        dependencies.queue = Arc::new(spool.clone());
    }
    let bound = SmtpIntake::bind(name, settings, dependencies).await;
    bound.map_err(|error| of_intake(name, error))
}

fn open_folder(
    name: &str,
    origin: AlertOrigin,
    settings: &PickupConfig,
    dependencies: IntakeDependencies,
) -> Result<PickupIntake, SettingError> {
    let opened = PickupIntake::open(name, origin, settings, dependencies, owner_of_file);
    opened.map_err(|error| of_intake(name, error))
}

fn unusable_spool(error: SpoolError) -> AppError {
    AppError::config_at("service.state_folder", error)
}

fn of_intake(name: &str, error: impl std::error::Error + Send + Sync + 'static) -> SettingError {
    SettingError::below(section("intake", name), error)
}

/// The alert table as the queue of an intake.
struct DatabaseQueue {
    store: Arc<dyn Store>,
    environment: String,
    /// Of the temporary files and outcomes, and of a SQLite database.
    folders: Vec<PathBuf>,
    /// The database answered last, and it is the one that the configuration means.
    is_known: AtomicBool,
}

impl DatabaseQueue {
    fn new(config: &Config, store: &Arc<dyn Store>) -> Self {
        let connection = config.database.resolve().ok();
        let file = connection.and_then(|it| sqlite_file(it.expose()));
        let mut folders = vec![config.service.state_folder.clone()];
        folders.extend(file.iter().filter_map(|file| file.parent()).map(in_words));
        Self {
            store: store.clone(),
            environment: config.environment.clone(),
            folders,
            is_known: AtomicBool::new(false),
        }
    }

    /// Whether this is the database that the configuration means, with the tables that this program knows.
    async fn probe(&self) -> Result<(), QueueError> {
        if let Some(what) = schema_problem(&*self.store)
            .await
            .map_err(|error| queue_error(&error))?
        {
            return Err(QueueError::Unavailable(what));
        }
        match self
            .store
            .environment()
            .await
            .map_err(|error| queue_error(&error))?
        {
            Some(found) if found == self.environment => Ok(()),
            _ => Err(QueueError::Unavailable(
                "the database has not the environment of this service".to_owned(),
            )),
        }
    }
}

#[async_trait]
impl MessageQueue for DatabaseQueue {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        let inserted = self.store.insert_received(message).await;
        inserted.map(Queued::Alert).map_err(|error| {
            self.is_known
                .store(!error.is_transient(), Ordering::Relaxed);
            queue_error(&error)
        })
    }

    async fn check(&self, bytes: Option<u64>) -> Result<(), QueueError> {
        if !self.is_known.load(Ordering::Relaxed) {
            self.probe().await?;
            self.is_known.store(true, Ordering::Relaxed);
        }
        let bytes = bytes.unwrap_or(0);
        let mut folders = self.folders.iter();
        folders.try_for_each(|folder| check_space(folder, bytes))
    }
}

/// The parent of a file that is named without a folder is the current one.
fn in_words(folder: &Path) -> PathBuf {
    match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    }
}

fn queue_error(error: &StoreError) -> QueueError {
    match error.kind() {
        StoreErrorKind::Rejected => QueueError::Refused(error.to_string()),
        _ => QueueError::Unavailable(error.to_string()),
    }
}

/// Whether the file system of the folder has space for so many bytes, which the log of SQLite holds once more.
#[cfg(unix)]
fn check_space(folder: &Path, bytes: u64) -> Result<(), QueueError> {
    let Ok(found) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    let needed = bytes.saturating_mul(2).saturating_add(FREE_BYTES);
    match free < needed {
        true => Err(QueueError::Full(format!(
            "{free} bytes are free in {}, {needed} are needed",
            folder.display()
        ))),
        false => Ok(()),
    }
}

#[cfg(not(unix))]
fn check_space(_folder: &Path, _bytes: u64) -> Result<(), QueueError> {
    Ok(())
}
