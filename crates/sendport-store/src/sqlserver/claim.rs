//! Claiming alerts.

use std::sync::LazyLock;

use sendport_core::domain::AlertId;
use tiberius::{Row, ToSql};

use super::bulk_change::padded;
use super::error::{is_lock_timeout, may_be_of_one_row, unexpected};
use super::load::MOST;
use super::pool::Pool;
use super::statement::with_parts;
use super::values::{Fields, list_length, placeholders, seconds};
use crate::{Among, CLASS_HEAD_START, Claim, ClaimResult, ColumnError, RefusedRow, StoreError};

const DOING: &str = "claim alerts";

static CLAIM: LazyLock<String> = LazyLock::new(|| with_parts(include_str!("sql/claim.sql")));
static CLAIM_THESE: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/claim_these.sql")));

/// So many alerts at the head of the queue may be locked before a claim finds none.
const LOCKED_AT_THE_HEAD: u32 = 50;

/// How many lock time-outs [`by_halves`] accepts.
const MOST_TIMEOUTS: u32 = 16;

/// How often [`by_halves`] is refused: each costs a connection. At least one alert is found thereby,
/// and the next claim goes on without it.
const MOST_REFUSALS: u32 = 32;

pub(super) async fn claim(pool: &Pool, claim: &Claim<'_>) -> Result<ClaimResult, StoreError> {
    if claim.limit == 0 {
        return Ok(ClaimResult::default());
    }
    let without = match claim.among {
        Among::AllBut(without) => without,
        Among::Only(alert) => return by_halves(pool, claim, &[alert]).await,
    };
    match claim_at_once(pool, claim, without).await {
        Err(error) if is_lock_timeout(&error) || may_be_of_one_row(&error) => {
            claim_around(pool, claim, without, error).await
        }
        other => other,
    }
}

async fn claim_at_once(
    pool: &Pool,
    claim: &Claim<'_>,
    without: &[AlertId],
) -> Result<ClaimResult, StoreError> {
    let (limit, head_start) = (limit(claim, 0), seconds(CLASS_HEAD_START));
    let mut values: Vec<&dyn ToSql> = vec![
        &claim.instance.0,
        &claim.token.0,
        &claim.send_port,
        &limit,
        &head_start,
    ];
    let sql = leave_out(&CLAIM, without, &mut values);
    let results = pool.query(DOING, &sql, &values).await?;
    let [taken, [more]] = &results.iter().map(Vec::as_slice).collect::<Vec<_>>()[..] else {
        return Err(unexpected(DOING, "two result sets were expected"));
    };
    let mut fields = Fields::of(more);
    let more: Result<_, ColumnError> = fields.get().and_then(|more| Ok((more, fields.count()?)));
    let (may_hold_more, parked) = more.map_err(|e| unexpected(DOING, e))?;
    Ok(ClaimResult {
        alerts: ids(taken)?,
        may_hold_more,
        refused: Vec::new(),
        parked,
    })
}

/// The statement without these alerts, which come behind the values that it has.
fn leave_out<'a>(sql: &str, without: &'a [AlertId], values: &mut Vec<&'a dyn ToSql>) -> String {
    if without.is_empty() {
        return sql.replace("{without}", "");
    }
    let length = list_length(without.len());
    let list = placeholders(values.len() + 1, length);
    values.extend(padded(without, length));
    sql.replace("{without}", &format!("AND AlertId NOT IN ({list})"))
}

fn limit(claim: &Claim<'_>, beyond: u32) -> i32 {
    let limit = claim.limit.saturating_add(beyond).min(MOST);
    i32::try_from(limit).unwrap_or(i32::MAX)
}

fn ids(rows: &[Row]) -> Result<Vec<AlertId>, StoreError> {
    let id = |row| Fields::of(row).get().map(AlertId);
    let ids = rows.iter().map(id).collect::<Result<_, _>>();
    ids.map_err(|e| unexpected(DOING, e))
}

/// One row is refused, or locked in a way that READPAST does not pass over: what is due is listed
/// first, and taken by halves.
async fn claim_around(
    pool: &Pool,
    claim: &Claim<'_>,
    without: &[AlertId],
    error: StoreError,
) -> Result<ClaimResult, StoreError> {
    let limit = limit(claim, LOCKED_AT_THE_HEAD);
    let (held, due) = held_and_due(pool, claim, without, limit).await?;
    if !held.is_empty() {
        return Ok(ClaimResult {
            alerts: held,
            may_hold_more: true,
            ..ClaimResult::default()
        });
    }
    if due.is_empty() && !is_lock_timeout(&error) {
        return Err(error);
    }
    by_halves(pool, claim, &due).await
}

/// What the token holds already, and up to `limit` that are due.
async fn held_and_due(
    pool: &Pool,
    claim: &Claim<'_>,
    without: &[AlertId],
    limit: i32,
) -> Result<(Vec<AlertId>, Vec<AlertId>), StoreError> {
    let head_start = seconds(CLASS_HEAD_START);
    let mut values: Vec<&dyn ToSql> = vec![
        &claim.send_port,
        &limit,
        &head_start,
        &claim.instance.0,
        &claim.token.0,
    ];
    let sql = include_str!("sql/claim_candidates.sql");
    let sql = leave_out(sql, without, &mut values);
    let results = pool.query(DOING, &sql, &values).await?;
    let [held, due] = &results[..] else {
        return Err(unexpected(DOING, "two result sets were expected"));
    };
    Ok((ids(held)?, ids(due)?))
}

/// After an error of another kind what was taken is answered to the next claim with this token.
async fn by_halves(
    pool: &Pool,
    claim: &Claim<'_>,
    due: &[AlertId],
) -> Result<ClaimResult, StoreError> {
    let mut claimed = ClaimResult {
        may_hold_more: true,
        ..ClaimResult::default()
    };
    let (mut timeouts, mut refusals) = (0, 0);
    let mut to_do = vec![due];
    while let Some(these) = to_do.pop() {
        let room = (claim.limit.min(MOST) as usize).saturating_sub(claimed.alerts.len());
        let is_enough = room == 0 || timeouts == MOST_TIMEOUTS || refusals == MOST_REFUSALS;
        if is_enough || these.is_empty() {
            continue;
        }
        let (these, rest) = these.split_at(these.len().min(room));
        to_do.push(rest);
        let error = match take(pool, claim, these).await {
            Ok(some) => {
                claimed.alerts.extend(some);
                continue;
            }
            Err(error) => error,
        };
        match is_lock_timeout(&error) {
            true => timeouts += 1,
            false if may_be_of_one_row(&error) => refusals += 1,
            false => return Err(error),
        }
        match these {
            [_] if is_lock_timeout(&error) => {}
            &[alert] => claimed.refused.push(RefusedRow {
                alert,
                why: error.what().to_owned(),
            }),
            _ => {
                let (first, second) = these.split_at(these.len() / 2);
                to_do.extend([second, first]);
            }
        }
    }
    if refusals > 0 {
        // A trigger that says an error, and neither throws it nor rolls back, refuses nothing.
        let (held, _) = held_and_due(pool, claim, &[], 0).await?;
        claimed.refused.retain(|it| !held.contains(&it.alert));
        claimed.alerts = due.iter().copied().filter(|id| held.contains(id)).collect();
    }
    Ok(claimed)
}

async fn take(
    pool: &Pool,
    claim: &Claim<'_>,
    these: &[AlertId],
) -> Result<Vec<AlertId>, StoreError> {
    let length = list_length(these.len());
    let mut values: Vec<&dyn ToSql> = vec![&claim.instance.0, &claim.token.0];
    values.extend(padded(these, length));
    let sql = CLAIM_THESE.replace("{ids}", &placeholders(3, length));
    let rows = pool.rows(DOING, &sql, &values).await?;
    let taken = ids(&rows)?;
    // In the order of work.
    Ok(these
        .iter()
        .copied()
        .filter(|id| taken.contains(id))
        .collect())
}
