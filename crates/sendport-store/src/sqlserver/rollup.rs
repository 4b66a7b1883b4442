//! Counts the alerts of closed minutes.

use std::time::Duration;

use async_trait::async_trait;

use super::SqlServerStore;
use super::error::unexpected;
use super::expiry::top;
use super::values::Fields;
use crate::rollup::{
    COUNTED_AGAIN, FIRST_HOURS, MOST_MINUTES, RolledUp, RollupStore, latency_bounds,
};
use crate::{ColumnError, StoreError};

#[async_trait]
impl RollupStore for SqlServerStore {
    async fn roll_up(&self) -> Result<RolledUp, StoreError> {
        const DOING: &str = "count the alerts of a minute";
        let bounds: Vec<_> = latency_bounds()
            .iter()
            .map(|it| format!("({it})"))
            .collect();
        let sql = include_str!("sql/roll_up.sql").replace("{bounds}", &bounds.join(", "));
        let [again, most, hours] = [COUNTED_AGAIN, MOST_MINUTES, FIRST_HOURS].map(top);
        let row = self.pool.row(DOING, &sql, &[&again, &most, &hours]).await?;
        let read = |mut f: Fields<'_>| -> Result<RolledUp, ColumnError> {
            Ok(RolledUp {
                minutes: f.count()?,
                more: f.get()?,
            })
        };
        read(Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }

    async fn purge_minutes(&self, older_than: Duration) -> Result<u64, StoreError> {
        let sql = include_str!("sql/purge_minutes.sql");
        self.purge_rows("purge the counts of minutes", sql, older_than)
            .await
    }
}
