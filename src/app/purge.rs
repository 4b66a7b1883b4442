//! Purging old alerts at the command line, by the same batches as the service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::domain::AlertStatus;
use sendport_delivery::settings::SendPortConfig;
use sendport_delivery::settings::retention::StatusRetention;
use sendport_delivery::worker::{Pace, Pacer, RetentionPlan};
use sendport_store::retention::{FinalGroup, PurgeScope, Purged};
use sendport_store::{Event, EventSeverity, Store, StoreError, StoreErrorKind};

use crate::config::Config;

/// The service may have the lock of a batch: it is tried again so often.
const MOST_TRIES: u32 = 60;

/// Between two of these tries.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// `EventLog.EventType` of a purge by an operator.
const PURGED_EVENT: &str = "purged";

/// What an operator asks to purge.
#[derive(Debug, Clone)]
pub struct PurgeSelection {
    /// These final statuses; empty: all.
    pub statuses: Vec<AlertStatus>,
    /// These send ports; empty: all.
    pub send_ports: Vec<String>,
    /// Time since `FinalAt`; `None`: as the configuration says.
    pub older_than: Option<Duration>,
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
        let older_than = selection.older_than.or(configured)?;
        Some(PurgeScope {
            status,
            send_port: send_port.clone(),
            older_than,
        })
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

/// Purges these at the configured pace; `progress` hears of each batch. Writes `who` did it to `EventLog`.
///
/// # Errors
/// [`StoreError`]; what was purged before is in `EventLog`.
pub async fn purge(
    store: &Arc<dyn Store>,
    config: &Config,
    groups: &[PurgeGroup],
    who: &str,
    mut progress: impl FnMut(Purged) + Send,
) -> Result<Purged, StoreError> {
    let pace = Pace {
        rows_per_second: config.retention.rows_per_second,
        bytes_per_second: config.retention.bytes_per_second.0,
    };
    let mut pacer = Pacer::new(pace);
    let mut all = Purged::default();
    let mut result = Ok(());
    for group in groups {
        result = purge_group(&**store, group, &mut pacer, &mut all, &mut progress).await;
        if result.is_err() {
            break;
        }
    }
    let event = Event {
        severity: EventSeverity::Information,
        event_type: PURGED_EVENT,
        instance: None,
        alert: None,
        send_port: None,
        relay: None,
        message: format!(
            "{who} purged {} rows and {} bytes of old alerts",
            all.rows, all.bytes
        ),
    };
    if all.rows > 0 {
        store.log_event(&event).await?;
    }
    result.map(|()| all)
}

async fn purge_group(
    store: &dyn Store,
    group: &PurgeGroup,
    pacer: &mut Pacer,
    all: &mut Purged,
    progress: &mut (impl FnMut(Purged) + Send),
) -> Result<(), StoreError> {
    let bytes = pacer.batch_bytes();
    for (scope, is_body) in [(&group.bodies_scope, true), (&group.alerts_scope, false)] {
        let Some(scope) = scope else { continue };
        loop {
            let began = Instant::now();
            let purged = purge_batch(store, scope, is_body, bytes).await?;
            *all += purged;
            progress(*all);
            if !purged.more {
                break;
            }
            tokio::time::sleep(pacer.rest(purged, began.elapsed())).await;
        }
    }
    Ok(())
}

/// One batch; again while the service has its lock.
async fn purge_batch(
    store: &dyn Store,
    scope: &PurgeScope,
    is_body: bool,
    bytes: u64,
) -> Result<Purged, StoreError> {
    let mut tries = 0;
    loop {
        let purged = match is_body {
            true => store.purge_bodies(scope, bytes).await,
            false => store.purge_alerts(scope).await,
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

/// How long the configuration keeps what.
pub(super) fn retention_plan(config: &Config) -> RetentionPlan {
    let of_port =
        |(name, port): (&String, &SendPortConfig)| Some((name.clone(), port.retention.clone()?));
    let send_ports = config.send_port.iter().filter_map(of_port);
    RetentionPlan::new(config.retention.clone(), send_ports.collect())
}
