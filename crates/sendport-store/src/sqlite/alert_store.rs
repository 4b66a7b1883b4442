//! The queue as the worker uses it.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use sendport_core::domain::{
    AlertId, InstanceCondition, InstanceId, InstanceInfo, LeaseToken, Outcome, RelayState,
    SendPortInfo,
};
use uuid::Uuid;

use super::bulk_change::BulkChange;
use super::claim::ClaimRequest;
use super::connection::{SqliteError, write};
use super::expiry::without_instance;
use super::load::load_one;
use super::record::Recorder;
use super::values::{time_text, uuid_text};
use super::{SqliteStore, instance, sql, take_over};
use crate::{
    AlertStore, Among, Claim, ClaimResult, Event, Explanation, LARGE_TEXTS, LoadResult,
    RecordResult, RefusedRow, Renewal, StoreAdmin, StoreError, SweepResult,
};

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
        let (info, send_ports, explanations) =
            (instance.clone(), send_ports.to_vec(), explanations.to_vec());
        self.writer
            .call("register the instance", move |connection| {
                write(connection, |tx| {
                    instance::register(tx, &database, &info, now, lease, &send_ports, &explanations)
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
                    instance::renew(tx, instance, now, lease, &send_ports, &relays)
                })
            })
            .await
    }

    async fn retire(&self, instance: InstanceId) -> Result<(), StoreError> {
        let now = self.clock.now();
        let retired = self.writer.call("retire the instance", move |connection| {
            instance::retire(connection, instance, now)
        });
        retired.await.map(|_| ())
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimResult, StoreError> {
        let request = ClaimRequest::new(claim, self.clock.now());
        self.writer
            .call("claim alerts", move |connection| request.run(connection))
            .await
    }

    async fn load(&self, ids: &[AlertId]) -> Result<Vec<LoadResult>, StoreError> {
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
    ) -> Result<Vec<RecordResult>, StoreError> {
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

    async fn take_over_leases(
        &self,
        new_owner: InstanceId,
        leases: &[(AlertId, LeaseToken)],
    ) -> Result<Vec<RefusedRow>, StoreError> {
        const DOING: &str = "take over leases whose outcome is not recorded yet";
        let leases = leases.to_vec();
        let take_over = move |connection: &mut Connection| {
            BulkChange::default().run(connection, |tx, around| {
                take_over::take_over_leases(tx, around, new_owner, &leases)
            })
        };
        let swept = self.writer.call(DOING, take_over).await?;
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
                instance::show_condition(connection, instance, &condition)
            })
            .await
    }

    async fn take_over(
        &self,
        instance: InstanceId,
        limit: u32,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError> {
        let (now, around) = (self.clock.now(), BulkChange::of(among));
        self.writer
            .call("take over alerts of dead instances", move |connection| {
                let take = |tx: &Transaction<'_>, around: &mut BulkChange| {
                    take_over::take_over(tx, instance, now, limit, around)
                };
                around.clone().run(connection, take)
            })
            .await
    }

    async fn expire(&self, limit: u32, among: Among<'_>) -> Result<SweepResult, StoreError> {
        let (now, around) = (self.clock.now(), BulkChange::of(among));
        self.writer
            .call("expire alerts", move |connection| {
                let expire = |tx: &Transaction<'_>, around: &mut BulkChange| {
                    without_instance(tx, now).expire(limit, around)
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
    ) -> Result<SweepResult, StoreError> {
        let (now, around) = (self.clock.now(), BulkChange::of(among));
        self.writer
            .call("fail alerts without a send port", move |connection| {
                let fail = |tx: &Transaction<'_>, around: &mut BulkChange| {
                    without_instance(tx, now).fail_unrouted(after, limit, around)
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
                write_event(connection, &now, &event)
            })
            .await
    }

    async fn wait_for_insert(&self, at_most: Duration) {
        self.watch.wait(&self.writer, at_most).await;
    }
}

/// Writes to `EventLog`.
pub(super) fn write_event(
    connection: &Connection,
    now: &str,
    event: &Event,
) -> Result<(), SqliteError> {
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
}
