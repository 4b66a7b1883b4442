//! What has to be reported to the senders of submitted messages, and what was.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, ToSql, Transaction, params};
use sendport_core::domain::{AlertId, RecipientStatus, ReportAction, Timestamp};

use super::connection::{SqliteError, write};
use super::operator_queries::lines;
use super::values::{Columns, earlier, time_text};
use super::{SqliteStore, received, sql};
use crate::delivery_reports::{
    DeliveryReports, NewReport, ReportCandidate, ReportResult, ReportSearch, UnreportedMessage,
    UnreportedRecipient, is_current, recipients_of_lists,
};
use crate::{ColumnError, StoreError};

/// The message itself; a request of one that has no rows of recipients reads its lists.
pub(super) const UNREPORTED_MESSAGE: &str = "SELECT a.CreatedAt, coalesce(s.RequeuedAt, a.CreatedAt) AS Since, a.Subject, \
    a.ToRecipients, a.CcRecipients, a.BccRecipients, EXISTS (SELECT 1 FROM Recipient r WHERE r.AlertId = a.AlertId) AS HasRows \
    FROM Alert a JOIN AlertState s ON s.AlertId = a.AlertId WHERE a.AlertId = ?1";

pub(super) const RECENT_REPORTS: &str = "SELECT count(DISTINCT d.ReportAlertId) FROM DeliveryReport d \
    WHERE d.SendPort = ?1 AND d.ReportedAt > ?2";

/// The status of a recipient, and whether the action was reported of it.
pub(super) const INSERT_REPORT_STATE: &str = "SELECT (SELECT Status FROM Recipient WHERE AlertId = ?1 AND Ordinal = ?2), \
    EXISTS (SELECT 1 FROM DeliveryReport WHERE AlertId = ?1 AND Ordinal = ?2 AND Action = ?3)";

const INSERT_REPORT_RECIPIENT: &str = "INSERT INTO DeliveryReport \
    (AlertId, Ordinal, Action, SendPort, ReportedAt, ReportAlertId, Reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

#[async_trait]
impl DeliveryReports for SqliteStore {
    async fn reportable(
        &self,
        search: ReportSearch<'_>,
    ) -> Result<Vec<ReportCandidate>, StoreError> {
        let now = self.clock.now();
        let until = earlier(now, search.after);
        let since = earlier(now, search.after.saturating_add(search.within));
        let statement = match search.action {
            ReportAction::Failed => sql!("reportable_failed"),
            ReportAction::Delayed => sql!("reportable_delayed"),
            ReportAction::Relayed => sql!("reportable_relayed"),
        };
        let (send_port, by_default) = (search.send_port.to_owned(), search.by_default);
        let (after, without) = (search.after, search.without.to_vec());
        let limit = search
            .limit
            .saturating_add(u32::try_from(without.len()).unwrap_or(u32::MAX));
        let action = search.action;
        let found = self
            .operator_reader
            .call("list what to report", move |connection| {
                let all: [&dyn ToSql; 5] = [&send_port, &since, &until, &limit, &by_default];
                let values = match action {
                    ReportAction::Failed => &all[..4],
                    _ => &all[..],
                };
                lines(connection, statement, values, candidate)
            })
            .await?;
        let others = found.into_iter().filter(|(id, _)| !without.contains(id));
        let aged = others.map(|(alert, at)| ReportCandidate {
            alert,
            age: (now - at)
                .to_std()
                .unwrap_or_default()
                .saturating_sub(after),
        });
        Ok(aged.take(search.limit as usize).collect())
    }

    async fn unreported_message(
        &self,
        alert: AlertId,
        action: ReportAction,
        limit: u32,
    ) -> Result<Option<UnreportedMessage>, StoreError> {
        self.operator_reader
            .call("read what to report", move |connection| {
                unreported_message(connection, alert, action, limit)
            })
            .await
    }

    async fn recent_reports(&self, send_port: &str, within: Duration) -> Result<u32, StoreError> {
        let (send_port, since) = (send_port.to_owned(), earlier(self.clock.now(), within));
        self.operator_reader
            .call("count reports", move |connection| {
                let mut statement = connection.prepare_cached(RECENT_REPORTS)?;
                Ok(statement.query_row(params![send_port, since], |row| row.get(0))?)
            })
            .await
    }

    async fn insert_report(&self, report: NewReport) -> Result<ReportResult, StoreError> {
        let (report, now) = (Arc::new(report), self.clock.now());
        let result = self
            .writer
            .call("insert a report", move |connection| {
                write(connection, |tx| insert_report(tx, &report, now))
            })
            .await?;
        self.watch.inserted();
        Ok(result)
    }
}

fn candidate(row: &Columns<'_, '_>) -> Result<(AlertId, Timestamp), ColumnError> {
    let at = row.shown_time("At")?.unwrap_or_default();
    Ok((AlertId(row.integer("AlertId")?), at))
}

/// A message with its lists.
struct Listed {
    message: UnreportedMessage,
    lists: [Option<String>; 3],
    has_rows: bool,
}

fn listed(row: &Columns<'_, '_>) -> Result<Listed, ColumnError> {
    let created_at = row.shown_time("CreatedAt")?.unwrap_or_default();
    let message = UnreportedMessage {
        created_at,
        queued_since: row.shown_time("Since")?.unwrap_or(created_at),
        subject: row.lossy("Subject")?,
        recipients: Vec::new(),
    };
    Ok(Listed {
        message,
        lists: [
            row.lossy("ToRecipients")?,
            row.lossy("CcRecipients")?,
            row.lossy("BccRecipients")?,
        ],
        has_rows: row.flag("HasRows")?,
    })
}

fn unreported_message(
    connection: &Connection,
    alert: AlertId,
    action: ReportAction,
    limit: u32,
) -> Result<Option<UnreportedMessage>, SqliteError> {
    let found = lines(connection, UNREPORTED_MESSAGE, params![alert.0], listed)?;
    let Some(mut found) = found.into_iter().next() else {
        return Ok(None);
    };
    found.message.recipients = match found.has_rows {
        true => {
            let values = params![alert.0, action.as_str(), limit];
            lines(
                connection,
                sql!("unreported_message_recipients"),
                values,
                unreported_recipient,
            )?
        }
        false => {
            let [to, cc, bcc] = &found.lists;
            let lists = recipients_of_lists(to.as_deref(), cc.as_deref(), bcc.as_deref());
            let current = lists
                .into_iter()
                .filter(|it| is_current(action, Some(it.status)));
            current.take(limit as usize).collect()
        }
    };
    Ok(Some(found.message))
}

fn unreported_recipient(row: &Columns<'_, '_>) -> Result<UnreportedRecipient, ColumnError> {
    Ok(UnreportedRecipient {
        ordinal: row.count("Ordinal")?,
        address: row.text("Address")?,
        status: row.word("Status")?,
        relay: row.lossy("Relay")?,
        reply_code: row.optional_count("ReplyCode")?,
        enhanced: row.lossy("EnhancedStatusCode")?,
        reply_text: row.lossy("ReplyText")?,
        redirect_to: row.lossy("RedirectTo")?,
        server_name: row.lossy("ServerName")?,
        attempt_ended_at: row.shown_time("EndedAt")?,
        offers_dsn: row.optional_integer("OffersDsn")?.map(|it| it != 0),
    })
}

fn insert_report(
    tx: &Transaction<'_>,
    report: &NewReport,
    now: Timestamp,
) -> Result<ReportResult, SqliteError> {
    let (alert, action) = (report.alert.0, report.action.as_str());
    let mut state = tx.prepare_cached(INSERT_REPORT_STATE)?;
    for ordinal in &report.recipients {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Option<String>>(0)?, row.get(1)?));
        let (status, is_reported): (_, bool) =
            state.query_row(params![alert, ordinal, action], read)?;
        let status: Option<RecipientStatus> = status.and_then(|word| word.parse().ok());
        if is_reported || !is_current(report.action, status) {
            return Ok(ReportResult::Outdated);
        }
    }
    let now = time_text(now);
    let (id, reason) = match &report.message {
        Ok(message) => (Some(received::insert(tx, message, &now)?), None),
        Err(reason) => (None, Some(reason)),
    };
    let mut insert = tx.prepare_cached(INSERT_REPORT_RECIPIENT)?;
    for ordinal in &report.recipients {
        let id = id.map(|id| id.0);
        insert.execute(params![
            alert,
            ordinal,
            action,
            report.send_port,
            now,
            id,
            reason
        ])?;
    }
    Ok(id.map_or(ReportResult::Recorded, ReportResult::Inserted))
}
