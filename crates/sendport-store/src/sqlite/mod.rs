//! The store in one SQLite file: real, durable, without a server. The only place that knows
//! rusqlite.
//!
//! One thread owns the connection that writes, three more own one each that reads (`load` waits neither for a
//! long listing nor for the contents of attachments).

mod admin;
mod alert_store;
mod attachments;
mod audit;
mod bulk_change;
mod certificates;
mod claim;
mod connection;
mod console;
mod coordination;
mod delivery_reports;
mod digest;
mod error;
mod expiry;
mod feedback;
mod insert_watch;
mod instance;
mod late_outcome;
mod lease_owner;
mod load;
mod operator_queries;
mod operator_requests;
mod purge_requests;
#[cfg(test)]
mod query_plans;
mod received;
mod record;
mod requests_in_force;
mod resolve;
mod retention;
mod rollup;
mod schema;
mod take_over;
mod templates;
mod values;
mod wal_sync;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sendport_core::clock::Clock;

use crate::{StoreError, StoreErrorKind};
use connection::{Role, Worker};
use insert_watch::Watch;
use received::Arrivals;
pub use schema::migration_script;

/// The text of `sql/<name>.sql`.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!("sql/", $name, ".sql"))
    };
}
pub(super) use sql;

/// The version of SQLite that is compiled in.
pub fn engine_version() -> &'static str {
    rusqlite::version()
}

/// A store in one file. Cheap to share behind an `Arc`; several processes may open the same
/// file on one machine.
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    writer: Arc<Worker>,
    reader: Worker,
    operator_reader: Worker,
    contents: Worker,
    watch: Watch,
    arrivals: Arc<Arrivals>,
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// A store for the file at `path`. Nothing is created here: where there is no file, every
    /// method but `create_database` and `migrate` says so. Times come from
    /// `clock` alone.
    ///
    /// # Errors
    /// `Refused` if `path` is a folder or the threads cannot be started.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        const DOING: &str = "open the SQLite database";
        if path.is_dir() {
            let message = format!(
                "'{}' is a folder; name a file in it, such as '{}'",
                path.display(),
                path.join("sendport.db").display()
            );
            return Err(StoreError::new(StoreErrorKind::Refused, DOING, message));
        }
        let start = |role| {
            Worker::start(path, role)
                .map_err(|error| StoreError::caused_by(StoreErrorKind::Refused, DOING, error))
        };
        Ok(Self {
            path: path.to_owned(),
            clock,
            writer: Arc::new(start(Role::Writer)?),
            reader: start(Role::Reader)?,
            operator_reader: start(Role::Reader)?,
            contents: start(Role::Contents)?,
            watch: Watch::default(),
            arrivals: Arc::default(),
        })
    }
}
