//! What open requests of operators say about alerts that are claimed.

use std::sync::LazyLock;

use rusqlite::Connection;
use sendport_core::domain::{AlertId, RequestId};

use super::connection::SqliteError;
use super::operator_requests::with_parts;
use super::sql;
use crate::operator_requests::InForce;

/// Mostly nothing is, and no alert is looked at.
pub(super) const REQUESTS_IN_FORCE_ANY: &str = "SELECT 1 FROM OperatorRequest \
    WHERE State = 'open' AND Verb IN ('cancel', 'hold', 'redirect') AND Status IS NULL";

pub(super) static REQUESTS_IN_FORCE: LazyLock<String> =
    LazyLock::new(|| with_parts(sql!("requests_in_force")));

pub(super) fn requests_in_force(
    connection: &Connection,
    alerts: &[AlertId],
) -> Result<Vec<InForce>, SqliteError> {
    let mut any = connection.prepare_cached(REQUESTS_IN_FORCE_ANY)?;
    if !any.exists([])? {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare_cached(&REQUESTS_IN_FORCE)?;
    let in_force = |&alert: &AlertId| {
        Ok(statement.query_row([alert.0], |row| {
            let redirect: Option<i64> = row.get("RedirectRequestId")?;
            Ok(InForce {
                alert,
                redirect: redirect.map(RequestId),
                keeps_from_sending: row.get("KeepsFromSending")?,
            })
        })?)
    };
    alerts.iter().map(in_force).collect()
}
