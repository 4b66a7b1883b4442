//! The queue as the driver uses it.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, ToSql, Transaction, params};
use uuid::Uuid;

use crate::domain::{
    AlertId, AttemptKey, AttemptOutcome, InstanceCondition, InstanceId, InstanceInfo, LeaseToken,
    Outcome, RelayState, SendPortInfo, Timestamp,
};
use crate::store::{
    AlertStore, Among, Claim, Claimed, Event, Explanation, LARGE_TEXTS, Loaded, Recorded,
    RefusedRow, Renewal, StoreAdmin, StoreError, StoreErrorKind, Swept, TAKEN_OVER,
    other_environment_words,
};

use super::admin::environment;
use super::around::Around;
use super::claim::Request;
use super::codec::{Columns, later, time_text, uuid_text};
use super::connection::{Trouble, write};
use super::load::load_one;
use super::owner::Owner;
use super::record::Recorder;
use super::{SqliteStore, sql};

#[async_trait]
impl AlertStore for SqliteStore {
    async fn register(
        &self,
        instance: &InstanceInfo,
        lease: Duration,
        send_ports: &[SendPortInfo],
        explanations: &[Explanation],
    ) -> Result<(), StoreError> {
        let (now, database) = (self.clock.now(), self.describe());
        let (instance, send_ports, explanations) =
            (instance.clone(), send_ports.to_vec(), explanations.to_vec());
        self.writer
            .call("register the instance", move |connection| {
                write(connection, |tx| {
                    refuse_other_environment(tx, &database, &instance.environment)?;
                    register_instance(tx, &instance, now, lease)?;
                    register_send_ports(tx, &send_ports, now)?;
                    register_explanations(tx, &explanations)
                })
            })
            .await
    }

    async fn renew(
        &self,
        instance: InstanceId,
        lease: Duration,
        send_ports: &[String],
        relays: &[RelayState],
    ) -> Result<Renewal, StoreError> {
        let now = self.clock.now();
        let (send_ports, relays) = (send_ports.to_vec(), relays.to_vec());
        self.writer
            .call("renew the lease", move |connection| {
                write(connection, |tx| {
                    renew(tx, instance, now, lease, &send_ports, &relays)
                })
            })
            .await
    }

    async fn retire(&self, instance: InstanceId) -> Result<(), StoreError> {
        let now = time_text(self.clock.now());
        let instance = uuid_text(instance.0);
        self.writer
            .call("retire the instance", move |connection| {
                let retired =
                    Around::default().run(connection, |tx, around| {
                        tx.execute(sql!("retire_instance"), params![instance, now])?;
                        let held = keys(tx, sql!("retire_held"), params![instance])?;
                        let mut release = tx.prepare_cached(sql!("retire_release"))?;
                        around.change_each(tx, held, |alert| {
                            Ok(release.execute(params![alert.0, now])?)
                        })
                    });
                retired.map(|_| ())
            })
            .await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
        let request = Request::new(claim, self.clock.now());
        self.writer
            .call("claim alerts", move |connection| request.run(connection))
            .await
    }

    async fn load(&self, ids: &[AlertId]) -> Result<Vec<Loaded>, StoreError> {
        let ids = ids.to_vec();
        self.reader
            .call("load alerts", move |connection| {
                // One view of the database for all of them: each view takes locks anew, and
                // forgets the pages that were read.
                let view = connection.transaction()?;
                let loaded = ids
                    .iter()
                    .map(|&id| load_one(&view, id, LARGE_TEXTS.into()));
                loaded.filter_map(Result::transpose).collect()
            })
            .await
    }

    async fn record(
        &self,
        instance: InstanceId,
        outcomes: &[Outcome],
    ) -> Result<Vec<Recorded>, StoreError> {
        let now = self.clock.now();
        let outcomes = outcomes.to_vec();
        self.writer
            .call("record outcomes", move |connection| {
                write(connection, |tx| {
                    let recorder = Recorder { tx, instance, now };
                    outcomes
                        .iter()
                        .map(|outcome| recorder.record(outcome))
                        .collect()
                })
            })
            .await
    }

    async fn inherit(
        &self,
        heir: InstanceId,
        leases: &[(AlertId, LeaseToken)],
    ) -> Result<Vec<RefusedRow>, StoreError> {
        const DOING: &str = "take over leases whose outcome is not recorded yet";
        let leases = leases.to_vec();
        let inherit = move |connection: &mut Connection| {
            Around::default().run(connection, |tx, around| {
                leases.iter().try_fold(0, |done, (alert, token)| {
                    Ok(done + inherit(tx, around, heir, *alert, *token)?)
                })
            })
        };
        let swept = self.writer.call(DOING, inherit).await?;
        Ok(swept.refused)
    }

    async fn show_condition(
        &self,
        instance: InstanceId,
        condition: &InstanceCondition,
    ) -> Result<(), StoreError> {
        let condition = condition.clone();
        self.writer
            .call("show the instance's condition", move |connection| {
                connection
                    .prepare_cached(sql!("show_condition"))?
                    .execute(params![
                        uuid_text(instance.0),
                        condition.waiting_for,
                        condition.unrecorded,
                        condition.unrecorded_since.map(time_text),
                        condition.unclaimed,
                        condition.unclaimed_since.map(time_text),
                    ])?;
                Ok(())
            })
            .await
    }

    async fn take_over(
        &self,
        instance: InstanceId,
        limit: u32,
        among: Among<'_>,
    ) -> Result<Swept, StoreError> {
        let (now, around) = (self.clock.now(), Around::of(among));
        self.writer
            .call("take over alerts of dead instances", move |connection| {
                let take = |tx: &Transaction<'_>, around: &mut Around| {
                    take_over(tx, instance, now, limit, around)
                };
                around.clone().run(connection, take)
            })
            .await
    }

    async fn expire(&self, limit: u32, among: Among<'_>) -> Result<Swept, StoreError> {
        let (now, around) = (self.clock.now(), Around::of(among));
        self.writer
            .call("expire alerts", move |connection| {
                let expire = |tx: &Transaction<'_>, around: &mut Around| {
                    nobodys(tx, now).expire(limit, around)
                };
                around.clone().run(connection, expire)
            })
            .await
    }

    async fn fail_unrouted(
        &self,
        after: Duration,
        limit: u32,
        among: Among<'_>,
    ) -> Result<Swept, StoreError> {
        let (now, around) = (self.clock.now(), Around::of(among));
        self.writer
            .call("fail alerts without a send port", move |connection| {
                let fail = |tx: &Transaction<'_>, around: &mut Around| {
                    nobodys(tx, now).fail_unrouted(after, limit, around)
                };
                around.clone().run(connection, fail)
            })
            .await
    }

    async fn note_unrouted(
        &self,
        unseen: Duration,
        fails_after: Duration,
        limit: u32,
    ) -> Result<Vec<(String, u32)>, StoreError> {
        let now = self.clock.now();
        let instance = InstanceId(Uuid::nil());
        self.writer
            .call(
                "say what alerts without a send port wait for",
                move |connection| {
                    write(connection, |tx| {
                        Recorder { tx, instance, now }.note_unrouted(unseen, fails_after, limit)
                    })
                },
            )
            .await
    }

    async fn log_event(&self, event: &Event) -> Result<(), StoreError> {
        let now = time_text(self.clock.now());
        let event = event.clone();
        self.writer
            .call("log an event", move |connection| {
                connection
                    .prepare_cached(sql!("log_event"))?
                    .execute(params![
                        now,
                        event.severity.as_str(),
                        event.event_type,
                        event.instance.map(|id| uuid_text(id.0)),
                        event.alert.map(|id| id.0),
                        event.send_port,
                        event.relay,
                        event.message,
                    ])?;
                Ok(())
            })
            .await
    }

    async fn wait_for_insert(&self, at_most: Duration) {
        self.watch.wait(&self.writer, at_most).await;
    }
}

fn refuse_other_environment(
    tx: &Transaction<'_>,
    database: &str,
    wanted: &str,
) -> Result<(), Trouble> {
    match environment(tx)? {
        Some(found) if found != wanted => Err(Trouble::Said(
            StoreErrorKind::Schema,
            other_environment_words(database, wanted, &found),
        )),
        _ => Ok(()),
    }
}

fn register_instance(
    tx: &Transaction<'_>,
    instance: &InstanceInfo,
    now: Timestamp,
    lease: Duration,
) -> Result<(), Trouble> {
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
) -> Result<(), Trouble> {
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
        tx.execute(sql!("register_clear_relays"), [&port.name])?;
        for (ordinal, relay) in (0_u32..).zip(&port.relays) {
            tx.execute(sql!("register_relay"), params![port.name, ordinal, relay])?;
        }
    }
    Ok(())
}

fn register_explanations(
    tx: &Transaction<'_>,
    explanations: &[Explanation],
) -> Result<(), Trouble> {
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

fn renew(
    tx: &Transaction<'_>,
    instance: InstanceId,
    now: Timestamp,
    lease: Duration,
    send_ports: &[String],
    relays: &[RelayState],
) -> Result<Renewal, Trouble> {
    let (id, at) = (uuid_text(instance.0), time_text(now));
    let renewed =
        tx.prepare_cached(sql!("renew_instance"))?
            .execute(params![id, at, later(now, lease)])?;
    if renewed == 0 {
        return Ok(Renewal::Lost);
    }
    for name in send_ports {
        tx.prepare_cached(sql!("renew_send_port"))?
            .execute([name, &at])?;
    }
    tx.prepare_cached(sql!("renew_clear_relays"))?
        .execute([&id])?;
    for relay in relays {
        tx.prepare_cached(sql!("renew_relay"))?.execute(params![
            id,
            relay.relay,
            relay.condition.as_str(),
            time_text(relay.since),
            relay.retry_at.map(time_text),
            relay.reply,
            relay.explanation,
            relay.connections,
            relay.message_rate,
            relay.throttled_by,
            relay.max_recipients,
        ])?;
    }
    Ok(Renewal::Renewed)
}

/// Ends alerts in the name of no instance.
pub(super) fn nobodys<'a>(tx: &'a Transaction<'_>, now: Timestamp) -> Recorder<'a> {
    let instance = InstanceId(Uuid::nil());
    Recorder { tx, instance, now }
}

/// The alerts that a statement lists.
pub(super) fn keys(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<AlertId>, Trouble> {
    let mut statement = connection.prepare_cached(sql)?;
    let keys = statement.query_map(values, |row| row.get(0).map(AlertId))?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// 1 where the lease still stood and goes over.
fn inherit(
    tx: &Transaction<'_>,
    around: &mut Around,
    heir: InstanceId,
    alert: AlertId,
    token: LeaseToken,
) -> Result<u32, Trouble> {
    let (heir, token) = (uuid_text(heir.0), uuid_text(token.0));
    let stands = keys(tx, sql!("inherit_stands"), params![alert.0, token])?;
    around.change_each(tx, stands, |_| {
        let mut statement = tx.prepare_cached(sql!("inherit"))?;
        Ok(statement.execute(params![heir, alert.0, token])?)
    })
}

fn take_over(
    tx: &Transaction<'_>,
    instance: InstanceId,
    now: Timestamp,
    limit: u32,
    around: &mut Around,
) -> Result<u32, Trouble> {
    let this = uuid_text(instance.0);
    let this_host: Option<String> = tx
        .query_row(sql!("take_over_self"), [&this], |row| row.get(0))
        .optional()?;
    let mut statement = tx.prepare_cached(sql!("take_over_owners"))?;
    let owners = statement.query_map(params![this, time_text(now)], |row| {
        Ok(Owner::read(&Columns::new(row)))
    })?;
    let owners: Vec<_> = owners.collect::<Result<_, _>>()?;
    let mut taken = 0;
    for owner in owners {
        let owner = owner.map_err(Trouble::unreadable)?;
        if owner.is_gone(this_host.as_deref()) {
            taken += take_over_from(tx, &owner.id, now, limit - taken, around)?;
        }
    }
    Ok(taken)
}

/// A lease of a dead instance.
struct Held {
    alert: AlertId,
    attempts: i64,
    leased_at: Option<String>,
}

fn take_over_from(
    tx: &Transaction<'_>,
    owner: &str,
    now: Timestamp,
    limit: u32,
    around: &mut Around,
) -> Result<u32, Trouble> {
    let now = time_text(now);
    let mut statement = tx.prepare_cached(sql!("take_over_alerts"))?;
    let held = statement.query_map(params![owner, around.to_read(limit)], |row| {
        Ok(Held {
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
    held: &Held,
    now: &str,
) -> Result<usize, Trouble> {
    let noted = tx
        .prepare_cached(sql!("take_over_attempt"))?
        .execute(params![
            uuid_text(AttemptKey::fresh().0),
            held.alert.0,
            held.attempts + 1,
            AttemptOutcome::Unknown.as_str(),
            owner,
            held.leased_at,
            now,
        ])?;
    if noted == 0 {
        return Err(Trouble::ignored("attempts as they were"));
    }
    let released = tx
        .prepare_cached(sql!("take_over_release"))?
        .execute(params![held.alert.0, now])?;
    tx.prepare_cached(sql!("take_over_hold"))?
        .execute(params![held.alert.0, TAKEN_OVER])?;
    Ok(released)
}
