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

    /// The script cut at lines that hold nothing but `GO`, as sqlcmd does it; empty batches
    /// are left out.
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
        batches.retain(|batch| !batch.trim().is_empty());
        batches
    }
}

/// For SQLite.
pub const SQLITE: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("../../migrations/sqlite/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "in_doubt",
        sql: include_str!("../../migrations/sqlite/0002_in_doubt.sql"),
    },
    Migration {
        version: 3,
        name: "shared",
        sql: include_str!("../../migrations/sqlite/0003_shared.sql"),
    },
    Migration {
        version: 4,
        name: "templates",
        sql: include_str!("../../migrations/sqlite/0004_templates.sql"),
    },
    Migration {
        version: 5,
        name: "attachments",
        sql: include_str!("../../migrations/sqlite/0005_attachments.sql"),
    },
    Migration {
        version: 6,
        name: "relay_limit",
        sql: include_str!("../../migrations/sqlite/0006_relay_limit.sql"),
    },
    Migration {
        version: 7,
        name: "certificate",
        sql: include_str!("../../migrations/sqlite/0007_certificate.sql"),
    },
    Migration {
        version: 8,
        name: "protection",
        sql: include_str!("../../migrations/sqlite/0008_protection.sql"),
    },
];

/// For SQL Server and engines that speak T-SQL.
pub const SQLSERVER: &[Migration] = &[
    Migration {
        version: 1,
        name: "initial",
        sql: include_str!("../../migrations/sqlserver/0001_initial.sql"),
    },
    Migration {
        version: 2,
        name: "in_doubt",
        sql: include_str!("../../migrations/sqlserver/0002_in_doubt.sql"),
    },
    Migration {
        version: 3,
        name: "shared",
        sql: include_str!("../../migrations/sqlserver/0003_shared.sql"),
    },
    Migration {
        version: 4,
        name: "templates",
        sql: include_str!("../../migrations/sqlserver/0004_templates.sql"),
    },
    Migration {
        version: 5,
        name: "attachments",
        sql: include_str!("../../migrations/sqlserver/0005_attachments.sql"),
    },
    Migration {
        version: 6,
        name: "relay_limit",
        sql: include_str!("../../migrations/sqlserver/0006_relay_limit.sql"),
    },
    Migration {
        version: 7,
        name: "certificate",
        sql: include_str!("../../migrations/sqlserver/0007_certificate.sql"),
    },
    Migration {
        version: 8,
        name: "protection",
        sql: include_str!("../../migrations/sqlserver/0008_protection.sql"),
    },
];

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
            sql: "SELECT 'GO'\r\nGO\r\n  go  \nSELECT 2 -- GO\nGO",
        };
        assert_eq!(migration.batches(), ["SELECT 'GO'\r\n", "SELECT 2 -- GO\n"]);
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
