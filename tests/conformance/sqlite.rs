//! The suite on SQLite, and what only SQLite has to prove.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use libtest_mimic::Trial;
use rusqlite::Connection;
use sendport_core::clock::SystemClock;
use sendport_core::domain::AlertId;
use sendport_store::Store;
use sendport_store::sqlite::SqliteStore;

use crate::fixture::{Fixture, RULE, SiteRule};
use crate::harness::trial;

/// The columns that hold a time, by table.
const TIMES: &[(&str, &[&str])] = &[
    ("Alert", &["ReplyBy", "NotBefore", "ExpiresAt", "CreatedAt"]),
    (
        "AlertState",
        &[
            "StatusAt",
            "DueAt",
            "ExpiresAt",
            "CreatedAt",
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

/// A file in a folder of its own.
pub(crate) struct SqliteFixture {
    folder: tempfile::TempDir,
}

impl SqliteFixture {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("sendport.db")
    }

    /// As an application that knows nothing of us opens it.
    fn application(&self) -> Connection {
        let connection = Connection::open(self.path()).expect("open");
        connection
            .busy_timeout(Duration::from_secs(60))
            .expect("busy timeout");
        connection
    }
}

#[async_trait]
impl Fixture for SqliteFixture {
    async fn fresh(&self) -> Arc<dyn Store> {
        let store = self.bare().await;
        store.migrate().await.expect("migrate");
        store
    }

    async fn bare(&self) -> Arc<dyn Store> {
        self.another().await
    }

    async fn another(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.path(), Arc::new(SystemClock)).expect("open"))
    }

    async fn try_sql(&self, statement: &str) -> Result<(), String> {
        let done = self.application().execute_batch(statement);
        done.map_err(|error| error.to_string())
    }

    async fn scalar(&self, query: &str) -> Option<String> {
        let read = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        match self.application().query_row(query, [], read) {
            Ok(rusqlite::types::Value::Text(text)) => Some(text),
            Ok(rusqlite::types::Value::Integer(number)) => Some(number.to_string()),
            Ok(rusqlite::types::Value::Blob(bytes)) => {
                Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Ok(_) | Err(rusqlite::Error::QueryReturnedNoRows) => None,
            Err(error) => panic!("{query}\n{error}"),
        }
    }

    fn state_table(&self) -> String {
        "AlertState".to_owned()
    }

    fn table(&self, name: &str) -> String {
        name.to_owned()
    }

    async fn advance(&self, by: Duration) {
        // Time passes for alerts that cannot be changed.
        let application = self.application();
        let triggers = "FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'TR_Alert_Update%'";
        let all = |of: &str| -> String {
            let query = format!("SELECT group_concat({of}, ';') {triggers}");
            let read = |row: &rusqlite::Row<'_>| row.get(0);
            application.query_row(&query, [], read).expect("triggers")
        };
        let (drop, create) = (all("'DROP TRIGGER ' || name"), all("sql"));
        application.execute_batch(&drop).expect("drop");
        let by = format!("-{:.3} seconds", by.as_secs_f64());
        for (table, columns) in TIMES {
            let older = |column: &&str| {
                format!("{column} = strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '{by}')")
            };
            let set: Vec<_> = columns.iter().map(older).collect();
            let statement = format!("UPDATE {table} SET {}", set.join(", "));
            self.application().execute(&statement, []).expect("advance");
        }
        application.execute_batch(&create).expect("create");
    }

    fn make_unreadable(&self, id: AlertId) -> Option<String> {
        let no_uuid = "x".repeat(36);
        Some(format!(
            "UPDATE Alert SET PublicId = '{no_uuid}' WHERE AlertId = {id}"
        ))
    }

    fn rules(&self, ids: &str, to: &str) -> Vec<SiteRule> {
        let rule = |then: &str, says| SiteRule {
            make: format!(
                "CREATE TRIGGER SiteRule BEFORE UPDATE ON AlertState
                 WHEN NEW.AlertId IN ({ids}) AND NEW.Status IN ({to}) BEGIN SELECT {then}; END"
            ),
            drop: "DROP TRIGGER SiteRule",
            says,
        };
        vec![
            rule(&format!("RAISE(ABORT, '{RULE}')"), RULE),
            rule(&format!("RAISE(ROLLBACK, '{RULE}')"), RULE),
            rule(&format!("RAISE(FAIL, '{RULE}')"), RULE),
            rule("RAISE(IGNORE)", "leaves its row as it was"),
            rule("json('{')", "malformed JSON"),
        ]
    }

    fn rules_of_notes(&self, id: AlertId) -> Vec<SiteRule> {
        let rule = |then: &str, says| SiteRule {
            make: format!(
                "CREATE TRIGGER SiteRule BEFORE INSERT ON FailureNotification
                 WHEN NEW.AlertId = {id} BEGIN SELECT {then}; END"
            ),
            drop: "DROP TRIGGER SiteRule",
            says,
        };
        vec![
            rule(&format!("RAISE(ABORT, '{RULE}')"), RULE),
            rule(&format!("RAISE(ROLLBACK, '{RULE}')"), RULE),
            rule("RAISE(IGNORE)", "leaves its row as it was"),
        ]
    }

    fn quiet_rules(&self) -> Vec<SiteRule> {
        let rule = |when: &str, then: &str, says| SiteRule {
            make: format!("CREATE TRIGGER SiteRule {when} BEGIN {then}; END"),
            drop: "DROP TRIGGER SiteRule",
            says,
        };
        let ends_lease = "ON AlertState WHEN OLD.LeaseToken IS NOT NULL AND NEW.LeaseToken IS NULL";
        let change_back = "UPDATE AlertState
            SET Status = OLD.Status, DueAt = OLD.DueAt, FinalAt = OLD.FinalAt, LeaseToken = OLD.LeaseToken,
                LeaseOwner = OLD.LeaseOwner, LeasedAt = OLD.LeasedAt
            WHERE AlertId = OLD.AlertId";
        let of = |table: &str, says| {
            let when = format!("BEFORE INSERT ON {table}");
            rule(&when, "SELECT RAISE(IGNORE)", says)
        };
        vec![
            rule(
                &format!("BEFORE UPDATE {ends_lease}"),
                "SELECT RAISE(IGNORE)",
                "leaves its row as it was",
            ),
            rule(
                &format!("AFTER UPDATE {ends_lease}"),
                change_back,
                "leaves its row as it was",
            ),
            of("Attempt", "leaves its attempts as they were"),
            of("AttemptReply", "leaves its replies as they were"),
            of("Recipient", "leaves its recipients as they were"),
        ]
    }
}

macro_rules! on_sqlite {
    ($($area:ident { $($scenario:ident;)* })*) => {
        /// The suite.
        pub(crate) fn trials() -> Vec<Trial> {
            vec![$($(
                trial(
                    concat!("sqlite::", stringify!($area), "::", stringify!($scenario)),
                    || async { crate::$area::$scenario(&SqliteFixture::new()).await },
                ),
            )*)*]
        }
    };
}
crate::scenarios!(on_sqlite);
