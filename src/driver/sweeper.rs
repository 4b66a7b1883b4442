//! Looks after alerts that nobody would claim: expired ones, orphaned leases, and those for
//! send ports that nobody has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::domain::InstanceId;
use crate::metrics::{Metrics, Operation};
use crate::store::{Event, EventSeverity, Store, StoreError};

/// An alert for a send port that no instance has had for so long fails.
pub(super) const UNROUTED_AFTER: Duration = Duration::from_secs(10 * 60);

/// A send port that no instance has shown for so long is there no more, as for the view `Queue`.
const UNSEEN: Duration = Duration::from_secs(2 * 60);

/// So many alerts a statement, well under lock escalation.
const BATCH: u32 = 200;

/// When which send port was said to be missing.
type Said = BTreeMap<String, Instant>;

/// What sweeps.
pub(super) struct Sweeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) lease: Duration,
    pub(super) interval: Duration,
    pub(super) unbroken_since: watch::Receiver<Option<Instant>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Sweeper {
    /// Sweeps until it is dropped.
    pub(super) async fn run(self) {
        let started = Instant::now();
        let mut failing = false;
        let mut said = BTreeMap::new();
        loop {
            tokio::time::sleep(self.interval).await;
            let begun = Instant::now();
            let swept = self.sweep(started, &mut said).await;
            let service = &self.metrics.service;
            service.asked(Operation::Sweep, begun.elapsed(), &swept);
            match swept {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "expired and orphaned alerts cannot be looked for");
                }
                Err(error) => tracing::debug!(%error, "sweep failed again"),
            }
        }
    }

    async fn sweep(&self, started: Instant, said: &mut Said) -> Result<(), StoreError> {
        if self.was_unbroken_for_a_lease() {
            let taken = self
                .repeat(|| self.store.take_over(self.instance, BATCH))
                .await?;
            self.metrics.service.swept("taken_over", taken);
            if taken > 0 {
                tracing::warn!(count = taken, "leases of dead instances taken over");
            }
        }
        let expired = self.repeat(|| self.store.expire(BATCH)).await?;
        self.metrics.service.swept("expired", expired);
        if expired > 0 {
            tracing::warn!(count = expired, "alerts expired");
            let message = format!("{expired} expired before they were sent; see FailedDelivery");
            self.tell("alerts-expired", message).await?;
        }
        self.note_unrouted(said).await?;
        if started.elapsed() >= UNROUTED_AFTER {
            let failed = self
                .repeat(|| self.store.fail_unrouted(UNROUTED_AFTER, BATCH))
                .await?;
            self.metrics.service.swept("unrouted", failed);
            if failed > 0 {
                tracing::warn!(count = failed, "alerts for unknown send ports failed");
                let message = format!("{failed} failed: no instance has their send port");
                self.tell("alerts-failed", message).await?;
            }
        }
        Ok(())
    }

    /// Says at once, in the rows and in the log, what waits for a send port that nobody has.
    async fn note_unrouted(&self, said: &mut Said) -> Result<(), StoreError> {
        let noted = self.store.note_unrouted(UNSEEN, UNROUTED_AFTER, BATCH);
        said.retain(|_, at| at.elapsed() < UNROUTED_AFTER);
        for (send_port, count) in noted.await? {
            if said.contains_key(&send_port) {
                continue;
            }
            tracing::warn!(
                send_port,
                count,
                "alerts wait for a send port that no instance has"
            );
            let message = format!(
                "{count} or more wait for a send port named '{send_port}', which no running \
                 instance has; they fail 10 minutes after they were due"
            );
            self.tell("send-port-missing", message).await?;
            said.insert(send_port, Instant::now());
        }
        Ok(())
    }

    async fn tell(&self, event_type: &'static str, message: String) -> Result<(), StoreError> {
        let event = Event {
            severity: EventSeverity::Warning,
            event_type,
            instance: Some(self.instance),
            alert: None,
            send_port: None,
            relay: None,
            message,
        };
        let service = &self.metrics.service;
        service.event(event.event_type, event.severity.as_str());
        self.store.log_event(&event).await
    }

    /// After an outage everybody's lease has run out: each gets the time to renew its own.
    fn was_unbroken_for_a_lease(&self) -> bool {
        let renewed_since = *self.unbroken_since.borrow();
        let long_enough = |since: Instant| since.elapsed() >= self.lease;
        renewed_since.is_some_and(long_enough)
            && self.store.connection_broke_at().is_none_or(long_enough)
    }

    /// Until a batch is not full.
    async fn repeat<F>(&self, mut once: impl FnMut() -> F) -> Result<u32, StoreError>
    where
        F: Future<Output = Result<u32, StoreError>>,
    {
        let mut total = 0;
        loop {
            let done = once().await?;
            total += done;
            if done < BATCH {
                return Ok(total);
            }
        }
    }
}
