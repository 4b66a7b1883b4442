//! Schema and environment.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use sendport_core::domain::Timestamp;

use super::bulk_change::BulkChange;
use super::bulk_change::keys;
use super::connection::{SqliteError, absent, create_file, write};
use super::expiry::without_instance;
use super::values::time_text;
use super::{SqliteStore, schema, sql};
use crate::expiry::EXPIRED;
use crate::{
    AdoptMode, AdoptReport, Among, FixedRoleMember, MigrationStep, RefusedRow, SchemaState,
    StoreAdmin, StoreError, StoreErrorKind, SweepResult, nothing_refused,
};

/// What is not final, some at a time.
pub(super) const ADOPT_OPEN: &str =
    "SELECT AlertId FROM AlertState WHERE FinalAt IS NULL AND (?2 OR Status <> 'held') LIMIT ?1";

/// Environment, name_environment, adopt.
const ENVIRONMENT: &str = "SELECT Name FROM Environment WHERE EnvironmentId = 1";

/// Only where there is none yet.
const NAME_ENVIRONMENT: &str = "INSERT INTO Environment (EnvironmentId, Name, AdoptedAt) VALUES (1, ?1, ?2) \
    ON CONFLICT (EnvironmentId) DO NOTHING";

/// Instances of the original do not run against this copy.
const ADOPT_FORGET_INSTANCES: &str = "DELETE FROM Instance";

/// The last step, so that an adoption that broke off is begun again.
const ADOPT_ENVIRONMENT: &str = "INSERT INTO Environment (EnvironmentId, Name, AdoptedAt) VALUES (1, ?1, ?2) \
    ON CONFLICT (EnvironmentId) DO UPDATE SET Name = excluded.Name, AdoptedAt = excluded.AdoptedAt";

/// Alerts of an adopted database that are ended in one transaction.
const ADOPT_BATCH: u32 = 500;

#[async_trait]
impl StoreAdmin for SqliteStore {
    fn describe(&self) -> String {
        format!("SQLite file {}", self.path.display())
    }

    fn identity(&self) -> String {
        let path = self.path.canonicalize();
        let path = path.or_else(|_| std::path::absolute(&self.path));
        let path = path.as_deref().unwrap_or(&self.path);
        format!("SQLite file {}", path.display())
    }

    async fn create_database(&self) -> Result<bool, StoreError> {
        const DOING: &str = "create the SQLite database";
        create_file(&self.path).map_err(|error| {
            let message = match error.kind() {
                std::io::ErrorKind::NotFound => absent(&self.path),
                _ => format!(
                    "the file '{}' cannot be created ({error}); give this user the right to write in its folder",
                    self.path.display()
                ),
            };
            StoreError::explained(StoreErrorKind::Refused, DOING, message, error)
        })
    }

    async fn migrate(&self) -> Result<Vec<MigrationStep>, StoreError> {
        self.create_database().await?;
        let now = self.clock.now();
        self.writer
            .call("migrate the schema", move |connection| {
                schema::migrate(connection, now)
            })
            .await
    }

    async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.operator_reader
            .call("read the schema's version", |connection| {
                schema::state(connection)
            })
            .await
    }

    async fn environment(&self) -> Result<Option<String>, StoreError> {
        self.operator_reader
            .call("read the environment's name", |connection| {
                environment(connection)
            })
            .await
    }

    async fn name_environment(&self, name: &str) -> Result<String, StoreError> {
        let (name, now) = (name.to_owned(), time_text(self.clock.now()));
        self.writer
            .call("name the environment", move |connection| {
                write(connection, |tx| {
                    tx.execute(NAME_ENVIRONMENT, [&name, &now])?;
                    Ok(environment(tx)?.unwrap_or_else(|| name.clone()))
                })
            })
            .await
    }

    async fn fixed_role_members(&self) -> Result<Vec<FixedRoleMember>, StoreError> {
        Ok(Vec::new())
    }

    async fn check_permissions(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn has_row_versioning(&self) -> Result<Option<bool>, StoreError> {
        Ok(None)
    }

    async fn adopt(
        &self,
        environment_name: &str,
        mode: AdoptMode,
    ) -> Result<AdoptReport, StoreError> {
        const DOING: &str = "adopt the database";
        let name = environment_name.to_owned();
        let previous_environment = self.environment().await?;
        let reason = format!("the database was adopted for the environment '{name}'");
        let reason = match mode {
            AdoptMode::Hold => format!("held: {reason}"),
            AdoptMode::Expire => format!("expired: {reason}"),
        };
        let alerts = self.end_all(DOING, mode, reason.into()).await?;
        // Not before they ended: what ended before is not reported to the senders of messages.
        let now = self.clock.now();
        self.writer
            .call(DOING, move |connection| {
                write(connection, |tx| {
                    tx.execute(ADOPT_FORGET_INSTANCES, [])?;
                    tx.execute(ADOPT_ENVIRONMENT, params![name, time_text(now)])?;
                    Ok(())
                })
            })
            .await?;
        Ok(AdoptReport {
            previous_environment,
            alerts,
        })
    }
}

impl SqliteStore {
    /// Expires in batches, so that a large queue does not become one huge transaction. Goes around what
    /// is refused, which is an error in the end.
    async fn end_all(
        &self,
        doing: &'static str,
        mode: AdoptMode,
        reason: Arc<str>,
    ) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let (mut alerts, mut refused) = (0, Vec::<RefusedRow>::new());
        loop {
            let without: Vec<_> = refused.iter().map(|it| it.alert).collect();
            let (around, reason) = (BulkChange::of(Among::AllBut(&without)), Arc::clone(&reason));
            let batch = move |connection: &mut Connection| {
                let end = |tx: &Transaction<'_>, around: &mut BulkChange| {
                    end_batch(tx, mode, now, &reason, around)
                };
                around.clone().run(connection, end)
            };
            let swept = self.writer.call(doing, batch).await?;
            if swept == SweepResult::default() {
                return nothing_refused(doing, &refused).map(|()| alerts);
            }
            alerts += u64::from(swept.count);
            refused.extend(swept.refused);
        }
    }
}

fn end_batch(
    tx: &Transaction<'_>,
    mode: AdoptMode,
    now: Timestamp,
    reason: &str,
    around: &mut BulkChange,
) -> Result<u32, SqliteError> {
    let (most, held_too) = match mode {
        AdoptMode::Hold => (u32::MAX, false),
        AdoptMode::Expire => (ADOPT_BATCH, true),
    };
    let open = params![around.to_read(most), held_too];
    let open = keys(tx, ADOPT_OPEN, open)?;
    let mut hold = tx.prepare_cached(sql!("adopt_hold"))?;
    around.change_each(tx, open, |alert| match mode {
        AdoptMode::Hold => Ok(hold.execute(params![time_text(now), reason, alert.0])?),
        AdoptMode::Expire => without_instance(tx, now).finish(alert, EXPIRED, reason),
    })
}

pub(super) fn environment(connection: &Connection) -> Result<Option<String>, SqliteError> {
    Ok(connection
        .query_row(ENVIRONMENT, [], |row| row.get(0))
        .optional()?)
}
