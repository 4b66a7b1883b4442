//! Tells the service manager how the service is, as systemd's `Type=notify` wants it:
//! [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
//!
//! In comes what [`crate::http::Pages`] says; out go datagrams to `$NOTIFY_SOCKET`. Without such a
//! socket, as at a terminal or in a container, nothing is told.

mod socket;
mod systemd_notifier;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::http::Pages;
use socket::Socket;
use systemd_notifier::SystemdNotifier;

/// Where the service manager listens, and how soon it misses a sign of life.
struct ServiceManager {
    socket: Socket,
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// The one that started this process, as these variables name it.
    fn named_by(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let address = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let socket = Socket::to(&address)
            .inspect_err(|error| {
                tracing::warn!(address, %error, "service manager unreachable");
            })
            .ok()?;
        let watchdog = watchdog(&variable, std::process::id());
        Some(Self { socket, watchdog })
    }

    /// Sends assignments such as `READY=1`. False where they did not get through.
    fn tell(&self, assignments: &[String]) -> bool {
        let told = self.socket.send(assignments.join("\n").as_bytes());
        if let Err(error) = &told {
            tracing::debug!(%error, "service manager notification failed");
        }
        told.is_ok()
    }
}

/// How soon a sign of life is missed; `None` where nobody waits for one of this process.
fn watchdog(variable: impl Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    let meant = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(process));
    let microseconds = variable("WATCHDOG_USEC")?.parse().ok()?;
    (meant && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

/// Tells as long as it lives, and at its end that the service stops.
pub struct Told {
    systemd_notifier: Arc<SystemdNotifier>,
    _task: AbortOnDropHandle<()>,
}

impl Drop for Told {
    fn drop(&mut self) {
        self.systemd_notifier.stops();
    }
}

/// Begins to tell the service manager what `pages` say; `None` where there is none. A stop is told
/// as soon as `stop` is cancelled, with the time that it `may_take` at most.
pub fn begin(pages: Arc<dyn Pages>, stop: CancellationToken, may_take: Duration) -> Option<Told> {
    let manager = ServiceManager::named_by(|name| std::env::var(name).ok())?;
    let systemd_notifier = Arc::new(SystemdNotifier::new(manager, pages, stop, may_take));
    let task = tokio::spawn(systemd_notifier.clone().run());
    Some(Told {
        systemd_notifier,
        _task: AbortOnDropHandle::new(task),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let named = |usec: &'static str, pid: Option<&'static str>| {
            move |name: &str| match name {
                "WATCHDOG_USEC" => Some(usec.to_owned()),
                "WATCHDOG_PID" => pid.map(str::to_owned),
                _ => None,
            }
        };
        let minute = Some(Duration::from_secs(60));
        assert_eq!(watchdog(named("60000000", None), 7), minute);
        assert_eq!(watchdog(named("60000000", Some("7")), 7), minute);
        assert_eq!(watchdog(named("60000000", Some("8")), 7), None);
        for none in ["0", "", "soon"] {
            assert_eq!(watchdog(named(none, None), 7), None, "{none}");
        }
        assert_eq!(watchdog(|_| None, 7), None);
    }

    #[test]
    fn without_a_socket_nothing_is_told() {
        assert!(ServiceManager::named_by(|_| None).is_none());
        assert!(ServiceManager::named_by(|_| Some(String::new())).is_none());
        assert!(ServiceManager::named_by(|_| Some("vsock:2:1234".to_owned())).is_none());
    }
}
