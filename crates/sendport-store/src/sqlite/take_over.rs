//! Leases that pass from one instance to another: those of dead instances, and those whose outcome
//! is not recorded yet.

use rusqlite::{OptionalExtension, Transaction, params};
use sendport_core::domain::{
    AlertId, AttemptKey, AttemptOutcome, InstanceId, LeaseToken, Timestamp,
};

use super::bulk_change::{BulkChange, keys};
use super::error::SqliteError;
use super::lease_owner::Owner;
use super::record::waiting_status;
use super::sql;
use super::values::{Columns, time_text, uuid_text};
use crate::TAKEN_OVER;

/// The attempt whose result is unknown, and of which nothing else is.
const TAKE_OVER_ATTEMPT: &str = "INSERT INTO Attempt (AttemptKey, AlertId, AttemptNumber, Outcome, InstanceId, StartedAt, EndedAt) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// A current lease goes to another instance.
const TAKE_OVER_LEASES: &str =
    "UPDATE AlertState SET LeaseOwner = ?1 WHERE AlertId = ?2 AND LeaseToken = ?3";

/// The alert, where the lease is still current.
pub(super) const TAKE_OVER_LEASES_CURRENT: &str =
    "SELECT AlertId FROM AlertState WHERE AlertId = ?1 AND LeaseToken = ?2";

/// The host of the instance that takes over.
const TAKE_OVER_SELF: &str = "SELECT HostName FROM Instance WHERE InstanceId = ?1";

/// What a dead owner holds.
pub(super) const TAKE_OVER_ALERTS: &str = "SELECT AlertId, AttemptCount, LeasedAt FROM AlertState WHERE LeaseOwner = ?1 ORDER BY AlertId LIMIT ?2";

/// Gives these leases to `new_owner`, where their token is still current.
pub(super) fn take_over_leases(
    tx: &Transaction<'_>,
    around: &mut BulkChange,
    new_owner: InstanceId,
    leases: &[(AlertId, LeaseToken)],
) -> Result<u32, SqliteError> {
    leases.iter().try_fold(0, |done, (alert, token)| {
        Ok(done + take_over_lease(tx, around, new_owner, *alert, *token)?)
    })
}

/// 1 where the lease was still current and goes over.
fn take_over_lease(
    tx: &Transaction<'_>,
    around: &mut BulkChange,
    new_owner: InstanceId,
    alert: AlertId,
    token: LeaseToken,
) -> Result<u32, SqliteError> {
    let (new_owner, token) = (uuid_text(new_owner.0), uuid_text(token.0));
    let current = keys(tx, TAKE_OVER_LEASES_CURRENT, params![alert.0, token])?;
    around.change_each(tx, current, |_| {
        let mut statement = tx.prepare_cached(TAKE_OVER_LEASES)?;
        Ok(statement.execute(params![new_owner, alert.0, token])?)
    })
}

/// Takes up to `limit` alerts from instances whose lease ran out.
pub(super) fn take_over(
    tx: &Transaction<'_>,
    instance: InstanceId,
    now: Timestamp,
    limit: u32,
    around: &mut BulkChange,
) -> Result<u32, SqliteError> {
    let this = uuid_text(instance.0);
    let this_host: Option<String> = tx
        .query_row(TAKE_OVER_SELF, [&this], |row| row.get(0))
        .optional()?;
    let mut statement = tx.prepare_cached(sql!("take_over_owners"))?;
    let owners = statement.query_map(params![this, time_text(now)], |row| {
        Ok(Owner::read(&Columns::new(row)))
    })?;
    let owners: Vec<_> = owners.collect::<Result<_, _>>()?;
    let mut taken = 0;
    for owner in owners {
        let owner = owner.map_err(SqliteError::unreadable)?;
        if owner.is_gone(this_host.as_deref()) {
            taken += take_over_from(tx, &owner.id, now, limit - taken, around)?;
        }
    }
    Ok(taken)
}

/// A lease of a dead instance.
struct DeadLease {
    alert: AlertId,
    attempts: i64,
    leased_at: Option<String>,
}

fn take_over_from(
    tx: &Transaction<'_>,
    owner: &str,
    now: Timestamp,
    limit: u32,
    around: &mut BulkChange,
) -> Result<u32, SqliteError> {
    let now = time_text(now);
    let mut statement = tx.prepare_cached(TAKE_OVER_ALERTS)?;
    let held = statement.query_map(params![owner, around.to_read(limit)], |row| {
        Ok(DeadLease {
            alert: AlertId(row.get(0)?),
            attempts: row.get(1)?,
            leased_at: row.get(2)?,
        })
    })?;
    let mut held: Vec<_> = held.collect::<Result<_, _>>()?;
    held.retain(|held| around.includes(held.alert));
    let mut taken = 0;
    for held in held.iter().take(limit as usize) {
        let is_taken = around.change(tx, held.alert, || take_over_one(tx, owner, held, &now))?;
        taken += u32::from(is_taken);
    }
    Ok(taken)
}

fn take_over_one(
    tx: &Transaction<'_>,
    owner: &str,
    held: &DeadLease,
    now: &str,
) -> Result<usize, SqliteError> {
    let noted = tx.prepare_cached(TAKE_OVER_ATTEMPT)?.execute(params![
        uuid_text(AttemptKey::fresh().0),
        held.alert.0,
        held.attempts + 1,
        AttemptOutcome::Unknown.as_str(),
        owner,
        held.leased_at,
        now,
    ])?;
    if noted == 0 {
        return Err(SqliteError::ignored("attempts as they were"));
    }
    let status = waiting_status(tx, held.alert)?.as_str();
    let released = tx
        .prepare_cached(sql!("take_over_release"))?
        .execute(params![held.alert.0, now, status])?;
    tx.prepare_cached(sql!("take_over_hold"))?
        .execute(params![held.alert.0, TAKEN_OVER])?;
    Ok(released)
}
