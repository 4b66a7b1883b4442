//! Templates in versions that never change.

use std::sync::Arc;

use sendport_core::domain::{TemplateRow, TemplateText};
use sendport_store::Store;

use crate::fixture::*;

fn text(name: &str, language: &str, says: &str) -> TemplateText {
    TemplateText {
        name: name.to_owned(),
        language: language.to_owned(),
        text: Some(says.to_owned()),
        ..TemplateText::default()
    }
}

fn removed(name: &str, language: &str) -> TemplateText {
    TemplateText {
        text: None,
        ..text(name, language, "")
    }
}

async fn add(store: &Arc<dyn Store>, newest: u32, texts: &[TemplateText]) -> Option<u32> {
    let added = store.add_templates(newest, texts).await;
    added.expect("add templates")
}

/// Name, language, version and text.
fn output(rows: Vec<TemplateRow>) -> Vec<(String, String, u32, Option<String>)> {
    let line = |row: TemplateRow| (row.text.name, row.text.language, row.version, row.text.text);
    rows.into_iter().map(line).collect()
}

fn line(
    name: &str,
    language: &str,
    version: u32,
    says: &str,
) -> (String, String, u32, Option<String>) {
    let says = Some(says.to_owned());
    (name.to_owned(), language.to_owned(), version, says)
}

pub(crate) async fn a_template_comes_back_as_it_was_added(f: &dyn Fixture) {
    let store = f.fresh().await;
    let before = store.templates().await.expect("read");
    assert_eq!((before.newest, before.rows.len()), (0, 0));
    let whole = TemplateText {
        name: "order-late".to_owned(),
        language: "zh-Hant-TW".to_owned(),
        subject: Some(String::new()),
        text: Some("it's {{ late }}\r\n\t注文 😀 \n".repeat(20_000)),
        html: Some("<p>'; DROP TABLE x --</p>".to_owned()),
        sample: Some("{\"order\": 4711}\n".to_owned()),
    };
    let bare = TemplateText {
        html: Some("x".to_owned()),
        text: None,
        ..text("_layout", "", "")
    };
    let both = [bare.clone(), whole.clone()];
    assert_eq!(add(&store, 0, &both).await, Some(1));
    let now = store.templates().await.expect("read");
    let texts: Vec<_> = now.rows.iter().map(|row| row.text.clone()).collect();
    assert!(texts == [bare, whole], "they changed on their way");
    assert_eq!(now.newest, 1);
    assert!(
        now.rows
            .iter()
            .all(|row| row.version == 1 && !row.created_by.is_empty())
    );
    let age = self::now() - now.rows[0].created_at;
    assert!(age.num_seconds().abs() < 300, "{age}");
}

pub(crate) async fn only_the_newest_versions_are_current(f: &dyn Fixture) {
    let store = f.fresh().await;
    let first = [
        text("a", "", "one"),
        text("a", "de", "eins"),
        text("b", "", "b"),
    ];
    assert_eq!(add(&store, 0, &first).await, Some(1));
    assert_eq!(add(&store, 1, &[text("a", "de", "zwei")]).await, Some(2));
    assert_eq!(add(&store, 2, &[removed("b", "")]).await, Some(3));
    let now = store.templates().await.expect("read");
    assert_eq!(now.newest, 3);
    assert_eq!(
        output(now.rows),
        [line("a", "", 1, "one"), line("a", "de", 2, "zwei")]
    );
    assert_eq!(f.rows("CurrentTemplate", "1 = 1").await, 2);
    assert_eq!(f.rows("Template", "1 = 1").await, 5);
    assert_eq!(f.rows("TemplateChange", "1 = 1").await, 3);
}

pub(crate) async fn a_template_is_found_as_of_a_version(f: &dyn Fixture) {
    let store = f.fresh().await;
    let first = [
        text("a", "", "one"),
        text("_s", "", "s1"),
        text("b", "", "b"),
    ];
    add(&store, 0, &first).await;
    add(&store, 1, &[text("a", "", "two"), text("a", "de", "zwei")]).await;
    add(&store, 2, &[text("_s", "", "s3")]).await;
    add(&store, 3, &[removed("a", "de")]).await;
    let at = async |version| output(store.template_at("a", version).await.expect("read"));
    assert_eq!(
        at(1).await,
        [line("_s", "", 1, "s1"), line("a", "", 1, "one")]
    );
    let second = [
        line("_s", "", 1, "s1"),
        line("a", "", 2, "two"),
        line("a", "de", 2, "zwei"),
    ];
    assert_eq!(at(2).await, second);
    let last = at(4).await;
    assert_eq!(last[0], line("_s", "", 3, "s3"));
    assert_eq!(last[2].3, None, "removed, and it says so");
    assert_eq!(at(0).await, []);
    let other_case = store.template_at("A", 4).await.expect("read");
    assert_eq!(other_case.len(), 1, "names differ by case");
}

pub(crate) async fn the_second_of_two_imports_adds_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    assert_eq!(add(&store, 0, &[text("a", "", "one")]).await, Some(1));
    for newest in [0, 2] {
        assert_eq!(add(&store, newest, &[text("b", "", "x")]).await, None);
    }
    assert_eq!(f.rows("Template", "1 = 1").await, 1);
}

pub(crate) async fn of_many_that_import_at_once_each_version_is_one_import(f: &dyn Fixture) {
    f.fresh().await;
    let mut imports = tokio::task::JoinSet::new();
    for importer in 0..4 {
        let store = f.another().await;
        imports.spawn(async move {
            let texts = [text(&format!("a{importer}"), "", "x"), text("b", "", "y")];
            add(&store, 0, &texts).await
        });
    }
    let taken: Vec<_> = imports.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken, [1]);
    assert_eq!(f.rows("Template", "Version = 1").await, 2);
    assert_eq!(f.rows("TemplateChange", "1 = 1").await, 1);
}

pub(crate) async fn a_version_cannot_be_changed(f: &dyn Fixture) {
    let store = f.fresh().await;
    add(&store, 0, &[text("a", "", "one")]).await;
    for (table, set) in [
        ("Template", "Text = 'two'"),
        ("TemplateChange", "CreatedBy = 'x'"),
    ] {
        let table = f.table(table);
        let changed = f.try_sql(&format!("UPDATE {table} SET {set}")).await;
        let error = changed.expect_err("refused");
        assert!(error.contains("never changes"), "{error}");
    }
    let row = store.template_at("a", 1).await.expect("read");
    assert_eq!(output(row), [line("a", "", 1, "one")]);
}

pub(crate) async fn an_alert_says_which_templates_are_the_newest(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, Template";
    let early = f.insert(columns, "'ops@contoso.com', 'a'").await;
    assert_eq!(load(&store, early).await.newest_templates, None);
    add(&store, 0, &[text("a", "", "one")]).await;
    add(&store, 1, &[text("a", "", "two")]).await;
    assert_eq!(load(&store, early).await.newest_templates, Some(2));
    let plain = f.alert_to("ops@contoso.com").await;
    assert_eq!(
        load(&store, plain).await.newest_templates,
        None,
        "it needs none"
    );
}

pub(crate) async fn an_alert_taken_over_keeps_its_template_version(f: &dyn Fixture) {
    let store = f.fresh().await;
    let change = f.table("TemplateChange");
    f.sql(&format!(
        "INSERT INTO {change} (Version, CreatedAt) VALUES (1, '2001-01-31T12:00:00.000Z')"
    ))
    .await;
    let templated = f
        .insert("ToRecipients, Template", "'ops@contoso.com', 'a'")
        .await;
    let plain = f.alert_to("ops@contoso.com").await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    let (_, claimed) = claim(&store, a, 2).await;
    assert_eq!(claimed.len(), 2);
    f.advance(LEASE_AND_MORE).await;
    assert_eq!(add(&store, 1, &[text("a", "", "later")]).await, Some(2));
    assert_eq!(take_over(&store, b, 10).await, 2);
    let found = load(&store, templated).await;
    assert_eq!(found.template_version.as_deref(), Some("1"));
    assert_eq!(found.newest_templates, Some(2));
    assert_eq!(load(&store, plain).await.template_version, None);
}
