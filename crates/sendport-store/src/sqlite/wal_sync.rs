//! Makes what was committed survive a loss of power, while others may write.
//!
//! With `synchronous = FULL` SQLite itself does it before a commit ends, and keeps its lock meanwhile:
//! milliseconds, in which the insert of an application that does not wait is refused.

use std::fs::OpenOptions;
use std::io;

use rusqlite::{Connection, ffi};

/// Writes the write-ahead log to the disk, with all that was committed before.
///
/// # Errors
/// `DiskFull` or `SystemIoFailure`: what was committed is there, and may not survive a loss of power.
pub(super) fn sync_log(connection: &Connection) -> Result<(), rusqlite::Error> {
    let Some(database) = connection.path() else {
        return Ok(());
    };
    // SQLite locks nothing in this file: closing it releases no lock. Windows syncs only files opened for writing.
    let log = OpenOptions::new()
        .write(true)
        .open(format!("{database}-wal"));
    match log.and_then(|log| log.sync_data()) {
        // A file system that has no room for such a log: there SQLite syncs by itself.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        synced => synced.map_err(|error| of_the_engine(&error)),
    }
}

fn of_the_engine(error: &io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ffi::SQLITE_FULL,
        _ => ffi::SQLITE_IOERR_FSYNC,
    };
    let message = format!("the write-ahead log cannot be synced to the disk: {error}");
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(message))
}
