//! The compiled-in migrations of each store, and what a database's history of them means. Each store locks and
//! applies its own.

use std::cmp::Ordering;

use openssl::sha::sha256;

use super::SchemaState;

/// One file of `migrations/<database>/`, named `NNNN_name.sql`. Never edited once it is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Counts from 1 without gaps.
    pub version: u32,
    /// The file's name without number and ending.
    pub name: &'static str,
    /// The whole script.
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the script with LF line ends, in lower-case hexadecimal.
    pub fn checksum(&self) -> String {
        let digest = sha256(self.sql.replace("\r\n", "\n").as_bytes());
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The script cut at lines that hold nothing but `GO`, as sqlcmd does it, without batches that have no
    /// statement.
    pub fn batches(&self) -> Vec<&'static str> {
        let mut batches = Vec::new();
        let mut start = 0;
        let mut at = 0;
        for line in self.sql.split_inclusive('\n') {
            if line.trim().eq_ignore_ascii_case("GO") {
                batches.push(&self.sql[start..at]);
                start = at + line.len();
            }
            at += line.len();
        }
        batches.push(&self.sql[start..]);
        batches.retain(|batch| has_statement(batch));
        batches
    }
}

/// Some line is neither blank nor a comment.
fn has_statement(batch: &str) -> bool {
    let mut lines = batch.lines().map(str::trim);
    lines.any(|line| !line.is_empty() && !line.starts_with("--"))
}

/// For SQLite.
pub const SQLITE: &[Migration] = &[Migration {
    version: 1,
    name: "initial",
    sql: include_str!("../../../migrations/sqlite/0001_initial.sql"),
}];

/// For SQL Server and engines that speak T-SQL.
pub const SQLSERVER: &[Migration] = &[Migration {
    version: 1,
    name: "initial",
    sql: include_str!("../../../migrations/sqlserver/0001_initial.sql"),
}];

/// One row of the table `SchemaVersion`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedMigration {
    /// [`Migration::version`].
    pub version: u32,
    /// [`Migration::name`].
    pub name: String,
    /// [`Migration::checksum`].
    pub checksum: String,
}

/// Migrations of the schema before the first release, which has them in its one script.
const UNRELEASED: [(u32, &str); 7] = [
    (2, "in_doubt"),
    (3, "shared"),
    (4, "templates"),
    (5, "attachments"),
    (6, "relay_limit"),
    (7, "certificate"),
    (8, "protection"),
];

/// The state of a schema by its history, in order; empty where there is no schema.
pub fn state_of(known: &[Migration], history: &[AppliedMigration]) -> SchemaState {
    let expected = known.last().map_or(0, |migration| migration.version);
    let Some(found) = history.last().map(|it| it.version) else {
        return SchemaState::Absent;
    };
    if history.iter().any(is_unreleased) {
        let found = history.iter().map(|it| it.version).collect();
        return SchemaState::Unreleased { found };
    }
    if let Some(migration) = known.iter().find(|known| is_altered(known, history)) {
        let version = migration.version;
        return SchemaState::Altered { version };
    }
    match found.cmp(&expected) {
        Ordering::Greater => SchemaState::Ahead { found, expected },
        Ordering::Less => SchemaState::Behind { found, expected },
        Ordering::Equal => SchemaState::Current(found),
    }
}

/// Why `migrate` leaves a schema in this state alone; `None` where it may migrate it.
pub fn refusal(state: &SchemaState) -> Option<String> {
    match state {
        SchemaState::Ahead { found, expected } => Some(format!(
            "the schema has version {found}, this program knows versions up to {expected}; \
             run the newer sendport that created it"
        )),
        SchemaState::Altered { version } => Some(format!(
            "migration {version} was applied from a file that differs from this program's; \
             run the sendport that created this database, or start with a new database"
        )),
        SchemaState::Unreleased { found } => Some(format!(
            "the schema has the migrations {}, which are older than the first release, and no migration leads from \
             them to it; let the sendport that created it send what waits, then run `sendport migrate` on a new database",
            list(found)
        )),
        SchemaState::Absent | SchemaState::Behind { .. } | SchemaState::Current(_) => None,
    }
}

fn list(versions: &[u32]) -> String {
    let versions: Vec<_> = versions.iter().map(u32::to_string).collect();
    versions.join(", ")
}

fn is_unreleased(applied: &AppliedMigration) -> bool {
    UNRELEASED.contains(&(applied.version, applied.name.as_str()))
}

fn is_altered(known: &Migration, history: &[AppliedMigration]) -> bool {
    history
        .iter()
        .any(|it| it.version == known.version && it.checksum != known.checksum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_on_its_own_line_separates_batches_and_nothing_else_does() {
        let migration = Migration {
            version: 1,
            name: "test",
            sql: "SELECT 'GO'\r\nGO\r\n-- Views\n  go  \nSELECT 2 -- GO\nGO",
        };
        assert_eq!(migration.batches(), ["SELECT 'GO'\r\n", "SELECT 2 -- GO\n"]);
    }

    fn applied(migration: &Migration) -> AppliedMigration {
        AppliedMigration {
            version: migration.version,
            name: migration.name.to_owned(),
            checksum: migration.checksum(),
        }
    }

    #[test]
    fn a_schema_older_than_the_first_release_is_refused_by_its_versions() {
        let old = UNRELEASED.map(|(version, name)| Migration {
            version,
            name,
            sql: "SELECT 1",
        });
        let history: Vec<_> = SQLITE.iter().chain(&old).map(applied).collect();
        let state = state_of(SQLITE, &history);
        let found = (1..=8).collect();
        assert_eq!(state, SchemaState::Unreleased { found });
        let words = refusal(&state).expect("a refusal");
        assert!(words.contains("1, 2, 3, 4, 5, 6, 7, 8"), "{words}");
        assert!(words.contains("older than the first release"), "{words}");
        let released = SQLITE.iter().chain(SQLSERVER).map(applied);
        assert!(!released.into_iter().any(|it| is_unreleased(&it)));
    }

    #[test]
    fn a_history_without_the_last_migration_is_behind() {
        let migration = |version, sql| Migration {
            version,
            name: "test",
            sql,
        };
        let known = [migration(1, "SELECT 1"), migration(2, "SELECT 2")];
        let applied = |count: usize| -> Vec<_> { known.iter().take(count).map(applied).collect() };
        assert_eq!(state_of(&known, &applied(0)), SchemaState::Absent);
        let behind = SchemaState::Behind {
            found: 1,
            expected: 2,
        };
        assert_eq!(state_of(&known, &applied(1)), behind);
        assert_eq!(state_of(&known, &applied(2)), SchemaState::Current(2));
    }

    #[test]
    fn versions_count_from_one_without_gaps() {
        for list in [SQLITE, SQLSERVER] {
            let versions: Vec<u32> = list.iter().map(|m| m.version).collect();
            let expected: Vec<u32> = (1..).take(list.len()).collect();
            assert_eq!(versions, expected);
        }
    }
}
