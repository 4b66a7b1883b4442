//! Resolves alerts that may have been sent.

use std::sync::LazyLock;

use sendport_core::domain::{AlertId, RequestId};
use tiberius::{Command, Row};

use super::error::unexpected;
use super::expiry::rows_to_make;
use super::pool::Pool;
use super::statement::{Engine, Statement};
use super::table_rows::{RecipientRow, portion, portions};
use super::values::Fields;
use crate::operator_requests::ResolveRequest;
use crate::{ColumnError, RESOLVED_EVENT, StoreError};

static RESOLVE: LazyLock<Statement> =
    LazyLock::new(|| Statement::new(include_str!("sql/resolve.sql")));

/// Two steps, because the domain makes rows from the lists; the second looks again.
pub(super) async fn resolve(
    pool: &Pool,
    id: AlertId,
    request: &ResolveRequest,
) -> Result<Option<RequestId>, StoreError> {
    const DOING: &str = "resolve an alert in doubt";
    let sql = include_str!("sql/resolve_candidate.sql");
    let rows = pool.rows(DOING, sql, &[&id.0]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let recipients = missing_rows(id, row).map_err(|e| unexpected(DOING, e))?;
    let calls = portions(recipients.len());
    let command = |engine, n, _: &[_]| {
        let recipients = portion(&recipients, n, engine);
        Some(command(engine, id, request, recipients, n + 1 == calls))
    };
    let read = |row: &Row| Fields::of(row).maybe().map(|it| it.map(RequestId));
    let found = pool.call_in_portions(DOING, calls, command, read).await?;
    Ok(found.last().copied().flatten())
}

fn missing_rows(id: AlertId, row: &Row) -> Result<Vec<RecipientRow>, ColumnError> {
    let mut fields = Fields::of(row);
    let f = &mut fields;
    let made = f.count()?;
    let [to, cc, bcc] = [f.maybe()?, f.maybe()?, f.maybe()?];
    Ok(if made > 0 {
        Vec::new()
    } else {
        rows_to_make(id, to, cc, bcc)
    })
}

fn command(
    engine: Engine,
    id: AlertId,
    request: &ResolveRequest,
    recipients: Vec<RecipientRow>,
    last: bool,
) -> Command<'static> {
    let mut command = Command::new("sp_executesql");
    command.bind_param("@stmt", RESOLVE.on(engine));
    command.bind_param(
        "@params",
        "@alert bigint, @resolution nvarchar(16), @comment nvarchar(400), @event nvarchar(64), \
         @last int, @recipients sendport.RecipientList READONLY",
    );
    command.bind_param("@alert", id.0);
    command.bind_param("@resolution", request.resolution.as_str());
    command.bind_param("@comment", request.comment.clone());
    command.bind_param("@event", RESOLVED_EVENT);
    command.bind_param("@last", i32::from(last));
    command.bind_table("@recipients", recipients);
    command
}
