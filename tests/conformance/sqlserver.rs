//! The suite on SQL Server, where `SENDPORT_TEST_SQLSERVER` holds a connection string. Its databases
//! are created for it and dropped after it; no other is touched.
//!
//! To make the tables takes some engines most of a minute. So a scenario that found a migrated
//! database, and left its schema alone, deletes all rows and leaves it to the next one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use libtest_mimic::Trial;
use parking_lot::Mutex;
use sendport_core::domain::AlertId;
use sendport_store::sqlserver::SqlServerStore;
use sendport_store::{SchemaState, Store};

use crate::fixture::{Fixture, RULE, SiteRule};
use crate::harness::{self, trial};
use crate::tsql::{configured, failing, rows, run};

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
            "RequeuedAt",
            "BodyPurgedAt",
            "FilesStoredAt",
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
    ("RelayAuthentication", &["StateAt", "RefusedAt"]),
    ("AuditCopy", &["CreatedAt"]),
    ("FailureNotification", &["NotifiedAt"]),
    ("DeliveryReport", &["ReportedAt"]),
    ("Feedback", &["ReceivedAt"]),
    ("RecipientFeedback", &["ReportedAt"]),
    (
        "OperatorRequest",
        &["CreatedFrom", "CreatedUntil", "RequestedAt", "CompletedAt"],
    ),
    (
        "RetentionState",
        &["LeaseUntil", "RunningSince", "UpdatedAt"],
    ),
];

/// Databases are made and dropped one at a time: some engines cannot do it side by side.
static CATALOG: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Until the guard is dropped no other scenario creates, migrates or drops a database: Babelfish takes the lock of a
/// migration for the whole server.
pub(crate) async fn alone() -> tokio::sync::MutexGuard<'static, ()> {
    CATALOG.lock().await
}

/// Migrated databases without a row that no scenario uses now.
static SHARED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A database that one scenario has alone.
pub(crate) struct SqlServerFixture {
    server: String,
    database: OnceLock<String>,
    /// Was migrated by [`Fixture::fresh`], and its schema was not changed.
    reusable: AtomicBool,
}

impl SqlServerFixture {
    fn new(server: String) -> Self {
        Self {
            server,
            database: OnceLock::new(),
            reusable: AtomicBool::new(false),
        }
    }

    fn database(&self) -> &str {
        let unique = || format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
        self.database.get_or_init(unique)
    }

    /// The connection string of the fixture's own database, for the login of the tests.
    pub(crate) fn connection_string(&self) -> String {
        format!("{};Database={}", self.server, self.database())
    }

    /// The same for another login: of two keys that say the same, the last counts.
    pub(crate) fn connection_string_of(&self, login: &str, password: &str) -> String {
        let own = self.connection_string();
        format!("{own};User Id={login};Password={password}")
    }

    /// Leaves the database to the next scenario where that is possible, else drops it.
    async fn give_up(&self, passed: bool) {
        if passed && self.reusable.load(Ordering::Relaxed) && self.is_emptied().await {
            SHARED.lock().push(self.database().to_owned());
        } else {
            drop_database(&self.server, self.database()).await;
        }
    }

    /// Deletes all rows but the history of the schema. False where the schema is not as it was.
    async fn is_emptied(&self) -> bool {
        let own = self.connection_string();
        let tables = "SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES \
                      WHERE TABLE_SCHEMA = 'sendport' AND TABLE_TYPE = 'BASE TABLE' \
                      AND TABLE_NAME <> 'SchemaVersion' AND TABLE_NAME NOT LIKE '@%'";
        let tables = rows(&own, tables).await.expect("the tables");
        let delete = |table: String| format!("DELETE FROM sendport.{table}");
        let mut left: Vec<_> = tables.into_iter().flatten().map(delete).collect();
        // What others refer to goes once they are gone.
        while !left.is_empty() {
            let before = left.len();
            left = failing(&own, left).await.expect("connect");
            if left.len() == before {
                return false;
            }
        }
        let state = self.another().await.schema_state().await;
        matches!(state, Ok(SchemaState::Current(_)))
    }
}

/// Drops the databases that scenarios shared.
pub(crate) fn drop_shared() {
    let Some(server) = configured() else { return };
    harness::runtime().block_on(async {
        let databases = std::mem::take(&mut *SHARED.lock());
        for database in databases {
            drop_database(&server, &database).await;
        }
    });
}

/// Connections of a scenario may take a moment to be noticed gone.
async fn drop_database(server: &str, database: &str) {
    let _alone = CATALOG.lock().await;
    let mut last = String::new();
    for _ in 0..50 {
        let statement = format!("IF DB_ID('{database}') IS NOT NULL DROP DATABASE {database}");
        match run(server, &statement).await {
            Ok(_) => return,
            Err(error) => last = error,
        }
    }
    panic!("cannot drop {database}: {last}");
}

/// A test on the server, or one that is shown as ignored where there is none.
pub(crate) fn on_server<F>(
    name: &str,
    scenario: impl FnOnce(Arc<SqlServerFixture>) -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = ()> + Send + 'static,
{
    let server = configured();
    let absent = server.is_none();
    let test = trial(name, || async move {
        let fixture = Arc::new(SqlServerFixture::new(server.expect("ignored without it")));
        let ended = tokio::spawn(scenario(Arc::clone(&fixture))).await;
        fixture.give_up(ended.is_ok()).await;
        ended.expect("the scenario");
    });
    test.with_ignored_flag(absent)
}

#[async_trait]
impl Fixture for SqlServerFixture {
    async fn fresh(&self) -> Arc<dyn Store> {
        self.reusable.store(true, Ordering::Relaxed);
        let kept = SHARED.lock().pop();
        if let Some(database) = kept {
            self.database.set(database).expect("called once");
            return self.another().await;
        }
        let _alone = CATALOG.lock().await;
        let store = self.bare().await;
        store.create_database().await.expect("create the database");
        store.migrate().await.expect("migrate");
        store
    }

    async fn bare(&self) -> Arc<dyn Store> {
        self.another().await
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
        self.reusable.store(false, Ordering::Relaxed);
        Some(format!(
            "ALTER TABLE sendport.AlertRow DROP CONSTRAINT CK_Alert_BodyFormat_text_or_html; \
             UPDATE sendport.AlertRow SET BodyFormat = 'rtf' WHERE AlertId = {id};"
        ))
    }

    fn rules(&self, ids: &str, to: &str) -> Vec<SiteRule> {
        let trigger = |then: &str| SiteRule {
            make: format!(
                "CREATE TRIGGER sendport.SiteRule ON sendport.AlertRow AFTER UPDATE AS
                 IF EXISTS (SELECT 1 FROM inserted WHERE AlertId IN ({ids}) AND Status IN ({to}))
                 BEGIN {then} END"
            ),
            drop: "DROP TRIGGER sendport.SiteRule",
            says: RULE,
        };
        let check = format!(
            "ALTER TABLE sendport.AlertRow WITH NOCHECK
             ADD CONSTRAINT SiteRule CHECK (NOT (AlertId IN ({ids}) AND Status IN ({to})))"
        );
        vec![
            trigger(&format!("THROW 50001, N'{RULE}', 1;")),
            trigger(&format!(
                "RAISERROR (N'{RULE}', 16, 1); ROLLBACK TRANSACTION;"
            )),
            SiteRule {
                make: check,
                drop: "ALTER TABLE sendport.AlertRow DROP CONSTRAINT SiteRule",
                says: "the server answers 547",
            },
        ]
    }

    fn rules_of_notes(&self, id: AlertId) -> Vec<SiteRule> {
        vec![SiteRule {
            make: format!(
                "CREATE TRIGGER sendport.SiteRule ON sendport.FailureNotification AFTER INSERT AS
                 IF EXISTS (SELECT 1 FROM inserted WHERE AlertId = {id})
                 BEGIN THROW 50001, N'{RULE}', 1; END"
            ),
            drop: "DROP TRIGGER sendport.SiteRule",
            says: RULE,
        }]
    }

    fn quiet_rules(&self) -> Vec<SiteRule> {
        let rule = |when: &str, then: &str, says| SiteRule {
            make: format!("CREATE TRIGGER sendport.SiteRule ON sendport.{when} AS {then}"),
            drop: "DROP TRIGGER sendport.SiteRule",
            says,
        };
        let change_back = "IF EXISTS (SELECT 1 FROM inserted WHERE LeaseToken IS NULL)
            UPDATE a SET Status = d.Status, DueAt = d.DueAt, FinalAt = d.FinalAt, LeaseToken = d.LeaseToken,
                         LeaseOwner = d.LeaseOwner, LeasedAt = d.LeasedAt
            FROM sendport.AlertRow a JOIN deleted d ON d.AlertId = a.AlertId WHERE d.LeaseToken IS NOT NULL";
        let of = |table: &str, says| {
            let when = format!("{table} INSTEAD OF INSERT");
            rule(&when, "SET NOCOUNT ON", says)
        };
        vec![
            rule(
                "AlertRow AFTER UPDATE",
                change_back,
                "leaves its row as it was",
            ),
            of("Attempt", "leaves its attempts as they were"),
            of("Recipient", "leaves its recipients as they were"),
        ]
    }
}

macro_rules! on_sqlserver {
    ($($area:ident { $($scenario:ident;)* })*) => {
        /// The suite.
        pub(crate) fn trials() -> Vec<Trial> {
            vec![$($(
                on_server(
                    concat!("sqlserver::", stringify!($area), "::", stringify!($scenario)),
                    |fixture| async move { crate::$area::$scenario(&*fixture).await },
                ),
            )*)*]
        }
    };
}
crate::scenarios!(on_sqlserver);
