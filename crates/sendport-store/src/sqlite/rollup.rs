//! Counts the alerts of closed minutes.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction, params, params_from_iter};
use sendport_core::domain::{AlertStatus, Timestamp};

use super::connection::{SqliteError, write};
use super::operator_queries::readable_lines;
use super::retention::{final_group, note_purged};
use super::values::{earlier, time_of, time_text};
use super::{SqliteStore, sql};
use crate::StoreError;
use crate::retention::{MOST_CHILD_ROWS, Purged};
use crate::rollup::{
    COUNTED_AGAIN, FIRST_HOURS, MOST_MINUTES, RolledUp, RollupStore, latency_bounds,
};

/// Up to which minute all is counted.
const ROLL_UP_COUNTED: &str = "SELECT CountedTo FROM RollupState WHERE RollupStateId = 1";

/// Whether there is anything to count.
const ROLL_UP_HAS_FINAL: &str =
    "SELECT EXISTS (SELECT 1 FROM AlertState WHERE FinalAt IS NOT NULL)";

/// What is counted again.
pub(super) const ROLL_UP_CLEAR_COUNTS: &str =
    "DELETE FROM MinuteCount WHERE Minute >= ?1 AND Minute < ?2";

/// Likewise.
pub(super) const ROLL_UP_CLEAR_LATENCIES: &str =
    "DELETE FROM MinuteLatency WHERE Minute >= ?1 AND Minute < ?2";

/// The counts of one send port, relay and status.
const ROLL_UP_ADD_COUNT: &str = "INSERT INTO MinuteCount \
    (Minute, SendPort, Relay, Status, AlertCount, RecipientCount, AttemptCount) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Minutes that a late outcome changed after they were counted for the last time.
const ROLL_UP_MARKED: &str = "SELECT m.Minute, max(m.MinuteRecountId) FROM MinuteRecount m \
    JOIN RollupState s ON s.RollupStateId = 1 WHERE m.Minute < strftime('%Y-%m-%dT%H:%M:%fZ', s.CountedTo, ?1) \
    GROUP BY m.Minute ORDER BY m.Minute LIMIT ?2";

/// Alerts of the day are deleted: what is left of a minute is no count of it.
const ROLL_UP_IS_PURGED: &str = "SELECT EXISTS (SELECT 1 FROM DailyCount WHERE Day = ?1)";

/// The minute is counted as it was when the mark was read.
const ROLL_UP_UNMARK: &str =
    "DELETE FROM MinuteRecount WHERE Minute = ?1 AND MinuteRecountId <= ?2";

/// Alerts that were relayed for all and for some recipients are counted together.
const ROLL_UP_ADD_LATENCY: &str = "INSERT INTO MinuteLatency (Minute, SendPort, UpToMs, AlertCount) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT (Minute, SendPort, UpToMs) DO UPDATE SET AlertCount = AlertCount + excluded.AlertCount";

/// The first ones, in the order of time.
const PURGE_MINUTES_COUNTS: &str = "DELETE FROM MinuteCount WHERE (Minute, SendPort, Relay, Status) IN \
    (SELECT m.Minute, m.SendPort, m.Relay, m.Status FROM MinuteCount m WHERE m.Minute < ?1 LIMIT ?2)";

/// Likewise.
const PURGE_MINUTES_LATENCIES: &str = "DELETE FROM MinuteLatency WHERE (Minute, SendPort, UpToMs) IN \
    (SELECT m.Minute, m.SendPort, m.UpToMs FROM MinuteLatency m WHERE m.Minute < ?1 LIMIT ?2)";

#[async_trait]
impl RollupStore for SqliteStore {
    async fn roll_up(&self) -> Result<RolledUp, StoreError> {
        const DOING: &str = "count the alerts of a minute";
        let now = self.clock.now();
        self.count_marked(DOING).await?;
        let next = move |connection: &mut Connection| next_minutes(connection, now);
        let Some((counted, to)) = self.writer.call(DOING, next).await? else {
            return Ok(RolledUp::default());
        };
        // Counted by a reader, and each written in a transaction of its own: applications that insert wait for the one
        // lock of the file.
        let mut from = counted - TimeDelta::minutes(COUNTED_AGAIN.into());
        while from < to {
            let until = from + TimeDelta::minutes(1);
            let span = [time_text(from), time_text(until)];
            let of_span = span.clone();
            let count = move |connection: &mut Connection| MinuteRows::count(connection, &of_span);
            let rows = self.operator_reader.call(DOING, count).await?;
            let keep =
                move |connection: &mut Connection| write(connection, |tx| rows.replace(tx, &span));
            self.writer.call(DOING, keep).await?;
            from = until;
        }
        let note = move |connection: &mut Connection| {
            write(connection, |tx| {
                let values = [time_text(to), time_text(now)];
                Ok(tx.execute(sql!("roll_up_state"), values)?)
            })
        };
        self.writer.call(DOING, note).await?;
        let minutes = (to - counted).num_minutes();
        Ok(RolledUp {
            minutes: u32::try_from(minutes).unwrap_or(0),
            more: to < minute(now),
        })
    }

    async fn purge_minutes(&self, older_than: Duration) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let before = earlier(now, older_than);
        self.writer
            .call("purge the counts of minutes", move |connection| {
                write(connection, |tx| {
                    let values = params![before, MOST_CHILD_ROWS];
                    let rows = tx.execute(PURGE_MINUTES_COUNTS, values)?
                        + tx.execute(PURGE_MINUTES_LATENCIES, values)?;
                    let purged = Purged {
                        rows: rows as u64,
                        ..Purged::default()
                    };
                    note_purged(tx, now, 0, 0, &purged)?;
                    Ok(rows as u64)
                })
            })
            .await
    }
}

/// A minute that is counted again, and the last mark of it.
struct MarkedMinute {
    span: [String; 2],
    mark: i64,
}

impl SqliteStore {
    /// Counts minutes again that late outcomes changed, [`MOST_MINUTES`] at most.
    async fn count_marked(&self, doing: &'static str) -> Result<(), StoreError> {
        let marked = self.operator_reader.call(doing, |connection| {
            let again = format!("-{COUNTED_AGAIN} minutes");
            let mut statement = connection.prepare_cached(ROLL_UP_MARKED)?;
            let rows = statement.query_map(params![again, MOST_MINUTES], |row| {
                Ok((row.get::<_, String>(0)?, row.get(1)?))
            })?;
            let marked = rows.collect::<Result<Vec<_>, _>>()?;
            Ok(marked
                .into_iter()
                .filter_map(marked_minute)
                .collect::<Vec<_>>())
        });
        for MarkedMinute { span, mark } in marked.await? {
            let of_span = span.clone();
            let count = move |connection: &mut Connection| MinuteRows::count(connection, &of_span);
            let rows = self.operator_reader.call(doing, count).await?;
            let keep = move |connection: &mut Connection| {
                write(connection, |tx| {
                    let day = span[0].get(..10).unwrap_or_default();
                    let is_purged: bool =
                        tx.query_row(ROLL_UP_IS_PURGED, [day], |row| row.get(0))?;
                    if !is_purged {
                        rows.replace(tx, &span)?;
                    }
                    Ok(tx.execute(ROLL_UP_UNMARK, params![span[0], mark])?)
                })
            };
            self.writer.call(doing, keep).await?;
        }
        Ok(())
    }
}

fn marked_minute((minute, mark): (String, i64)) -> Option<MarkedMinute> {
    let until = time_of(&minute).ok()? + TimeDelta::minutes(1);
    Some(MarkedMinute {
        span: [minute, time_text(until)],
        mark,
    })
}

/// What is counted up to, and up to where this call counts; `None` where every closed minute is counted.
fn next_minutes(
    connection: &Connection,
    now: Timestamp,
) -> Result<Option<(Timestamp, Timestamp)>, SqliteError> {
    let closed = minute(now);
    let found: Option<String> = connection
        .query_row(ROLL_UP_COUNTED, [], |row| row.get(0))
        .optional()?;
    let counted = match found.and_then(|text| time_of(&text).ok()) {
        Some(counted) => counted,
        None if connection.query_row(ROLL_UP_HAS_FINAL, [], |row| row.get(0))? => {
            closed - TimeDelta::hours(FIRST_HOURS.into())
        }
        // A new database has no minutes to count, and the writer has better things to do.
        None => closed,
    };
    let to = closed.min(counted + TimeDelta::minutes(MOST_MINUTES.into()));
    // The clock was set back.
    let is_ahead = counted > closed + TimeDelta::minutes(1);
    Ok((to > counted || is_ahead).then_some((counted.min(closed), to)))
}

/// The beginning of the minute.
fn minute(at: Timestamp) -> Timestamp {
    let seconds = at.timestamp().div_euclid(60) * 60;
    DateTime::from_timestamp(seconds, 0).unwrap_or(at)
}

/// What is kept of a minute.
#[derive(Default)]
struct MinuteRows {
    counts: Vec<Vec<Value>>,
    latencies: Vec<Vec<Value>>,
}

impl MinuteRows {
    fn count(connection: &Connection, [from, until]: &[String; 2]) -> Result<Self, SqliteError> {
        let bounds = format!("{:?}", latency_bounds());
        let mut found = Self::default();
        for group in readable_lines(connection, sql!("final_groups"), params![], final_group)? {
            let (status, port) = (group.status.as_str(), &group.send_port);
            let values = params![status, port, from, until];
            found
                .counts
                .extend(rows(connection, sql!("roll_up_count"), values)?);
            if matches!(group.status, AlertStatus::Relayed | AlertStatus::Partial) {
                let values = params![status, port, from, until, bounds];
                found
                    .latencies
                    .extend(rows(connection, sql!("roll_up_latency"), values)?);
            }
        }
        Ok(found)
    }

    /// Instead of those of an earlier count.
    fn replace(&self, tx: &Transaction<'_>, span: &[String; 2]) -> Result<(), SqliteError> {
        tx.execute(ROLL_UP_CLEAR_COUNTS, params![span[0], span[1]])?;
        tx.execute(ROLL_UP_CLEAR_LATENCIES, params![span[0], span[1]])?;
        for (statement, rows) in [
            (ROLL_UP_ADD_COUNT, &self.counts),
            (ROLL_UP_ADD_LATENCY, &self.latencies),
        ] {
            let mut statement = tx.prepare_cached(statement)?;
            for row in rows {
                statement.execute(params_from_iter(row))?;
            }
        }
        Ok(())
    }
}

fn rows(
    connection: &Connection,
    statement: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<Vec<Value>>, SqliteError> {
    let mut statement = connection.prepare_cached(statement)?;
    let columns = statement.column_count();
    let read = |row: &Row<'_>| (0..columns).map(|at| row.get(at)).collect();
    let rows = statement.query_map(values, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
