//! What an instance writes about itself: registration, lease, condition and retirement.

use std::time::Duration;

use rusqlite::{Connection, Transaction, params};
use sendport_core::domain::{
    InstanceCondition, InstanceId, InstanceInfo, RelayState, SendPortInfo, Timestamp,
};

use super::admin::environment;
use super::bulk_change::{BulkChange, keys};
use super::error::SqliteError;
use super::record::waiting_status;
use super::sql;
use super::values::{later, time_text, uuid_text};
use crate::{Explanation, Renewal, StoreErrorKind, SweepResult, other_environment_message};

/// One relay of a send port.
const REGISTER_SEND_PORT_RELAY: &str =
    "INSERT INTO SendPortRelay (SendPort, Ordinal, Relay) VALUES (?1, ?2, ?3)";

/// Another instance may delete old rows at once.
const RETIRE_RETENTION: &str =
    "UPDATE RetentionState SET LeaseUntil = NULL, RunningSince = NULL WHERE InstanceId = ?1";

/// What it still holds.
pub(super) const RETIRE_HELD: &str = "SELECT AlertId FROM AlertState WHERE LeaseOwner = ?1";

/// Relay states are replaced.
const RENEW_RELAYS_CLEAR: &str = "DELETE FROM RelayState WHERE InstanceId = ?1";

/// The relays of a send port are written anew.
const REGISTER_SEND_PORT_CLEAR_RELAYS: &str = "DELETE FROM SendPortRelay WHERE SendPort = ?1";

/// This send port is still there.
const RENEW_SEND_PORTS: &str = "UPDATE SendPort SET LastSeenAt = ?2 WHERE Name = ?1";

/// What keeps an instance from sending or from recording.
const SHOW_CONDITION: &str = "UPDATE Instance SET WaitingFor = ?2, UnrecordedCount = ?3, UnrecordedSince = ?4, UnclaimedCount = ?5, UnclaimedSince = ?6 \
    WHERE InstanceId = ?1";

/// Only while the lease still runs.
const RENEW: &str = "UPDATE Instance SET RenewedAt = ?2, LeaseUntil = ?3 \
    WHERE InstanceId = ?1 AND StoppedAt IS NULL AND LeaseUntil > ?2";

/// Writes the instance's row, its send ports and the explanations.
pub(super) fn register(
    tx: &Transaction<'_>,
    database: &str,
    instance: &InstanceInfo,
    now: Timestamp,
    lease: Duration,
    send_ports: &[SendPortInfo],
    explanations: &[Explanation],
) -> Result<(), SqliteError> {
    refuse_other_environment(tx, database, &instance.environment)?;
    register_instance(tx, instance, now, lease)?;
    register_send_ports(tx, send_ports, now)?;
    register_explanations(tx, explanations)
}

fn refuse_other_environment(
    tx: &Transaction<'_>,
    database: &str,
    wanted: &str,
) -> Result<(), SqliteError> {
    match environment(tx)? {
        Some(found) if found != wanted => Err(SqliteError::Own(
            StoreErrorKind::Schema,
            other_environment_message(database, wanted, &found),
        )),
        _ => Ok(()),
    }
}

fn register_instance(
    tx: &Transaction<'_>,
    instance: &InstanceInfo,
    now: Timestamp,
    lease: Duration,
) -> Result<(), SqliteError> {
    tx.execute(
        sql!("register_instance"),
        params![
            uuid_text(instance.id.0),
            instance.name,
            instance.host_name,
            instance.process_id,
            instance.version,
            time_text(now),
            later(now, lease),
        ],
    )?;
    Ok(())
}

fn register_send_ports(
    tx: &Transaction<'_>,
    send_ports: &[SendPortInfo],
    now: Timestamp,
) -> Result<(), SqliteError> {
    for port in send_ports {
        let max_age = i64::try_from(port.max_age.as_secs()).unwrap_or(i64::MAX);
        tx.execute(
            sql!("register_send_port"),
            params![
                port.name,
                port.from_address,
                port.protection,
                max_age,
                time_text(now),
                port.in_doubt.as_str(),
            ],
        )?;
        tx.execute(REGISTER_SEND_PORT_CLEAR_RELAYS, [&port.name])?;
        for (ordinal, relay) in (0_u32..).zip(&port.relays) {
            tx.execute(REGISTER_SEND_PORT_RELAY, params![port.name, ordinal, relay])?;
        }
    }
    Ok(())
}

fn register_explanations(
    tx: &Transaction<'_>,
    explanations: &[Explanation],
) -> Result<(), SqliteError> {
    let mut statement = tx.prepare_cached(sql!("register_explanation"))?;
    for Explanation {
        key,
        fault,
        cause,
        advice,
    } in explanations
    {
        statement.execute([key, fault, cause, advice])?;
    }
    Ok(())
}

/// Extends the lease, and replaces the relay states.
pub(super) fn renew(
    tx: &Transaction<'_>,
    instance: InstanceId,
    now: Timestamp,
    lease: Duration,
    send_ports: &[String],
    relays: &[RelayState],
) -> Result<Renewal, SqliteError> {
    let (id, at) = (uuid_text(instance.0), time_text(now));
    let renewed = tx
        .prepare_cached(RENEW)?
        .execute(params![id, at, later(now, lease)])?;
    if renewed == 0 {
        return Ok(Renewal::Lost);
    }
    for name in send_ports {
        tx.prepare_cached(RENEW_SEND_PORTS)?.execute([name, &at])?;
    }
    tx.prepare_cached(RENEW_RELAYS_CLEAR)?.execute([&id])?;
    for relay in relays {
        tx.prepare_cached(sql!("renew_relays"))?.execute(params![
            id,
            relay.relay,
            relay.condition.as_str(),
            time_text(relay.since),
            relay.retry_at.map(time_text),
            relay.reply,
            relay.explanation,
            relay.connections,
            relay.message_rate,
            relay.throttle_reason.as_ref().or(relay.share_wait.as_ref()),
            relay.max_recipients,
        ])?;
    }
    Ok(Renewal::Renewed)
}

/// Ends the instance's row, and releases what it still holds.
pub(super) fn retire(
    connection: &mut Connection,
    instance: InstanceId,
    now: Timestamp,
) -> Result<SweepResult, SqliteError> {
    let (instance, now) = (uuid_text(instance.0), time_text(now));
    BulkChange::default().run(connection, |tx, around| {
        tx.execute(sql!("retire_instance"), params![instance, now])?;
        tx.execute(RETIRE_RETENTION, params![instance])?;
        let held = keys(tx, RETIRE_HELD, params![instance])?;
        let mut release = tx.prepare_cached(sql!("retire_release"))?;
        around.change_each(tx, held, |alert| {
            let status = waiting_status(tx, alert)?.as_str();
            Ok(release.execute(params![alert.0, now, status])?)
        })
    })
}

/// Writes what keeps the instance from sending or from recording.
pub(super) fn show_condition(
    connection: &Connection,
    instance: InstanceId,
    condition: &InstanceCondition,
) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(SHOW_CONDITION)?;
    statement.execute(params![
        uuid_text(instance.0),
        condition.waiting_for,
        condition.unrecorded,
        condition.unrecorded_since.map(time_text),
        condition.unclaimed,
        condition.unclaimed_since.map(time_text),
    ])?;
    Ok(())
}
