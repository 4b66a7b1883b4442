//! What a request of an operator deletes.

use async_trait::async_trait;
use rusqlite::Connection;
use sendport_core::domain::{AlertId, AlertStatus};

use super::SqliteStore;
use super::connection::SqliteError;
use super::operator_requests::{next, request_batch};
use crate::StoreError;
use crate::operator_requests::{RequestCursor, RequestLine};
use crate::purge_requests::{PurgeMatches, PurgeRequests};

#[async_trait]
impl PurgeRequests for SqliteStore {
    async fn purge_matches(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
    ) -> Result<PurgeMatches, StoreError> {
        let (request, from) = (request.clone(), from.cloned());
        self.operator_reader
            .call("look for alerts to purge", move |connection| {
                purge_matches(connection, &request, from.as_ref())
            })
            .await
    }
}

fn purge_matches(
    connection: &Connection,
    request: &RequestLine,
    from: Option<&RequestCursor>,
) -> Result<PurgeMatches, SqliteError> {
    let rows = request_batch(connection, request, from)?;
    let next = next(request, &rows);
    let mut found = Vec::new();
    for row in rows.into_iter().filter(|row| row.applies) {
        let cursor = row.cursor;
        // A status that this program does not know is left alone.
        if let Ok(status) = cursor.status.parse::<AlertStatus>() {
            found.push((status, cursor.send_port, AlertId(cursor.alert)));
        }
    }
    found.sort_by(|a, b| (a.0.as_str(), &a.1, a.2).cmp(&(b.0.as_str(), &b.1, b.2)));
    Ok(PurgeMatches::new(found, next))
}
