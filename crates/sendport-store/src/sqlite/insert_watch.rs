//! Notices within milliseconds that another process committed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::connection::Worker;

/// Between two looks while a caller waits; there are none otherwise.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was seen last. `PRAGMA data_version` is asked on the connection that writes: there,
/// and only there, our own commits leave it unchanged.
#[derive(Debug, Default)]
pub(super) struct Watch {
    version: AtomicI64,
    inserted_here: Notify,
}

impl Watch {
    /// This process inserted: the next wait, or the one under way, ends at once.
    pub(super) fn inserted(&self) {
        self.inserted_here.notify_one();
    }

    /// Ends when another connection committed since the last look of any wait, so that what
    /// came between two waits is not slept over.
    pub(super) async fn wait(&self, writer: &Worker, at_most: Duration) {
        let deadline = Instant::now() + at_most;
        let other = async {
            let mut looks = interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                if self.changed(writer).await {
                    return;
                }
            }
        };
        let either = async {
            tokio::select! {
                () = self.inserted_here.notified() => {}
                () = other => {}
            }
        };
        // At the deadline the caller looks anyway.
        let _ = timeout_at(deadline, either).await;
    }

    async fn changed(&self, writer: &Worker) -> bool {
        let found = writer
            .call("look for new alerts", |connection| {
                let version = connection.query_row("PRAGMA data_version", [], |row| row.get(0))?;
                Ok::<i64, _>(version)
            })
            .await;
        match found {
            Ok(version) => self.version.swap(version, Ordering::Relaxed) != version,
            // Waking for an error would make a loop of errors; the next claim reports it.
            Err(_) => false,
        }
    }
}
