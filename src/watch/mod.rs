//! Whether the service lives and can work, and its figures, from what is known already.
//!
//! In comes how far the service is and what its parts say of themselves; out go the pages of
//! [`crate::http`]. [`Look`] asks the database in the background, so that no request does.

mod look;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::delivery::relays::RelayRegistry;
use crate::delivery::worker::{LeaseGuard, Ledger, Liveness, Obstacles, What};
use crate::http::{Pages, Verdict};
use crate::metrics::{self, Metrics};

pub use look::Look;

/// A loop that has not gone round for so long after its rest hangs. Operations of the database
/// are bounded by much less.
const HANGS_AFTER: Duration = Duration::from_secs(180);

/// What an instance says of itself.
struct Working {
    guard: Arc<LeaseGuard>,
    ledger: Arc<Ledger>,
}

/// What a watcher is made of.
pub struct Parts {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What keeps the instance from working.
    pub obstacles: Arc<Obstacles>,
    /// Signs of life.
    pub pulses: Arc<Liveness>,
    /// The relays.
    pub board: Arc<RelayRegistry>,
    /// Longest rest of a loop.
    pub rest: Duration,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the service stops.
    pub stop: CancellationToken,
}

/// Knows how the service is.
pub struct Watch {
    parts: Parts,
    /// `None` before an instance works.
    working: Mutex<Option<Working>>,
    /// Alerts that hang in `sending`, in words.
    overdue: Mutex<Option<String>>,
}

impl Watch {
    /// Of a service that begins.
    pub fn new(parts: Parts) -> Self {
        let started = parts.clock.now().timestamp_millis();
        parts.metrics.service.started(started);
        Self {
            parts,
            working: Mutex::default(),
            overdue: Mutex::default(),
        }
    }

    /// An instance is about to register; it is ready once it has its lease.
    pub fn works(&self, guard: Arc<LeaseGuard>, ledger: Arc<Ledger>) {
        *self.working.lock() = Some(Working { guard, ledger });
    }

    /// Whether the database can be worked with, or why not.
    fn database_is(&self, problem: Option<String>) {
        let service = &self.parts.metrics.service;
        service.database_answers(problem.is_none());
        let obstacles = &self.parts.obstacles;
        match problem {
            Some(problem) => _ = obstacles.meet(What::Database, problem),
            None => _ = obstacles.overcome(What::Database),
        }
    }

    /// Everything that keeps the service from working.
    fn obstacles(&self) -> Vec<String> {
        if self.parts.stop.is_cancelled() {
            return vec!["the service stops".to_owned()];
        }
        let mut found = self.parts.obstacles.in_words();
        let working = self.working.lock();
        let holds_none = working.as_ref().is_some_and(|it| !it.guard.stands());
        if holds_none && found.is_empty() {
            found.push("lease: this instance holds none".to_owned());
        }
        let overdue = self.overdue.lock();
        found.extend(overdue.iter().map(|what| format!("alerts: {what}")));
        found
    }

    /// Brings what is only shown, not counted, up to date.
    fn refresh(&self) {
        let service = &self.parts.metrics.service;
        let mut lease = Duration::ZERO;
        if let Some(working) = &*self.working.lock() {
            lease = working.guard.remaining();
            service.spool_writable(!working.ledger.is_broken());
            let condition = self.parts.obstacles.condition();
            service.unrecorded(condition.unrecorded);
            service.unclaimed(condition.unclaimed);
        }
        service.stands(self.obstacles().is_empty(), lease);
        let states = self.parts.board.states();
        for (state, (relay, connections)) in states.iter().zip(self.parts.board.connections()) {
            if let Some(metrics) = self.parts.metrics.relay(relay) {
                metrics.show(state, connections);
            }
        }
    }
}

impl Pages for Watch {
    fn alive(&self) -> Verdict {
        let hangs_after = HANGS_AFTER + self.parts.rest;
        let slowest = self.parts.pulses.slowest();
        match slowest.filter(|(_, since)| *since >= hangs_after) {
            None => Verdict::Yes("alive\n".to_owned()),
            Some((which, since)) => Verdict::No(format!(
                "hangs: the loop of {which} has not gone round for {} s\n",
                since.as_secs()
            )),
        }
    }

    fn ready(&self) -> Verdict {
        let obstacles = self.obstacles();
        if obstacles.is_empty() {
            return Verdict::Yes("ready\n".to_owned());
        }
        Verdict::No(format!("not ready\n{}\n", obstacles.join("\n")))
    }

    fn metrics(&self) -> (String, &'static str) {
        self.refresh();
        (self.parts.metrics.render(), metrics::CONTENT_TYPE)
    }
}
