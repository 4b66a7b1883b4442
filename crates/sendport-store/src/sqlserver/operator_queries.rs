//! What an operator asks at the command line.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, PublicId, RequestId};
use tiberius::{Row, ToSql};
use uuid::Uuid;

use super::SqlServerStore;
use super::attachments;
use super::error::unexpected;
use super::expiry::top;
use super::resolve;
use super::values::{Fields, seconds, stored};
use crate::operator_requests::ResolveRequest;
use crate::{
    AlertLine, ColumnError, DeliveryLine, ExplanationLine, FailureLine, InDoubtLine, InstanceLine,
    NewAlert, OperatorQueries, OverdueLeases, QueueDepth, QueueLine, RelayLine, StoreError,
};

const EXPLANATION: &str = "SELECT x.Kind, x.At, x.Sentence FROM sendport.AlertExplanation x
    WHERE x.AlertId = @P1 AND x.Sentence IS NOT NULL ORDER BY x.Part, x.At, x.Number;";

#[async_trait]
impl OperatorQueries for SqlServerStore {
    async fn insert(&self, alert: &NewAlert) -> Result<AlertId, StoreError> {
        const DOING: &str = "insert the alert";
        let values = new_alert(Uuid::new_v4(), alert);
        let of_attachments = attachments::values(&alert.attachments);
        let inserts = attachments::inserts(values.len() + 1, alert.attachments.len());
        let sql = include_str!("sql/insert.sql").replace("{attachments}", &inserts);
        let values = values.iter().chain(&of_attachments);
        let values: Vec<_> = values.map(|value| &**value).collect();
        let row = self.pool.row(DOING, &sql, &values).await?;
        let id = Fields::of(&row).get().map_err(|e| unexpected(DOING, e))?;
        Ok(AlertId(id))
    }

    async fn alerts(
        &self,
        only: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<AlertLine>, StoreError> {
        const DOING: &str = "read AlertStatus";
        let (first, last) = range(only);
        let sql = include_str!("sql/alerts.sql");
        let rows = self
            .pool
            .rows(DOING, sql, &[&first, &last, &top(limit)])
            .await?;
        lines(DOING, &rows, alert_line)
    }

    async fn alerts_named(
        &self,
        public_id: Option<PublicId>,
        reference: &str,
        limit: u32,
    ) -> Result<Vec<AlertLine>, StoreError> {
        const DOING: &str = "look for an alert";
        let sql = include_str!("sql/alerts_named.sql");
        let public_id = public_id.map(|id| id.0);
        let rows = self
            .pool
            .rows(DOING, sql, &[&public_id, &reference, &top(limit)])
            .await?;
        lines(DOING, &rows, alert_line)
    }

    async fn failures(&self, limit: u32) -> Result<Vec<FailureLine>, StoreError> {
        const DOING: &str = "read FailedDelivery";
        let sql = include_str!("sql/failures.sql");
        let rows = self.pool.rows(DOING, sql, &[&top(limit)]).await?;
        lines(DOING, &rows, failure_line)
    }

    async fn relays(&self) -> Result<Vec<RelayLine>, StoreError> {
        const DOING: &str = "read Relay";
        let sql = include_str!("sql/relays.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        lines(DOING, &rows, relay_line)
    }

    async fn deliveries(
        &self,
        only: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<DeliveryLine>, StoreError> {
        const DOING: &str = "read Delivery";
        let (first, last) = range(only);
        let sql = include_str!("sql/deliveries.sql");
        let rows = self
            .pool
            .rows(DOING, sql, &[&first, &last, &top(limit)])
            .await?;
        lines(DOING, &rows, delivery_line)
    }

    async fn queue(&self) -> Result<Vec<QueueLine>, StoreError> {
        const DOING: &str = "read Queue";
        let rows = self
            .pool
            .rows(DOING, include_str!("sql/queue.sql"), &[])
            .await?;
        lines(DOING, &rows, queue_line)
    }

    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError> {
        const DOING: &str = "count the queue";
        let sql = include_str!("sql/depths.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        lines(DOING, &rows, queue_depth)
    }

    async fn overdue(&self, after: Duration) -> Result<OverdueLeases, StoreError> {
        const DOING: &str = "count alerts that are stuck";
        let sql = include_str!("sql/overdue.sql");
        let row = self.pool.row(DOING, sql, &[&seconds(after)]).await?;
        overdue(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }

    async fn instances(&self, limit: u32) -> Result<Vec<InstanceLine>, StoreError> {
        const DOING: &str = "read Instance";
        let sql = include_str!("sql/instances.sql");
        let rows = self.pool.rows(DOING, sql, &[&top(limit)]).await?;
        lines(DOING, &rows, instance_line)
    }

    async fn explanation(&self, id: AlertId) -> Result<Vec<ExplanationLine>, StoreError> {
        const DOING: &str = "explain an alert";
        let rows = self.pool.rows(DOING, EXPLANATION, &[&id.0]).await?;
        lines(DOING, &rows, explanation_line)
    }

    async fn in_doubt(&self, limit: u32) -> Result<Vec<InDoubtLine>, StoreError> {
        const DOING: &str = "read InDoubt";
        let sql = include_str!("sql/in_doubt.sql");
        let rows = self.pool.rows(DOING, sql, &[&top(limit)]).await?;
        lines(DOING, &rows, in_doubt_line)
    }

    async fn resolve(
        &self,
        id: AlertId,
        request: &ResolveRequest,
    ) -> Result<Option<RequestId>, StoreError> {
        resolve::resolve(&self.pool, id, request).await
    }
}

/// The values of `insert`, in order, of an alert that is to have this public id.
pub(super) fn new_alert(public_id: Uuid, alert: &NewAlert) -> [Box<dyn ToSql + '_>; 16] {
    [
        Box::new(public_id),
        Box::new(&alert.to_recipients),
        Box::new(&alert.cc_recipients),
        Box::new(&alert.bcc_recipients),
        Box::new(&alert.subject),
        Box::new(&alert.body),
        Box::new(alert.body_format.as_str()),
        Box::new(&alert.template),
        Box::new(&alert.payload),
        Box::new(&alert.language),
        Box::new(&alert.headers),
        Box::new(&alert.reference),
        Box::new(alert.send_port.as_str()),
        Box::new(alert.priority.as_str()),
        Box::new(alert.not_before.map(stored)),
        Box::new(alert.expires_at.map(stored)),
    ]
}

/// The ids that are meant: a seek, where `@id IS NULL OR ...` would be a scan.
fn range(only: Option<AlertId>) -> (i64, i64) {
    only.map_or((i64::MIN, i64::MAX), |id| (id.0, id.0))
}

pub(super) fn lines<T>(
    doing: &'static str,
    rows: &[Row],
    read: fn(&mut Fields<'_>) -> Result<T, ColumnError>,
) -> Result<Vec<T>, StoreError> {
    rows.iter()
        .map(|row| read(&mut Fields::of(row)).map_err(|e| unexpected(doing, e)))
        .collect()
}

fn alert_line(f: &mut Fields<'_>) -> Result<AlertLine, ColumnError> {
    Ok(AlertLine {
        alert_id: AlertId(f.get()?),
        public_id: f.get::<Uuid>()?.to_string(),
        reference: f.maybe_text()?,
        subject: f.maybe_text()?,
        send_port: f.key()?,
        status: f.word()?,
        status_reason: f.maybe_text()?,
        attempt_count: f.count()?,
        next_attempt_at: f.maybe_time()?,
        final_at: f.maybe_time()?,
        body_purged_at: f.maybe_time()?,
        recipient_count: f.count()?,
        relayed_count: f.count()?,
        waiting_count: f.count()?,
        failed_count: f.count()?,
        created_at: f.time()?,
    })
}

fn delivery_line(f: &mut Fields<'_>) -> Result<DeliveryLine, ColumnError> {
    Ok(DeliveryLine {
        alert_id: AlertId(f.get()?),
        ordinal: f.count()?,
        kind: f.text()?,
        address: f.text()?,
        status: f.text()?,
        status_at: f.time()?,
        attempt_count: f.count()?,
        next_attempt_at: f.maybe_time()?,
        relay: f.maybe_text()?,
        command: f.maybe_text()?,
        reply_code: f.maybe::<i32>()?.and_then(|code| u16::try_from(code).ok()),
        enhanced_status_code: f.maybe_text()?,
        reply_text: f.maybe_text()?,
        fault: f.maybe_text()?,
        cause: f.maybe_text()?,
        advice: f.maybe_text()?,
        remark: f.maybe_text()?,
        message_id: f.maybe_text()?,
        protection: f.maybe_text()?,
        signed_by: f.maybe_text()?,
        encrypted_to: f.maybe_text()?,
    })
}

fn failure_line(f: &mut Fields<'_>) -> Result<FailureLine, ColumnError> {
    Ok(FailureLine {
        alert_id: AlertId(f.get()?),
        send_port: f.key()?,
        address: f.maybe_text()?,
        status: f.text()?,
        status_at: f.time()?,
        relay: f.maybe_text()?,
        reply_code: f.maybe::<i32>()?.and_then(|code| u16::try_from(code).ok()),
        enhanced_status_code: f.maybe_text()?,
        reason: f.maybe_text()?,
        cause: f.maybe_text()?,
        advice: f.maybe_text()?,
    })
}

fn relay_line(f: &mut Fields<'_>) -> Result<RelayLine, ColumnError> {
    Ok(RelayLine {
        relay: f.key()?,
        condition: f.text()?,
        since: f.time()?,
        retry_at: f.maybe_time()?,
        reply: f.maybe_text()?,
        cause: f.maybe_text()?,
        advice: f.maybe_text()?,
        instances: f.count()?,
        throttle_reason: f.maybe_text()?,
        authentication: f.maybe_text()?,
        authentication_retry_at: f.maybe_time()?,
        send_ports: f.maybe_text()?,
    })
}

fn explanation_line(f: &mut Fields<'_>) -> Result<ExplanationLine, ColumnError> {
    Ok(ExplanationLine {
        kind: f.text()?,
        at: f.maybe_time()?,
        sentence: f.maybe_text()?.unwrap_or_default(),
    })
}

fn queue_line(f: &mut Fields<'_>) -> Result<QueueLine, ColumnError> {
    Ok(QueueLine {
        send_port: f.key()?,
        status: f.word()?,
        depth: u64::try_from(f.get::<i64>()?).unwrap_or(0),
        oldest_at: f.time()?,
        oldest_age_seconds: f.get()?,
        next_due_at: f.maybe_time()?,
        waiting_for: f.maybe_text()?,
        has_instance: f.get()?,
    })
}

fn overdue(f: &mut Fields<'_>) -> Result<OverdueLeases, ColumnError> {
    Ok(OverdueLeases {
        alerts: u64::try_from(f.get::<i64>()?).unwrap_or(0),
        since: f.maybe_time()?,
    })
}

fn queue_depth(f: &mut Fields<'_>) -> Result<QueueDepth, ColumnError> {
    Ok(QueueDepth {
        send_port: f.key()?,
        status: f.word()?,
        depth: u64::try_from(f.get::<i64>()?).unwrap_or(0),
        oldest_age_seconds: f.get()?,
    })
}

fn in_doubt_line(f: &mut Fields<'_>) -> Result<InDoubtLine, ColumnError> {
    Ok(InDoubtLine {
        alert_id: AlertId(f.get()?),
        public_id: f.get::<Uuid>()?.to_string(),
        reference: f.maybe_text()?,
        send_port: f.key()?,
        subject: f.maybe_text()?,
        status: f.word()?,
        status_reason: f.maybe_text()?,
        attempt_number: f.count()?,
        relay: f.maybe_text()?,
        message_id: f.maybe_text()?,
        started_at: f.maybe_time()?,
        ended_at: f.time()?,
        remote_address: f.maybe_text()?,
        next_attempt_at: f.maybe_time()?,
        created_at: f.time()?,
        created_by: f.text()?,
    })
}

fn instance_line(f: &mut Fields<'_>) -> Result<InstanceLine, ColumnError> {
    Ok(InstanceLine {
        name: f.text()?,
        host_name: f.text()?,
        process_id: u32::try_from(f.get::<i64>()?).unwrap_or(0),
        version: f.text()?,
        started_at: f.time()?,
        renewed_at: f.time()?,
        lease_until: f.time()?,
        stopped_at: f.maybe_time()?,
        alive: f.get::<i32>()? == 1,
        waiting_for: f.maybe_text()?,
        unrecorded_count: f.count()?,
        unrecorded_since: f.maybe_time()?,
        unclaimed_count: f.count()?,
        unclaimed_since: f.maybe_time()?,
    })
}
