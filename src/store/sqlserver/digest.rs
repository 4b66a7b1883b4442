//! Who was told of which failure.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::SqlServerStore;
use super::desk::{lines, new_alert};
use super::sweep::top;
use super::values::{Fields, seconds};
use super::work::unexpected;
use crate::domain::AlertId;
use crate::store::digest::{FailureDesk, Untold, UntoldLine};
use crate::store::{NewAlert, StoreError};

/// Most rows that one `VALUES` takes.
const MOST_VALUES: usize = 1000;

#[async_trait]
impl FailureDesk for SqlServerStore {
    async fn untold(
        &self,
        send_port: &str,
        within: Duration,
        limit: u32,
    ) -> Result<Untold, StoreError> {
        const DOING: &str = "look for failures to tell of";
        let sql = include_str!("sql/untold.sql");
        let results = self
            .pool
            .query(DOING, sql, &[&send_port, &seconds(within), &top(limit)])
            .await?;
        let [count, found] = &results[..] else {
            return Err(unexpected(DOING, "two result sets were expected"));
        };
        let alerts = count.first().map_or(Ok(0), |row| Fields::of(row).count());
        Ok(Untold {
            alerts: alerts.map_err(|e| unexpected(DOING, e))?.into(),
            lines: lines(DOING, found, untold_line)?,
        })
    }

    async fn tell(
        &self,
        alerts: &[AlertId],
        digest: &NewAlert,
    ) -> Result<Option<AlertId>, StoreError> {
        const DOING: &str = "tell of failures";
        let sql = include_str!("sql/tell.sql").replace("{alerts}", &inserts(alerts));
        let values = new_alert(Uuid::new_v4(), digest);
        let values: Vec<_> = values.iter().map(|value| &**value).collect();
        let rows = self.pool.rows(DOING, &sql, &values).await?;
        let id = rows.first().map(|row| Fields::of(row).get()).transpose();
        Ok(id.map_err(|e| unexpected(DOING, e))?.map(AlertId))
    }
}

/// Statements that put the ids, each once, into the table variable `@alerts`.
fn inserts(alerts: &[AlertId]) -> String {
    let ids: BTreeSet<_> = alerts.iter().collect();
    let rows: Vec<_> = ids.iter().map(|id| format!("({id})")).collect();
    rows.chunks(MOST_VALUES)
        .map(|rows| format!("INSERT @alerts (AlertId) VALUES {};\n", rows.join(", ")))
        .collect()
}

fn untold_line(f: &mut Fields<'_>) -> Result<UntoldLine, String> {
    Ok(UntoldLine {
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
