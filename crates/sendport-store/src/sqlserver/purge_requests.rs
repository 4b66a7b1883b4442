//! What a request of an operator deletes.

use std::sync::LazyLock;

use async_trait::async_trait;
use sendport_core::domain::AlertId;

use super::SqlServerStore;
use super::operator_queries::lines;
use super::statement::with_parts;
use crate::StoreError;
use crate::operator_requests::{RequestCursor, RequestLine};
use crate::purge_requests::{PurgeMatches, PurgeRequests};

static PURGE_MATCHES: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/purge_matches.sql")));

#[async_trait]
impl PurgeRequests for SqlServerStore {
    async fn purge_matches(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
    ) -> Result<PurgeMatches, StoreError> {
        const DOING: &str = "look for alerts to purge";
        let step = self.request_step(&PURGE_MATCHES, request, from, &[]);
        let (rows, next) = step.await?;
        let rows = lines(DOING, &rows, |f| {
            Ok((f.word()?, f.key()?, AlertId(f.get()?)))
        })?;
        Ok(PurgeMatches::new(rows, next))
    }
}
