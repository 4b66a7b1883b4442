//! Notifies systemd (`Type=notify`) of the state of the service:
//! [sd_notify(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
//!
//! In: a [`HealthSource`]. Out: datagrams to `$NOTIFY_SOCKET`. Without that variable, as at a
//! terminal or in a container, nothing is sent.

mod notifier;
mod socket;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::observability::health_server::HealthSource;
use notifier::SystemdNotifier;
use socket::NotifySocket;

/// The service manager that started this process.
struct ServiceManager {
    socket: NotifySocket,
    /// It restarts the service if it gets no `WATCHDOG=1` for so long.
    watchdog: Option<Duration>,
}

impl ServiceManager {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; `None` without a usable socket.
    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let address = variable("NOTIFY_SOCKET").filter(|address| !address.is_empty())?;
        let socket = NotifySocket::connect(&address)
            .inspect_err(|error| {
                tracing::warn!(address, %error, "service manager unreachable");
            })
            .ok()?;
        let watchdog = watchdog(&variable, std::process::id());
        Some(Self { socket, watchdog })
    }

    /// Sends assignments such as `READY=1`. False if they were not delivered.
    fn notify(&self, assignments: &[String]) -> bool {
        let sent = self.socket.send(assignments.join("\n").as_bytes());
        if let Err(error) = &sent {
            tracing::debug!(%error, "service manager notification failed");
        }
        sent.is_ok()
    }
}

/// The watchdog interval of this process; `None` if it has none.
fn watchdog(variable: impl Fn(&str) -> Option<String>, process: u32) -> Option<Duration> {
    let is_ours = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(process));
    let microseconds = variable("WATCHDOG_USEC")?.parse().ok()?;
    (is_ours && microseconds > 0).then(|| Duration::from_micros(microseconds))
}

/// Notifies the service manager until it is dropped, and then of the stop.
pub struct NotifierTask {
    notifier: Arc<SystemdNotifier>,
    _task: AbortOnDropHandle<()>,
}

impl Drop for NotifierTask {
    fn drop(&mut self) {
        self.notifier.notify_stopping();
    }
}

/// Starts to notify the service manager of the health in `source`; `None` without one. When `stop`
/// is cancelled it notifies of the stop, with its longest duration `stop_timeout`.
pub fn start(
    source: Arc<dyn HealthSource>,
    stop: CancellationToken,
    stop_timeout: Duration,
) -> Option<NotifierTask> {
    let manager = ServiceManager::from_environment(|name| std::env::var(name).ok())?;
    let notifier = Arc::new(SystemdNotifier::new(manager, source, stop, stop_timeout));
    let task = tokio::spawn(notifier.clone().run());
    Some(NotifierTask {
        notifier,
        _task: AbortOnDropHandle::new(task),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_the_watchdog_of_another_process() {
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
    fn sends_nothing_without_a_socket() {
        assert!(ServiceManager::from_environment(|_| None).is_none());
        assert!(ServiceManager::from_environment(|_| Some(String::new())).is_none());
        assert!(ServiceManager::from_environment(|_| Some("vsock:2:1234".to_owned())).is_none());
    }
}
