//! Which failures were reported.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::AlertId;
use tiberius::ToSql;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::SqlServerStore;
use super::bulk_change::{OnLocked, Selection, among, by_halves, listed};
use super::error::may_be_of_one_row;
use super::error::unexpected;
use super::expiry::top;
use super::operator_queries::{lines, new_alert};
use super::pool::Pool;
use super::values::{Fields, seconds};
use crate::digest::{DigestResult, FailureDigestStore, UnreportedFailures, UnreportedLine};
use crate::{ColumnError, NewAlert, StoreError};

/// Most rows that one `VALUES` takes.
const MOST_VALUES: usize = 1000;

const LIST: &str = "list failures to report";
const INSERT: &str = "insert the failure digest";

#[async_trait]
impl FailureDigestStore for SqlServerStore {
    async fn unreported(
        &self,
        send_port: &str,
        within: Duration,
        limit: u32,
        without: &[AlertId],
    ) -> Result<UnreportedFailures, StoreError> {
        let values: &[&dyn ToSql] = &[&send_port, &seconds(within), &top(limit)];
        let pool = &self.pool;
        match unreported(pool, values, Selection::But(without)).await {
            Err(error) if may_be_of_one_row(&error) => {}
            unreported => return unreported,
        }
        let list = include_str!("sql/unreported_candidates.sql");
        let ids = listed(pool, LIST, list, values, Selection::But(without)).await?;
        let found = Mutex::new(UnreportedFailures::default());
        let some = async |part: Range<usize>| {
            let some = unreported(pool, values, Selection::These(&ids[part])).await?;
            let mut found = found.lock().await;
            found.alerts += some.alerts;
            found.lines.extend(some.lines);
            Ok(0)
        };
        let refused = by_halves(&ids, OnLocked::Fail, some).await?.refused;
        let found = found.into_inner();
        Ok(UnreportedFailures { refused, ..found })
    }

    async fn insert_digest(
        &self,
        alerts: &[AlertId],
        digest: &NewAlert,
    ) -> Result<DigestResult, StoreError> {
        let (pool, id) = (&self.pool, Uuid::new_v4());
        match insert_digest(pool, id, alerts, digest).await {
            Err(error) if may_be_of_one_row(&error) => {}
            inserted => {
                return inserted.map(|digest| DigestResult {
                    digest,
                    ..DigestResult::default()
                });
            }
        }
        let some = async |part: Range<usize>| {
            insert_digest(pool, id, &alerts[part], digest)
                .await
                .map(|_| 0)
        };
        let refused = by_halves(alerts, OnLocked::Fail, some).await?.refused;
        let digest = insert_digest(pool, id, &[], digest).await?;
        Ok(DigestResult { digest, refused })
    }
}

async fn unreported(
    pool: &Pool,
    values: &[&dyn ToSql],
    which: Selection<'_>,
) -> Result<UnreportedFailures, StoreError> {
    let mut values = values.to_vec();
    let sql = among(include_str!("sql/unreported.sql"), which, &mut values);
    let results = pool.query(LIST, &sql, &values).await?;
    let [count, found] = &results[..] else {
        return Err(unexpected(LIST, "two result sets were expected"));
    };
    let alerts = count.first().map_or(Ok(0), |row| Fields::of(row).count());
    Ok(UnreportedFailures {
        alerts: alerts.map_err(|e| unexpected(LIST, e))?.into(),
        lines: lines(LIST, found, unreported_line)?,
        refused: Vec::new(),
    })
}

/// Notes these, and inserts the digest unless it is there.
async fn insert_digest(
    pool: &Pool,
    id: Uuid,
    alerts: &[AlertId],
    digest: &NewAlert,
) -> Result<Option<AlertId>, StoreError> {
    let sql = include_str!("sql/insert_digest.sql").replace("{alerts}", &inserts(alerts));
    let values = new_alert(id, digest);
    let values: Vec<_> = values.iter().map(|value| &**value).collect();
    let rows = pool.rows(INSERT, &sql, &values).await?;
    let id = rows.first().map(|row| Fields::of(row).get()).transpose();
    Ok(id.map_err(|e| unexpected(INSERT, e))?.map(AlertId))
}

/// Statements that put the ids, each once, into the table variable `@alerts`.
fn inserts(alerts: &[AlertId]) -> String {
    let ids: BTreeSet<_> = alerts.iter().collect();
    let rows: Vec<_> = ids.iter().map(|id| format!("({id})")).collect();
    rows.chunks(MOST_VALUES)
        .map(|rows| format!("INSERT @alerts (AlertId) VALUES {};\n", rows.join(", ")))
        .collect()
}

fn unreported_line(f: &mut Fields<'_>) -> Result<UnreportedLine, ColumnError> {
    Ok(UnreportedLine {
        alert: AlertId(f.get()?),
        reference: f.maybe_text()?,
        subject: f.maybe_text()?,
        address: f.maybe_text()?,
        status: f.text()?,
        status_at: f.time()?,
        relay: f.maybe_text()?,
        reply: f.maybe_text()?,
        advice: f.maybe_text()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_alert_is_named_once_and_no_statement_names_too_many() {
        let alerts: Vec<_> = (0..1500).chain(0..10).map(AlertId).collect();
        let statements = inserts(&alerts);
        assert_eq!(statements.matches("INSERT").count(), 2);
        assert_eq!(statements.matches('(').count() - 2, 1500);
        assert_eq!(inserts(&[]), "");
    }
}
