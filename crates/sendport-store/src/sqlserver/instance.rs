//! What an instance writes about itself: registration, lease, condition and retirement.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::domain::{
    AlertId, InstanceCondition, InstanceId, InstanceInfo, RelayState, SendPortInfo,
};
use tiberius::{Row, ToSql};

use super::bulk_change::{BulkChange, OnLocked, Selection};
use super::error::{is_lock_timeout, unexpected};
use super::pool::Pool;
use super::values::{Fields, fit, fit_long, placeholders, seconds, stored};
use crate::{Among, Explanation, Renewal, StoreError, StoreErrorKind, other_environment_message};

/// The relay states as each instance last wrote them, so that a renewal writes changes only.
pub(super) type KnownRelays = Mutex<HashMap<InstanceId, Vec<RelayState>>>;

pub(super) async fn register(
    pool: &Pool,
    instance: &InstanceInfo,
    lease: Duration,
    send_ports: &[SendPortInfo],
    explanations: &[Explanation],
) -> Result<(), StoreError> {
    const DOING: &str = "register the instance";
    let sql = include_str!("sql/environment.sql");
    refuse_other(pool, DOING, instance, &pool.rows(DOING, sql, &[]).await?)?;
    for send_port in send_ports {
        register_send_port(pool, DOING, send_port).await?;
    }
    for e in explanations {
        let sql = include_str!("sql/register_explanation.sql");
        pool.query(DOING, sql, &[&e.key, &e.fault, &e.cause, &e.advice])
            .await?;
    }
    // Last, so that the lease does not run while the rest is written.
    let sql = include_str!("sql/register_instance.sql");
    let (name, host) = (fit(&instance.name, 256), fit(&instance.host_name, 256));
    let process_id = i64::from(instance.process_id);
    let params: &[&dyn ToSql] = &[
        &instance.id.0,
        &name,
        &host,
        &process_id,
        &fit(&instance.version, 64),
        &seconds(lease),
        &instance.environment,
    ];
    refuse_other(pool, DOING, instance, &pool.rows(DOING, sql, params).await?)
}

/// Refuses a database that belongs to another environment than `instance`, as `rows` say.
fn refuse_other(
    pool: &Pool,
    doing: &'static str,
    instance: &InstanceInfo,
    rows: &[Row],
) -> Result<(), StoreError> {
    let found = rows.first().map(|row| Fields::of(row).maybe_key());
    let found = found.transpose().map_err(|e| unexpected(doing, e))?;
    let wanted = &instance.environment;
    match found.flatten() {
        Some(found) if found != *wanted => {
            let message = other_environment_message(&pool.settings().describe(), wanted, &found);
            Err(StoreError::new(StoreErrorKind::Schema, doing, message))
        }
        _ => Ok(()),
    }
}

async fn register_send_port(
    pool: &Pool,
    doing: &'static str,
    send_port: &SendPortInfo,
) -> Result<(), StoreError> {
    let (from, max_age) = (
        fit(&send_port.from_address, 1000),
        seconds(send_port.max_age),
    );
    let in_doubt = send_port.in_doubt.as_str();
    let mut params: Vec<&dyn ToSql> = vec![
        &send_port.name,
        &from,
        &send_port.protection,
        &max_age,
        &in_doubt,
    ];
    params.extend(send_port.relays.iter().map(|relay| relay as &dyn ToSql));
    let rows: Vec<_> = (0..send_port.relays.len())
        .map(|n| format!("(@P1, {n}, @P{})", n + 6))
        .collect();
    let sql = with_rows(include_str!("sql/register_send_port.sql"), &rows);
    pool.query(doing, &sql, &params).await?;
    Ok(())
}

/// Puts rows into the statement's last `INSERT ... VALUES {rows}`, or takes it away.
fn with_rows(sql: &str, rows: &[String]) -> String {
    if rows.is_empty() {
        let kept: Vec<_> = sql
            .lines()
            .filter(|line| line.starts_with("--") || !line.contains("{rows}"))
            .collect();
        return kept.join("\n");
    }
    sql.replace("{rows}", &rows.join(", "))
}

pub(super) async fn renew(
    pool: &Pool,
    known: &KnownRelays,
    instance: InstanceId,
    lease: Duration,
    send_ports: &[String],
    relays: &[RelayState],
) -> Result<Renewal, StoreError> {
    const DOING: &str = "renew the instance's lease";
    let sql = include_str!("sql/renew.sql");
    let row = pool
        .row(DOING, sql, &[&instance.0, &seconds(lease)])
        .await?;
    let renewed = Fields::of(&row).count().map_err(|e| unexpected(DOING, e))?;
    if renewed == 0 {
        return Ok(Renewal::Lost);
    }
    if !send_ports.is_empty() {
        let names: Vec<&dyn ToSql> = send_ports.iter().map(|name| name as &dyn ToSql).collect();
        let sql = include_str!("sql/renew_send_ports.sql")
            .replace("{names}", &placeholders(1, names.len()));
        pool.query(DOING, &sql, &names).await?;
    }
    if known_differ(known, instance, relays) {
        write_relays(pool, DOING, instance, relays).await?;
        let mut known = known.lock();
        known.insert(instance, relays.to_vec());
    }
    Ok(Renewal::Renewed)
}

fn known_differ(known: &KnownRelays, instance: InstanceId, relays: &[RelayState]) -> bool {
    let known = known.lock();
    known.get(&instance).is_none_or(|known| known != relays)
}

async fn write_relays(
    pool: &Pool,
    doing: &'static str,
    instance: InstanceId,
    relays: &[RelayState],
) -> Result<(), StoreError> {
    let held: Vec<_> = relays
        .iter()
        .map(|state| {
            let reply = state.reply.as_deref().map(fit_long);
            let (since, retry_at) = (stored(state.since), state.retry_at.map(stored));
            let column = |number: Option<u32>| number.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
            let (connections, recipients) =
                (column(state.connections), column(state.max_recipients));
            let rate = state.message_rate.as_deref().map(|rate| fit(rate, 64));
            let throttle_reason = state.throttle_reason.as_ref().or(state.share_wait.as_ref());
            let throttle_reason = throttle_reason.map(|reason| fit_long(reason));
            let now = (connections, rate, throttle_reason, recipients);
            (state.condition.as_str(), since, retry_at, reply, now)
        })
        .collect();
    let mut params: Vec<&dyn ToSql> = vec![&instance.0];
    let mut rows = Vec::new();
    for (state, (condition, since, retry_at, reply, now)) in relays.iter().zip(&held) {
        rows.push(format!("(@P1, {})", placeholders(params.len() + 1, 10)));
        let values: [&dyn ToSql; 10] = [
            &state.relay,
            condition,
            since,
            retry_at,
            reply,
            &state.explanation,
            &now.0,
            &now.1,
            &now.2,
            &now.3,
        ];
        params.extend(values);
    }
    let sql = with_rows(include_str!("sql/renew_relays.sql"), &rows);
    pool.query(doing, &sql, &params).await?;
    Ok(())
}

/// Another instance may delete old rows at once. Its own batch that was aborted may still hold the row.
const RETIRE_RETENTION: &str = "SET LOCK_TIMEOUT 2000; UPDATE r SET LeaseUntil = NULL, RunningSince = NULL \
    FROM sendport.RetentionState r WHERE r.RetentionStateId = 1 AND r.InstanceId = @P1;";

pub(super) async fn retire(
    pool: &Pool,
    known: &KnownRelays,
    instance: InstanceId,
) -> Result<(), StoreError> {
    let retire = BulkChange {
        doing: "retire the instance",
        sql: include_str!("sql/retire.sql"),
        list: include_str!("sql/retire_candidates.sql"),
        values: &[&instance.0],
        locked: OnLocked::Skip,
    };
    let swept = retire.run(pool, Among::AllBut(&[])).await?;
    if !swept.refused.is_empty() || swept.count == 0 {
        // No alert has this key: the instance's own rows are written in any case.
        retire.ask(pool, Selection::These(&[AlertId(0)])).await?;
    }
    known.lock().remove(&instance);
    let values: [&dyn ToSql; 1] = [&instance.0];
    let ended = pool.query(retire.doing, RETIRE_RETENTION, &values);
    match ended.await {
        // A batch of another instance has locked the row.
        Err(error) if is_lock_timeout(&error) => Ok(()),
        ended => ended.map(|_| ()),
    }
}

pub(super) async fn show_condition(
    pool: &Pool,
    instance: InstanceId,
    condition: &InstanceCondition,
) -> Result<(), StoreError> {
    let waiting_for = condition.waiting_for.as_deref().map(fit_long);
    let number = |count| i32::try_from(count).unwrap_or(i32::MAX);
    let values: [&dyn ToSql; 6] = [
        &instance.0,
        &waiting_for,
        &number(condition.unrecorded),
        &condition.unrecorded_since.map(stored),
        &number(condition.unclaimed),
        &condition.unclaimed_since.map(stored),
    ];
    let sql = include_str!("sql/show_condition.sql");
    pool.query("show the instance's condition", sql, &values)
        .await?;
    Ok(())
}
