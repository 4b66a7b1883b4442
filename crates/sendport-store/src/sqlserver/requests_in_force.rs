//! What open requests of operators say about alerts that are claimed.

use std::sync::LazyLock;

use sendport_core::domain::{AlertId, RequestId};
use tiberius::ToSql;

use super::bulk_change::padded;
use super::load::MOST;
use super::operator_queries::lines;
use super::pool::Pool;
use super::statement::with_parts;
use super::values::{Fields, list_length, placeholders};
use crate::operator_requests::InForce;
use crate::{ColumnError, StoreError};

static REQUESTS_IN_FORCE: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/requests_in_force.sql")));

pub(super) async fn requests_in_force(
    pool: &Pool,
    alerts: &[AlertId],
) -> Result<Vec<InForce>, StoreError> {
    const DOING: &str = "read the requests in force";
    let mut found = Vec::new();
    for chunk in alerts.chunks(MOST as usize) {
        let length = list_length(chunk.len());
        let sql = REQUESTS_IN_FORCE.replace("{ids}", &placeholders(1, length));
        let values: Vec<&dyn ToSql> = padded(chunk, length).collect();
        let rows = pool.rows(DOING, &sql, &values).await?;
        found.extend(lines(DOING, &rows, in_force)?);
    }
    Ok(found)
}

fn in_force(fields: &mut Fields<'_>) -> Result<InForce, ColumnError> {
    Ok(InForce {
        alert: AlertId(fields.get()?),
        redirect: fields.maybe()?.map(RequestId),
        keeps_from_sending: fields.get()?,
    })
}
