//! The migrations that are compiled in, one folder a database, and how they are cut into
//! batches. How they are locked and applied is each store's own business.

use std::cmp::Ordering;

use openssl::sha::sha256;

use super::SchemaState;

/// One file of `migrations/<database>/`, named `NNNN_name.sql`. Never edited once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Counts from 1 without gaps.
    pub version: u32,
    /// The file's name without number and ending.
    pub name: &'static str,
    /// The whole script, as a DBA can run it in sqlcmd or sqlite3.
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the script with line ends made equal, lower-case hexadecimal.
    pub fn checksum(&self) -> String {
        let digest = sha256(self.sql.replace("\r\n", "\n").as_bytes());
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
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
    sql: include_str!("../../migrations/sqlite/0001_initial.sql"),
}];

/// For SQL Server and engines that speak T-SQL.
pub const SQLSERVER: &[Migration] = &[Migration {
    version: 1,
    name: "initial",
    sql: include_str!("../../migrations/sqlserver/0001_initial.sql"),
}];

/// What stands in a database, by its history: version and checksum of each migration that was
/// applied, in order. Empty where nothing of ours is there.
pub fn state_of(known: &[Migration], history: &[(u32, String)]) -> SchemaState {
    let expected = known.last().map_or(0, |migration| migration.version);
    let Some(&(found, _)) = history.last() else {
        return SchemaState::Absent;
    };
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

fn is_altered(known: &Migration, history: &[(u32, String)]) -> bool {
    history
        .iter()
        .any(|(version, checksum)| *version == known.version && *checksum != known.checksum())
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

    #[test]
    fn a_history_without_the_last_migration_is_behind() {
        let migration = |version, sql| Migration {
            version,
            name: "test",
            sql,
        };
        let known = [migration(1, "SELECT 1"), migration(2, "SELECT 2")];
        let applied = |count: usize| -> Vec<_> {
            let known = known.iter().take(count);
            known.map(|it| (it.version, it.checksum())).collect()
        };
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
