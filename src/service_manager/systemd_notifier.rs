//! What is told, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ServiceManager;
use crate::http::{Pages, Verdict};

/// Whoever starts the service waits no longer than that: it has started, although the database
/// may still be away.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks: until the service has started, and then.
const LOOK_EVERY_AT_FIRST: Duration = Duration::from_millis(100);
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest status in octets.
const STATUS_OCTETS: usize = 500;

/// Tells the service manager how the service is.
pub(super) struct SystemdNotifier {
    manager: ServiceManager,
    pages: Arc<dyn Pages>,
    stop: CancellationToken,
    /// How long a stop lasts at most.
    may_take: Duration,
    /// Whether the stop was told.
    stopping: AtomicBool,
}

/// How the service is now.
struct Found {
    alive: bool,
    ready: bool,
    status: String,
    /// Since the start.
    waited: Duration,
    /// A sign of life is due.
    pulse_due: bool,
}

/// What was told.
#[derive(Default)]
struct Said {
    ready: bool,
    status: String,
    pulse: Option<Instant>,
}

impl SystemdNotifier {
    pub(super) fn new(
        manager: ServiceManager,
        pages: Arc<dyn Pages>,
        stop: CancellationToken,
        may_take: Duration,
    ) -> Self {
        Self {
            manager,
            pages,
            stop,
            may_take,
            stopping: AtomicBool::new(false),
        }
    }

    /// Tells until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let started = Instant::now();
        let mut said = Said::default();
        loop {
            let stopping = self.stop.is_cancelled();
            if stopping {
                self.stops();
            }
            self.look(started, &mut said);
            let rest = self.rest(&said);
            tokio::select! {
                () = self.stop.cancelled(), if !stopping => {}
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// Tells, once, that the service stops, and how long that may take: longer than
    /// `TimeoutStopSec` where `service.drain_timeout` is long.
    pub(super) fn stops(&self) {
        if !self.stopping.swap(true, Ordering::Relaxed) {
            let may_take = format!("EXTEND_TIMEOUT_USEC={}", self.may_take.as_micros());
            self.manager.tell(&["STOPPING=1".to_owned(), may_take]);
        }
    }

    fn look(&self, started: Instant, said: &mut Said) {
        let found = self.found(started, said);
        let news = news(&found, said);
        if news.is_empty() || !self.manager.tell(&news) {
            return;
        }
        said.ready |= news.iter().any(|told| told == "READY=1");
        if found.pulse_due && found.alive {
            said.pulse = Some(Instant::now());
        }
        said.status = found.status;
    }

    fn found(&self, started: Instant, said: &Said) -> Found {
        let ready = self.pages.ready();
        let pulse_due = self.manager.watchdog.is_some_and(|watchdog| {
            // Three signs of life before one is missed.
            said.pulse.is_none_or(|last| last.elapsed() >= watchdog / 4)
        });
        Found {
            alive: matches!(self.pages.alive(), Verdict::Yes(_)),
            ready: matches!(ready, Verdict::Yes(_)),
            status: status(&ready),
            waited: started.elapsed(),
            pulse_due,
        }
    }

    fn rest(&self, said: &Said) -> Duration {
        let rest = match said.ready {
            true => LOOK_EVERY,
            false => LOOK_EVERY_AT_FIRST,
        };
        self.manager.watchdog.map_or(rest, |w| rest.min(w / 4))
    }
}

/// What there is to tell.
fn news(found: &Found, said: &Said) -> Vec<String> {
    let mut news = Vec::new();
    if !said.ready && (found.ready || found.waited >= PATIENCE) {
        news.push("READY=1".to_owned());
    }
    if found.status != said.status {
        news.push(format!("STATUS={}", found.status));
    }
    if found.pulse_due && found.alive {
        news.push("WATCHDOG=1".to_owned());
    }
    news
}

/// The verdict in one line.
fn status(ready: &Verdict) -> String {
    let text = match ready {
        Verdict::Yes(text) => text.clone(),
        Verdict::No(text) => text.replacen("not ready\n", "", 1),
    };
    let lines: Vec<_> = text.lines().map(str::trim).collect();
    let mut line = lines.join("; ");
    line.truncate(line.floor_char_boundary(STATUS_OCTETS));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ready: bool, waited: u64) -> Found {
        Found {
            alive: true,
            ready,
            status: String::new(),
            waited: Duration::from_secs(waited),
            pulse_due: false,
        }
    }

    #[test]
    fn started_once_it_is_ready_or_has_waited_long_enough() {
        let mut said = Said::default();
        assert_eq!(news(&found(false, 0), &said), Vec::<String>::new());
        assert_eq!(news(&found(true, 0), &said), ["READY=1"]);
        assert_eq!(news(&found(false, 60), &said), ["READY=1"]);
        said.ready = true;
        assert_eq!(news(&found(true, 61), &said), Vec::<String>::new());
    }

    #[test]
    fn no_sign_of_life_from_a_service_that_hangs() {
        let said = Said::default();
        let mut hangs = found(false, 0);
        hangs.pulse_due = true;
        assert_eq!(news(&hangs, &said), ["WATCHDOG=1"]);
        hangs.alive = false;
        assert_eq!(news(&hangs, &said), Vec::<String>::new());
    }

    #[test]
    fn a_status_is_one_line_and_bounded() {
        let away = Verdict::No("not ready\nlease: none\ndatabase: away\n".to_owned());
        assert_eq!(status(&away), "lease: none; database: away");
        assert_eq!(status(&Verdict::Yes("ready\n".to_owned())), "ready");
        let long = status(&Verdict::No("ü".repeat(400)));
        assert!(long.len() <= STATUS_OCTETS && long.ends_with('ü'));
    }
}
