//! The schema: how it is created, and whether it is the one that this program knows.

use std::fmt::Write;

use rusqlite::{Connection, TransactionBehavior, params};
use sendport_core::domain::Timestamp;

use super::error::SqliteError;
use super::sql;
use super::values::time_text;
use crate::migration::{AppliedMigration, Migration, SQLITE, refusal, state_of};
use crate::{MigrationStep, SchemaState, StoreErrorKind};

/// Everything that `migrate` does on a new file, in one transaction. On a file that has the
/// schema already it stops at the first statement and changes nothing.
pub fn migration_script() -> String {
    let mut script = String::from(".bail on\nPRAGMA journal_mode = WAL;\nBEGIN IMMEDIATE;\n\n");
    script.push_str(sql!("migrate_create_history").trim_end());
    script.push_str(";\n\n");
    for migration in SQLITE {
        let (version, name) = (migration.version, migration.name);
        // Writing to a String cannot fail.
        let _ = writeln!(
            script,
            "{}\nINSERT INTO SchemaVersion (Version, Name, Checksum, AppliedAt)\n\
             VALUES ({version}, '{name}', '{}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'));\n",
            migration.sql.trim_end(),
            migration.checksum()
        );
    }
    script.push_str("COMMIT;\n");
    script
}

/// Applies all migrations that are missing.
pub(super) fn migrate(
    connection: &mut Connection,
    now: Timestamp,
) -> Result<Vec<MigrationStep>, SqliteError> {
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
}

/// The database's schema against the program's.
pub(super) fn state(connection: &Connection) -> Result<SchemaState, SqliteError> {
    Ok(state_of(SQLITE, &history(connection)?))
}

/// The applied migrations, in order; empty where there is no schema.
fn history(connection: &Connection) -> Result<Vec<AppliedMigration>, SqliteError> {
    let tables: u32 = connection.query_row(sql!("schema_history_exists"), [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Vec::new());
    }
    let mut statement = connection.prepare(sql!("schema_history"))?;
    let rows = statement.query_map([], |row| {
        Ok(AppliedMigration {
            version: row.get(0)?,
            name: row.get(1)?,
            checksum: row.get(2)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Applies one migration unless the history has it; true if it was applied. The exclusive lock
/// makes a second process wait, and then find it applied.
fn apply(
    connection: &mut Connection,
    migration: &Migration,
    now: Timestamp,
) -> Result<bool, SqliteError> {
    let tx = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    tx.execute_batch(sql!("migrate_create_history"))?;
    let applied = history(&tx)?;
    if let Some(message) = refusal(&state_of(SQLITE, &applied)) {
        return Err(SqliteError::Own(StoreErrorKind::Schema, message));
    }
    if applied.iter().any(|it| it.version == migration.version) {
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
