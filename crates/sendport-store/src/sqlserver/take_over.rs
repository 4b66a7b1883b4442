//! Leases that pass from one instance to another: those of dead instances, and those whose outcome
//! is not recorded yet.

use sendport_core::domain::{AlertId, InstanceId, LeaseToken};
use uuid::Uuid;

use super::bulk_change::{BulkChange, OnLocked};
use super::error::may_be_of_one_row;
use super::expiry::top;
use super::pool::Pool;
use crate::{Among, RefusedRow, StoreError, SweepResult, TAKEN_OVER};

pub(super) async fn take_over_leases(
    pool: &Pool,
    new_owner: InstanceId,
    leases: &[(AlertId, LeaseToken)],
) -> Result<Vec<RefusedRow>, StoreError> {
    const DOING: &str = "take over leases whose outcome is not recorded yet";
    let mut refused = Vec::new();
    for &(alert, token) in leases {
        let sql = include_str!("sql/take_over_leases.sql");
        match pool
            .query(DOING, sql, &[&new_owner.0, &alert.0, &token.0])
            .await
        {
            Ok(_) => {}
            Err(error) if may_be_of_one_row(&error) => refused.push(RefusedRow {
                alert,
                why: error.what().to_owned(),
            }),
            Err(error) => return Err(error),
        }
    }
    Ok(refused)
}

pub(super) async fn take_over(
    pool: &Pool,
    instance: InstanceId,
    limit: u32,
    among: Among<'_>,
) -> Result<SweepResult, StoreError> {
    // Well under the number of row locks that turn into a table lock.
    let (limit, mark) = (top(limit.min(1000)), Uuid::new_v4());
    let take_over = BulkChange {
        doing: "take over alerts of an instance whose lease ran out",
        sql: include_str!("sql/take_over.sql"),
        list: include_str!("sql/take_over_candidates.sql"),
        values: &[&instance.0, &limit, &TAKEN_OVER, &mark],
        locked: OnLocked::Skip,
    };
    take_over.run(pool, among).await
}
