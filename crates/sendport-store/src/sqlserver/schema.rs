//! The schema: how it is created, and whether it is the one that this program knows.

use tiberius::Row;
use tiberius::error::Error;

use super::connection::Connection;
use super::error::unexpected;
use super::pool::{Pool, Retries};
use super::values::Fields;
use crate::migration::{AppliedMigration, Migration, SQLSERVER, refusal, state_of};
use crate::{MigrationStep, SchemaState, StoreError, StoreErrorKind};

const LOCK: &str = include_str!("sql/migration_lock.sql");
const OWNER: &str = include_str!("sql/schema_owner.sql");
const HISTORY: &str = include_str!("sql/history.sql");
const HISTORY_TABLE: &str = include_str!("sql/history_table.sql");

/// The whole schema as a script for any client that splits batches at `GO`: sqlcmd, Management Studio,
/// FreeTDS, a program. Like `migrate` it takes a lock, checks the owner of the schema and is one transaction;
/// it only creates a new schema. Whether the client stops at an error or not, nothing behind it takes effect.
pub fn migration_script() -> String {
    let mut script = String::from(include_str!("sql/script_head.sql"));
    push_guarded(&mut script, LOCK);
    push_guarded(&mut script, include_str!("sql/script_owner.sql"));
    push_guarded(&mut script, HISTORY_TABLE);
    push_guarded(&mut script, include_str!("sql/script_history.sql"));
    for migration in SQLSERVER {
        for batch in migration.batches() {
            push_guarded(&mut script, batch);
        }
        push_guarded(&mut script, &insert_history(migration));
    }
    script.push_str(include_str!("sql/script_end.sql"));
    script
}

/// A batch, and one that skips the rest of the script if it failed.
fn push_guarded(script: &mut String, batch: &str) {
    let guard = include_str!("sql/script_guard.sql");
    let guard = guard.lines().filter(|line| !line.starts_with("--"));
    script.push_str(batch.trim_end());
    script.push_str("\nGO\n");
    script.extend(guard);
    script.push_str("\nGO\n");
}

fn insert_history(migration: &Migration) -> String {
    format!(
        "INSERT INTO sendport.SchemaVersion (Version, Name, Checksum)\n\
         VALUES ({}, N'{}', N'{}');",
        migration.version,
        migration.name,
        migration.checksum()
    )
}

pub(super) async fn migrate(pool: &Pool) -> Result<Vec<MigrationStep>, StoreError> {
    const DOING: &str = "migrate the database";
    let mut tries = Retries::default();
    loop {
        let mut loan = pool.loan(DOING).await?;
        match migrate_once(DOING, loan.connection()).await {
            Ok(result) => return result,
            // The connection is dropped, and the transaction and its lock with it.
            Err(error) => pool.retry(DOING, &mut tries, loan, error).await?,
        }
    }
}

async fn migrate_once(
    doing: &'static str,
    connection: &mut Connection,
) -> Result<Result<Vec<MigrationStep>, StoreError>, Error> {
    connection.batch("BEGIN TRANSACTION").await?;
    connection.batch(LOCK).await?;
    let history = match migratable_history(doing, connection).await? {
        Ok(history) => history,
        Err(refused) => {
            connection.batch("ROLLBACK TRANSACTION").await?;
            return Ok(Err(refused));
        }
    };
    connection.batch(HISTORY_TABLE).await?;
    let mut applied = Vec::new();
    for migration in missing(&history) {
        apply(connection, migration).await?;
        applied.push(MigrationStep {
            version: migration.version,
            name: migration.name.to_owned(),
        });
    }
    connection.batch("COMMIT TRANSACTION").await?;
    Ok(Ok(applied))
}

/// The history of a schema that this program may migrate.
async fn migratable_history(
    doing: &'static str,
    connection: &mut Connection,
) -> Result<Result<Vec<AppliedMigration>, StoreError>, Error> {
    let owner = connection.batch(OWNER).await?;
    if let Err(refused) = check_owner(doing, first(&owner)) {
        return Ok(Err(refused));
    }
    let history = connection.batch(HISTORY).await?;
    Ok(read_history(doing, first(&history)).and_then(|history| {
        match refusal(&state_of(SQLSERVER, &history)) {
            Some(words) => Err(StoreError::new(StoreErrorKind::Schema, doing, words)),
            None => Ok(history),
        }
    }))
}

fn first(results: &[Vec<Row>]) -> &[Row] {
    results.first().map_or(&[], Vec::as_slice)
}

/// The owner of a schema has every right on what is in it.
fn check_owner(doing: &'static str, rows: &[Row]) -> Result<(), StoreError> {
    let Some(row) = rows.first() else {
        return Ok(());
    };
    let owner = Fields::of(row).text();
    let owner = owner.map_err(|e| unexpected(doing, e))?;
    if owner == "dbo" {
        return Ok(());
    }
    let words = format!(
        "the schema sendport belongs to '{owner}', which may therefore read and change all of it; expected dbo: \
         run ALTER AUTHORIZATION ON SCHEMA::sendport TO dbo, or drop the schema if it is empty"
    );
    Err(StoreError::new(StoreErrorKind::Schema, doing, words))
}

fn missing(history: &[AppliedMigration]) -> impl Iterator<Item = &'static Migration> {
    SQLSERVER
        .iter()
        .filter(|m| history.iter().all(|it| it.version != m.version))
}

async fn apply(connection: &mut Connection, migration: &Migration) -> Result<(), Error> {
    for batch in migration.batches() {
        connection.batch(batch).await?;
    }
    connection.batch(&insert_history(migration)).await?;
    Ok(())
}

pub(super) async fn state(pool: &Pool) -> Result<SchemaState, StoreError> {
    const DOING: &str = "read the schema's version";
    match pool.rows(DOING, HISTORY, &[]).await {
        Ok(rows) => Ok(state_of(SQLSERVER, &read_history(DOING, &rows)?)),
        // The database itself does not exist.
        Err(error) if error.kind() == StoreErrorKind::Schema => Ok(SchemaState::Absent),
        Err(error) => Err(error),
    }
}

/// The applied migrations, in order. `Refused` where the tables exist and the user may not see them.
fn read_history(doing: &'static str, rows: &[Row]) -> Result<Vec<AppliedMigration>, StoreError> {
    rows.iter()
        .map(|row| {
            let mut fields = Fields::of(row);
            let version = fields.get::<i32>().map_err(|e| unexpected(doing, e))?;
            let name = fields.text().map_err(|e| unexpected(doing, e))?;
            let checksum = fields.text().map_err(|e| unexpected(doing, e))?;
            let Ok(version) = u32::try_from(version) else {
                return Err(without_role(doing, &name));
            };
            Ok(AppliedMigration {
                version,
                name,
                checksum,
            })
        })
        .collect()
}

fn without_role(doing: &'static str, user: &str) -> StoreError {
    let words = format!(
        "the user '{user}' has no role that sees the tables of the schema sendport; ask a db_owner for \
         ALTER ROLE sendport_service ADD MEMBER [{user}], or sendport_reader for read access; a member \
         of sendport_writer sees only MyAlertStatus and MyDelivery"
    );
    StoreError::new(StoreErrorKind::Refused, doing, words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_guard_follows_each_batch_of_the_one_transaction() {
        let script = migration_script();
        let batches: Vec<_> = script.split("\nGO\n").collect();
        let position = |part: &str| {
            let found = batches.iter().position(|batch| batch.contains(part));
            found.unwrap_or_else(|| panic!("{part} is missing"))
        };
        let begin = position("BEGIN TRANSACTION");
        // Procedures have transactions of their own.
        let commits = |batch: &&str| batch.contains("COMMIT TRANSACTION");
        let commit = batches.iter().rposition(commits).expect("it commits");
        let order = [
            "sp_getapplock",
            "THROW 50003",
            "CREATE TABLE sendport.SchemaVersion",
            "THROW 50002",
            "CREATE TABLE sendport.AlertRow",
            "CREATE ROLE sendport_reader",
            "VALUES (1, N'initial', N'",
        ];
        assert!(order.map(position).is_sorted());
        assert!(begin < position(order[0]) && position(order[6]) < commit);
        for guarded in batches[begin + 1..commit].chunks(2) {
            assert!(guarded[1].starts_with("IF @@ERROR <> 0 OR XACT_STATE() <> 1 "));
        }
        let commands = script.lines().filter(|line| line.starts_with(':'));
        assert_eq!(commands.count(), 0, "only sqlcmd knows those");
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

    /// A member of a fixed role may read and write each table and view: a writer is denied those that it does
    /// not need.
    #[test]
    fn a_writer_is_denied_whatever_is_not_its_own() {
        const OWN: [&str; 12] = [
            "Alert",
            "Attachment",
            "MyAlertStatus",
            "MyDelivery",
            "ReplyExplanation",
            "sysmail_allitems",
            "sysmail_event_log",
            "sysmail_faileditems",
            "sysmail_mailattachments",
            "sysmail_profile",
            "sysmail_sentitems",
            "sysmail_unsentitems",
        ];
        let sql: String = SQLSERVER.iter().map(|migration| migration.sql).collect();
        let sql = format!("{sql}{HISTORY_TABLE}");
        let mut there = behind(&sql, "CREATE TABLE sendport.");
        there.append(&mut behind(&sql, "CREATE VIEW sendport."));
        there.retain(|name| !OWN.contains(&&**name));
        let denied = behind(&sql, "DENY SELECT, INSERT, UPDATE, DELETE ON sendport.");
        assert_eq!(denied, there);
    }

    /// Imports and repairs check each CHECK again: it must not depend on the time or on other rows.
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
