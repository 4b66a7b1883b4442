//! Deletes what is old.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Transaction, params};
use sendport_core::domain::{AlertId, InstanceId, Timestamp};

use super::bulk_change::BulkChange;
use super::connection::{CHECKPOINT_PAGES, SqliteError, checkpoint_after, write};
use super::operator_queries::{lines, readable_lines};
use super::values::{Columns, earlier, later, time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::retention::{
    DatabaseSize, FinalGroup, MOST_CHILD_ROWS, OldAlerts, PurgeAmong, PurgeScope, Purged,
    RetentionNote, RetentionStore,
};
use crate::{Among, ColumnError, StoreError};

/// Most alerts of one batch. Applications that insert wait for the one lock of the file: beside batches of 200 alerts the
/// slowest of a thousand inserts took three to ten times as long as without a purge.
const MOST: u32 = 20;

/// Pages of write-ahead log after which a batch makes a checkpoint: fewer than the 1,000 from which the insert of an
/// application has to make it.
const CHECKPOINT_PAGES_OF_A_PURGE: i32 = 500;

/// Whole days before one.
pub(super) const PURGE_COUNTS: &str = "DELETE FROM DailyCount WHERE (Day, SendPort, Status) IN \
    (SELECT d.Day, d.SendPort, d.Status FROM DailyCount d WHERE d.Day < ?1 LIMIT ?2)";

/// With the rows of `FailureNotification` and `DeliveryReport`, and all that is still there.
/// Reports whose recipients are gone.
pub(super) const PURGE_ALERTS_REPORTS: &str = "DELETE FROM Feedback WHERE FeedbackId IN \
    (SELECT f.FeedbackId FROM Feedback f WHERE f.AlertId = ?1 LIMIT ?2)";

pub(super) const PURGE_ALERTS_ALERT: &str = "DELETE FROM Alert WHERE AlertId = ?1";

/// The octets of a message that came whole.
const PURGE_BODIES_RECEIVED: &str = "DELETE FROM ReceivedContent WHERE AlertId = ?1";

/// How many a request of an operator deleted: alerts, or bodies where it is about bodies alone.
const PURGE_APPLIED: &str = "UPDATE OperatorRequest SET AppliedCount = AppliedCount + ?2 \
    WHERE RequestId = ?1 AND BodiesOnly = ?3";

/// The statements that list what a batch deletes: the oldest ones, and one.
pub(super) struct Candidates {
    oldest: &'static str,
    pub(super) one: String,
}

impl Candidates {
    fn new(oldest: &'static str) -> Self {
        let one = oldest.replace("ORDER BY", "AND s.AlertId = ?5 ORDER BY");
        Self { oldest, one }
    }
}

pub(super) static WITH_BODIES: LazyLock<Candidates> =
    LazyLock::new(|| Candidates::new(sql!("purge_bodies_candidates")));
pub(super) static WITHOUT_BODIES: LazyLock<Candidates> =
    LazyLock::new(|| Candidates::new(sql!("purge_alerts_candidates")));

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
                readable_lines(connection, sql!("final_groups"), params![], final_group)
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
        let bodies = move |purge: &Purge<'_>, around: &mut _| purge.bodies(bytes, around);
        self.purge("purge bodies", scope, bodies).await
    }

    async fn purge_alerts(&self, scope: &PurgeScope) -> Result<Purged, StoreError> {
        self.purge("purge alerts", scope, |purge, around| purge.alerts(around))
            .await
    }

    async fn purge_events(&self, older_than: Duration) -> Result<u64, StoreError> {
        let before = earlier(self.clock.now(), older_than);
        self.purge_rows("purge events", sql!("purge_events"), before)
            .await
    }

    async fn purge_feedback(&self, older_than: Duration) -> Result<u64, StoreError> {
        let before = earlier(self.clock.now(), older_than);
        self.purge_rows(
            "purge reports that match no alert",
            sql!("purge_feedback"),
            before,
        )
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
        purge: impl Fn(&Purge<'_>, &mut BulkChange) -> Result<Purged, SqliteError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Purged, StoreError> {
        if !scope.status.is_final() {
            return Ok(Purged::default());
        }
        let (scope, now) = (scope.clone(), self.clock.now());
        let around = match &scope.among {
            PurgeAmong::AllBut(without) => BulkChange::of(Among::AllBut(without)),
            PurgeAmong::These(_) => BulkChange::default(),
        };
        self.writer
            .call(doing, move |connection| {
                checkpoint_after(connection, CHECKPOINT_PAGES_OF_A_PURGE)?;
                let work = |tx: &Transaction<'_>, around: &mut BulkChange| {
                    let scope = &scope;
                    purge(&Purge { tx, scope, now }, around)
                };
                let purged = around.clone().run_for(connection, work);
                checkpoint_after(connection, CHECKPOINT_PAGES)?;
                let (purged, refused) = purged?;
                Ok(Purged { refused, ..purged })
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
                    note_purged(tx, now, 0, 0, &purged)?;
                    Ok(rows)
                })
            })
            .await
    }
}

/// How many rows of each table a batch may still delete.
#[derive(Clone, Copy)]
struct ChildRows {
    replies: u32,
    attempts: u32,
    recipients: u32,
    reports: u32,
    feedback: u32,
}

impl ChildRows {
    fn most() -> Self {
        Self {
            replies: MOST_CHILD_ROWS,
            attempts: MOST_CHILD_ROWS,
            recipients: MOST_CHILD_ROWS,
            reports: MOST_CHILD_ROWS,
            feedback: MOST_CHILD_ROWS,
        }
    }

    fn deleted(self) -> u64 {
        let left = [
            self.replies,
            self.attempts,
            self.recipients,
            self.reports,
            self.feedback,
        ];
        5 * u64::from(MOST_CHILD_ROWS) - left.into_iter().map(u64::from).sum::<u64>()
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
        statements: &'static Candidates,
        around: &BulkChange,
        read: fn(&Columns<'_, '_>) -> Result<(AlertId, T), ColumnError>,
    ) -> Result<Vec<(AlertId, T)>, SqliteError> {
        let (status, port) = (self.scope.status.as_str(), &self.scope.send_port);
        let before = earlier(self.now, self.scope.older_than);
        match &self.scope.among {
            PurgeAmong::AllBut(_) => {
                let limit = around.to_read(MOST);
                let values = params![status, port, before, limit];
                let mut found = lines(self.tx, statements.oldest, values, read)?;
                found.retain(|(id, _)| around.includes(*id));
                found.truncate(MOST as usize);
                Ok(found)
            }
            PurgeAmong::These(ids) => {
                let mut found = Vec::new();
                for id in ids.iter().filter(|id| around.includes(**id)) {
                    let values = params![status, port, before, 1, id.0];
                    found.extend(lines(self.tx, &statements.one, values, read)?);
                    if found.len() >= MOST as usize {
                        break;
                    }
                }
                Ok(found)
            }
        }
    }

    fn bodies(&self, most_bytes: u64, around: &mut BulkChange) -> Result<Purged, SqliteError> {
        let candidates = self.candidates(&WITH_BODIES, around, |row| {
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
            let mut files = Vec::new();
            let delete = || {
                files = self.delete_attachments(id, files_left)?;
                self.delete_body(id, files.len() < files_left as usize)
            };
            if !around.change(self.tx, id, delete)? {
                purged.more = true;
                continue;
            }
            let count = u32::try_from(files.len()).unwrap_or(u32::MAX);
            let is_whole = count < files_left;
            files_left = files_left.saturating_sub(count);
            purged.more |= !is_whole;
            purged.alerts += u64::from(is_whole);
            purged.rows += 1 + u64::from(count);
            purged.bytes += bytes + files.iter().sum::<u64>();
        }
        note_purged(self.tx, self.now, 0, purged.alerts, &purged)?;
        self.count_applied(purged.alerts, true)?;
        Ok(purged)
    }

    fn delete_body(&self, id: AlertId, is_whole: bool) -> Result<usize, SqliteError> {
        let request = self.scope.request.map(|it| it.0);
        let now = time_text(self.now);
        let noted = self
            .tx
            .prepare_cached(sql!("purge_bodies_note"))?
            .execute(params![id.0, now, is_whole, request])?;
        for statement in [sql!("purge_bodies_body"), PURGE_BODIES_RECEIVED] {
            self.tx.prepare_cached(statement)?.execute([id.0])?;
        }
        Ok(noted)
    }

    /// The bytes of each.
    fn delete_attachments(&self, id: AlertId, most: u32) -> Result<Vec<u64>, SqliteError> {
        let mut statement = self.tx.prepare_cached(sql!("purge_bodies_attachments"))?;
        let bytes = statement.query_map(params![id.0, most], |row| row.get::<_, i64>(0))?;
        let bytes = bytes.map(|it| it.map(i64::unsigned_abs));
        Ok(bytes.collect::<Result<_, _>>()?)
    }

    fn alerts(&self, around: &mut BulkChange) -> Result<Purged, SqliteError> {
        let candidates = self.candidates(&WITHOUT_BODIES, around, |row| {
            Ok((AlertId(row.integer("AlertId")?), row.text("Day")?))
        })?;
        let mut purged = Purged {
            more: candidates.len() >= MOST as usize,
            ..Purged::default()
        };
        let mut days = BTreeMap::<_, (u64, u64)>::new();
        let mut left = ChildRows::most();
        for (id, day) in candidates {
            let (before, mut is_whole) = (left, false);
            let delete = || {
                is_whole = self.delete_children(id, &mut left)?;
                match is_whole {
                    true => Ok(self
                        .tx
                        .prepare_cached(PURGE_ALERTS_ALERT)?
                        .execute([id.0])?),
                    false => Ok(1),
                }
            };
            if !around.change(self.tx, id, delete)? {
                left = before;
                purged.more = true;
                continue;
            }
            let count = days.entry(day).or_default();
            count.1 += u64::from(before.recipients - left.recipients);
            if !is_whole {
                purged.more = true;
                break;
            }
            count.0 += 1;
            purged.alerts += 1;
        }
        for (day, (alerts, recipients)) in days {
            self.count(&day, alerts, recipients)?;
        }
        purged.rows = purged.alerts + left.deleted();
        note_purged(self.tx, self.now, purged.alerts, 0, &purged)?;
        self.count_applied(purged.alerts, false)?;
        Ok(purged)
    }

    /// As many as are left; whether none of them remains.
    fn delete_children(&self, id: AlertId, left: &mut ChildRows) -> Result<bool, SqliteError> {
        let delete = |statement, left: &mut u32| self.delete_some(statement, id, left);
        Ok(delete(sql!("purge_alerts_replies"), &mut left.replies)?
            && delete(sql!("purge_alerts_attempts"), &mut left.attempts)?
            && delete(sql!("purge_alerts_feedback"), &mut left.feedback)?
            && delete(PURGE_ALERTS_REPORTS, &mut left.reports)?
            && delete(sql!("purge_alerts_recipients"), &mut left.recipients)?)
    }

    fn count_applied(&self, count: u64, bodies_only: bool) -> Result<(), SqliteError> {
        if let Some(request) = self.scope.request.filter(|_| count > 0) {
            self.tx.prepare_cached(PURGE_APPLIED)?.execute(params![
                request.0,
                integer(count),
                bodies_only
            ])?;
        }
        Ok(())
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
    purged: &Purged,
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
