//! Purging by a request of an operator: what it names is deleted by the batches of retention.

use async_trait::async_trait;
use sendport_core::domain::{AlertId, AlertStatus};

use crate::operator_requests::{RequestCursor, RequestLine};
use crate::retention::{MOST_ALERTS, PurgeAmong, PurgeScope, Purged, YOUNGEST};
use crate::{RefusedRow, StoreError};

/// Alerts of one status and send port that a request deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeList {
    /// Their final status.
    pub status: AlertStatus,
    /// Their send port.
    pub send_port: String,
    /// Which.
    pub alerts: Vec<AlertId>,
}

/// The result of one step over all alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeMatches {
    /// What the request deletes.
    pub groups: Vec<PurgeList>,
    /// Where to go on; `None` at the end.
    pub next: Option<RequestCursor>,
}

impl PurgeMatches {
    /// Of rows in the order of status and send port.
    pub(crate) fn new(
        rows: Vec<(AlertStatus, String, AlertId)>,
        next: Option<RequestCursor>,
    ) -> Self {
        let mut groups: Vec<PurgeList> = Vec::new();
        for (status, send_port, alert) in rows {
            match groups.last_mut() {
                Some(last) if last.status == status && last.send_port == send_port => {
                    last.alerts.push(alert);
                }
                _ => groups.push(PurgeList {
                    status,
                    send_port,
                    alerts: vec![alert],
                }),
            }
        }
        Self { groups, next }
    }
}

/// What a request of the verb `purge` names.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait PurgeRequests: Send + Sync {
    /// Those among the next rows that the request deletes. Changes nothing, and leaves what others have locked.
    async fn purge_matches(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
    ) -> Result<PurgeMatches, StoreError>;
}

/// What one batch deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeStage {
    /// Bodies and attachments.
    Bodies,
    /// Alerts whose bodies are deleted.
    Alerts,
}

/// Deletes batches at a pace.
#[async_trait]
pub trait PurgeBatches: Send {
    /// One batch, and the rest after it; `None` where no more may be deleted now.
    async fn purge(
        &mut self,
        stage: PurgeStage,
        scope: &PurgeScope,
    ) -> Result<Option<Purged>, StoreError>;
}

/// One step of a request over all alerts: deletes what matches among the next rows, and adds what the database refuses to
/// `refused`. Where to go on; `None` at the end.
///
/// # Errors
/// [`StoreError`]; what was deleted until then is counted, and the step may be repeated.
pub async fn purge_step(
    store: &(impl PurgeRequests + ?Sized),
    request: &RequestLine,
    from: Option<&RequestCursor>,
    refused: &mut Vec<RefusedRow>,
    batches: &mut impl PurgeBatches,
) -> Result<Option<RequestCursor>, StoreError> {
    let found = store.purge_matches(request, from).await?;
    for group in &found.groups {
        for alerts in group.alerts.chunks(MOST_ALERTS as usize) {
            let is_refused = |id: &AlertId| refused.iter().any(|it| it.alert == *id);
            let these = alerts.iter().copied().filter(|id| !is_refused(id));
            let mut scope = PurgeScope {
                among: PurgeAmong::These(these.collect()),
                request: Some(request.request_id),
                ..PurgeScope::old(group.status, &group.send_port, YOUNGEST)
            };
            purge_all(PurgeStage::Bodies, &mut scope, refused, batches).await?;
            if !request.bodies_only {
                purge_all(PurgeStage::Alerts, &mut scope, refused, batches).await?;
            }
        }
    }
    Ok(found.next)
}

/// Until nothing more of these can be deleted.
async fn purge_all(
    stage: PurgeStage,
    scope: &mut PurgeScope,
    refused: &mut Vec<RefusedRow>,
    batches: &mut impl PurgeBatches,
) -> Result<(), StoreError> {
    while let Some(purged) = batches.purge(stage, scope).await? {
        if let PurgeAmong::These(ids) = &mut scope.among {
            ids.retain(|id| purged.refused.iter().all(|it| it.alert != *id));
        }
        let has_changed = purged.rows > 0 || !purged.refused.is_empty();
        refused.extend(purged.refused);
        if !purged.more || !has_changed {
            break;
        }
    }
    Ok(())
}
