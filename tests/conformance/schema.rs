//! The schema: absent, created once, newer, older, altered.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{AlertId, AlertStatus, RecipientStatus};
use sendport_store::{SchemaState, Store, StoreErrorKind};

use crate::attachments;
use crate::fixture::*;

pub(crate) async fn an_empty_database_has_no_schema(f: &dyn Fixture) {
    let store = f.bare().await;
    store.create_database().await.expect("create");
    assert_eq!(
        store.schema_state().await.expect("state"),
        SchemaState::Absent
    );
    let error = store.alerts(None, 1).await.expect_err("no schema");
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
    assert!(error.to_string().contains("sendport migrate"), "{error}");
}

pub(crate) async fn migrating_twice_applies_once(f: &dyn Fixture) {
    let store = f.bare().await;
    store.create_database().await.expect("create");
    let steps = store.migrate().await.expect("migrate");
    assert_eq!((steps[0].version, steps[0].name.as_str()), (1, "initial"));
    assert!(store.migrate().await.expect("migrate").is_empty());
    assert!(!store.create_database().await.expect("create"), "it exists");
    let expected = u32::try_from(steps.len()).expect("few");
    assert_eq!(
        store.schema_state().await.expect("state"),
        SchemaState::Current(expected)
    );
}

pub(crate) async fn two_migrations_at_once_apply_once(f: &dyn Fixture) {
    let first = f.bare().await;
    first.create_database().await.expect("create");
    let second = f.another().await;
    let (a, b) = tokio::join!(first.migrate(), second.migrate());
    let (a, b) = (a.expect("migrate"), b.expect("migrate"));
    let once = f.rows("SchemaVersion", "1 = 1").await;
    assert_eq!(i64::try_from(a.len() + b.len()).expect("few"), once);
    assert!(matches!(
        first.schema_state().await,
        Ok(SchemaState::Current(_))
    ));
}

pub(crate) async fn a_newer_schema_is_ahead(f: &dyn Fixture) {
    let store = f.fresh().await;
    let history = f.table("SchemaVersion");
    let newer = format!(
        "INSERT INTO {history} (Version, Name, Checksum, AppliedAt) \
         VALUES (999, 'of-the-future', '0', '2026-01-31T12:00:00.000Z')"
    );
    f.sql(&newer).await;
    let state = store.schema_state().await.expect("state");
    assert!(
        matches!(state, SchemaState::Ahead { found: 999, .. }),
        "{state:?}"
    );
    let error = store.migrate().await.expect_err("newer");
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
}

/// The migrations 1 to 8 were in no release.
pub(crate) async fn a_schema_older_than_the_first_release_is_refused(f: &dyn Fixture) {
    const NAMES: [&str; 7] = [
        "in_doubt",
        "shared",
        "templates",
        "attachments",
        "relay_limit",
        "certificate",
        "protection",
    ];
    let store = f.fresh().await;
    let history = f.table("SchemaVersion");
    for (version, name) in (2..).zip(NAMES) {
        f.sql(&format!(
            "INSERT INTO {history} (Version, Name, Checksum, AppliedAt) \
             VALUES ({version}, '{name}', '0', '2026-01-31T12:00:00.000Z')"
        ))
        .await;
    }
    let state = store.schema_state().await.expect("state");
    let found = (1..=8).collect();
    assert_eq!(state, SchemaState::Unreleased { found });
    let error = store.migrate().await.expect_err("older");
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
    let words = error.to_string();
    assert!(words.contains("1, 2, 3, 4, 5, 6, 7, 8"), "{words}");
    assert!(words.contains("older than the first release"), "{words}");
    assert_eq!(f.rows("SchemaVersion", "1 = 1").await, 8);
}

pub(crate) async fn an_altered_migration_is_noticed(f: &dyn Fixture) {
    let store = f.fresh().await;
    let history = f.table("SchemaVersion");
    f.sql(&format!(
        "UPDATE {history} SET Checksum = 'other' WHERE Version = 1"
    ))
    .await;
    let state = store.schema_state().await.expect("state");
    assert_eq!(state, SchemaState::Altered { version: 1 });
    let error = store.migrate().await.expect_err("altered");
    assert_eq!(error.kind(), StoreErrorKind::Schema, "{error}");
}

/// A row of nearly everything: an alert of each status, each with a file, and what an instance wrote
/// about one that was sent.
pub(crate) async fn history(f: &dyn Fixture, store: &Arc<dyn Store>) {
    let sent = attachments::with_one(f, "sent").await;
    let instance = instance(store, "a").await;
    let (token, claimed) = claim_one(store, instance).await;
    assert_eq!(claimed, sent);
    let partly = outcome(
        sent,
        token,
        1,
        &[RecipientStatus::Relayed, RecipientStatus::Failed],
    );
    record(store, instance, &partly).await;
    for status in AlertStatus::ALL {
        let id = attachments::with_one(f, status.as_str()).await;
        let state = f.state_table();
        f.sql(&format!(
            "UPDATE {state} SET Status = '{status}', AttemptCount = 1 WHERE AlertId = {id}"
        ))
        .await;
    }
}

/// The script that the documents have for this engine.
fn documented_removal(engine: &str) -> String {
    let documents = include_str!("../../docs/database.md");
    let (_, section) = documents
        .split_once("## Removing old rows")
        .expect("a section");
    let begins = format!("```sql\n-- {engine}");
    let (_, script) = section.split_once(&begins).expect(engine);
    let (script, _) = script.split_once("```").expect("its end");
    format!("-- {engine}{script}")
}

pub(crate) async fn old_rows_are_removed_as_documented(f: &dyn Fixture) {
    let store = f.fresh().await;
    history(f, &store).await;
    let state = f.state_table();
    let final_ones = format!("SELECT count(*) FROM {state} WHERE FinalAt IS NOT NULL");
    let old = f.count(&final_ones).await;
    let all = f.rows("Alert", "1 = 1").await;
    assert!(old > 0 && f.rows("AttemptReply", "1 = 1").await > 0);
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    // An engine's milliseconds end at 24 days.
    for part in [20, 20, 20, 20, 9] {
        f.advance(days(part)).await;
    }
    let engine = match f.table("Alert").as_str() {
        "Alert" => "SQLite",
        _ => "SQL Server",
    };
    let script = documented_removal(engine);
    f.sql(&script).await;
    assert_eq!(f.count(&final_ones).await, old, "none is old enough");
    f.advance(days(2)).await;
    f.sql(&script).await;
    assert_eq!(f.count(&final_ones).await, 0);
    assert_eq!(f.rows("Alert", "1 = 1").await, all - old);
    let [reply, attempt] = ["AttemptReply", "Attempt"].map(|name| f.table(name));
    let left = format!("AlertId NOT IN (SELECT AlertId FROM {state})");
    assert_eq!(f.rows("Recipient", &left).await, 0);
    assert_eq!(f.rows("Attempt", &left).await, 0);
    let replies = format!(
        "SELECT count(*) FROM {reply} WHERE AttemptId NOT IN (SELECT AttemptId FROM {attempt})"
    );
    assert_eq!(f.count(&replies).await, 0);
}

/// The statements of the blocks of SQL in a document.
fn statements_in(document: &str) -> impl Iterator<Item = &str> {
    let blocks = document.split("```sql").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").expect("its end").0);
    let statements = blocks.flat_map(|block| block.split(";\n").map(str::trim));
    statements.filter(|statement| !statement.is_empty())
}

/// The statements that the documents have for every day, with the keys of this alert.
fn documented_queries(id: AlertId) -> Vec<String> {
    let documents = include_str!("../../docs/database.md");
    let (_, section) = documents
        .split_once("## Queries for every day")
        .expect("a section");
    let (section, _) = section.split_once("\n## ").expect("its end");
    statements_in(section)
        .map(|statement| statement.replace("= 42", &format!("= {id}")))
        .collect()
}

/// The examples of the document about monitoring, and the queries of its alarms.
fn monitoring_queries() -> Vec<String> {
    let document = include_str!("../../docs/monitoring.md");
    let alarms = document.split("| `SELECT ").skip(1);
    let alarms = alarms.map(|rest| rest.split_once("` |").expect("its end").0);
    let alarms = alarms.map(|rest| format!("SELECT {rest}"));
    statements_in(document)
        .map(str::to_owned)
        .chain(alarms)
        .collect()
}

/// A documented statement as this engine has it; `None` where it has not.
fn in_dialect(statement: &str, is_sqlite: bool) -> Option<String> {
    if !is_sqlite {
        return Some(statement.to_owned());
    }
    let is_of_sql_server = statement.starts_with("EXEC")
        || statement.contains("DATEADD")
        || statement.contains("DATEDIFF");
    (!is_of_sql_server).then(|| {
        statement
            .replace("sendport.", "")
            .replace("N'", "'")
            .replace("SYSUTCDATETIME()", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')")
    })
}

/// The first questions of a DBA have an answer, and every documented statement runs.
pub(crate) async fn documented_queries_run_and_answer(f: &dyn Fixture) {
    let store = f.fresh().await;
    let is_sqlite = f.table("Alert") == "Alert";
    let id = f
        .insert(
            "ToRecipients, Subject, Reference, Source",
            "'ops0@contoso.com', 'Order 4711 is late', 'order-4711', 'orders'",
        )
        .await;
    let instance = instance(&store, "one").await;
    let (token, _) = claim_one(&store, instance).await;
    record(
        &store,
        instance,
        &outcome(id, token, 1, &[RecipientStatus::Failed]),
    )
    .await;
    let statements = documented_queries(id);
    assert!(statements.len() >= 15, "{statements:#?}");
    for statement in statements {
        let Some(statement) = in_dialect(&statement, is_sqlite) else {
            continue;
        };
        f.sql(&statement).await;
        let is_about_it =
            statement.contains("order-4711") || statement.contains(&format!("= {id}"));
        if is_about_it && !statement.starts_with("EXEC") {
            assert!(f.scalar(&statement).await.is_some(), "no row: {statement}");
        }
    }
    if !is_sqlite {
        assert_eq!(f.rows("OperatorRequest", "Verb = 'requeue'").await, 1);
    }
    let monitoring = monitoring_queries();
    assert!(monitoring.len() >= 12, "{monitoring:#?}");
    for statement in monitoring {
        if let Some(statement) = in_dialect(&statement, is_sqlite) {
            f.sql(&statement).await;
        }
    }
}
