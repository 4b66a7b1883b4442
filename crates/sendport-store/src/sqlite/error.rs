//! What the engine's errors mean to us.

use std::path::Path;

use rusqlite::{ErrorCode, Transaction, ffi};

use crate::{ColumnError, StoreError, StoreErrorKind};

/// Why a job failed, before it is known what was being done.
#[derive(Debug)]
pub(super) enum SqliteError {
    /// The engine's error.
    Engine(rusqlite::Error),
    /// A value of a row that cannot be read.
    Unreadable(ColumnError),
    /// The content of an attachment or of a received message cannot be read.
    Content(std::io::Error),
    /// Ours.
    Own(StoreErrorKind, String),
}

impl From<rusqlite::Error> for SqliteError {
    /// Without the statement, which may be a whole migration.
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(match error {
            rusqlite::Error::SqlInputError { error, msg, .. } => {
                rusqlite::Error::SqliteFailure(error, Some(msg))
            }
            other => other,
        })
    }
}

/// Of the octets that are read or written.
impl From<std::io::Error> for SqliteError {
    fn from(error: std::io::Error) -> Self {
        Self::Content(error)
    }
}

impl SqliteError {
    /// A value of a row that cannot be read.
    pub(super) fn unreadable(error: ColumnError) -> Self {
        Self::Unreadable(error)
    }

    /// No statement failed, and what was to be written is not there: a trigger of the site.
    pub(super) fn ignored(what: &str) -> Self {
        let message = format!("a trigger leaves its {what}");
        Self::Own(StoreErrorKind::Rejected, message)
    }

    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Engine(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        ))
    }

    /// A statement that did nothing, and might not be refused of another row.
    pub(super) fn may_be_of_one_row(&self) -> bool {
        let kind = match self {
            Self::Engine(error) => kind_of(error, Path::new("")),
            Self::Unreadable(_) => StoreErrorKind::Rejected,
            Self::Content(_) => StoreErrorKind::Unavailable,
            Self::Own(kind, _) => *kind,
        };
        // A damaged page may hold one row alone.
        matches!(kind, StoreErrorKind::Rejected | StoreErrorKind::Unknown) || self.is_damage()
    }

    /// The transaction is rolled back, or nothing can be written in it any more.
    pub(super) fn ends(&self, tx: &Transaction<'_>) -> bool {
        tx.is_autocommit() || self.is_damage()
    }

    fn is_damage(&self) -> bool {
        matches!(self, Self::Engine(error)
            if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt))
    }

    /// Why, where it may be about one row alone.
    pub(super) fn why_of_one_row(self) -> Result<String, Self> {
        match self.may_be_of_one_row() {
            true => Ok(self.why()),
            false => Err(self),
        }
    }

    /// What is said of the row that it is about.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Engine(error) => error.to_string(),
            Self::Unreadable(error) => error.to_string(),
            Self::Content(error) => error.to_string(),
            Self::Own(_, message) => message.clone(),
        }
    }

    pub(super) fn into_store_error(self, doing: &'static str, path: &Path) -> StoreError {
        match self {
            Self::Own(kind, message) => StoreError::new(kind, doing, message),
            Self::Unreadable(error) => {
                StoreError::caused_by(StoreErrorKind::Rejected, doing, error)
            }
            Self::Content(error) => {
                StoreError::caused_by(StoreErrorKind::Unavailable, doing, error)
            }
            Self::Engine(error) => explain(error, doing, path),
        }
    }
}

/// The engine's error with its kind and, where its own message says too little, ours.
fn explain(error: rusqlite::Error, doing: &'static str, path: &Path) -> StoreError {
    let kind = kind_of(&error, path);
    match words_of(&error, path) {
        Some(message) => StoreError::explained(kind, doing, message, error),
        None => StoreError::caused_by(kind, doing, error),
    }
}

/// Closed where it matters: only what is known to be about values is `Rejected`.
fn kind_of(error: &rusqlite::Error, path: &Path) -> StoreErrorKind {
    use ErrorCode as Code;
    use StoreErrorKind::{ReadOnly, Refused, Rejected, Schema, Unavailable, Unknown};
    match error.sqlite_error_code() {
        None if is_of_a_value(error) => Rejected,
        Some(Code::ConstraintViolation | Code::TypeMismatch | Code::TooBig) => Rejected,
        Some(
            Code::DatabaseBusy
            | Code::DatabaseLocked
            | Code::FileLockingProtocolFailed
            | Code::SystemIoFailure
            | Code::OutOfMemory
            | Code::OperationInterrupted
            | Code::SchemaChanged,
        ) => Unavailable,
        Some(Code::CannotOpen) if !path.exists() => Unavailable,
        Some(Code::ReadOnly | Code::DiskFull) => ReadOnly,
        Some(
            Code::CannotOpen
            | Code::PermissionDenied
            | Code::DatabaseCorrupt
            | Code::AuthorizationForStatementDenied,
        ) => Refused,
        Some(Code::NotADatabase) => Schema,
        Some(Code::Unknown) if lacks_the_schema(error) => Schema,
        _ => Unknown,
    }
}

/// What SQLite says names no file, and nothing to do.
fn words_of(error: &rusqlite::Error, path: &Path) -> Option<String> {
    use ErrorCode as Code;
    let file = path.display();
    let message = match error.sqlite_error_code()? {
        Code::DatabaseBusy | Code::DatabaseLocked | Code::FileLockingProtocolFailed => {
            format!("another process keeps the database '{file}' locked")
        }
        Code::SystemIoFailure
            if error.sqlite_extended_error_code() == Some(ffi::SQLITE_IOERR_WRITE) =>
        {
            format!(
                "the database '{file}' cannot be written ({error}); look at its disk, and at the limit of a file's size \
                 (ulimit -f, LimitFSIZE=)"
            )
        }
        Code::ReadOnly => format!(
            "the database '{file}' cannot be written to; check the rights of the file and of its folder"
        ),
        Code::DiskFull => format!("the disk that holds the database '{file}' is full"),
        Code::NotADatabase => format!(
            "'{file}' is not a SQLite database; point to another file, or move this one away"
        ),
        Code::CannotOpen if !path.exists() => absent(path),
        Code::CannotOpen | Code::PermissionDenied => format!(
            "the database '{file}' cannot be opened; check the rights of the file and of its folder"
        ),
        Code::DatabaseCorrupt => format!(
            "the database '{file}' is damaged; restore it from a backup, or try sqlite3 '.recover'"
        ),
        Code::Unknown if lacks_the_schema(error) => format!(
            "the database '{file}' lacks the schema of sendport ({error}); run `sendport migrate`"
        ),
        _ => return None,
    };
    Some(message)
}

/// SQLite has no code of its own for it.
fn lacks_the_schema(error: &rusqlite::Error) -> bool {
    let text = error.to_string();
    text.contains("no such table") || text.contains("no such column")
}

/// The binding, about a value that it cannot read or write.
fn is_of_a_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, NulError,
        ToSqlConversionFailure, Utf8Error,
    };
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | NulError(_)
            | ToSqlConversionFailure(_)
            | Utf8Error(..)
    )
}

/// There is no file. Its volume may be unmounted, so this does not mean that it was never created.
pub(super) fn absent(path: &Path) -> String {
    let file = path.display();
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    match folder.filter(|it| !it.is_dir()) {
        Some(folder) => format!(
            "there is no database file '{file}', nor its folder '{}'; mount what holds it, or create \
             the folder and run `sendport migrate`",
            folder.display()
        ),
        None => format!(
            "there is no database file '{file}' in its folder; run `sendport migrate` to create it, or \
             mount what holds it"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It may be a migration of hundreds of lines.
    #[test]
    fn an_error_does_not_quote_the_statement() {
        let connection = rusqlite::Connection::open_in_memory().expect("a database");
        let run = |sql: &str| {
            let run = connection.execute(sql, []).map_err(SqliteError::from);
            run.err()
        };
        assert!(run("CREATE TABLE Alert (x)").is_none());
        let again = run("-- The schema\nCREATE TABLE Alert (x)").expect("it is there");
        assert_eq!(again.why(), "table Alert already exists");
        let missing = run("DELETE FROM Alert WHERE Version = 1").expect("no such column");
        assert_eq!(missing.why(), "no such column: Version");
        let error = missing.into_store_error("read", Path::new("a.db"));
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }

    #[test]
    fn only_what_is_about_values_is_rejected() {
        use StoreErrorKind::{ReadOnly, Refused, Rejected, Schema, Unavailable, Unknown};
        let path = Path::new("/");
        for (code, expected) in [
            (rusqlite::ffi::SQLITE_BUSY, Unavailable),
            (rusqlite::ffi::SQLITE_LOCKED, Unavailable),
            (rusqlite::ffi::SQLITE_PROTOCOL, Unavailable),
            (rusqlite::ffi::SQLITE_IOERR_FSYNC, Unavailable),
            (rusqlite::ffi::SQLITE_NOMEM, Unavailable),
            (rusqlite::ffi::SQLITE_FULL, ReadOnly),
            (rusqlite::ffi::SQLITE_READONLY_DBMOVED, ReadOnly),
            (rusqlite::ffi::SQLITE_CORRUPT_INDEX, Refused),
            (rusqlite::ffi::SQLITE_CANTOPEN, Refused),
            (rusqlite::ffi::SQLITE_PERM, Refused),
            (rusqlite::ffi::SQLITE_NOTADB, Schema),
            (rusqlite::ffi::SQLITE_CONSTRAINT_CHECK, Rejected),
            (rusqlite::ffi::SQLITE_CONSTRAINT_DATATYPE, Rejected),
            (rusqlite::ffi::SQLITE_MISMATCH, Rejected),
            (rusqlite::ffi::SQLITE_TOOBIG, Rejected),
            (rusqlite::ffi::SQLITE_ERROR, Unknown),
            (rusqlite::ffi::SQLITE_INTERNAL, Unknown),
            (rusqlite::ffi::SQLITE_MISUSE, Unknown),
        ] {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            assert_eq!(kind_of(&error, path), expected, "{code}");
        }
        let none = rusqlite::Error::QueryReturnedNoRows;
        assert_eq!(kind_of(&none, path), Unknown);
    }
}
