//! Liveness, readiness and metrics of the service, without I/O.
//!
//! In: the state of the instance, its obstacles and its relays. Out: the pages of
//! [`crate::observability::health_server`]. [`DatabaseCheck`] queries the database in the
//! background, so no request does.

mod database_check;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_delivery::relays::RelayRegistry;
use sendport_delivery::worker::{GuardedSpool, LeaseGuard, Liveness, ObstacleKind, Obstacles};
use tokio_util::sync::CancellationToken;

use crate::observability::health_server::{HealthSource, HealthStatus};
use crate::observability::metrics::{self, Metrics};

pub use database_check::DatabaseCheck;

/// A loop hangs if it has not completed a cycle for so long after its rest. Database operations
/// are bounded by much less.
const HANGS_AFTER: Duration = Duration::from_secs(180);

/// The parts of an instance that report its state.
struct RunningInstance {
    guard: Arc<LeaseGuard>,
    spool: Arc<GuardedSpool>,
}

/// What a [`HealthMonitor`] reads.
pub struct HealthDependencies {
    /// Counters and gauges.
    pub metrics: Arc<Metrics>,
    /// What keeps the instance from working.
    pub obstacles: Arc<Obstacles>,
    /// When each loop completed its last cycle.
    pub liveness: Arc<Liveness>,
    /// The relays.
    pub registry: Arc<RelayRegistry>,
    /// Longest rest of a loop.
    pub rest: Duration,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the service stops.
    pub stop: CancellationToken,
}

/// Answers whether the service is alive and ready.
pub struct HealthMonitor {
    dependencies: HealthDependencies,
    /// `None` before an instance registers.
    running: Mutex<Option<RunningInstance>>,
    /// Describes alerts that hang in `sending`.
    overdue: Mutex<Option<String>>,
}

impl HealthMonitor {
    /// For a service that starts now.
    pub fn new(dependencies: HealthDependencies) -> Self {
        let started = dependencies.clock.now().timestamp_millis();
        dependencies.metrics.service.started(started);
        Self {
            dependencies,
            running: Mutex::default(),
            overdue: Mutex::default(),
        }
    }

    /// An instance is about to register; it is ready once it has its lease.
    pub fn instance_started(&self, guard: Arc<LeaseGuard>, spool: Arc<GuardedSpool>) {
        *self.running.lock() = Some(RunningInstance { guard, spool });
    }

    /// Notes why the database cannot be used; `None` if it can.
    fn set_database_problem(&self, problem: Option<String>) {
        let service = &self.dependencies.metrics.service;
        service.database_answers(problem.is_none());
        let obstacles = &self.dependencies.obstacles;
        match problem {
            Some(problem) => _ = obstacles.meet(ObstacleKind::Database, problem),
            None => _ = obstacles.overcome(ObstacleKind::Database),
        }
    }

    /// Everything that keeps the service from working.
    fn obstacles(&self) -> Vec<String> {
        if self.dependencies.stop.is_cancelled() {
            return vec!["the service stops".to_owned()];
        }
        let mut found = self.dependencies.obstacles.in_words();
        let running = self.running.lock();
        let holds_none = running.as_ref().is_some_and(|it| !it.guard.is_valid());
        if holds_none && found.is_empty() {
            found.push("lease: this instance holds none".to_owned());
        }
        let overdue = self.overdue.lock();
        found.extend(overdue.iter().map(|what| format!("alerts: {what}")));
        found
    }

    /// Updates the gauges.
    fn refresh(&self) {
        let service = &self.dependencies.metrics.service;
        let mut lease = Duration::ZERO;
        if let Some(running) = &*self.running.lock() {
            lease = running.guard.remaining();
            service.spool_writable(!running.spool.is_broken());
            let condition = self.dependencies.obstacles.condition();
            service.unrecorded(condition.unrecorded);
            service.unclaimed(condition.unclaimed);
        }
        service.set_ready(self.obstacles().is_empty(), lease);
        let states = self.dependencies.registry.states();
        for (state, (relay, usage)) in states.iter().zip(self.dependencies.registry.usage()) {
            if let Some(metrics) = self.dependencies.metrics.relay(relay) {
                metrics.show(state, usage);
            }
        }
    }
}

impl HealthSource for HealthMonitor {
    fn liveness(&self) -> HealthStatus {
        let hangs_after = HANGS_AFTER + self.dependencies.rest;
        let slowest = self.dependencies.liveness.slowest();
        match slowest.filter(|(_, since)| *since >= hangs_after) {
            None => HealthStatus::Pass("alive\n".to_owned()),
            Some((which, since)) => HealthStatus::Fail(format!(
                "hangs: the loop of {which} has not gone round for {} s\n",
                since.as_secs()
            )),
        }
    }

    fn readiness(&self) -> HealthStatus {
        let obstacles = self.obstacles();
        if obstacles.is_empty() {
            return HealthStatus::Pass("ready\n".to_owned());
        }
        HealthStatus::Fail(format!("not ready\n{}\n", obstacles.join("\n")))
    }

    fn metrics(&self) -> (String, &'static str) {
        self.refresh();
        (self.dependencies.metrics.render(), metrics::CONTENT_TYPE)
    }
}
