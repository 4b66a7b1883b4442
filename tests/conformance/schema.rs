//! The schema: absent, made once, newer, altered.

use sendport::store::{SchemaState, StoreErrorKind};

use crate::fixture::*;

pub(crate) async fn nothing_there_is_absent(f: &dyn Fixture) {
    let store = f.bare().await;
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
    assert!(
        !store.create_database().await.expect("create"),
        "it stands there"
    );
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
