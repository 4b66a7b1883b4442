//! The migrations as a script for the sqlite3 shell.

use std::fmt::Write;

use super::sql;
use crate::store::migration::SQLITE;

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
