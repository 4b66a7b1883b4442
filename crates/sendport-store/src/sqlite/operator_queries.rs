//! What an operator asks at the command line.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, ToSql, params};
use sendport_core::domain::{AlertId, InstanceId, PublicId, RequestId};
use uuid::Uuid;

use super::connection::{SqliteError, write};
use super::record::Recorder;
use super::values::{Columns, earlier, time_text};
use super::{SqliteStore, attachments, sql};
use crate::operator_requests::ResolveRequest;
use crate::{
    AlertLine, ColumnError, DeliveryLine, ExplanationLine, FailureLine, InDoubtLine, InstanceLine,
    NewAlert, OperatorQueries, OverdueLeases, QueueDepth, QueueLine, RelayLine, StoreError,
};

const EXPLANATION: &str =
    "SELECT Kind, At, Sentence FROM AlertExplanation WHERE AlertId = ?1 AND Sentence IS NOT NULL
    ORDER BY Part, At, Number";

#[async_trait]
impl OperatorQueries for SqliteStore {
    async fn insert(&self, alert: &NewAlert) -> Result<AlertId, StoreError> {
        let (alert, now) = (alert.clone(), time_text(self.clock.now()));
        let id = self
            .writer
            .call("insert an alert", move |connection| {
                write(connection, |tx| {
                    let id = insert(tx, &alert, &now)?;
                    for attachment in &alert.attachments {
                        attachments::insert(tx, id, attachment)?;
                    }
                    Ok(id)
                })
            })
            .await?;
        self.watch.inserted();
        Ok(id)
    }

    async fn alerts(
        &self,
        only: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<AlertLine>, StoreError> {
        self.operator_reader
            .call("list alerts", move |connection| match only {
                Some(id) => lines(connection, sql!("alerts_one"), params![id.0], alert_line),
                None => readable_lines(
                    connection,
                    sql!("alerts_newest"),
                    params![limit],
                    alert_line,
                ),
            })
            .await
    }

    async fn alerts_named(
        &self,
        public_id: Option<PublicId>,
        reference: &str,
        limit: u32,
    ) -> Result<Vec<AlertLine>, StoreError> {
        let public_id = public_id.map(|id| id.to_string());
        let reference = reference.to_owned();
        self.operator_reader
            .call("look for an alert", move |connection| {
                let values = params![public_id, reference, limit];
                readable_lines(connection, sql!("alerts_named"), values, alert_line)
            })
            .await
    }

    async fn failures(&self, limit: u32) -> Result<Vec<FailureLine>, StoreError> {
        self.operator_reader
            .call("list failures", move |connection| {
                readable_lines(connection, sql!("failures"), params![limit], failure_line)
            })
            .await
    }

    async fn relays(&self) -> Result<Vec<RelayLine>, StoreError> {
        self.operator_reader
            .call("list relays", |connection| {
                readable_lines(connection, sql!("relays"), params![], relay_line)
            })
            .await
    }

    async fn deliveries(
        &self,
        only: Option<AlertId>,
        limit: u32,
    ) -> Result<Vec<DeliveryLine>, StoreError> {
        self.operator_reader
            .call("list deliveries", move |connection| match only {
                Some(id) => {
                    let values = params![id.0, limit];
                    lines(connection, sql!("deliveries_one"), values, delivery_line)
                }
                None => {
                    let values = params![limit];
                    readable_lines(connection, sql!("deliveries_newest"), values, delivery_line)
                }
            })
            .await
    }

    async fn queue(&self) -> Result<Vec<QueueLine>, StoreError> {
        self.operator_reader
            .call("list the queue", |connection| {
                readable_lines(connection, sql!("queue"), params![], queue_line)
            })
            .await
    }

    async fn depths(&self) -> Result<Vec<QueueDepth>, StoreError> {
        let now = time_text(self.clock.now());
        self.operator_reader
            .call("count the queue", move |connection| {
                readable_lines(connection, sql!("depths"), params![now], queue_depth)
            })
            .await
    }

    async fn overdue(&self, after: Duration) -> Result<OverdueLeases, StoreError> {
        let before = earlier(self.clock.now(), after);
        self.operator_reader
            .call("count alerts that are stuck", move |connection| {
                let mut statement = connection.prepare_cached(sql!("overdue"))?;
                let read = statement.query_row([&before], |row| Ok(overdue(&Columns::new(row))))?;
                read.map_err(SqliteError::unreadable)
            })
            .await
    }

    async fn instances(&self, limit: u32) -> Result<Vec<InstanceLine>, StoreError> {
        let now = time_text(self.clock.now());
        self.operator_reader
            .call("list instances", move |connection| {
                readable_lines(
                    connection,
                    sql!("instances"),
                    params![now, limit],
                    instance_line,
                )
            })
            .await
    }

    async fn explanation(&self, id: AlertId) -> Result<Vec<ExplanationLine>, StoreError> {
        self.operator_reader
            .call("explain an alert", move |connection| {
                lines(connection, EXPLANATION, params![id.0], explanation_line)
            })
            .await
    }

    async fn in_doubt(&self, limit: u32) -> Result<Vec<InDoubtLine>, StoreError> {
        self.operator_reader
            .call("list alerts in doubt", move |connection| {
                readable_lines(connection, sql!("in_doubt"), params![limit], in_doubt_line)
            })
            .await
    }

    async fn resolve(
        &self,
        id: AlertId,
        request: &ResolveRequest,
    ) -> Result<Option<RequestId>, StoreError> {
        let (request, now) = (request.clone(), self.clock.now());
        let instance = InstanceId(Uuid::nil());
        let resolved = self
            .writer
            .call("resolve an alert in doubt", move |connection| {
                write(connection, |tx| {
                    Recorder { tx, instance, now }.resolve(id, &request)
                })
            })
            .await?;
        self.watch.inserted();
        Ok(resolved)
    }
}

pub(super) fn insert(
    connection: &Connection,
    alert: &NewAlert,
    now: &str,
) -> Result<AlertId, SqliteError> {
    connection.prepare_cached(sql!("insert"))?.execute(params![
        alert.to_recipients,
        alert.cc_recipients,
        alert.bcc_recipients,
        alert.subject,
        alert.body,
        alert.body_format.as_str(),
        alert.template,
        alert.payload,
        alert.language,
        alert.headers,
        alert.reference,
        alert.send_port,
        alert.priority.as_str(),
        alert.not_before.map(time_text),
        alert.expires_at.map(time_text),
        now,
    ])?;
    Ok(AlertId(connection.last_insert_rowid()))
}

pub(super) fn lines<T>(
    connection: &Connection,
    statement: &'static str,
    values: &[&dyn ToSql],
    read: fn(&Columns<'_, '_>) -> Result<T, ColumnError>,
) -> Result<Vec<T>, SqliteError> {
    lines_or(connection, statement, values, read, |_, error| Err(error))
}

/// [`lines`] of rows that have nothing to do with each other: one that cannot be read is left out, and a warning names it
/// once.
pub(super) fn readable_lines<T>(
    connection: &Connection,
    statement: &'static str,
    values: &[&dyn ToSql],
    read: fn(&Columns<'_, '_>) -> Result<T, ColumnError>,
) -> Result<Vec<T>, SqliteError> {
    lines_or(connection, statement, values, read, |columns, error| {
        warn_once(&columns.row_name(), &error);
        Ok(())
    })
}

/// The rows; `unreadable` says whether one that cannot be read ends the list.
fn lines_or<T>(
    connection: &Connection,
    statement: &'static str,
    values: &[&dyn ToSql],
    read: fn(&Columns<'_, '_>) -> Result<T, ColumnError>,
    unreadable: fn(&Columns<'_, '_>, ColumnError) -> Result<(), ColumnError>,
) -> Result<Vec<T>, SqliteError> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(values)?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let columns = Columns::new(row);
        match read(&columns) {
            Ok(line) => lines.push(line),
            Err(error) => unreadable(&columns, error).map_err(SqliteError::unreadable)?,
        }
    }
    Ok(lines)
}

/// Lists are read again and again.
fn warn_once(row: &str, error: &ColumnError) {
    const MOST: usize = 1_000;
    static WARNED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut warned = WARNED.lock();
    if warned.len() < MOST && warned.insert(format!("{row} {error}")) {
        tracing::warn!(row, %error, "row left out, correct or delete it");
    }
}

fn alert_line(row: &Columns<'_, '_>) -> Result<AlertLine, ColumnError> {
    Ok(AlertLine {
        alert_id: AlertId(row.integer("AlertId")?),
        public_id: row.lossy("PublicId")?.unwrap_or_default(),
        reference: row.lossy("Reference")?,
        subject: row.lossy("Subject")?,
        send_port: row.shown_key("SendPort")?,
        status: row.word("Status")?,
        status_reason: row.lossy("StatusReason")?,
        attempt_count: row.count("AttemptCount")?,
        next_attempt_at: row.shown_time("NextAttemptAt")?,
        final_at: row.shown_time("FinalAt")?,
        body_purged_at: row.shown_time("BodyPurgedAt")?,
        recipient_count: row.count("RecipientCount")?,
        relayed_count: row.count("RelayedCount")?,
        waiting_count: row.count("WaitingCount")?,
        failed_count: row.count("FailedCount")?,
        created_at: row.shown_time("CreatedAt")?.unwrap_or_default(),
    })
}

fn delivery_line(row: &Columns<'_, '_>) -> Result<DeliveryLine, ColumnError> {
    let code = row.optional_integer("ReplyCode")?;
    Ok(DeliveryLine {
        alert_id: AlertId(row.integer("AlertId")?),
        ordinal: row.count("Ordinal")?,
        kind: row.text("Kind")?,
        address: row.lossy("Address")?.unwrap_or_default(),
        status: row.text("Status")?,
        status_at: row.time("StatusAt")?,
        attempt_count: row.count("AttemptCount")?,
        next_attempt_at: row.shown_time("NextAttemptAt")?,
        relay: row.lossy("Relay")?,
        command: row.lossy("Command")?,
        reply_code: code.and_then(|code| u16::try_from(code).ok()),
        enhanced_status_code: row.lossy("EnhancedStatusCode")?,
        reply_text: row.lossy("ReplyText")?,
        fault: row.lossy("Fault")?,
        cause: row.lossy("Cause")?,
        advice: row.lossy("Advice")?,
        remark: row.lossy("Remark")?,
        message_id: row.lossy("MessageId")?,
        protection: row.lossy("Protection")?,
        signed_by: row.lossy("SignedBy")?,
        encrypted_to: row.lossy("EncryptedTo")?,
    })
}

fn failure_line(row: &Columns<'_, '_>) -> Result<FailureLine, ColumnError> {
    let code = row.optional_integer("ReplyCode")?;
    Ok(FailureLine {
        alert_id: AlertId(row.integer("AlertId")?),
        send_port: row.shown_key("SendPort")?,
        address: row.lossy("Address")?,
        status: row.text("Status")?,
        status_at: row.shown_time("StatusAt")?.unwrap_or_default(),
        relay: row.lossy("Relay")?,
        reply_code: code.and_then(|code| u16::try_from(code).ok()),
        enhanced_status_code: row.lossy("EnhancedStatusCode")?,
        reason: row.lossy("Reason")?,
        cause: row.lossy("Cause")?,
        advice: row.lossy("Advice")?,
    })
}

fn relay_line(row: &Columns<'_, '_>) -> Result<RelayLine, ColumnError> {
    Ok(RelayLine {
        relay: row.shown_key("Relay")?,
        condition: row.text("Condition")?,
        since: row.time("Since")?,
        retry_at: row.optional_time("RetryAt")?,
        reply: row.lossy("Reply")?,
        cause: row.lossy("Cause")?,
        advice: row.lossy("Advice")?,
        instances: row.count("InstanceCount")?,
        throttle_reason: row.lossy("ThrottleReason")?,
        authentication: row.lossy("Authentication")?,
        authentication_retry_at: row.optional_time("AuthenticationRetryAt")?,
        send_ports: row.lossy("SendPorts")?,
    })
}

fn explanation_line(row: &Columns<'_, '_>) -> Result<ExplanationLine, ColumnError> {
    Ok(ExplanationLine {
        kind: row.text("Kind")?,
        at: row.shown_time("At")?,
        sentence: row.lossy("Sentence")?.unwrap_or_default(),
    })
}

fn queue_line(row: &Columns<'_, '_>) -> Result<QueueLine, ColumnError> {
    Ok(QueueLine {
        send_port: row.shown_key("SendPort")?,
        status: row.word("Status")?,
        depth: u64::from(row.count("Depth")?),
        oldest_at: row.shown_time("OldestAt")?.unwrap_or_default(),
        oldest_age_seconds: row
            .optional_integer("OldestAgeSeconds")?
            .unwrap_or_default(),
        next_due_at: row.shown_time("NextDueAt")?,
        waiting_for: row.lossy("WaitingFor")?,
        has_instance: row.count("HasInstance")? != 0,
    })
}

fn overdue(row: &Columns<'_, '_>) -> Result<OverdueLeases, ColumnError> {
    Ok(OverdueLeases {
        alerts: u64::from(row.count("Alerts")?),
        since: row.optional_time("Since")?,
    })
}

fn queue_depth(row: &Columns<'_, '_>) -> Result<QueueDepth, ColumnError> {
    let age = row.optional_integer("OldestAgeSeconds")?;
    Ok(QueueDepth {
        send_port: row.shown_key("SendPort")?,
        status: row.word("Status")?,
        depth: u64::from(row.count("Depth")?),
        oldest_age_seconds: age.unwrap_or_default(),
    })
}

fn in_doubt_line(row: &Columns<'_, '_>) -> Result<InDoubtLine, ColumnError> {
    Ok(InDoubtLine {
        alert_id: AlertId(row.integer("AlertId")?),
        public_id: row.lossy("PublicId")?.unwrap_or_default(),
        reference: row.lossy("Reference")?,
        send_port: row.shown_key("SendPort")?,
        subject: row.lossy("Subject")?,
        status: row.word("Status")?,
        status_reason: row.lossy("StatusReason")?,
        attempt_number: row.count("AttemptNumber")?,
        relay: row.lossy("Relay")?,
        message_id: row.lossy("MessageId")?,
        started_at: row.optional_time("StartedAt")?,
        ended_at: row.time("EndedAt")?,
        remote_address: row.lossy("RemoteAddress")?,
        next_attempt_at: row.optional_time("NextAttemptAt")?,
        created_at: row.time("CreatedAt")?,
        created_by: row.lossy("CreatedBy")?.unwrap_or_default(),
    })
}

fn instance_line(row: &Columns<'_, '_>) -> Result<InstanceLine, ColumnError> {
    Ok(InstanceLine {
        name: row.lossy("Name")?.unwrap_or_default(),
        host_name: row.lossy("HostName")?.unwrap_or_default(),
        process_id: row.count("ProcessId")?,
        version: row.lossy("Version")?.unwrap_or_default(),
        started_at: row.time("StartedAt")?,
        renewed_at: row.time("RenewedAt")?,
        lease_until: row.time("LeaseUntil")?,
        stopped_at: row.optional_time("StoppedAt")?,
        alive: row.flag("Alive")?,
        waiting_for: row.lossy("WaitingFor")?,
        unrecorded_count: row.count("UnrecordedCount")?,
        unrecorded_since: row.optional_time("UnrecordedSince")?,
        unclaimed_count: row.count("UnclaimedCount")?,
        unclaimed_since: row.optional_time("UnclaimedSince")?,
    })
}
