//! Audit copies.

use async_trait::async_trait;
use sendport_core::domain::AuditCopy;
use tiberius::ToSql;

use super::SqlServerStore;
use super::values::{fit, fit_long, stored};
use crate::StoreError;
use crate::audit::AuditStore;

#[async_trait]
impl AuditStore for SqlServerStore {
    async fn keep_copy(&self, copy: &AuditCopy) -> Result<(), StoreError> {
        let sql = include_str!("sql/keep_copy.sql");
        let values: [&dyn ToSql; 11] = [
            &copy.attempt.0,
            &copy.stage.as_str(),
            &copy.alert.0,
            &fit(&copy.send_port, 64),
            &fit(&copy.relay, 128),
            &stored(copy.created_at),
            &fit(&copy.message_id, 1000),
            &fit(&copy.reverse_path, 1000),
            &fit_long(&copy.forward_paths.join("\n")),
            &i64::try_from(copy.bytes.len()).unwrap_or(i64::MAX),
            &copy.bytes,
        ];
        self.pool.query("keep an audit copy", sql, &values).await?;
        Ok(())
    }
}
