//! Waits for database and state folder at the start of the service.

use std::fmt::Display;
use std::time::Duration;

use sendport_core::clock::SystemClock;
use sendport_core::domain::InstanceId;
use sendport_delivery::worker::{self, ObstacleKind, StandbyDisplay, StandbyInstance};
use sendport_store::spool::{OutcomeSpool, SpoolError};
use sendport_store::{Event, StoreError};
use tokio_util::sync::CancellationToken;

use super::AppError;
use super::database::check_database;
use super::instance::instance;
use super::service::{Service, explanations, is_waited_for, pause, send_port_info, spool_failed};

/// A condition that the start waits for, shown in the database from the first failure on.
struct Wait<'a> {
    service: &'a Service,
    what: ObstacleKind,
    shown: Option<StandbyDisplay>,
}

impl Wait<'_> {
    /// True at the first failure.
    fn failed(&mut self, error: &dyn Display) -> bool {
        let first = self.service.obstacles.meet(self.what, error);
        self.shown
            .get_or_insert_with(|| self.service.waiting().show());
        first
    }

    /// True if there was anything to wait for.
    async fn overcome(self) -> bool {
        let obstacles = &self.service.obstacles;
        let waited = obstacles.overcome(self.what);
        self.give_up().await;
        waited
    }

    /// The service stops.
    async fn give_up(self) {
        if let Some(shown) = self.shown {
            shown.end().await;
        }
    }
}

impl Service {
    fn wait_for(&self, what: ObstacleKind) -> Wait<'_> {
        Wait {
            service: self,
            what,
            shown: None,
        }
    }

    fn waiting(&self) -> StandbyInstance {
        StandbyInstance {
            store: self.store.clone(),
            instance: instance(&self.config),
            send_ports: self.send_ports.values().map(send_port_info).collect(),
            explanations: explanations(&self.replies),
            obstacles: self.obstacles.clone(),
            lease: self.config.service.lease,
            renew_interval: self.config.service.renew_interval,
        }
    }

    /// True once the database has answered and is the right one; false if `stop` is cancelled before.
    pub(super) async fn wait_for_database(
        &self,
        stop: &CancellationToken,
    ) -> Result<bool, AppError> {
        let mut wait = Duration::from_millis(250);
        let mut logged = None;
        loop {
            let error = match self.prepare_database().await {
                Err(AppError::Store(error)) if is_waited_for(&error) => error,
                result => {
                    self.obstacles.overcome(ObstacleKind::NoDatabase);
                    return result.map(|()| true);
                }
            };
            self.obstacles.meet(ObstacleKind::NoDatabase, &error);
            self.log_waiting(&error, &mut logged);
            if !pause(stop, wait).await {
                return Ok(false);
            }
            wait = (wait * 2).min(Duration::from_secs(10));
        }
    }

    /// Logs each reason once.
    fn log_waiting(&self, error: &StoreError, logged: &mut Option<String>) {
        let why = error.to_string();
        if logged.as_ref() != Some(&why) {
            tracing::warn!(%error, database = %self.store.describe(), "waiting for the database");
            *logged = Some(why);
        }
    }

    /// Migrates the database if asked to, and checks its schema and environment.
    async fn prepare_database(&self) -> Result<(), AppError> {
        if self.migrate {
            self.store.migrate().await?;
        }
        check_database(&*self.store, &self.config.environment).await
    }

    /// Enters the state folder as soon as it can be used; `None` if `stop` is cancelled meanwhile.
    pub(super) async fn enter_state_folder(
        &self,
        stop: &CancellationToken,
    ) -> Result<Option<Vec<OutcomeSpool>>, AppError> {
        let folder = &self.config.service.state_folder;
        let mut wait = self.wait_for(ObstacleKind::StateFolder);
        loop {
            let error = match OutcomeSpool::enter(folder, &self.store.identity()) {
                Ok(slots) => {
                    if wait.overcome().await {
                        self.log(&worker::writable()).await;
                    }
                    return Ok(Some(slots));
                }
                Err(error @ SpoolError::OtherDatabase { .. }) => {
                    wait.give_up().await;
                    return Err(spool_failed(error));
                }
                Err(error) => error,
            };
            if wait.failed(&error) {
                tracing::error!(%error, "spool write failed, submission suspended");
                self.log(&worker::unwritable(&error)).await;
            }
            if !pause(stop, self.config.service.poll_interval).await {
                wait.give_up().await;
                return Ok(None);
            }
        }
    }

    async fn log(&self, event: &Event) {
        if let Err(error) = self.store.log_event(event).await {
            tracing::warn!(%error, event = %event.message, "event log write failed");
        }
    }

    /// Records the outcomes of a previous instance before anything is claimed; adds that instance to
    /// `before` if the database refused some of them. False if `stop` is cancelled meanwhile.
    pub(super) async fn recover(
        &self,
        spool: &OutcomeSpool,
        before: &mut Vec<InstanceId>,
        stop: &CancellationToken,
    ) -> bool {
        let (policies, clock) = (self.policies(), SystemClock);
        let mut wait = self.wait_for(ObstacleKind::LeftOver);
        log_left_over(spool);
        loop {
            let error = match worker::recover(&*self.store, spool, &policies, &clock).await {
                Ok(refused_of) => {
                    before.extend(refused_of);
                    wait.overcome().await;
                    return true;
                }
                Err(error) => error,
            };
            if wait.failed(&error) {
                tracing::warn!(%error, "recovery is waiting for the database");
            }
            if !pause(stop, self.config.service.poll_interval).await {
                wait.give_up().await;
                return false;
            }
        }
    }
}

/// Logs what the spool contains. The recovery reports a spool that cannot be read.
fn log_left_over(spool: &OutcomeSpool) {
    if let Ok(left) = spool.left_over()
        && !spool.is_empty()
    {
        tracing::warn!(
            outcomes = left.outcomes.len(),
            in_doubt = left.in_doubt.len(),
            "recovering outcomes of a previous instance"
        );
    }
}
