//! Purging old alerts at the command line, by the same batches as the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sendport_core::domain::AlertStatus;
use sendport_delivery::settings::SendPortConfig;
use sendport_delivery::settings::retention::StatusRetention;
use sendport_delivery::worker::{Pace, Pacer, RetentionPlan};
use sendport_store::operator_requests::RequestLine;
use sendport_store::purge_requests::{PurgeBatches, PurgeStage, purge_step};
use sendport_store::retention::{FinalGroup, PurgeAmong, PurgeScope, Purged};
use sendport_store::{Event, EventSeverity, MOST_REFUSED, Store, StoreError, StoreErrorKind};

use crate::config::Config;

/// The service may have the lock of a batch: it is tried again so often.
const MOST_TRIES: u32 = 60;

/// Between two of these tries.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// `EventLog.EventType` of a purge by an operator.
const PURGED_EVENT: &str = "purged";

/// What an operator asks to purge of what the configuration no longer keeps.
#[derive(Debug, Clone)]
pub struct PurgeSelection {
    /// These final statuses; empty: all.
    pub statuses: Vec<AlertStatus>,
    /// These send ports; empty: all.
    pub send_ports: Vec<String>,
    /// Only bodies and attachments.
    pub bodies_only: bool,
}

/// What is old of one status and send port.
#[derive(Debug, Clone)]
pub struct PurgeGroup {
    /// The status.
    pub status: AlertStatus,
    /// The send port.
    pub send_port: String,
    /// How many bodies are old.
    pub bodies: u64,
    /// How many alerts are old.
    pub alerts: u64,
    bodies_scope: Option<PurgeScope>,
    alerts_scope: Option<PurgeScope>,
}

/// Counts what is old.
///
/// # Errors
/// [`StoreError`].
pub async fn old_alerts(
    store: &dyn Store,
    config: &Config,
    selection: &PurgeSelection,
) -> Result<Vec<PurgeGroup>, StoreError> {
    let plan = retention_plan(config);
    let mut found = Vec::new();
    for group in store.final_groups().await? {
        let is_selected = (selection.statuses.is_empty()
            || selection.statuses.contains(&group.status))
            && (selection.send_ports.is_empty() || selection.send_ports.contains(&group.send_port));
        let Some(kept) = plan
            .of(group.status, &group.send_port)
            .filter(|_| is_selected)
        else {
            continue;
        };
        let group = counted(store, &group, kept, selection).await?;
        found.extend(Some(group).filter(|group| group.bodies + group.alerts > 0));
    }
    Ok(found)
}

async fn counted(
    store: &dyn Store,
    group: &FinalGroup,
    kept: StatusRetention,
    selection: &PurgeSelection,
) -> Result<PurgeGroup, StoreError> {
    let (status, send_port) = (group.status, group.send_port.clone());
    let scope = |configured: Option<Duration>| {
        let older_than = configured?;
        Some(PurgeScope::old(status, &send_port, older_than))
    };
    let bodies_scope = scope(kept.bodies.min(kept.alerts).duration());
    let alerts_scope = scope(kept.alerts.duration()).filter(|_| !selection.bodies_only);
    let bodies = match &bodies_scope {
        Some(scope) => store.count_old(scope).await?.bodies,
        None => 0,
    };
    let alerts = match &alerts_scope {
        Some(scope) => store.count_old(scope).await?.alerts,
        None => 0,
    };
    Ok(PurgeGroup {
        status,
        send_port,
        bodies,
        alerts,
        bodies_scope,
        alerts_scope,
    })
}

/// Deletes batches at the configured pace, beside a running service.
pub struct Purger<F> {
    store: Arc<dyn Store>,
    pacer: Pacer,
    /// What was deleted so far.
    pub all: Purged,
    /// Hears of each batch.
    progress: F,
}

impl<F: FnMut(&Purged) + Send + Sync> Purger<F> {
    /// Nothing is deleted yet.
    pub fn new(store: &Arc<dyn Store>, config: &Config, progress: F) -> Self {
        let pace = Pace {
            rows_per_second: config.retention.rows_per_second,
            bytes_per_second: config.retention.bytes_per_second.0,
        };
        Self {
            store: store.clone(),
            pacer: Pacer::new(pace),
            all: Purged::default(),
            progress,
        }
    }

    /// Deletes what the configuration no longer keeps, and writes `who` did it to `EventLog`.
    ///
    /// # Errors
    /// [`StoreError`]; what was purged before is in `EventLog`.
    pub async fn purge_groups(
        &mut self,
        groups: &[PurgeGroup],
        who: &str,
    ) -> Result<(), StoreError> {
        let mut result = Ok(());
        for group in groups {
            result = self.purge_group(group).await;
            if result.is_err() {
                break;
            }
        }
        let (rows, bytes) = (self.all.rows, self.all.bytes);
        let event = Event {
            severity: EventSeverity::Information,
            event_type: PURGED_EVENT,
            instance: None,
            alert: None,
            send_port: None,
            relay: None,
            message: format!("{who} purged {rows} rows and {bytes} bytes of old alerts"),
        };
        if rows > 0 {
            self.store.log_event(&event).await?;
        }
        result
    }

    async fn purge_group(&mut self, group: &PurgeGroup) -> Result<(), StoreError> {
        let stages = [
            (PurgeStage::Bodies, &group.bodies_scope),
            (PurgeStage::Alerts, &group.alerts_scope),
        ];
        let mut refused = Vec::new();
        for (stage, scope) in stages {
            let Some(mut scope) = scope.clone() else {
                continue;
            };
            while refused.len() < MOST_REFUSED {
                scope.among = PurgeAmong::AllBut(refused.clone());
                let Some(purged) = self.purge(stage, &scope).await? else {
                    break;
                };
                refused.extend(purged.refused.iter().map(|row| row.alert));
                if !purged.more {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Carries out a request, beside a service that does so too. What another transaction has locked is left to the service.
    ///
    /// # Errors
    /// [`StoreError`]; the request stays open, and a running instance goes on with it.
    pub async fn carry_out(&mut self, request: &RequestLine) -> Result<(), StoreError> {
        let (store, mut refused, mut from) = (self.store.clone(), Vec::new(), None);
        loop {
            from = purge_step(&*store, request, from.as_ref(), &mut refused, self).await?;
            if from.is_none() {
                break;
            }
        }
        let refused = refused.iter().map(|row| row.alert);
        let refused: Vec<_> = refused.take(MOST_REFUSED).collect();
        store.close_request(request, 0, &refused).await.map(|_| ())
    }

    /// One batch; again while the service has its lock.
    async fn batch(&self, stage: PurgeStage, scope: &PurgeScope) -> Result<Purged, StoreError> {
        let mut tries = 0;
        loop {
            let purged = match stage {
                PurgeStage::Bodies => {
                    let bytes = self.pacer.batch_bytes();
                    self.store.purge_bodies(scope, bytes).await
                }
                PurgeStage::Alerts => self.store.purge_alerts(scope).await,
            };
            match purged {
                Err(error) if error.kind() == StoreErrorKind::Unavailable && tries < MOST_TRIES => {
                    tries += 1;
                    tokio::time::sleep(TRY_AGAIN).await;
                }
                purged => return purged,
            }
        }
    }
}

#[async_trait]
impl<F: FnMut(&Purged) + Send + Sync> PurgeBatches for Purger<F> {
    async fn purge(
        &mut self,
        stage: PurgeStage,
        scope: &PurgeScope,
    ) -> Result<Option<Purged>, StoreError> {
        let began = Instant::now();
        let purged = self.batch(stage, scope).await?;
        self.all += purged.clone();
        (self.progress)(&self.all);
        tokio::time::sleep(self.pacer.rest(&purged, began.elapsed())).await;
        Ok(Some(purged))
    }
}

/// How long the configuration keeps what.
pub(super) fn retention_plan(config: &Config) -> RetentionPlan {
    let of_port =
        |(name, port): (&String, &SendPortConfig)| Some((name.clone(), port.retention.clone()?));
    let send_ports = config.send_port.iter().filter_map(of_port);
    RetentionPlan::new(config.retention.clone(), send_ports.collect())
}
