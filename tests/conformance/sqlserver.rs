//! The suite on SQL Server, where `SENDPORT_TEST_SQLSERVER` holds a connection string. Each
//! scenario runs in a database of its own, which is created for it and dropped after it; no
//! other is touched.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sendport::domain::AlertId;
use sendport::store::Store;
use sendport::store::migration::SQLSERVER;
use sendport::store::sqlserver::SqlServerStore;

use crate::fixture::Fixture;
use crate::tsql::{run, run_all};

/// The columns that hold a time, by table.
const TIMES: &[(&str, &[&str])] = &[
    (
        "AlertRow",
        &[
            "ReplyBy",
            "NotBefore",
            "ExpiresAt",
            "CreatedAt",
            "StatusAt",
            "DueAt",
            "LeasedAt",
            "FinalAt",
        ],
    ),
    ("Recipient", &["StatusAt"]),
    ("Attempt", &["StartedAt", "EndedAt"]),
    (
        "Instance",
        &["StartedAt", "RenewedAt", "LeaseUntil", "StoppedAt"],
    ),
    ("SendPort", &["LastSeenAt"]),
    ("RelayState", &["Since", "RetryAt"]),
    ("EventLog", &["LoggedAt"]),
    ("RelaySignIn", &["StateAt", "RefusedAt"]),
    ("AuditCopy", &["KeptAt"]),
    ("FailureTold", &["ToldAt"]),
    ("RelayLimit", &["ChangedAt"]),
];

/// Databases are made and dropped one at a time: some engines cannot do it side by side.
static CATALOG: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A database of its own.
pub(crate) struct SqlServerFixture {
    server: String,
    database: String,
}

impl SqlServerFixture {
    pub(crate) fn new(server: String) -> Self {
        let unique = uuid::Uuid::new_v4().simple();
        Self {
            server,
            database: format!("sendport_test_{unique}"),
        }
    }

    /// The connection string of the fixture's own database, for the login of the tests.
    pub(crate) fn connection_string(&self) -> String {
        format!("{};Database={}", self.server, self.database)
    }

    /// The same for another login: of two keys that say the same, the last counts.
    pub(crate) fn connection_string_of(&self, login: &str, password: &str) -> String {
        let own = self.connection_string();
        format!("{own};User Id={login};Password={password}")
    }

    /// Drops the database. Connections of the scenario may take a moment to be noticed gone.
    pub(crate) async fn drop_database(&self) {
        let database = &self.database;
        let _alone = CATALOG.lock().await;
        let mut last = String::new();
        for _ in 0..50 {
            let statement = format!("IF DB_ID('{database}') IS NOT NULL DROP DATABASE {database}");
            match run(&self.server, &statement).await {
                Ok(_) => return,
                Err(error) => last = error,
            }
        }
        panic!("cannot drop {database}: {last}");
    }
}

#[async_trait]
impl Fixture for SqlServerFixture {
    async fn fresh(&self) -> Arc<dyn Store> {
        let _alone = CATALOG.lock().await;
        let store = self.bare().await;
        store.create_database().await.expect("create the database");
        store.migrate().await.expect("migrate");
        store
    }

    async fn bare(&self) -> Arc<dyn Store> {
        self.another().await
    }

    async fn at_version(&self, version: u32) -> Arc<dyn Store> {
        let _alone = CATALOG.lock().await;
        let store = self.bare().await;
        store.create_database().await.expect("create the database");
        let history = include_str!("../../src/store/sqlserver/sql/history_table.sql");
        let mut batches = vec![history.to_owned()];
        for migration in SQLSERVER.iter().filter(|m| m.version <= version) {
            batches.extend(migration.batches().into_iter().map(str::to_owned));
            batches.push(format!(
                "INSERT INTO sendport.SchemaVersion (Version, Name, Checksum) VALUES ({}, '{}', '{}')",
                migration.version,
                migration.name,
                migration.checksum()
            ));
        }
        run_all(&self.connection_string(), &batches)
            .await
            .expect("migrate");
        store
    }

    async fn another(&self) -> Arc<dyn Store> {
        Arc::new(SqlServerStore::open(&self.connection_string()).expect("open"))
    }

    async fn try_sql(&self, statement: &str) -> Result<(), String> {
        run(&self.connection_string(), statement).await.map(|_| ())
    }

    async fn scalar(&self, query: &str) -> Option<String> {
        match run(&self.connection_string(), query).await {
            Ok(value) => value,
            Err(error) => panic!("{query}\n{error}"),
        }
    }

    fn state_table(&self) -> String {
        "sendport.AlertRow".to_owned()
    }

    fn table(&self, name: &str) -> String {
        format!("sendport.{name}")
    }

    async fn advance(&self, by: Duration) {
        let by = by.as_millis();
        let mut batch = String::new();
        for (table, columns) in TIMES {
            let older = |column: &&str| format!("{column} = DATEADD(millisecond, -{by}, {column})");
            let set: Vec<_> = columns.iter().map(older).collect();
            batch.push_str(&format!(
                "UPDATE sendport.{table} SET {};\n",
                set.join(", ")
            ));
        }
        self.try_sql(&batch).await.expect("advance");
    }

    fn make_unreadable(&self, id: AlertId) -> Option<String> {
        Some(format!(
            "ALTER TABLE sendport.AlertRow DROP CONSTRAINT CK_Alert_BodyFormat; \
             UPDATE sendport.AlertRow SET BodyFormat = 'rtf' WHERE AlertId = {id};"
        ))
    }
}

macro_rules! on_sqlserver {
    ($($area:ident { $($scenario:ident;)* })*) => {
        $(
            mod $area {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $scenario() {
                        let Some(server) = crate::tsql::server() else { return };
                        let fixture = std::sync::Arc::new(super::SqlServerFixture::new(server));
                        let scenario = std::sync::Arc::clone(&fixture);
                        let told = tokio::spawn(async move {
                            crate::$area::$scenario(&*scenario).await;
                        });
                        let told = told.await;
                        fixture.drop_database().await;
                        told.expect("the scenario");
                    }
                )*
            }
        )*
    };
}
crate::scenarios!(on_sqlserver);
