//! Who is rendered when: send ports in turn, and templates that take too much one at a time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Mutex as Line, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::suspects::{Suspects, TemplateKey};
use sendport_core::domain::AlertId;

/// Most workers at the same time, beside the one of the slow lane.
pub(super) const WORKERS: usize = 2;

/// How long alerts of suspect templates wait behind one of them: what a good one may take.
const PATIENCE: Duration = Duration::from_millis(50);

/// The alert whose turn it is, and the template.
pub(super) type Asking<'a> = (&'a TemplateKey, AlertId);

/// The turns of all alerts of an instance.
pub(super) struct Turns {
    workers: Semaphore,
    /// One alert of all suspect templates is in it, and has a worker of its own.
    slow_lane: Semaphore,
    /// Since when.
    entered: Mutex<Option<Instant>>,
    suspects: Mutex<Suspects>,
    /// By send port: the first of each line waits for a worker, so workers go round.
    lines: Mutex<HashMap<String, Arc<Line<()>>>>,
}

/// The right to let a worker work, until it is dropped.
pub(super) enum Turn<'a> {
    Quick {
        _worker: Option<SemaphorePermit<'a>>,
    },
    Slow {
        _lane: SemaphorePermit<'a>,
    },
}

impl Turn<'_> {
    /// Others need not wait for it.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Slow { .. })
    }
}

/// The slow lane is taken: when to come back, and what the template was seen to do.
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
    /// Waits for a worker. An alert of a suspect template is sent away where another one takes
    /// long.
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
            // Meanwhile it may have become suspect.
            if asking.is_none_or(|it| self.what(&it).is_none()) {
                return Ok(Turn::Quick { _worker: worker });
            }
        }
    }

    /// A render takes long: it goes on in the slow lane, or ends where that is taken.
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

    /// A render took no more than it may.
    pub(super) fn acquit(&self, key: &TemplateKey) {
        self.suspects.lock().acquit(key);
    }

    /// A template took too much. True where it was not suspect before.
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
            // Where it is another one by now, they go on quickly.
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

    /// What the template was seen to do, where it is suspect.
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
