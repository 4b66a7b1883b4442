//! Templates of a real database beside those of a folder.

use chrono::{Offset, Utc};
use sendport_core::clock::SystemClock;
use sendport_core::domain::TemplateText;
use sendport_store::StoreAdmin;
use sendport_store::sqlite::SqliteStore;

use super::*;

struct MemoryBudget {
    folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    cache: TemplateCache,
}

impl MemoryBudget {
    /// A database without templates, and a folder with `late` and `other`.
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["late.txt.j2", "other.txt.j2"] {
            std::fs::write(folder.path().join(name), "of the folder").expect("write");
        }
        let file = folder.path().join("sendport.db");
        let store = SqliteStore::open(&file, Arc::new(SystemClock)).expect("open");
        store.migrate().await.expect("migrate");
        let store = Arc::new(store);
        let templates = TemplateSource::read(folder.path()).expect("reads");
        Self {
            cache: TemplateCache {
                renderer: Renderer::in_process(),
                ..TemplateCache::new(templates, store.clone())
            },
            folder,
            store,
        }
    }

    async fn add(&self, name: &str, says: &str) -> u32 {
        let text = TemplateText {
            name: name.to_owned(),
            text: Some(says.to_owned()),
            ..TemplateText::default()
        };
        let newest = self.store.templates().await.expect("read").newest;
        let added = self.store.add_templates(newest, &[text]).await;
        added.expect("add").expect("no other import")
    }

    async fn output(&self, alert: &Alert) -> Result<(String, String), String> {
        let turn = self.cache.turn(alert).await;
        let rendered = match turn {
            Ok(turn) => self.cache.render(turn, alert, Utc.fix()).await,
            Err(error) => Err(error),
        };
        let rendered = match rendered {
            Ok(rendered) => rendered,
            Err(ComposeError::Never(refusal)) => return Err(refusal.reason),
            Err(other) => panic!("{other:?}"),
        };
        let version = rendered.template_version.unwrap_or_default();
        Ok((rendered.text.unwrap_or_default().into_owned(), version))
    }
}

fn alert(name: &str, pinned: Option<&str>, newest: Option<u32>) -> Alert {
    Alert {
        template: Some(name.to_owned()),
        template_version: pinned.map(str::to_owned),
        newest_templates: newest,
        ..crate::fixture::alert()
    }
}

fn both(text: &str, version: &str) -> Result<(String, String), String> {
    Ok((text.to_owned(), version.to_owned()))
}

#[tokio::test]
async fn the_database_goes_before_the_folder_name_by_name() {
    let memory = MemoryBudget::new().await;
    let (text, hash) = memory
        .output(&alert("late", None, None))
        .await
        .expect("renders");
    assert_eq!((text.as_str(), hash.len()), ("of the folder", 16));
    memory.add("late", "one").await;
    memory.add("late", "two").await;
    let newest = Some(2);
    assert_eq!(
        memory.output(&alert("late", None, newest)).await,
        both("two", "2")
    );
    let other = memory
        .output(&alert("other", None, newest))
        .await
        .expect("renders");
    assert_eq!(other.0, "of the folder");
    // What began with the folder's goes on with the folder's.
    let pinned = alert("late", Some(&hash), newest);
    assert_eq!(memory.output(&pinned).await, both("of the folder", &hash));
    let unknown = memory.output(&alert("nothing", None, newest)).await;
    assert!(
        unknown
            .expect_err("unknown")
            .contains("sendport template list")
    );
}

#[tokio::test]
async fn a_pinned_version_is_used_whatever_came_after_it() {
    let memory = MemoryBudget::new().await;
    memory.add("late", "one").await;
    memory.add("_shared", "x").await;
    memory.add("late", "three").await;
    let pinned = alert("late", Some("1"), Some(3));
    assert_eq!(memory.output(&pinned).await, both("one", "1"));
    assert_eq!(
        memory.output(&alert("late", Some("2"), Some(3))).await,
        both("one", "2")
    );
    let gone = memory.output(&alert("gone", Some("3"), Some(3))).await;
    assert!(
        gone.expect_err("gone")
            .contains("version 3 of template 'gone'")
    );
    let of_folder = memory.output(&alert("other", Some("3"), Some(3))).await;
    assert_eq!(of_folder.expect("renders").0, "of the folder");
}

#[tokio::test]
async fn content_read_once_is_cached_without_the_database() {
    let memory = MemoryBudget::new().await;
    memory.add("late", "one").await;
    let alert = alert("late", None, Some(1));
    assert_eq!(memory.output(&alert).await, both("one", "1"));
    std::fs::rename(
        memory.folder.path().join("sendport.db"),
        memory.folder.path().join("away"),
    )
    .expect("rename");
    assert_eq!(memory.output(&alert).await, both("one", "1"));
    let not_read = Alert {
        template: Some("other".to_owned()),
        ..alert
    };
    let waits = memory.cache.for_alert(&not_read).await;
    assert!(
        matches!(waits, Err(ComposeError::NotNow { .. })),
        "it waits, and does not fail"
    );
}

#[tokio::test]
async fn evicts_the_template_that_was_used_least_recently() {
    let memory = MemoryBudget::new().await;
    memory.add("late", "one").await;
    for other in 0..CAPACITY.get() * 2 {
        let _ = memory
            .output(&alert(&format!("name{other}"), None, Some(1)))
            .await;
        assert_eq!(
            memory.output(&alert("late", None, Some(1))).await,
            both("one", "1")
        );
    }
    let cached = memory.cache.cached.lock();
    assert_eq!(cached.len(), CAPACITY.get());
    assert!(cached.contains(&("late".to_owned(), 1)), "it was in use");
}
