//! The store in SQL Server 2017 and later, Azure SQL Database, and engines that speak T-SQL.
//! The only place that knows tiberius.
//!
//! Each call is one batch in one transaction on a connection of the pool; what comes in are
//! the calls of the traits, what goes out are the domain's types. The statements are in
//! `sql/`, and the schema in `migrations/sqlserver/`.

mod admin;
mod alert_store;
mod attachments;
mod audit;
mod authentication;
mod bulk_change;
mod certificates;
mod claim;
mod connection;
mod connection_string;
mod connection_string_auth;
mod connection_string_error;
mod coordination;
mod database_mail;
mod delivery_reports;
mod digest;
mod error;
mod expiry;
mod feedback;
mod instance;
#[cfg(all(unix, feature = "sqlserver-gssapi"))]
mod kerberos;
#[cfg(not(all(unix, feature = "sqlserver-gssapi")))]
#[path = "kerberos_absent.rs"]
mod kerberos;
mod known_errors;
mod load;
mod operator_queries;
mod operator_requests;
mod pool;
mod purge_requests;
mod received;
mod record;
mod requests_in_force;
mod resolve;
mod retention;
mod rollup;
mod schema;
mod server_name;
mod settings;
mod statement;
mod table_rows;
mod take_over;
mod tcp;
mod templates;
mod unreachable;
mod values;
mod verification;

use crate::{Among, MOST_REFUSED, StoreError, SweepResult};

pub use authentication::{AccessTokens, Authentication, CredentialError, Kerberos};
pub use database_mail::{database_mail, database_mail_script};
pub use schema::migration_script;
pub use verification::OpenTransaction;

use bulk_change::BulkChange;
use instance::KnownRelays;
use pool::Pool;
use settings::Settings;

/// A store in one database of one server. Cheap to share behind an `Arc`.
pub struct SqlServerStore {
    pool: Pool,
    known_relays: KnownRelays,
    large_messages: tokio::sync::Mutex<()>,
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

    /// A store as [`Self::open`] makes it, whose connections authenticate by `authentication`.
    ///
    /// # Errors
    /// `Rejected` as there, and if the string asks for another authentication, or this build cannot do
    /// what is asked.
    pub fn open_authenticated(
        connection_string: &str,
        authentication: Authentication,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            pool: Pool::new(Settings::parse(connection_string, authentication)?),
            known_relays: KnownRelays::default(),
            large_messages: tokio::sync::Mutex::default(),
        })
    }

    /// Until nothing is left but what is refused.
    async fn until_none_left(&self, change: &BulkChange<'_>) -> Result<SweepResult, StoreError> {
        let mut all = SweepResult::default();
        loop {
            let without: Vec<_> = all.refused.iter().map(|it| it.alert).collect();
            let swept = change.run(&self.pool, Among::AllBut(&without)).await?;
            all.count += swept.count;
            all.refused.extend(swept.refused.iter().cloned());
            if swept == SweepResult::default() || all.refused.len() > MOST_REFUSED {
                return Ok(all);
            }
        }
    }
}
