//! The schema: how it is made, and whether it is the one that this program knows.

use std::fmt::Write as _;

use tiberius::Row;
use tiberius::error::Error;

use super::connection::Connection;
use super::load::unexpected;
use super::pool::{Pool, Tries};
use super::values::Fields;
use crate::store::migration::{Migration, SQLSERVER, state_of};
use crate::store::{MigrationStep, SchemaState, StoreError, StoreErrorKind};

const LOCK: &str = include_str!("sql/migration_lock.sql");
const UNLOCK: &str = include_str!("sql/migration_unlock.sql");
const HISTORY_TABLE: &str = include_str!("sql/history_table.sql");
const HISTORY: &str = include_str!("sql/history.sql");

/// The whole schema as a script for sqlcmd, or Management Studio in SQLCMD mode: it takes the
/// same lock as `migrate`, is one transaction, notes each migration in `SchemaVersion`, and
/// passes over none: on a database that has one of them already it stops and says so.
pub fn migration_script() -> String {
    let mut script = String::from(
        "-- The schema of sendport for SQL Server, made by 'sendport migrate --print'.\n\
         -- Run it in the alerts' database: sqlcmd -S server -d database -b -i this-file.sql\n\
         -- It stops at the first error, and then nothing of it stays.\n\
         :on error exit\nSET QUOTED_IDENTIFIER ON;\nSET ANSI_NULLS ON;\nSET XACT_ABORT ON;\nSET NOCOUNT ON;\nGO\n",
    );
    // Writing to a String cannot fail.
    let _ = write!(
        script,
        "{LOCK}GO\nBEGIN TRANSACTION;\nGO\n{HISTORY_TABLE}GO\n"
    );
    for migration in SQLSERVER {
        let Migration { version, name, .. } = migration;
        let _ = write!(
            script,
            "IF EXISTS (SELECT 1 FROM sendport.SchemaVersion WHERE Version = {version})\n    \
             THROW 50002, N'migration {version} ({name}) stands in this database already: nothing was changed', 1;\nGO\n"
        );
        for batch in migration.batches() {
            let _ = write!(script, "{}\nGO\n", batch.trim_end());
        }
        let _ = write!(
            script,
            "INSERT INTO sendport.SchemaVersion (Version, Name, Checksum)\n\
             VALUES ({version}, N'{name}', N'{}');\nGO\n",
            migration.checksum()
        );
    }
    let _ = write!(script, "COMMIT TRANSACTION;\nGO\n{UNLOCK}GO\n");
    script
}

pub(super) async fn migrate(pool: &Pool) -> Result<Vec<MigrationStep>, StoreError> {
    const DOING: &str = "migrate the database";
    let mut tries = Tries::default();
    loop {
        let mut loan = pool.loan(DOING).await?;
        match migrate_once(DOING, loan.connection()).await {
            Ok(result) => return result,
            // The connection is dropped, and with it go the transaction and the lock.
            Err(error) => pool.retry(DOING, &mut tries, loan, error).await?,
        }
    }
}

async fn migrate_once(
    doing: &'static str,
    connection: &mut Connection,
) -> Result<Result<Vec<MigrationStep>, StoreError>, Error> {
    connection.batch(LOCK).await?;
    connection.batch(HISTORY_TABLE).await?;
    let history = connection.batch(HISTORY).await?;
    let history = read_history(doing, history.first().map_or(&[], Vec::as_slice));
    let history = history.and_then(|history| {
        refuse_foreign(doing, &state_of(SQLSERVER, &history))?;
        Ok(history)
    });
    let mut applied = Vec::new();
    for migration in history.iter().flat_map(|history| missing(history)) {
        apply(connection, migration).await?;
        applied.push(MigrationStep {
            version: migration.version,
            name: migration.name.to_owned(),
        });
    }
    connection.batch(UNLOCK).await?;
    Ok(history.map(|_| applied))
}

fn missing(history: &[(u32, String)]) -> impl Iterator<Item = &'static Migration> {
    SQLSERVER
        .iter()
        .filter(|m| history.iter().all(|(version, _)| *version != m.version))
}

async fn apply(connection: &mut Connection, migration: &Migration) -> Result<(), Error> {
    connection.batch("BEGIN TRANSACTION").await?;
    for batch in migration.batches() {
        connection.batch(batch).await?;
    }
    let version = i32::try_from(migration.version).unwrap_or(i32::MAX);
    let note = include_str!("sql/note_migration.sql");
    connection
        .query(note, &[&version, &migration.name, &migration.checksum()])
        .await?;
    connection.batch("COMMIT TRANSACTION").await?;
    Ok(())
}

pub(super) async fn state(pool: &Pool) -> Result<SchemaState, StoreError> {
    const DOING: &str = "read the schema's version";
    match pool.rows(DOING, HISTORY, &[]).await {
        Ok(rows) => Ok(state_of(SQLSERVER, &read_history(DOING, &rows)?)),
        // Not even the database is there.
        Err(error) if error.kind() == StoreErrorKind::Schema => Ok(SchemaState::Absent),
        Err(error) => Err(error),
    }
}

/// Version and checksum of each migration that was applied, in order. `Refused` where the tables are
/// there and the user may not see them.
fn read_history(doing: &'static str, rows: &[Row]) -> Result<Vec<(u32, String)>, StoreError> {
    rows.iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            let version = fields.get::<i32>().map_err(|e| unexpected(doing, e))?;
            let text = fields.text().map_err(|e| unexpected(doing, e))?;
            u32::try_from(version)
                .map(|version| (version, text.clone()))
                .map_err(|_| without_role(doing, &text))
        })
        .collect()
}

fn without_role(doing: &'static str, user: &str) -> StoreError {
    let words = format!(
        "the user '{user}' has no role that sees the tables of the schema sendport; ask a db_owner for \
         ALTER ROLE sendport_service ADD MEMBER [{user}], for one that only looks sendport_reader; a member \
         of sendport_writer sees MyAlertStatus and MyDelivery alone"
    );
    StoreError::new(StoreErrorKind::Refused, doing, words)
}

fn refuse_foreign(doing: &'static str, state: &SchemaState) -> Result<(), StoreError> {
    let words = match state {
        SchemaState::Ahead { found, expected } => format!(
            "the schema has version {found}, this program knows versions up to {expected}; \
             run the newer sendport that made it"
        ),
        SchemaState::Altered { version } => format!(
            "migration {version} was applied from a file that differs from this program's; \
             run the sendport that made this database, or start with a new database"
        ),
        _ => return Ok(()),
    };
    Err(StoreError::new(StoreErrorKind::Schema, doing, words))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_script_is_one_guarded_transaction() {
        let script = migration_script();
        let at = |part: &str| {
            script
                .find(part)
                .unwrap_or_else(|| panic!("{part} is missing"))
        };
        assert!(at(":on error exit") < at("sp_getapplock"));
        assert!(at("sp_getapplock") < at("BEGIN TRANSACTION"));
        assert!(at("THROW 50002") < at("CREATE TABLE sendport.AlertRow"));
        assert!(at("CREATE ROLE sendport_reader") < at("VALUES (1, N'initial', N'"));
        assert!(at("VALUES (1, N'initial', N'") < at("COMMIT TRANSACTION"));
    }

    #[test]
    fn no_filtered_index_and_no_trigger_for_inserts() {
        let sql = SQLSERVER[0].sql;
        let indexes = sql.split("CREATE INDEX").skip(1);
        for index in indexes.map(|rest| rest.split(';').next().unwrap_or_default()) {
            assert!(!index.contains("WHERE"), "a filtered index: {index}");
        }
        let triggers = sql.split("CREATE TRIGGER").skip(1);
        for trigger in triggers.filter_map(|rest| rest.split(" AS\n").next()) {
            assert!(!trigger.contains("INSERT"), "a trigger: {trigger}");
        }
    }

    /// The words behind each `part`.
    fn behind(sql: &str, part: &str) -> BTreeSet<String> {
        let ends = |c: char| !c.is_alphanumeric() && c != '_';
        let words = sql.split(part).skip(1);
        let words = words.filter_map(|rest| rest.split(ends).next());
        words.map(str::to_owned).collect()
    }

    /// A fixed role may read and write each table and view: to a writer each is denied that it has no
    /// business with.
    #[test]
    fn a_writer_is_denied_whatever_is_not_its_own() {
        const OWN: [&str; 5] = [
            "Alert",
            "Attachment",
            "MyAlertStatus",
            "MyDelivery",
            "ReplyExplanation",
        ];
        let sql: String = SQLSERVER.iter().map(|migration| migration.sql).collect();
        let sql = format!("{sql}{HISTORY_TABLE}");
        let mut there = behind(&sql, "CREATE TABLE sendport.");
        there.append(&mut behind(&sql, "CREATE VIEW sendport."));
        there.retain(|name| !OWN.contains(&&**name));
        let denied = behind(&sql, "DENY SELECT, INSERT, UPDATE, DELETE ON sendport.");
        assert_eq!(denied, there);
    }

    /// What is true only when a row comes breaks imports and repairs, which look at each CHECK again.
    #[test]
    fn a_check_asks_for_nothing_but_its_row() {
        let sql: String = SQLSERVER.iter().map(|migration| migration.sql).collect();
        let checks: Vec<_> = sql.split("CHECK (").skip(1).collect();
        assert!(checks.len() > 20);
        for check in checks {
            let check = check.split([';', '\n']).next().unwrap_or_default();
            for other in [
                "sendport.",
                "SELECT",
                "SYSUTCDATETIME",
                "SUSER_SNAME",
                "IS_MEMBER",
            ] {
                assert!(!check.contains(other), "{check}");
            }
        }
    }
}
