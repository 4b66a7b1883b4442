//! The order of renders: send ports in turn, and alerts of suspect templates one at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::domain::AlertId;
use tokio::sync::{Mutex as Line, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::suspects::{Suspects, TemplateKey};

/// Most workers, beside that of the slow lane.
pub(super) const WORKERS: usize = 2;

/// How long an alert of a suspect template waits for another one: the limit of a good render.
const PATIENCE: Duration = Duration::from_millis(50);

/// An alert and its template.
pub(super) type Asking<'a> = (&'a TemplateKey, AlertId);

/// The turns of all alerts of an instance.
pub(super) struct Turns {
    workers: Semaphore,
    /// Has room for one alert of all suspect templates, with a worker of its own.
    slow_lane: Semaphore,
    /// Since when.
    entered: Mutex<Option<Instant>>,
    suspects: Mutex<Suspects>,
    /// One queue for each send port, whose first alert waits for a worker, so workers go round.
    lines: Mutex<HashMap<String, Arc<Line<()>>>>,
}

/// The right to use a worker, until it is dropped.
pub(super) enum Turn<'a> {
    Quick {
        _worker: Option<SemaphorePermit<'a>>,
    },
    Slow {
        _lane: SemaphorePermit<'a>,
    },
}

impl Turn<'_> {
    /// It is in the slow lane.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Slow { .. })
    }
}

/// The slow lane is busy: when to try again, and what the template did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy {
    pub(super) retry_in: Duration,
    pub(super) what: String,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            workers: Semaphore::new(WORKERS),
            slow_lane: Semaphore::new(1),
            entered: Mutex::default(),
            suspects: Mutex::default(),
            lines: Mutex::default(),
        }
    }
}

impl Turns {
    /// Waits for a worker. An alert of a suspect template is deferred while another one is slow.
    pub(super) async fn take(
        &self,
        send_port: &str,
        asking: Option<Asking<'_>>,
    ) -> Result<Turn<'_>, Busy> {
        let line = self.line(send_port);
        loop {
            if let Some(suspect) = asking.filter(|it| self.what(it).is_some()) {
                return self.enter_slow_lane(suspect).await;
            }
            let _first = line.lock().await;
            let worker = self.workers.acquire().await.ok();
            // It may have become suspect meanwhile.
            if asking.is_none_or(|it| self.what(&it).is_none()) {
                return Ok(Turn::Quick { _worker: worker });
            }
        }
    }

    /// Moves a slow render to the slow lane, or ends it where that is busy.
    pub(super) fn slow_down<'a>(
        &'a self,
        turn: &mut Turn<'a>,
        asking: Asking<'_>,
    ) -> Result<(), Busy> {
        if turn.is_slow() {
            return Ok(());
        }
        self.suspects
            .lock()
            .suppose(Instant::now().into_std(), asking.0);
        let Ok(lane) = self.slow_lane.try_acquire() else {
            return Err(self.busy(asking));
        };
        *turn = self.slow_turn(lane, asking);
        Ok(())
    }

    /// A render stayed within its limits.
    pub(super) fn acquit(&self, key: &TemplateKey) {
        self.suspects.lock().acquit(key);
    }

    /// A template exceeded a limit. True if it was not suspect before.
    pub(super) fn note(&self, key: &TemplateKey, what: &str) -> bool {
        self.suspects
            .lock()
            .note(Instant::now().into_std(), key, what)
    }

    async fn enter_slow_lane(&self, suspect: Asking<'_>) -> Result<Turn<'_>, Busy> {
        loop {
            let entered = *self.entered.lock();
            let waited = entered.map_or(Duration::ZERO, |at| at.elapsed());
            let patience = PATIENCE.saturating_sub(waited);
            let lane = tokio::time::timeout(patience, self.slow_lane.acquire()).await;
            if let Ok(Ok(lane)) = lane {
                return Ok(self.slow_turn(lane, suspect));
            }
            // Another alert may be in the lane by now.
            if *self.entered.lock() == entered {
                return Err(self.busy(suspect));
            }
        }
    }

    fn slow_turn<'a>(&self, lane: SemaphorePermit<'a>, suspect: Asking<'_>) -> Turn<'a> {
        *self.entered.lock() = Some(Instant::now());
        self.suspects.lock().forget(suspect.0, suspect.1);
        Turn::Slow { _lane: lane }
    }

    fn busy(&self, suspect: Asking<'_>) -> Busy {
        Busy {
            what: self.what(&suspect).unwrap_or_default(),
            retry_in: self.suspects.lock().wait(suspect.0, suspect.1),
        }
    }

    /// What a suspect template did.
    fn what(&self, asking: &Asking<'_>) -> Option<String> {
        let suspects = self.suspects.lock();
        suspects
            .what(Instant::now().into_std(), asking.0)
            .map(str::to_owned)
    }

    fn line(&self, send_port: &str) -> Arc<Line<()>> {
        let mut lines = self.lines.lock();
        lines.entry(send_port.to_owned()).or_default().clone()
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
