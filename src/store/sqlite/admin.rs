//! Schema and environment.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use uuid::Uuid;

use crate::domain::{InstanceId, RecipientStatus, Timestamp};
use crate::store::migration::{Migration, SQLITE, state_of};
use crate::store::{
    AdoptMode, AdoptReport, FixedRoleMember, MigrationStep, SchemaState, StoreAdmin, StoreError,
    StoreErrorKind,
};

use super::codec::time_text;
use super::connection::{Trouble, absent, create_file, write};
use super::finish::{Ending, finish_batch};
use super::record::Recorder;
use super::{SqliteStore, sql};

/// Alerts of an adopted database that are ended in one transaction.
const ADOPT_BATCH: u32 = 500;

#[async_trait]
impl StoreAdmin for SqliteStore {
    fn describe(&self) -> String {
        format!("SQLite file {}", self.path.display())
    }

    async fn create_database(&self) -> Result<bool, StoreError> {
        const DOING: &str = "create the SQLite database";
        create_file(&self.path).map_err(|error| {
            let words = match error.kind() {
                std::io::ErrorKind::NotFound => absent(&self.path),
                _ => format!(
                    "the file '{}' cannot be created ({error}); give this user the right to write in its folder",
                    self.path.display()
                ),
            };
            StoreError::explained(StoreErrorKind::Refused, DOING, words, error)
        })
    }

    async fn migrate(&self) -> Result<Vec<MigrationStep>, StoreError> {
        self.create_database().await?;
        let now = self.clock.now();
        self.writer
            .call("migrate the schema", move |connection| {
                let mut applied = Vec::new();
                for migration in SQLITE {
                    if apply(connection, migration, now)? {
                        applied.push(MigrationStep {
                            version: migration.version,
                            name: migration.name.to_owned(),
                        });
                    }
                }
                Ok(applied)
            })
            .await
    }

    async fn schema_state(&self) -> Result<SchemaState, StoreError> {
        self.desk
            .call("read the schema's version", |connection| {
                Ok(state_of(SQLITE, &history(connection)?))
            })
            .await
    }

    async fn environment(&self) -> Result<Option<String>, StoreError> {
        self.desk
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
                    tx.execute(sql!("name_environment"), [&name, &now])?;
                    Ok(environment(tx)?.unwrap_or_else(|| name.clone()))
                })
            })
            .await
    }

    async fn fixed_role_members(&self) -> Result<Vec<FixedRoleMember>, StoreError> {
        Ok(Vec::new())
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
        let now = self.clock.now();
        let name = environment_name.to_owned();
        let previous_environment = self.environment().await?;
        let reason = format!("the database was adopted for the environment '{name}'");
        let alerts = match mode {
            AdoptMode::Hold => {
                let reason = format!("held: {reason}");
                let hold = move |connection: &mut Connection| {
                    write(connection, |tx| hold_all(tx, now, &reason))
                };
                self.writer.call(DOING, hold).await?
            }
            AdoptMode::Expire => self.expire_all(DOING, format!("expired: {reason}")).await?,
        };
        self.writer
            .call(DOING, move |connection| {
                write(connection, |tx| {
                    tx.execute(sql!("adopt_drop_instances"), [])?;
                    tx.execute(sql!("adopt_environment"), params![name, time_text(now)])?;
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
    /// In batches, so that a large queue does not become one huge transaction.
    async fn expire_all(&self, doing: &'static str, reason: String) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let reason = std::sync::Arc::new(reason);
        let mut alerts = 0;
        loop {
            let reason = std::sync::Arc::clone(&reason);
            let batch = move |connection: &mut Connection| {
                write(connection, |tx| expire_batch(tx, now, &reason))
            };
            let finished = self.writer.call(doing, batch).await?;
            alerts += u64::from(finished);
            if finished == 0 {
                return Ok(alerts);
            }
        }
    }
}

fn expire_batch(tx: &Transaction<'_>, now: Timestamp, reason: &str) -> Result<u32, Trouble> {
    let recorder = Recorder {
        tx,
        instance: InstanceId(Uuid::nil()),
        now,
    };
    let ending = Ending {
        status: RecipientStatus::Expired,
        explanation: "expired",
        reason,
    };
    finish_batch(&recorder, tx, &ending, ADOPT_BATCH)
}

fn hold_all(tx: &Transaction<'_>, now: Timestamp, reason: &str) -> Result<u64, Trouble> {
    let held = tx.execute(sql!("adopt_hold"), params![time_text(now), reason])?;
    Ok(held as u64)
}

fn environment(connection: &Connection) -> Result<Option<String>, Trouble> {
    Ok(connection
        .query_row(sql!("environment"), [], |row| row.get(0))
        .optional()?)
}

/// Version and checksum of each migration that was applied; empty where nothing is ours.
fn history(connection: &Connection) -> Result<Vec<(u32, String)>, Trouble> {
    let tables: u32 = connection.query_row(sql!("schema_history_exists"), [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare(sql!("schema_history"))?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Applies one migration unless it stands there; true if it was applied. The exclusive lock
/// makes a second process wait, and then see that the work is done.
fn apply(
    connection: &mut Connection,
    migration: &Migration,
    now: Timestamp,
) -> Result<bool, Trouble> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    tx.execute_batch(sql!("migrate_create_history"))?;
    let applied = history(&tx)?;
    refuse_foreign(&state_of(SQLITE, &applied))?;
    let stands = applied.iter().any(|(v, _)| *v == migration.version);
    if stands {
        return Ok(false);
    }
    for batch in migration.batches() {
        tx.execute_batch(batch)?;
    }
    tx.execute(
        sql!("migrate_note"),
        params![
            migration.version,
            migration.name,
            migration.checksum(),
            time_text(now)
        ],
    )?;
    tx.commit()?;
    Ok(true)
}

fn refuse_foreign(state: &SchemaState) -> Result<(), Trouble> {
    let words = match state {
        SchemaState::Ahead { found, expected } => format!(
            "the schema has version {found}, this program knows versions up to {expected}; \
             run the newer sendport that made it"
        ),
        SchemaState::Altered { version } => format!(
            "migration {version} was applied from a file that differs from this program's; \
             run the sendport that made this database, or start with a new file"
        ),
        _ => return Ok(()),
    };
    Err(Trouble::Said(StoreErrorKind::Schema, words))
}
