//! Deletes what is old.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Transaction, params};
use sendport_core::domain::{AlertId, InstanceId, Timestamp};

use super::connection::{CHECKPOINT_PAGES, SqliteError, checkpoint_after, write};
use super::operator_queries::lines;
use super::values::{Columns, earlier, later, time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::retention::{
    DatabaseSize, FinalGroup, MOST_CHILD_ROWS, OldAlerts, PurgeScope, Purged, RetentionNote,
    RetentionStore,
};
use crate::{ColumnError, StoreError};

/// Most alerts of one batch. Applications that insert wait for the one lock of the file: beside batches of 200 alerts the
/// slowest of a thousand inserts took three to ten times as long as without a purge.
const MOST: u32 = 20;

/// Pages of write-ahead log after which a batch makes a checkpoint: fewer than the 1,000 from which the insert of an
/// application has to make it.
const CHECKPOINT_PAGES_OF_A_PURGE: i32 = 500;

/// Whole days before one.
pub(super) const PURGE_COUNTS: &str = "DELETE FROM DailyCount WHERE (Day, SendPort, Status) IN \
    (SELECT d.Day, d.SendPort, d.Status FROM DailyCount d WHERE d.Day < ?1 LIMIT ?2)";

/// With the row of `FailureNotification` and all that is still there.
pub(super) const PURGE_ALERTS_ALERT: &str = "DELETE FROM Alert WHERE AlertId = ?1";

#[async_trait]
impl RetentionStore for SqliteStore {
    async fn begin_retention(
        &self,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let (id, now, until) = (uuid_text(instance.0), time_text(now), later(now, lease));
        self.writer
            .call("begin to purge old rows", move |connection| {
                let values = params![id, now, until];
                Ok(connection.execute(sql!("begin_retention"), values)? > 0)
            })
            .await
    }

    async fn show_retention(
        &self,
        instance: InstanceId,
        note: &RetentionNote,
    ) -> Result<(), StoreError> {
        let note = note.clone();
        self.writer
            .call("show what was purged", move |connection| {
                let [oldest_final, oldest_body] =
                    [note.oldest_final, note.oldest_body].map(|at| at.map(time_text));
                let id = uuid_text(instance.0);
                let values = params![id, note.paused, oldest_final, oldest_body, note.ended];
                connection.execute(sql!("show_retention"), values)?;
                Ok(())
            })
            .await
    }

    async fn final_groups(&self) -> Result<Vec<FinalGroup>, StoreError> {
        self.operator_reader
            .call("look for old alerts", |connection| {
                lines(connection, sql!("final_groups"), params![], final_group)
            })
            .await
    }

    async fn count_old(&self, scope: &PurgeScope) -> Result<OldAlerts, StoreError> {
        let (scope, before) = (scope.clone(), earlier(self.clock.now(), scope.older_than));
        self.operator_reader
            .call("count old alerts", move |connection| {
                let values = params![scope.status.as_str(), scope.send_port, before];
                let found = lines(connection, sql!("count_old"), values, |row| {
                    Ok(OldAlerts {
                        bodies: row.integer("Bodies")?.unsigned_abs(),
                        alerts: row.integer("Alerts")?.unsigned_abs(),
                    })
                })?;
                Ok(found.first().copied().unwrap_or_default())
            })
            .await
    }

    async fn purge_bodies(&self, scope: &PurgeScope, bytes: u64) -> Result<Purged, StoreError> {
        self.purge("purge bodies", scope, move |purge| purge.bodies(bytes))
            .await
    }

    async fn purge_alerts(&self, scope: &PurgeScope) -> Result<Purged, StoreError> {
        self.purge("purge alerts", scope, |purge| purge.alerts())
            .await
    }

    async fn purge_events(&self, older_than: Duration) -> Result<u64, StoreError> {
        let before = earlier(self.clock.now(), older_than);
        self.purge_rows("purge events", sql!("purge_events"), before)
            .await
    }

    async fn purge_counts(&self, older_than: Duration) -> Result<u64, StoreError> {
        let before = earlier(self.clock.now(), older_than);
        let day = before[..10].to_owned();
        self.purge_rows("purge daily counts", PURGE_COUNTS, day)
            .await
    }

    async fn database_size(&self) -> Result<Option<DatabaseSize>, StoreError> {
        Ok(None)
    }
}

impl SqliteStore {
    async fn purge(
        &self,
        doing: &'static str,
        scope: &PurgeScope,
        purge: impl Fn(&Purge<'_>) -> Result<Purged, SqliteError> + Send + Sync + 'static,
    ) -> Result<Purged, StoreError> {
        if !scope.status.is_final() {
            return Ok(Purged::default());
        }
        let (scope, now) = (scope.clone(), self.clock.now());
        self.writer
            .call(doing, move |connection| {
                checkpoint_after(connection, CHECKPOINT_PAGES_OF_A_PURGE)?;
                let purged = write(connection, |tx| {
                    purge(&Purge {
                        tx,
                        scope: &scope,
                        now,
                    })
                });
                checkpoint_after(connection, CHECKPOINT_PAGES)?;
                purged
            })
            .await
    }

    async fn purge_rows(
        &self,
        doing: &'static str,
        statement: &'static str,
        before: String,
    ) -> Result<u64, StoreError> {
        let now = self.clock.now();
        self.writer
            .call(doing, move |connection| {
                write(connection, |tx| {
                    let rows = tx.execute(statement, params![before, MOST_CHILD_ROWS])? as u64;
                    let purged = Purged {
                        rows,
                        ..Purged::default()
                    };
                    note_purged(tx, now, 0, 0, purged)?;
                    Ok(rows)
                })
            })
            .await
    }
}

/// One batch.
struct Purge<'a> {
    tx: &'a Transaction<'a>,
    scope: &'a PurgeScope,
    now: Timestamp,
}

impl Purge<'_> {
    fn candidates<T>(
        &self,
        statement: &'static str,
        read: fn(&Columns<'_, '_>) -> Result<T, ColumnError>,
    ) -> Result<Vec<T>, SqliteError> {
        let (status, before) = (
            self.scope.status.as_str(),
            earlier(self.now, self.scope.older_than),
        );
        let values = params![status, self.scope.send_port, before, MOST];
        lines(self.tx, statement, values, read)
    }

    fn bodies(&self, most_bytes: u64) -> Result<Purged, SqliteError> {
        let candidates = self.candidates(sql!("purge_bodies_candidates"), |row| {
            let id = AlertId(row.integer("AlertId")?);
            Ok((id, row.integer("Bytes")?.unsigned_abs()))
        })?;
        let mut files_left = MOST_CHILD_ROWS;
        let mut purged = Purged {
            more: candidates.len() >= MOST as usize,
            ..Purged::default()
        };
        for (id, bytes) in candidates {
            if purged.bytes >= most_bytes || files_left == 0 {
                purged.more = true;
                break;
            }
            let files = self.delete_attachments(id, files_left)?;
            let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
            let is_whole = count < files_left;
            files_left = files_left.saturating_sub(count);
            let now = time_text(self.now);
            self.tx
                .prepare_cached(sql!("purge_bodies_note"))?
                .execute(params![id.0, now, is_whole])?;
            self.tx
                .prepare_cached(sql!("purge_bodies_body"))?
                .execute([id.0])?;
            purged.more |= !is_whole;
            purged.alerts += u64::from(is_whole);
            purged.rows += 1 + u64::from(count);
            purged.bytes += bytes + files.iter().sum::<u64>();
        }
        note_purged(self.tx, self.now, 0, purged.alerts, purged)?;
        Ok(purged)
    }

    /// The bytes of each.
    fn delete_attachments(&self, id: AlertId, most: u32) -> Result<Vec<u64>, SqliteError> {
        let mut statement = self.tx.prepare_cached(sql!("purge_bodies_attachments"))?;
        let bytes = statement.query_map(params![id.0, most], |row| row.get::<_, i64>(0))?;
        let bytes = bytes.map(|it| it.map(i64::unsigned_abs));
        Ok(bytes.collect::<Result<_, _>>()?)
    }

    fn alerts(&self) -> Result<Purged, SqliteError> {
        let candidates = self.candidates(sql!("purge_alerts_candidates"), |row| {
            Ok((AlertId(row.integer("AlertId")?), row.text("Day")?))
        })?;
        let mut purged = Purged {
            more: candidates.len() >= MOST as usize,
            ..Purged::default()
        };
        let mut days = BTreeMap::<_, (u64, u64)>::new();
        let [mut replies, mut attempts, mut recipients] = [MOST_CHILD_ROWS; 3];
        for (id, day) in candidates {
            let delete = |statement, left| self.delete_some(statement, id, left);
            let whole = delete(sql!("purge_alerts_replies"), &mut replies)?
                && delete(sql!("purge_alerts_attempts"), &mut attempts)?;
            let before = recipients;
            let whole = whole && delete(sql!("purge_alerts_recipients"), &mut recipients)?;
            let count = days.entry(day).or_default();
            count.1 += u64::from(before - recipients);
            if !whole {
                purged.more = true;
                break;
            }
            self.tx
                .prepare_cached(PURGE_ALERTS_ALERT)?
                .execute([id.0])?;
            count.0 += 1;
            purged.alerts += 1;
        }
        for (day, (alerts, recipients)) in days {
            self.count(&day, alerts, recipients)?;
        }
        let left = [replies, attempts, recipients].map(u64::from);
        let children = 3 * u64::from(MOST_CHILD_ROWS) - left.iter().sum::<u64>();
        purged.rows = purged.alerts + children;
        note_purged(self.tx, self.now, purged.alerts, 0, purged)?;
        Ok(purged)
    }

    /// Of one alert, as many as are left; whether none of them remains.
    fn delete_some(
        &self,
        statement: &str,
        id: AlertId,
        left: &mut u32,
    ) -> Result<bool, SqliteError> {
        let mut statement = self.tx.prepare_cached(statement)?;
        let deleted = statement.execute(params![id.0, *left])?;
        let before = std::mem::replace(
            left,
            left.saturating_sub(u32::try_from(deleted).unwrap_or(u32::MAX)),
        );
        Ok((deleted as u64) < u64::from(before))
    }

    fn count(&self, day: &str, alerts: u64, recipients: u64) -> Result<(), SqliteError> {
        let (port, status) = (&self.scope.send_port, self.scope.status.as_str());
        let values = params![day, port, status, integer(alerts), integer(recipients)];
        self.tx
            .prepare_cached(sql!("purge_alerts_count"))?
            .execute(values)?;
        Ok(())
    }
}

pub(super) fn note_purged(
    tx: &Transaction<'_>,
    now: Timestamp,
    alerts: u64,
    bodies: u64,
    purged: Purged,
) -> Result<(), SqliteError> {
    let now = time_text(now);
    let [alerts, bodies, rows, bytes] = [alerts, bodies, purged.rows, purged.bytes].map(integer);
    let values = params![now, &now[..10], alerts, bodies, rows, bytes];
    tx.prepare_cached(sql!("purge_alerts_progress"))?
        .execute(values)?;
    Ok(())
}

/// As SQLite has one.
fn integer(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn final_group(row: &Columns<'_, '_>) -> Result<FinalGroup, ColumnError> {
    Ok(FinalGroup {
        status: row.word("Status")?,
        send_port: row.key("SendPort")?,
        oldest_body: row.optional_time("OldestBody")?,
        oldest_purged: row.optional_time("OldestPurged")?,
    })
}
