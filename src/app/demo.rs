//! A database for `sendport demo`.

use std::path::Path;
use std::sync::Arc;

use sendport_store::sqlite::SqliteStore;
use sendport_store::{Store, StoreAdmin as _, StoreError};

use super::system_clock;

/// The demonstration's database: an embedded one that also answers plain SQL.
pub struct DemoDatabase {
    store: Arc<SqliteStore>,
}

impl DemoDatabase {
    /// Creates the file and its tables.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn create(file: &Path) -> Result<Self, StoreError> {
        let store = Arc::new(SqliteStore::open(file, system_clock())?);
        store.create_database().await?;
        store.migrate().await?;
        Ok(Self { store })
    }

    /// For the service.
    pub fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// Runs statements, as sqlite3 would.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn run_script(&self, sql: &str) -> Result<(), StoreError> {
        self.store.run_script(sql).await
    }

    /// Column names and rows of a query, everything as text.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn query(&self, sql: &str) -> Result<(Vec<String>, Vec<Vec<String>>), StoreError> {
        self.store.query(sql).await
    }
}
