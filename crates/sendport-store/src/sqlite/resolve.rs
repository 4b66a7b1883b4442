//! Resolves alerts that may have been sent.

use rusqlite::types::Null;
use rusqlite::{OptionalExtension, params};
use sendport_core::domain::{
    AlertId, AlertStatus, RecipientStatus, RequestId, Resolution, status_of,
};

use super::connection::SqliteError;
use super::record::{Recorder, statuses, waiting_status};
use super::sql;
use super::values::time_text;
use crate::operator_requests::ResolveRequest;
use crate::{EventSeverity, RESOLVED_EVENT};

/// The attempt that is in doubt.
pub(super) const RESOLVE_DOUBT: &str =
    "SELECT AttemptId, Relay, SendPort FROM InDoubt WHERE AlertId = ?1";

/// The request that says what became of an attempt.
pub(super) const RESOLVE_ATTEMPT: &str =
    "UPDATE Attempt SET ResolveRequestId = ?2 WHERE AttemptId = ?1";

/// The attempt whose result is unknown.
struct UnresolvedAttempt {
    attempt: i64,
    relay: Option<String>,
    send_port: String,
}

impl Recorder<'_> {
    /// `None` where the alert is not in doubt.
    pub(super) fn resolve(
        &self,
        alert: AlertId,
        request: &ResolveRequest,
    ) -> Result<Option<RequestId>, SqliteError> {
        let Some(doubt) = self.doubt(alert)? else {
            return Ok(None);
        };
        let status = match request.resolution {
            Resolution::Resend => waiting_status(self.tx, alert)?,
            Resolution::Relayed | Resolution::Cancel => {
                self.end_recipients(alert, &doubt, request)?
            }
        };
        let id = self.add_resolve_request(alert, &doubt, request, status)?;
        let reason = request.reason().filter(|_| status.is_final());
        self.tx
            .prepare_cached(sql!("resolve_alert"))?
            .execute(params![
                alert.0,
                status.as_str(),
                time_text(self.now),
                reason,
                status.is_final(),
                id.0,
            ])?;
        self.is_without_lease(alert, &[status])?;
        self.log_resolution(alert, &doubt, request, id)?;
        Ok(Some(id))
    }

    /// It may have been sent.
    pub(super) fn is_in_doubt(&self, alert: AlertId) -> Result<bool, SqliteError> {
        Ok(self.doubt(alert)?.is_some())
    }

    fn doubt(&self, alert: AlertId) -> Result<Option<UnresolvedAttempt>, SqliteError> {
        let mut statement = self.tx.prepare_cached(RESOLVE_DOUBT)?;
        let found = statement.query_row([alert.0], |row| {
            Ok(UnresolvedAttempt {
                attempt: row.get("AttemptId")?,
                relay: row.get("Relay")?,
                send_port: row.get("SendPort")?,
            })
        });
        Ok(found.optional()?)
    }

    fn end_recipients(
        &self,
        alert: AlertId,
        doubt: &UnresolvedAttempt,
        request: &ResolveRequest,
    ) -> Result<AlertStatus, SqliteError> {
        if statuses(self.tx, alert)?.is_empty() {
            self.make_rows(alert)?;
        }
        let (now, reason) = (time_text(self.now), request.reason());
        if request.resolution == Resolution::Relayed {
            let values = params![alert.0, now, doubt.relay, reason, doubt.attempt];
            self.tx
                .prepare_cached(sql!("resolve_relayed"))?
                .execute(values)?;
        } else {
            let ended = RecipientStatus::Cancelled.as_str();
            let values = params![alert.0, ended, now, Null, reason];
            self.tx
                .prepare_cached(sql!("finish_waiting"))?
                .execute(values)?;
        }
        let status = status_of(statuses(self.tx, alert)?);
        if request.resolution == Resolution::Cancel && !status.is_final() {
            return Err(SqliteError::ignored("recipients as they were"));
        }
        Ok(status)
    }

    fn add_resolve_request(
        &self,
        alert: AlertId,
        doubt: &UnresolvedAttempt,
        request: &ResolveRequest,
        status: AlertStatus,
    ) -> Result<RequestId, SqliteError> {
        self.tx
            .prepare_cached(sql!("resolve_request"))?
            .execute(params![
                alert.0,
                request.resolution.as_str(),
                request.comment,
                time_text(self.now),
                request.requested_by,
                request.host_name,
                status.as_str(),
            ])?;
        let id = RequestId(self.tx.last_insert_rowid());
        self.tx
            .prepare_cached(RESOLVE_ATTEMPT)?
            .execute(params![doubt.attempt, id.0])?;
        Ok(id)
    }

    fn log_resolution(
        &self,
        alert: AlertId,
        doubt: &UnresolvedAttempt,
        request: &ResolveRequest,
        id: RequestId,
    ) -> Result<(), SqliteError> {
        self.tx.prepare_cached(sql!("log_event"))?.execute(params![
            time_text(self.now),
            EventSeverity::Information.as_str(),
            RESOLVED_EVENT,
            Null,
            alert.0,
            doubt.send_port,
            doubt.relay,
            format!(
                "resolved as {} by {}, request {id}",
                request.resolution, request.requested_by
            ),
        ])?;
        Ok(())
    }
}
