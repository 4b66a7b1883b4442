//! Audit copies.

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sendport_core::domain::AuditCopy;

use super::connection::SqliteError;
use super::values::{time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::StoreError;
use crate::audit::AuditStore;

#[async_trait]
impl AuditStore for SqliteStore {
    async fn keep_copy(&self, copy: &AuditCopy) -> Result<(), StoreError> {
        let copy = copy.clone();
        self.writer
            .call("keep an audit copy", move |connection| {
                keep(connection, &copy)
            })
            .await
    }
}

fn keep(connection: &Connection, copy: &AuditCopy) -> Result<(), SqliteError> {
    connection
        .prepare_cached(sql!("keep_copy"))?
        .execute(params![
            uuid_text(copy.attempt.0),
            copy.stage.as_str(),
            copy.alert.0,
            copy.send_port,
            copy.relay,
            time_text(copy.created_at),
            copy.message_id,
            copy.reverse_path,
            copy.forward_paths.join("\n"),
            copy.bytes,
        ])?;
    Ok(())
}
