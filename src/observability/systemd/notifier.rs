//! Decides what to notify systemd of, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServiceManager;
use crate::observability::health_server::{HealthSource, HealthStatus};

/// `systemctl start` waits no longer: the service has started, although the database may still be
/// unavailable.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Time between two checks of the health, until `READY=1` is sent.
const CHECK_EVERY_AT_FIRST: Duration = Duration::from_millis(100);

/// The same, after that.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Longest status in bytes.
const MAX_STATUS_BYTES: usize = 500;

/// Notifies the service manager of the state of the service.
pub(super) struct SystemdNotifier {
    manager: ServiceManager,
    source: Arc<dyn HealthSource>,
    stop: CancellationToken,
    /// Longest duration of a stop.
    stop_timeout: Duration,
    /// `STOPPING=1` was sent.
    stopping: AtomicBool,
}

/// The state of the service now.
struct ServiceState {
    alive: bool,
    ready: bool,
    status: String,
    /// Since the start.
    waited: Duration,
    /// It is time for a `WATCHDOG=1`.
    watchdog_due: bool,
}

/// What was sent.
#[derive(Default)]
struct SentState {
    ready: bool,
    status: String,
    watchdog: Option<Instant>,
}

impl SystemdNotifier {
    pub(super) fn new(
        manager: ServiceManager,
        source: Arc<dyn HealthSource>,
        stop: CancellationToken,
        stop_timeout: Duration,
    ) -> Self {
        Self {
            manager,
            source,
            stop,
            stop_timeout,
            stopping: AtomicBool::new(false),
        }
    }

    /// Runs until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let started = Instant::now();
        let mut sent = SentState::default();
        loop {
            let stopping = self.stop.is_cancelled();
            if stopping {
                self.notify_stopping();
            }
            self.check(started, &mut sent);
            let pause = self.pause(&sent);
            tokio::select! {
                () = self.stop.cancelled(), if !stopping => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Notifies once of the stop, and extends its timeout: `service.drain_timeout` may be longer
    /// than `TimeoutStopSec`.
    pub(super) fn notify_stopping(&self) {
        if !self.stopping.swap(true, Ordering::Relaxed) {
            let extension = format!("EXTEND_TIMEOUT_USEC={}", self.stop_timeout.as_micros());
            self.manager.notify(&["STOPPING=1".to_owned(), extension]);
        }
    }

    fn check(&self, started: Instant, sent: &mut SentState) {
        let state = self.state(started, sent);
        let due = assignments_due(&state, sent);
        if due.is_empty() || !self.manager.notify(&due) {
            return;
        }
        sent.ready |= due.iter().any(|assignment| assignment == "READY=1");
        if state.watchdog_due && state.alive {
            sent.watchdog = Some(Instant::now());
        }
        sent.status = state.status;
    }

    fn state(&self, started: Instant, sent: &SentState) -> ServiceState {
        let readiness = self.source.readiness();
        let watchdog_due = self.manager.watchdog.is_some_and(|watchdog| {
            // systemd gets three before it misses one.
            sent.watchdog
                .is_none_or(|last| last.elapsed() >= watchdog / 4)
        });
        ServiceState {
            alive: matches!(self.source.liveness(), HealthStatus::Pass(_)),
            ready: matches!(readiness, HealthStatus::Pass(_)),
            status: status(&readiness),
            waited: started.elapsed(),
            watchdog_due,
        }
    }

    fn pause(&self, sent: &SentState) -> Duration {
        let pause = match sent.ready {
            true => CHECK_EVERY,
            false => CHECK_EVERY_AT_FIRST,
        };
        self.manager.watchdog.map_or(pause, |w| pause.min(w / 4))
    }
}

/// The assignments that this state requires.
fn assignments_due(state: &ServiceState, sent: &SentState) -> Vec<String> {
    let mut due = Vec::new();
    if !sent.ready && (state.ready || state.waited >= START_TIMEOUT) {
        due.push("READY=1".to_owned());
    }
    if state.status != sent.status {
        due.push(format!("STATUS={}", state.status));
    }
    if state.watchdog_due && state.alive {
        due.push("WATCHDOG=1".to_owned());
    }
    due
}

/// The readiness in one line.
fn status(readiness: &HealthStatus) -> String {
    let text = match readiness {
        HealthStatus::Pass(text) => text.clone(),
        HealthStatus::Fail(text) => text.replacen("not ready\n", "", 1),
    };
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut line = lines.join("; ");
    line.truncate(line.floor_char_boundary(MAX_STATUS_BYTES));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(ready: bool, waited: u64) -> ServiceState {
        ServiceState {
            alive: true,
            ready,
            status: String::new(),
            waited: Duration::from_secs(waited),
            watchdog_due: false,
        }
    }

    #[test]
    fn is_started_once_ready_or_after_the_start_timeout() {
        let mut sent = SentState::default();
        let none = Vec::<String>::new();
        assert_eq!(assignments_due(&state(false, 0), &sent), none);
        assert_eq!(assignments_due(&state(true, 0), &sent), ["READY=1"]);
        assert_eq!(assignments_due(&state(false, 60), &sent), ["READY=1"]);
        sent.ready = true;
        assert_eq!(assignments_due(&state(true, 61), &sent), none);
    }

    #[test]
    fn sends_no_watchdog_for_a_service_that_hangs() {
        let sent = SentState::default();
        let mut state = state(false, 0);
        state.watchdog_due = true;
        assert_eq!(assignments_due(&state, &sent), ["WATCHDOG=1"]);
        state.alive = false;
        assert_eq!(assignments_due(&state, &sent), Vec::<String>::new());
    }

    #[test]
    fn status_is_one_bounded_line() {
        let away = HealthStatus::Fail("not ready\nlease: none\ndatabase: away\n".to_owned());
        assert_eq!(status(&away), "lease: none; database: away");
        assert_eq!(status(&HealthStatus::Pass("ready\n".to_owned())), "ready");
        let long = status(&HealthStatus::Fail("ü".repeat(400)));
        assert!(long.len() <= MAX_STATUS_BYTES && long.ends_with('ü'));
    }
}
