//! The queue as the worker uses it.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{
    AlertId, InstanceCondition, InstanceId, InstanceInfo, LeaseToken, Outcome, RelayState,
    SendPortInfo,
};
use tiberius::ToSql;

use super::values::{fit, fit_long};
use super::{SqlServerStore, claim, expiry, instance, load, record, take_over};
use crate::{
    AlertStore, Among, Claim, ClaimResult, Event, Explanation, LoadResult, RecordResult,
    RefusedRow, Renewal, StoreError, SweepResult,
};

#[async_trait]
impl AlertStore for SqlServerStore {
    async fn register(
        &self,
        instance: &InstanceInfo,
        lease: Duration,
        send_ports: &[SendPortInfo],
        explanations: &[Explanation],
    ) -> Result<(), StoreError> {
        instance::register(&self.pool, instance, lease, send_ports, explanations).await
    }

    async fn renew(
        &self,
        instance: InstanceId,
        lease: Duration,
        send_ports: &[String],
        relays: &[RelayState],
    ) -> Result<Renewal, StoreError> {
        let known = &self.known_relays;
        instance::renew(&self.pool, known, instance, lease, send_ports, relays).await
    }

    async fn retire(&self, instance: InstanceId) -> Result<(), StoreError> {
        instance::retire(&self.pool, &self.known_relays, instance).await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<ClaimResult, StoreError> {
        claim::claim(&self.pool, claim).await
    }

    async fn load(&self, ids: &[AlertId]) -> Result<Vec<LoadResult>, StoreError> {
        load::load(&self.pool, ids).await
    }

    async fn record(
        &self,
        instance: InstanceId,
        outcomes: &[Outcome],
    ) -> Result<Vec<RecordResult>, StoreError> {
        record::record(&self.pool, instance, outcomes).await
    }

    async fn take_over_leases(
        &self,
        new_owner: InstanceId,
        leases: &[(AlertId, LeaseToken)],
    ) -> Result<Vec<RefusedRow>, StoreError> {
        take_over::take_over_leases(&self.pool, new_owner, leases).await
    }

    async fn show_condition(
        &self,
        instance: InstanceId,
        condition: &InstanceCondition,
    ) -> Result<(), StoreError> {
        instance::show_condition(&self.pool, instance, condition).await
    }

    async fn take_over(
        &self,
        instance: InstanceId,
        limit: u32,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError> {
        take_over::take_over(&self.pool, instance, limit, among).await
    }

    fn connection_broke_at(&self) -> Option<std::time::Instant> {
        self.pool.broke_at().map(tokio::time::Instant::into_std)
    }

    async fn expire(&self, limit: u32, among: Among<'_>) -> Result<SweepResult, StoreError> {
        expiry::expire(&self.pool, limit, among).await
    }

    async fn fail_unrouted(
        &self,
        after: Duration,
        limit: u32,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError> {
        expiry::fail_unrouted(&self.pool, after, limit, among).await
    }

    async fn note_unrouted(
        &self,
        unseen: Duration,
        fails_after: Duration,
        limit: u32,
    ) -> Result<Vec<(String, u32)>, StoreError> {
        expiry::note_unrouted(&self.pool, unseen, fails_after, limit).await
    }

    async fn log_event(&self, event: &Event) -> Result<(), StoreError> {
        let sql = include_str!("sql/log_event.sql");
        let send_port = event.send_port.as_deref().map(|name| fit(name, 64));
        let relay = event.relay.as_deref().map(|name| fit(name, 128));
        let values: [&dyn ToSql; 7] = [
            &event.severity.as_str(),
            &event.event_type,
            &event.instance.map(|id| id.0),
            &event.alert.map(|id| id.0),
            &send_port,
            &relay,
            &fit_long(&event.message),
        ];
        self.pool.query("write to EventLog", sql, &values).await?;
        Ok(())
    }

    async fn wait_for_insert(&self, at_most: Duration) {
        tokio::time::sleep(at_most).await;
    }
}
