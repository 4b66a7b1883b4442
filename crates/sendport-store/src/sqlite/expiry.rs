//! Ends alerts that no instance sends: expired, without a send port, or in an adopted copy.

use std::time::Duration;

use rusqlite::{Transaction, params};
use sendport_core::domain::{AlertId, AlertStatus, InstanceId, Priority, Timestamp};
use uuid::Uuid;

use super::bulk_change::BulkChange;
use super::connection::SqliteError;
use super::record::{RECORD_MISSING_RECIPIENT, Recorder, statuses};
use super::sql;
use super::values::{Columns, earlier, later, time_text};
use crate::expiry::{
    EXPIRED, Ending, UNROUTED, expired_reason, recipients_of_lists, unrouted_reason,
};
use crate::{ColumnError, DEFAULT_MAX_AGE};

/// The lists that recipients' rows are made from.
const FINISH_LISTS: &str =
    "SELECT ToRecipients, CcRecipients, BccRecipients FROM Alert WHERE AlertId = ?1";

/// Invisible characters around a name that was copied from elsewhere.
const BLANKS: &str = " \t\r\n\u{a0}\u{200b}\u{feff}";

/// A send port that something waits for.
struct LivePort {
    name: String,
    max_age: Duration,
    last_seen: Option<Timestamp>,
}

/// Ends alerts in the name of no instance.
pub(super) fn without_instance<'a>(tx: &'a Transaction<'_>, now: Timestamp) -> Recorder<'a> {
    let instance = InstanceId(Uuid::nil());
    Recorder { tx, instance, now }
}

impl Recorder<'_> {
    /// Expires what is past its own time, then what is too old for its send port.
    pub(super) fn expire(&self, limit: u32, around: &mut BulkChange) -> Result<u32, SqliteError> {
        let now = time_text(self.now);
        let past = params![now, around.to_read(limit)];
        let past = self.pairs(sql!("expire_by_time"), past)?;
        let mut expired = self.expire_all(past, limit, around)?;
        for port in self.live_send_ports()? {
            for status in [AlertStatus::Queued, AlertStatus::Delayed, AlertStatus::Held] {
                if expired >= limit {
                    return Ok(expired);
                }
                let before = earlier(self.now, port.max_age);
                let left = limit - expired;
                let old = self.pairs(
                    sql!("expire_by_age"),
                    params![port.name, status.as_str(), before, around.to_read(left)],
                )?;
                let old = old.into_iter().map(|(id, created)| {
                    let limit = super::values::time_of(&created)
                        .map_or(created, |created| later(created, port.max_age));
                    (id, limit)
                });
                expired += self.expire_all(old.collect(), left, around)?;
            }
        }
        Ok(expired)
    }

    /// Up to `most` of them.
    fn expire_all(
        &self,
        mut alerts: Vec<(AlertId, String)>,
        most: u32,
        around: &mut BulkChange,
    ) -> Result<u32, SqliteError> {
        alerts.retain(|(alert, _)| around.includes(*alert));
        let mut count = 0;
        for (alert, limit) in alerts.into_iter().take(most as usize) {
            let reason = expired_reason(&limit);
            let finish = || self.finish(alert, EXPIRED, &reason);
            let ended = around.change(self.tx, alert, finish)?;
            count += u32::from(ended);
        }
        Ok(count)
    }

    /// Fails what has been due for `after` while no instance had its send port.
    pub(super) fn fail_unrouted(
        &self,
        after: Duration,
        limit: u32,
        around: &mut BulkChange,
    ) -> Result<u32, SqliteError> {
        let since = earlier(self.now, after);
        let mut failed = 0;
        for port in self.live_send_ports()? {
            if port.last_seen.is_some_and(|seen| time_text(seen) > since) {
                continue;
            }
            let reason = unrouted_reason(&port.name, after);
            for class in Priority::ALL {
                let left = limit - failed;
                let due = params![port.name, class.as_str(), since, around.to_read(left)];
                let mut due = self.pairs(sql!("fail_unrouted"), due)?;
                due.retain(|(alert, _)| around.includes(*alert));
                let due = due.into_iter().take(left as usize).map(|(alert, _)| alert);
                failed += around
                    .change_each(self.tx, due, |alert| self.finish(alert, UNROUTED, &reason))?;
            }
        }
        Ok(failed)
    }

    /// Says of what is due, and says nothing yet, that no instance has had its send port for
    /// `unseen`.
    pub(super) fn note_unrouted(
        &self,
        unseen: Duration,
        fails_after: Duration,
        limit: u32,
    ) -> Result<Vec<(String, u32)>, SqliteError> {
        let (now, since) = (time_text(self.now), earlier(self.now, unseen));
        let mut noted = Vec::new();
        for port in self.live_send_ports()? {
            if port.last_seen.is_some_and(|seen| time_text(seen) > since) {
                continue;
            }
            let reason = self.waiting_reason(&port.name, &since, fails_after)?;
            let mut count = 0;
            for class in Priority::ALL {
                let values = params![port.name, class.as_str(), now, limit, reason];
                let mut statement = self.tx.prepare_cached(sql!("note_unrouted"))?;
                count += u32::try_from(statement.execute(values)?).unwrap_or(u32::MAX);
            }
            if count > 0 {
                noted.push((port.name, count));
            }
        }
        Ok(noted)
    }

    fn waiting_reason(
        &self,
        port: &str,
        since: &str,
        fails_after: Duration,
    ) -> Result<String, SqliteError> {
        let mut statement = self.tx.prepare_cached(sql!("note_unrouted_similar"))?;
        let like: Option<String> =
            statement.query_row(params![port, since, BLANKS], |row| row.get(0))?;
        let like = like.map_or_else(String::new, |like| {
            format!(". There is '{like}': names are compared letter by letter, white space too")
        });
        Ok(format!(
            "no running instance had a send port named '{port}' when it was due; it fails after {} \
             minutes without one{like}",
            fails_after.as_secs() / 60
        ))
    }

    /// Ends one alert: rows are made where there were none, recipients that waited get the ending's
    /// status, and the alert's own follows from all. 0 where it is as it was.
    pub(super) fn finish(
        &self,
        alert: AlertId,
        ending: Ending,
        reason: &str,
    ) -> Result<usize, SqliteError> {
        let now = time_text(self.now);
        if statuses(self.tx, alert)?.is_empty() {
            self.make_rows(alert)?;
        }
        self.tx
            .prepare_cached(sql!("finish_waiting"))?
            .execute(params![
                alert.0,
                ending.status.as_str(),
                now,
                ending.explanation,
                reason,
            ])?;
        let status = ending.status_of(statuses(self.tx, alert)?);
        if !status.is_final() {
            return Err(SqliteError::ignored("recipients as they were"));
        }
        let ended = self
            .tx
            .prepare_cached(sql!("finish_alert"))?
            .execute(params![alert.0, status.as_str(), now, reason])?;
        Ok(ended)
    }

    /// The rows of an alert that has none: from its lists.
    pub(super) fn make_rows(&self, alert: AlertId) -> Result<(), SqliteError> {
        let mut statement = self.tx.prepare_cached(FINISH_LISTS)?;
        let [to, cc, bcc] = statement.query_row([alert.0], |row| {
            let row = Columns::new(row);
            Ok(["ToRecipients", "CcRecipients", "BccRecipients"]
                .map(|column| row.lossy(column).ok().flatten()))
        })?;
        for row in recipients_of_lists(to.as_deref(), cc.as_deref(), bcc.as_deref()) {
            self.write_recipient(&RECORD_MISSING_RECIPIENT, alert, &row, row.status)?;
        }
        Ok(())
    }

    fn live_send_ports(&self) -> Result<Vec<LivePort>, SqliteError> {
        let mut statement = self.tx.prepare_cached(sql!("live_send_ports"))?;
        let rows = statement.query_map([], |row| Ok(read_port(&Columns::new(row))))?;
        let ports: Vec<_> = rows.collect::<Result<_, _>>()?;
        ports
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(SqliteError::unreadable)
    }

    /// Rows of an alert's key and a time.
    pub(super) fn pairs(
        &self,
        statement: &'static str,
        values: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<(AlertId, String)>, SqliteError> {
        let mut statement = self.tx.prepare_cached(statement)?;
        let rows = statement.query_map(values, |row| Ok((AlertId(row.get(0)?), row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn read_port(row: &Columns<'_, '_>) -> Result<LivePort, ColumnError> {
    let max_age = row
        .optional_integer("MaxAgeSeconds")?
        .and_then(|seconds| u64::try_from(seconds).ok());
    Ok(LivePort {
        name: row.key("Name")?,
        max_age: max_age.map_or(DEFAULT_MAX_AGE, Duration::from_secs),
        last_seen: row.optional_time("LastSeenAt")?,
    })
}
