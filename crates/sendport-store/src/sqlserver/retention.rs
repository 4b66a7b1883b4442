//! Deletes what is old.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::domain::{AlertId, InstanceId};
use tiberius::ToSql;

use super::SqlServerStore;
use super::bulk_change::{OnLocked, Selection, among as among_them, by_halves, listed};
use super::error::{may_be_of_one_row, unexpected};
use super::expiry::top;
use super::operator_queries::lines;
use super::statement::with_parts;
use super::values::{Fields, fit, millis, seconds};
use crate::retention::{
    DatabaseSize, FinalGroup, MOST_ALERTS, MOST_CHILD_ROWS, OldAlerts, PurgeAmong, PurgeScope,
    Purged, RetentionNote, RetentionStore,
};
use crate::{ColumnError, StoreError};

/// What the data files of a database in SQL Server Express may hold:
/// <https://learn.microsoft.com/sql/sql-server/editions-and-components-of-sql-server-2022>.
const EXPRESS_LIMIT: u64 = 10 * 1024 * 1024 * 1024;

#[async_trait]
impl RetentionStore for SqlServerStore {
    async fn begin_retention(
        &self,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "begin to purge old rows";
        let sql = with_parts(include_str!("sql/begin_retention.sql"));
        let lease = i32::try_from(millis(lease)).unwrap_or(i32::MAX);
        self.counted(DOING, &sql, &[&instance.0, &lease]).await
    }

    async fn show_retention(
        &self,
        instance: InstanceId,
        note: &RetentionNote,
    ) -> Result<(), StoreError> {
        const DOING: &str = "show what was purged";
        let sql = include_str!("sql/show_retention.sql");
        let paused = note.paused.as_deref().map(|why| fit(why, 400));
        let [oldest_final, oldest_body] =
            [note.oldest_final, note.oldest_body].map(|at| at.map(|at| at.naive_utc()));
        let values: [&dyn ToSql; 5] = [
            &instance.0,
            &paused,
            &oldest_final,
            &oldest_body,
            &i32::from(note.ended),
        ];
        self.pool.query(DOING, sql, &values).await.map(|_| ())
    }

    async fn final_groups(&self) -> Result<Vec<FinalGroup>, StoreError> {
        const DOING: &str = "look for old alerts";
        let sql = include_str!("sql/final_groups.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        lines(DOING, &rows, |f| {
            Ok(FinalGroup {
                status: f.word()?,
                send_port: f.key()?,
                oldest_body: f.maybe_time()?,
                oldest_purged: f.maybe_time()?,
            })
        })
    }

    async fn count_old(&self, scope: &PurgeScope) -> Result<OldAlerts, StoreError> {
        const DOING: &str = "count old alerts";
        let sql = include_str!("sql/count_old.sql");
        let (status, age) = (scope.status.as_str(), seconds(scope.older_than));
        let values: [&dyn ToSql; 3] = [&status, &scope.send_port, &age];
        let row = self.pool.row(DOING, sql, &values).await?;
        let mut f = Fields::of(&row);
        let mut number = || f.get::<i64>().map(i64::unsigned_abs);
        let (bodies, alerts) = (number(), number());
        Ok(OldAlerts {
            bodies: bodies.map_err(|e| unexpected(DOING, e))?,
            alerts: alerts.map_err(|e| unexpected(DOING, e))?,
        })
    }

    async fn purge_bodies(&self, scope: &PurgeScope, bytes: u64) -> Result<Purged, StoreError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let statement = PurgeStatement {
            doing: "purge bodies",
            sql: include_str!("sql/purge_bodies.sql"),
            body_purged: 0,
            more: &[&bytes],
        };
        self.purge(&statement, scope).await
    }

    async fn purge_alerts(&self, scope: &PurgeScope) -> Result<Purged, StoreError> {
        let statement = PurgeStatement {
            doing: "purge alerts",
            sql: include_str!("sql/purge_alerts.sql"),
            body_purged: 1,
            more: &[],
        };
        self.purge(&statement, scope).await
    }

    async fn purge_events(&self, older_than: Duration) -> Result<u64, StoreError> {
        let sql = include_str!("sql/purge_events.sql");
        self.purge_rows("purge events", sql, older_than).await
    }

    async fn purge_feedback(&self, older_than: Duration) -> Result<u64, StoreError> {
        let sql = include_str!("sql/purge_feedback.sql");
        self.purge_rows("purge reports that match no alert", sql, older_than)
            .await
    }

    async fn purge_counts(&self, older_than: Duration) -> Result<u64, StoreError> {
        let sql = include_str!("sql/purge_counts.sql");
        self.purge_rows("purge daily counts", sql, older_than).await
    }

    async fn database_size(&self) -> Result<Option<DatabaseSize>, StoreError> {
        const DOING: &str = "read the size of the database";
        let sql = include_str!("sql/database_size.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        let sizes = lines(DOING, &rows, |f| f.get::<i64>())?;
        Ok(sizes.first().map(|&bytes| DatabaseSize {
            bytes: bytes.unsigned_abs(),
            limit: EXPRESS_LIMIT,
        }))
    }
}

/// What deletes bodies, or alerts.
struct PurgeStatement<'a> {
    doing: &'static str,
    /// With `{index}` and `{among}`.
    sql: &'static str,
    /// `AlertRow.BodyPurged` of what it deletes.
    body_purged: i32,
    /// Its own parameters.
    more: &'a [&'a dyn ToSql],
}

impl SqlServerStore {
    /// At once, or by halves where the database refuses that for one alert.
    async fn purge(
        &self,
        statement: &PurgeStatement<'_>,
        scope: &PurgeScope,
    ) -> Result<Purged, StoreError> {
        if !scope.status.is_final() {
            return Ok(Purged::default());
        }
        let which = match &scope.among {
            PurgeAmong::AllBut(ids) => Selection::But(ids),
            PurgeAmong::These(ids) if ids.is_empty() => return Ok(Purged::default()),
            PurgeAmong::These(ids) => Selection::These(ids),
        };
        match self.purge_batch(statement, scope, which).await {
            Err(error) if may_be_of_one_row(&error) => {
                let ids = self.purge_candidates(statement, scope, which).await?;
                self.purge_by_halves(statement, scope, &ids, error).await
            }
            purged => purged,
        }
    }

    async fn purge_batch(
        &self,
        statement: &PurgeStatement<'_>,
        scope: &PurgeScope,
        which: Selection<'_>,
    ) -> Result<Purged, StoreError> {
        let doing = statement.doing;
        let (status, age) = (scope.status.as_str(), seconds(scope.older_than));
        let (alerts, rows) = (top(MOST_ALERTS), top(MOST_CHILD_ROWS));
        let request = scope.request.map(|it| it.0);
        let mut values: Vec<&dyn ToSql> = vec![&status, &scope.send_port, &age, &alerts, &rows];
        values.extend(statement.more);
        values.push(&request);
        let sql = in_index(statement.sql, which);
        let sql = among_them(&sql, which, &mut values);
        let row = self.pool.row(doing, &sql, &values).await?;
        let read = |mut f: Fields<'_>| -> Result<Purged, ColumnError> {
            let mut number = || f.get::<i64>().map(i64::unsigned_abs);
            Ok(Purged {
                alerts: number()?,
                rows: number()?,
                bytes: number()?,
                more: f.get()?,
                refused: Vec::new(),
            })
        };
        read(Fields::of(&row)).map_err(|e| unexpected(doing, e))
    }

    async fn purge_candidates(
        &self,
        statement: &PurgeStatement<'_>,
        scope: &PurgeScope,
        which: Selection<'_>,
    ) -> Result<Vec<AlertId>, StoreError> {
        let sql = in_index(include_str!("sql/purge_candidates.sql"), which);
        let (status, age) = (scope.status.as_str(), seconds(scope.older_than));
        let alerts = top(MOST_ALERTS);
        let values: [&dyn ToSql; 5] = [
            &status,
            &scope.send_port,
            &age,
            &alerts,
            &statement.body_purged,
        ];
        listed(&self.pool, statement.doing, &sql, &values, which).await
    }

    /// After `error` of the whole batch.
    async fn purge_by_halves(
        &self,
        statement: &PurgeStatement<'_>,
        scope: &PurgeScope,
        ids: &[AlertId],
        error: StoreError,
    ) -> Result<Purged, StoreError> {
        if ids.is_empty() {
            return Err(error);
        }
        let all = Mutex::new(Purged::default());
        let purge = async |part: Range<usize>| {
            let these = Selection::These(&ids[part]);
            let purged = self.purge_batch(statement, scope, these).await?;
            *all.lock() += purged;
            Ok(0)
        };
        let refused = by_halves(ids, OnLocked::Skip, purge).await?.refused;
        Ok(Purged {
            more: true,
            refused,
            ..all.into_inner()
        })
    }

    pub(super) async fn purge_rows(
        &self,
        doing: &'static str,
        sql: &str,
        older_than: Duration,
    ) -> Result<u64, StoreError> {
        let values: &[&dyn ToSql] = &[&seconds(older_than), &top(MOST_CHILD_ROWS)];
        let row = self.pool.row(doing, &with_parts(sql), values).await?;
        let rows = Fields::of(&row).get::<i64>();
        rows.map(i64::unsigned_abs)
            .map_err(|e| unexpected(doing, e))
    }
}

/// The statement with the index that serves it, and what bounds the seek in it.
fn in_index(sql: &str, which: Selection<'_>) -> String {
    let (index, created) = match which {
        Selection::But(_) => ("IX_AlertRow_Live", "AND a.CreatedAt <= @before"),
        Selection::These(_) => ("PK_AlertRow", ""),
    };
    sql.replace("{index}", index).replace("{created}", created)
}
