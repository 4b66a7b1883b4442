//! Claiming alerts.

use tiberius::{Row, ToSql};

use super::error::is_lock_timeout;
use super::pool::Pool;
use super::values::{Fields, list_length, placeholders, seconds};
use super::work::{MOST, unexpected};
use crate::domain::AlertId;
use crate::store::{CLASS_HEAD_START, Claim, Claimed, StoreError};

const DOING: &str = "claim alerts";

/// So many alerts at the head of the queue may be locked before a claim finds none.
const LOCKED_AT_THE_HEAD: u32 = 50;

/// How often [`by_halves`] waits for a lock in vain.
const MOST_TIMEOUTS: u32 = 16;

pub(super) async fn claim(pool: &Pool, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
    if claim.limit == 0 {
        return Ok(Claimed::default());
    }
    match claim_unlocked(pool, claim).await {
        Err(error) if is_lock_timeout(&error) => claim_around_locks(pool, claim).await,
        other => other,
    }
}

async fn claim_unlocked(pool: &Pool, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
    let values: [&dyn ToSql; 5] = [
        &claim.instance.0,
        &claim.token.0,
        &claim.send_port,
        &limit(claim, 0),
        &seconds(CLASS_HEAD_START),
    ];
    let sql = include_str!("sql/claim.sql");
    let results = pool.query(DOING, sql, &values).await?;
    let [taken, more] = &results[..] else {
        return Err(unexpected(DOING, "two result sets were expected"));
    };
    let more = more.first().map_or(Ok(false), |row| Fields::of(row).get());
    Ok(Claimed {
        alerts: ids(taken)?,
        may_hold_more: more.map_err(|e| unexpected(DOING, e))?,
    })
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

/// An engine without READPAST waits for the one row that is locked, and so does a lock on more
/// than the row: what is due is listed first, and taken by halves.
async fn claim_around_locks(pool: &Pool, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
    let values: [&dyn ToSql; 3] = [
        &claim.send_port,
        &limit(claim, LOCKED_AT_THE_HEAD),
        &seconds(CLASS_HEAD_START),
    ];
    let sql = include_str!("sql/claim_candidates.sql");
    let due = ids(&pool.rows(DOING, sql, &values).await?)?;
    Ok(Claimed {
        alerts: by_halves(pool, claim, &due).await?,
        may_hold_more: true,
    })
}

async fn by_halves(
    pool: &Pool,
    claim: &Claim<'_>,
    due: &[AlertId],
) -> Result<Vec<AlertId>, StoreError> {
    let (mut taken, mut timeouts) = (Vec::new(), 0);
    let mut to_do = vec![due];
    while let Some(these) = to_do.pop() {
        let room = claim.limit.min(MOST) as usize - taken.len();
        if room == 0 || timeouts == MOST_TIMEOUTS || these.is_empty() {
            continue;
        }
        let (these, rest) = these.split_at(these.len().min(room));
        to_do.push(rest);
        match take(pool, claim, these).await {
            Ok(some) => taken.extend(some),
            Err(error) if is_lock_timeout(&error) => {
                timeouts += 1;
                if these.len() > 1 {
                    let (first, second) = these.split_at(these.len() / 2);
                    to_do.extend([second, first]);
                }
            }
            // What was taken is worked on; what is wrong shows again.
            Err(_) if !taken.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

async fn take(
    pool: &Pool,
    claim: &Claim<'_>,
    these: &[AlertId],
) -> Result<Vec<AlertId>, StoreError> {
    let length = list_length(these.len());
    let last = these.last().map(|id| &id.0);
    let padded = these.iter().map(|id| &id.0).chain(last.into_iter().cycle());
    let mut values: Vec<&dyn ToSql> = vec![&claim.instance.0, &claim.token.0];
    values.extend(padded.take(length).map(|id| id as &dyn ToSql));
    let sql = include_str!("sql/claim_these.sql").replace("{ids}", &placeholders(3, length));
    let rows = pool.rows(DOING, &sql, &values).await?;
    let taken = ids(&rows)?;
    // In the order of work.
    Ok(these
        .iter()
        .copied()
        .filter(|id| taken.contains(id))
        .collect())
}
