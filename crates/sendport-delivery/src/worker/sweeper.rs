//! Sweeps alerts that no instance claims: expired ones, those with an orphaned lease, and those for send ports
//! that no instance has. Alerts that the database refuses to change are left out and reported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::clock::Clock;
use sendport_core::domain::{AlertId, InstanceId};
use sendport_store::{Among, Event, EventSeverity, RefusedRow, Store, StoreError, SweepResult};
use tokio::sync::watch;

use super::refused_rows::{RefusedRows, event, refused_event, too_many};
use crate::observer::{Operation, WorkerActivity, WorkerObserver};

/// An alert for a send port that no instance has had for this time fails.
pub(super) const UNROUTED_AFTER: Duration = Duration::from_secs(10 * 60);

/// A send port that no instance has published for this time does not exist, as in the view `Queue`.
const UNSEEN: Duration = Duration::from_secs(2 * 60);

/// Number of alerts of one statement, well under lock escalation.
const BATCH: u32 = 200;

/// When each missing send port was reported last.
type ReportedSendPorts = BTreeMap<String, Instant>;

/// The maximum number of refused alerts that one round tries again.
const MOST_AGAIN: usize = 20;

/// What a sweep does with alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sweep {
    TakeOver,
    Expire,
    FailUnrouted,
}

impl Sweep {
    /// The label of the metrics.
    fn name(self) -> &'static str {
        match self {
            Self::TakeOver => "taken_over",
            Self::Expire => "expired",
            Self::FailUnrouted => "unrouted",
        }
    }

    fn others(self) -> &'static str {
        match self {
            Self::TakeOver => "all others of its instance, which ended, are taken over",
            Self::Expire => "all others whose time ran out expire",
            Self::FailUnrouted => "all others without a send port fail",
        }
    }
}

/// Runs the sweeps.
pub(super) struct Sweeper {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) lease: Duration,
    pub(super) interval: Duration,
    pub(super) unbroken_since: watch::Receiver<Option<Instant>>,
    pub(super) clock: Arc<dyn Clock>,
    /// Alerts that the database refuses to change.
    pub(super) refused: BTreeMap<Sweep, RefusedRows>,
    pub(super) observer: Arc<dyn WorkerObserver>,
}

impl Sweeper {
    /// Sweeps until it is dropped.
    pub(super) async fn run(mut self) {
        let started = Instant::now();
        let mut failing = false;
        let mut reported = BTreeMap::new();
        loop {
            tokio::time::sleep(self.interval).await;
            let begun = Instant::now();
            let swept = self.sweep(started, &mut reported).await;
            self.observer
                .database_operation(Operation::Sweep, begun.elapsed(), &swept);
            match swept {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "sweep failed, retrying");
                }
                Err(error) => tracing::debug!(%error, "sweep failed, retrying"),
            }
        }
    }

    /// An error of one sweep does not stop the others.
    async fn sweep(
        &mut self,
        started: Instant,
        reported: &mut ReportedSendPorts,
    ) -> Result<(), StoreError> {
        let taken_over = match self.was_unbroken_for_a_lease() {
            true => self.take_over().await,
            false => Ok(()),
        };
        let expired = self.expire().await;
        let noted = self.note_unrouted(reported).await;
        if started.elapsed() >= UNROUTED_AFTER {
            self.fail_unrouted().await?;
        }
        taken_over.and(expired).and(noted)
    }

    async fn take_over(&mut self) -> Result<(), StoreError> {
        let taken = self.all_of(Sweep::TakeOver).await?;
        if taken > 0 {
            tracing::warn!(count = taken, "leases of dead instances released");
        }
        Ok(())
    }

    async fn expire(&mut self) -> Result<(), StoreError> {
        let expired = self.all_of(Sweep::Expire).await?;
        if expired > 0 {
            tracing::warn!(count = expired, "alerts expired");
            let message = format!("{expired} expired before they were sent; see FailedDelivery");
            self.log_warning("alerts-expired", message).await?;
        }
        Ok(())
    }

    async fn fail_unrouted(&mut self) -> Result<(), StoreError> {
        let failed = self.all_of(Sweep::FailUnrouted).await?;
        if failed > 0 {
            tracing::warn!(count = failed, "alerts for unknown send ports failed");
            let message = format!("{failed} failed: no instance has their send port");
            self.log_warning("alerts-failed", message).await?;
        }
        Ok(())
    }

    /// Reports at once, in the rows and in the log, alerts that wait for an unknown send port.
    async fn note_unrouted(&self, reported: &mut ReportedSendPorts) -> Result<(), StoreError> {
        let noted = self.store.note_unrouted(UNSEEN, UNROUTED_AFTER, BATCH);
        reported.retain(|_, at| at.elapsed() < UNROUTED_AFTER);
        for (send_port, count) in noted.await? {
            if reported.contains_key(&send_port) {
                continue;
            }
            tracing::warn!(
                send_port,
                count,
                "alerts are waiting for an unknown send port"
            );
            let message = format!(
                "{count} or more wait for a send port named '{send_port}', which no running \
                 instance has; they fail 10 minutes after they were due"
            );
            self.log_warning("send-port-missing", message).await?;
            reported.insert(send_port, Instant::now());
        }
        Ok(())
    }

    /// The number of alerts that were swept.
    async fn all_of(&mut self, sweep: Sweep) -> Result<u32, StoreError> {
        let mut total = self.try_again(sweep).await?;
        loop {
            let without = self.refused(sweep).ids();
            let swept = self.ask(sweep, BATCH, Among::AllBut(&without)).await?;
            total += swept.count;
            self.note_refused(sweep, &swept.refused).await?;
            // Each refusal leaves one alert less: the loop ends.
            if swept.refused.is_empty() && swept.count < BATCH {
                return Ok(total);
            }
        }
    }

    /// Sweeps the refused alerts that are due for another try.
    async fn try_again(&mut self, sweep: Sweep) -> Result<u32, StoreError> {
        let (now, mut total) = (Instant::now(), 0);
        for _ in 0..MOST_AGAIN {
            let Some(alert) = self.refused(sweep).take_due(now) else {
                break;
            };
            let swept = self.ask(sweep, 1, Among::Only(alert)).await?;
            total += swept.count;
            match swept.refused.first() {
                Some(again) => self.refused(sweep).put_off(again, now),
                None => self.refused(sweep).remove(alert, now),
            }
            if swept.count > 0 {
                self.say_swept(alert).await?;
            }
        }
        Ok(total)
    }

    async fn ask(
        &self,
        sweep: Sweep,
        limit: u32,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError> {
        let store = &self.store;
        let swept = match sweep {
            Sweep::TakeOver => store.take_over(self.instance, limit, among).await?,
            Sweep::Expire => store.expire(limit, among).await?,
            Sweep::FailUnrouted => store.fail_unrouted(UNROUTED_AFTER, limit, among).await?,
        };
        self.observer.record(WorkerActivity::Sweep {
            reason: sweep.name(),
            alerts: swept.count,
        });
        Ok(swept)
    }

    /// Leaves them out of the next sweeps, and reports each once.
    async fn note_refused(
        &mut self,
        sweep: Sweep,
        refused: &[RefusedRow],
    ) -> Result<(), StoreError> {
        let since = self.clock.now();
        let added = self.refused(sweep).add(refused, since, Instant::now());
        let event = refused_event("alert-not-swept", &refused[..added], sweep.others());
        if let Some(event) = event {
            let (count, first) = (added, &refused[0]);
            tracing::error!(count, alert = first.alert.0, error = %first.why, "alerts refused by the sweep");
            self.log(event).await?;
        }
        match refused.get(added) {
            Some(one) => Err(too_many("sweep alerts", "", one)),
            None => Ok(()),
        }
    }

    async fn say_swept(&self, alert: AlertId) -> Result<(), StoreError> {
        tracing::info!(alert = alert.0, "refused alert swept");
        let message = "the alert that could not be swept is swept".to_owned();
        let severity = EventSeverity::Information;
        self.log(event("alert-swept", severity, Some(alert), message))
            .await
    }

    fn refused(&mut self, sweep: Sweep) -> &mut RefusedRows {
        self.refused.entry(sweep).or_default()
    }

    async fn log_warning(
        &self,
        event_type: &'static str,
        message: String,
    ) -> Result<(), StoreError> {
        self.log(event(event_type, EventSeverity::Warning, None, message))
            .await
    }

    async fn log(&self, event: Event) -> Result<(), StoreError> {
        let event = Event {
            instance: Some(self.instance),
            ..event
        };
        self.observer.record(WorkerActivity::Event(&event));
        self.store.log_event(&event).await
    }

    /// After an outage all leases have expired: each instance gets the time to renew its own.
    fn was_unbroken_for_a_lease(&self) -> bool {
        let renewed_since = *self.unbroken_since.borrow();
        let long_enough = |since: Instant| since.elapsed() >= self.lease;
        renewed_since.is_some_and(long_enough)
            && self.store.connection_broke_at().is_none_or(long_enough)
    }
}
