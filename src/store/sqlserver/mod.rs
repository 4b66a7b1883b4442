//! The store in SQL Server 2017 and later, Azure SQL Database, and engines that speak T-SQL.
//! The only place that knows tiberius.
//!
//! Each call is one batch in one transaction on a connection of the pool; what comes in are
//! the calls of the traits, what goes out are the domain's types. The statements stand in
//! `sql/`, and in `migrations/sqlserver/` the schema.

mod admin;
mod archive;
mod around;
mod attachments;
mod authentication;
mod authentication_words;
mod certificates;
mod claim;
mod connection;
mod coordination;
mod desk;
mod digest;
mod error;
mod known_errors;
mod pairs;
mod pool;
mod presence;
mod record;
mod resolve;
mod rows;
mod schema;
mod server_name;
mod settings;
mod sweep;
mod tcp;
mod templates;
mod throttle;
#[cfg(all(unix, feature = "sqlserver-gssapi"))]
mod ticket;
#[cfg(not(all(unix, feature = "sqlserver-gssapi")))]
#[path = "ticket_absent.rs"]
mod ticket;
mod unreachable;
mod values;
mod work;

use std::time::Duration;

use async_trait::async_trait;
use tiberius::ToSql;

use crate::domain::{
    AlertId, InstanceCondition, InstanceId, InstanceInfo, LeaseToken, Outcome, RelayState,
    SendPortInfo,
};
use crate::store::{
    AlertStore, Among, Claim, Claimed, Event, Explanation, Loaded, MOST_REFUSED, Recorded,
    RefusedRow, Renewal, StoreError, Swept,
};

pub use authentication::{AccessTokens, Authentication, Kerberos, NoProof};
pub use schema::migration_script;

use around::Change;
use pool::Pool;
use presence::KnownRelays;
use settings::Settings;
use values::{fit, fit_long};

/// A store in one database of one server. Cheap to share behind an `Arc`.
pub struct SqlServerStore {
    pool: Pool,
    known_relays: KnownRelays,
}

impl std::fmt::Debug for SqlServerStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.pool.settings();
        f.debug_struct("SqlServerStore")
            .field("server", &settings.server)
            .field("database", &settings.database)
            .finish_non_exhaustive()
    }
}

impl SqlServerStore {
    /// A store for what an ADO.NET connection string names: server, database and SQL login.
    /// Nothing is connected to yet.
    ///
    /// The connection is encrypted and the certificate checked unless the string says
    /// `Encrypt=false` or `TrustServerCertificate=true`. Beside the usual keys,
    /// `Connect Timeout` (15), `Command Timeout` (30 seconds) and `Max Pool Size` (8) count.
    ///
    /// # Errors
    /// `Rejected` if the string cannot be read or lacks server, database or login.
    pub fn open(connection_string: &str) -> Result<Self, StoreError> {
        Self::open_authenticated(connection_string, Authentication::AsWritten)
    }

    /// A store as [`Self::open`] makes it, whose connections sign in by `authentication`.
    ///
    /// # Errors
    /// `Rejected` as there, and if the string asks for another sign-in, or this build cannot do
    /// what is asked.
    pub fn open_authenticated(
        connection_string: &str,
        authentication: Authentication,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            pool: Pool::new(Settings::parse(connection_string, authentication)?),
            known_relays: KnownRelays::default(),
        })
    }

    /// Until nothing is left but what is refused.
    async fn until_none_left(&self, change: &Change<'_>) -> Result<Swept, StoreError> {
        let mut all = Swept::default();
        loop {
            let without: Vec<_> = all.refused.iter().map(|it| it.alert).collect();
            let swept = change.run(&self.pool, Among::AllBut(&without)).await?;
            all.count += swept.count;
            all.refused.extend(swept.refused.iter().cloned());
            if swept == Swept::default() || all.refused.len() > MOST_REFUSED {
                return Ok(all);
            }
        }
    }
}

#[async_trait]
impl AlertStore for SqlServerStore {
    async fn register(
        &self,
        instance: &InstanceInfo,
        lease: Duration,
        send_ports: &[SendPortInfo],
        explanations: &[Explanation],
    ) -> Result<(), StoreError> {
        presence::register(&self.pool, instance, lease, send_ports, explanations).await
    }

    async fn renew(
        &self,
        instance: InstanceId,
        lease: Duration,
        send_ports: &[String],
        relays: &[RelayState],
    ) -> Result<Renewal, StoreError> {
        let known = &self.known_relays;
        presence::renew(&self.pool, known, instance, lease, send_ports, relays).await
    }

    async fn retire(&self, instance: InstanceId) -> Result<(), StoreError> {
        presence::retire(&self.pool, &self.known_relays, instance).await
    }

    async fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, StoreError> {
        claim::claim(&self.pool, claim).await
    }

    async fn load(&self, ids: &[AlertId]) -> Result<Vec<Loaded>, StoreError> {
        work::load(&self.pool, ids).await
    }

    async fn record(
        &self,
        instance: InstanceId,
        outcomes: &[Outcome],
    ) -> Result<Vec<Recorded>, StoreError> {
        record::record(&self.pool, instance, outcomes).await
    }

    async fn inherit(
        &self,
        heir: InstanceId,
        leases: &[(AlertId, LeaseToken)],
    ) -> Result<Vec<RefusedRow>, StoreError> {
        presence::inherit(&self.pool, heir, leases).await
    }

    async fn show_condition(
        &self,
        instance: InstanceId,
        condition: &InstanceCondition,
    ) -> Result<(), StoreError> {
        presence::show_condition(&self.pool, instance, condition).await
    }

    async fn take_over(
        &self,
        instance: InstanceId,
        limit: u32,
        among: Among<'_>,
    ) -> Result<Swept, StoreError> {
        presence::take_over(&self.pool, instance, limit, among).await
    }

    fn connection_broke_at(&self) -> Option<std::time::Instant> {
        self.pool.broke_at().map(tokio::time::Instant::into_std)
    }

    async fn expire(&self, limit: u32, among: Among<'_>) -> Result<Swept, StoreError> {
        sweep::expire(&self.pool, limit, among).await
    }

    async fn fail_unrouted(
        &self,
        after: Duration,
        limit: u32,
        among: Among<'_>,
    ) -> Result<Swept, StoreError> {
        sweep::fail_unrouted(&self.pool, after, limit, among).await
    }

    async fn note_unrouted(
        &self,
        unseen: Duration,
        fails_after: Duration,
        limit: u32,
    ) -> Result<Vec<(String, u32)>, StoreError> {
        sweep::note_unrouted(&self.pool, unseen, fails_after, limit).await
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
