//! What has to be reported to the senders of submitted messages, and what was.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, ReportAction};
use tiberius::{Row, ToSql};

use super::SqlServerStore;
use super::bulk_change::{Selection, among};
use super::error::unexpected;
use super::expiry::top;
use super::operator_queries::lines;
use super::received::MessageRows;
use super::statement::with_parts;
use super::values::{Fields, fit, seconds};
use crate::delivery_reports::{
    DeliveryReports, NewReport, ReportCandidate, ReportResult, ReportSearch, UnreportedMessage,
    UnreportedRecipient, is_current, recipients_of_lists,
};
use crate::{ColumnError, StoreError};

const RECENT_REPORTS: &str = "DECLARE @since datetime2(3) = DATEADD(second, -@P2, SYSUTCDATETIME());
    SELECT COUNT(DISTINCT d.ReportAlertId)
    FROM sendport.DeliveryReport d WITH (READUNCOMMITTED, INDEX (IX_DeliveryReport_ReportedAt), FORCESEEK)
    WHERE d.SendPort = @P1 AND d.ReportedAt > @since;";

const INSERT: &str = "insert a report";

#[async_trait]
impl DeliveryReports for SqlServerStore {
    async fn reportable(
        &self,
        search: ReportSearch<'_>,
    ) -> Result<Vec<ReportCandidate>, StoreError> {
        const DOING: &str = "list what to report";
        let (within, limit) = (seconds(search.within), top(search.limit));
        let (after, by_default) = (seconds(search.after), i32::from(search.by_default));
        let mut values: Vec<&dyn ToSql> = vec![&search.send_port, &within, &limit];
        let statement = match search.action {
            ReportAction::Failed => include_str!("sql/reportable_failed.sql"),
            ReportAction::Delayed => {
                values.extend([&after as &dyn ToSql, &by_default]);
                include_str!("sql/reportable_delayed.sql")
            }
            ReportAction::Relayed => {
                values.push(&by_default);
                include_str!("sql/reportable_relayed.sql")
            }
        };
        let sql = among(statement, Selection::But(search.without), &mut values);
        let rows = self.pool.rows(DOING, &sql, &values).await?;
        lines(DOING, &rows, candidate)
    }

    async fn unreported_message(
        &self,
        alert: AlertId,
        action: ReportAction,
        limit: u32,
    ) -> Result<Option<UnreportedMessage>, StoreError> {
        const DOING: &str = "read what to report";
        let limit = top(limit);
        let values: [&dyn ToSql; 3] = [&alert.0, &action.as_str(), &limit];
        let sql = include_str!("sql/unreported_message.sql");
        let results = self.pool.query(DOING, sql, &values).await?;
        let [message, recipients] = &results[..] else {
            return Err(unexpected(DOING, "two result sets were expected"));
        };
        let message = message.first().map(|row| {
            let mut message = unreported_message(row, action)?;
            message
                .recipients
                .truncate(usize::try_from(limit).unwrap_or_default());
            Ok(message)
        });
        let message = message
            .transpose()
            .map_err(|e: ColumnError| unexpected(DOING, e))?;
        let Some(mut message) = message else {
            return Ok(None);
        };
        message
            .recipients
            .extend(lines(DOING, recipients, unreported_recipient)?);
        Ok(Some(message))
    }

    async fn recent_reports(&self, send_port: &str, within: Duration) -> Result<u32, StoreError> {
        const DOING: &str = "count reports";
        let values: [&dyn ToSql; 2] = [&send_port, &seconds(within)];
        let row = self.pool.row(DOING, RECENT_REPORTS, &values).await?;
        Fields::of(&row).count().map_err(|e| unexpected(DOING, e))
    }

    async fn insert_report(&self, report: NewReport) -> Result<ReportResult, StoreError> {
        let rows = match &report.message {
            Ok(message) => Some(MessageRows::of(message, INSERT)?),
            Err(_) => None,
        };
        let reason = report
            .message
            .as_ref()
            .err()
            .map(|reason| fit(reason, 1000));
        let (message, send_port, parameter) = match &rows {
            Some(rows) => (
                with_parts("    {received_rows}\n    ") + &rows.content,
                "@P7",
                "NULL",
            ),
            None => (String::new(), "@P1", "@P2"),
        };
        let ordinals: Vec<_> = report
            .recipients
            .iter()
            .map(|it| format!("({it})"))
            .collect();
        let sql = include_str!("sql/insert_report.sql")
            .replace("{alert}", &report.alert.to_string())
            .replace("{action}", report.action.as_str())
            .replace("{ordinals}", &ordinals.join(", "))
            .replace("{message}", &message)
            .replace("{send_port}", send_port)
            .replace("{reason}", parameter);
        let values: Vec<&dyn ToSql> = match &rows {
            Some(rows) => rows.values.iter().map(|value| &**value).collect(),
            None => vec![&report.send_port, &reason],
        };
        let row = self.pool.row(INSERT, &sql, &values).await?;
        let mut fields = Fields::of(&row);
        let result = fields
            .count()
            .and_then(|count| Ok((count, fields.maybe::<i64>()?)));
        let (count, id) = result.map_err(|e| unexpected(INSERT, e))?;
        Ok(match id {
            _ if count == 0 => ReportResult::Outdated,
            Some(id) => ReportResult::Inserted(AlertId(id)),
            None => ReportResult::Recorded,
        })
    }
}

fn candidate(f: &mut Fields<'_>) -> Result<ReportCandidate, ColumnError> {
    let alert = AlertId(f.get()?);
    let age = f.get::<i32>()?.max(0).unsigned_abs();
    Ok(ReportCandidate {
        alert,
        age: Duration::from_secs(age.into()),
    })
}

/// With the recipients of its lists, where it has no rows of them.
fn unreported_message(row: &Row, action: ReportAction) -> Result<UnreportedMessage, ColumnError> {
    let mut f = Fields::of(row);
    let mut message = UnreportedMessage {
        created_at: f.time()?,
        queued_since: f.time()?,
        subject: f.maybe_text()?,
        recipients: Vec::new(),
    };
    let (to, cc, bcc) = (f.maybe_text()?, f.maybe_text()?, f.maybe_text()?);
    if !f.get::<bool>()? {
        let lists = recipients_of_lists(to.as_deref(), cc.as_deref(), bcc.as_deref());
        message.recipients = lists;
        message
            .recipients
            .retain(|it| is_current(action, Some(it.status)));
    }
    Ok(message)
}

fn unreported_recipient(f: &mut Fields<'_>) -> Result<UnreportedRecipient, ColumnError> {
    Ok(UnreportedRecipient {
        ordinal: f.count()?,
        address: f.text()?,
        status: f.word()?,
        relay: f.maybe_text()?,
        reply_code: f.maybe::<i32>()?.map(i32::unsigned_abs),
        enhanced: f.maybe_text()?,
        reply_text: f.maybe_text()?,
        redirect_to: f.maybe_text()?,
        server_name: f.maybe_text()?,
        attempt_ended_at: f.maybe_time()?,
        offers_dsn: f.maybe()?,
    })
}
