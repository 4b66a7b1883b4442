//! Resolves alerts that may have been sent.

use rusqlite::types::Null;
use rusqlite::{OptionalExtension, params};
use sendport_core::domain::{AlertId, AlertStatus, RecipientStatus, status_of};

use super::connection::SqliteError;
use super::record::{Recorder, statuses, waiting_status};
use super::sql;
use super::values::time_text;
use crate::{EventSeverity, RESOLVED_EVENT, Resolution};

/// The attempt that is in doubt.
pub(super) const RESOLVE_DOUBT: &str =
    "SELECT AttemptId, Relay, SendPort FROM InDoubt WHERE AlertId = ?1";

/// There are no logins here.
const WHO: &str = "sqlite";

/// The attempt whose result is unknown.
struct UnresolvedAttempt {
    attempt: i64,
    relay: Option<String>,
    send_port: String,
}

impl Recorder<'_> {
    /// False where the alert is not in doubt.
    pub(super) fn resolve(
        &self,
        alert: AlertId,
        resolution: Resolution,
    ) -> Result<bool, SqliteError> {
        let Some(doubt) = self.doubt(alert)? else {
            return Ok(false);
        };
        let status = match resolution {
            Resolution::Resend => waiting_status(self.tx, alert)?,
            Resolution::Relayed | Resolution::Cancel => {
                self.end_recipients(alert, &doubt, resolution)?
            }
        };
        let reason = resolution.reason().filter(|_| status.is_final());
        self.tx
            .prepare_cached(sql!("resolve_alert"))?
            .execute(params![
                alert.0,
                status.as_str(),
                time_text(self.now),
                reason,
                status.is_final(),
            ])?;
        self.is_without_lease(alert, &[status])?;
        self.log_resolution(alert, &doubt, resolution)?;
        Ok(true)
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
        resolution: Resolution,
    ) -> Result<AlertStatus, SqliteError> {
        if statuses(self.tx, alert)?.is_empty() {
            self.make_rows(alert)?;
        }
        let now = time_text(self.now);
        if resolution == Resolution::Relayed {
            let values = params![
                alert.0,
                now,
                doubt.relay,
                resolution.reason(),
                doubt.attempt
            ];
            self.tx
                .prepare_cached(sql!("resolve_relayed"))?
                .execute(values)?;
        } else {
            let ended = RecipientStatus::Cancelled.as_str();
            let values = params![alert.0, ended, now, Null, resolution.reason()];
            self.tx
                .prepare_cached(sql!("finish_waiting"))?
                .execute(values)?;
        }
        let status = status_of(statuses(self.tx, alert)?);
        if resolution == Resolution::Cancel && !status.is_final() {
            return Err(SqliteError::ignored("recipients as they were"));
        }
        Ok(status)
    }

    fn log_resolution(
        &self,
        alert: AlertId,
        doubt: &UnresolvedAttempt,
        resolution: Resolution,
    ) -> Result<(), SqliteError> {
        self.tx.prepare_cached(sql!("log_event"))?.execute(params![
            time_text(self.now),
            EventSeverity::Information.as_str(),
            RESOLVED_EVENT,
            Null,
            alert.0,
            doubt.send_port,
            doubt.relay,
            format!("resolved as {} by {WHO}", resolution.as_str()),
        ])?;
        Ok(())
    }
}
