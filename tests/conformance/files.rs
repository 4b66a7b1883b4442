//! Files that an alert names: stored with it once, under its lease, all of them or none.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{AlertId, LeaseToken, RecipientStatus};
use sendport_store::Store;
use sendport_store::attachments::AlertFile;

use crate::attachments::{contents, stored};
use crate::fixture::*;

async fn naming(f: &dyn Fixture, list: &str) -> AlertId {
    let columns = "ToRecipients, Subject, FileAttachments, Reference";
    f.insert(
        columns,
        &format!("'ops@contoso.com', 'x', '{list}', 'named'"),
    )
    .await
}

fn file(name: &str, content: &[u8]) -> AlertFile {
    AlertFile {
        name: name.to_owned(),
        content: content.to_vec(),
    }
}

async fn store_files(
    store: &Arc<dyn Store>,
    id: AlertId,
    token: LeaseToken,
    files: &[AlertFile],
) -> bool {
    repeated(|| store.store_files(id, token, files.to_vec())).await
}

async fn names(store: &Arc<dyn Store>, id: AlertId) -> Vec<String> {
    let found = store.attachments(id).await.expect("attachments");
    let names = found.into_iter().map(|it| it.file_name.expect("a name"));
    names.collect()
}

pub(crate) async fn named_files_are_stored_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = naming(f, "/srv/a.pdf; /srv/報告 😀.csv;/srv/empty").await;
    let before = load(&store, id).await;
    assert_eq!((before.files_stored, before.attachment_count), (false, 0));
    assert_eq!(before.named_files().count(), 3);
    let large: Vec<u8> = (0..=255).cycle().take(3_000_000).collect();
    let files = [
        file("a.pdf", &large),
        file("報告 😀.csv", b"order;late"),
        file("empty", b""),
    ];
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    assert!(store_files(&store, id, token, &files).await);
    let after = load(&store, id).await;
    assert_eq!((after.files_stored, after.attachment_count), (true, 3));
    assert_eq!(names(&store, id).await, ["a.pdf", "報告 😀.csv", "empty"]);
    let wanted = files.iter().map(|file| file.content.clone());
    assert!(contents(&store, id).await == wanted.collect::<Vec<_>>());

    // A caller that got no answer asks again.
    assert!(store_files(&store, id, token, &[file("other", b"x")]).await);
    record(&store, instance, &released(id, token, Duration::ZERO)).await;
    let (token, _) = claim_one(&store, instance).await;
    let delayed = outcome(id, token, 1, &[RecipientStatus::Delayed]);
    record(&store, instance, &delayed).await;
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, instance).await;
    assert!(store_files(&store, id, token, &[file("other", b"x")]).await);
    assert!(load(&store, id).await.files_stored);
    assert_eq!(names(&store, id).await, ["a.pdf", "報告 😀.csv", "empty"]);
}

pub(crate) async fn files_are_stored_under_the_lease_alone(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = naming(f, "/srv/a").await;
    let (first, second) = (instance(&store, "a").await, f.another().await);
    let none = LeaseToken::random();
    assert!(!store_files(&store, id, none, &[file("a", b"none")]).await);
    let (lost, _) = claim_one(&store, first).await;
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&second, "b").await;
    assert_eq!(take_over(&second, other, 10).await, 1);
    assert!(!store_files(&store, id, lost, &[file("a", b"lost")]).await);
    let (token, _) = claim_one(&second, other).await;
    assert!(!store_files(&store, id, lost, &[file("a", b"lost")]).await);
    assert!(!load(&store, id).await.files_stored);
    assert!(names(&store, id).await.is_empty());
    assert!(store_files(&second, id, token, &[file("a", b"second")]).await);
    assert!(!store_files(&store, id, lost, &[file("a", b"lost")]).await);
    assert_eq!(contents(&store, id).await, [b"second"]);
}

pub(crate) async fn nothing_is_added_behind_the_files(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = naming(f, "/srv/a").await;
    let (alert, attachment) = (f.table("Alert"), f.table("Attachment"));
    let bytes = if alert.contains('.') { "0x00" } else { "x'00'" };
    let add = format!("INSERT INTO {attachment} (AlertId, Content) VALUES ({id}, {bytes})");
    f.sql(&add).await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    assert!(store_files(&store, id, token, &[file("a", b"a")]).await);
    f.try_sql(&add).await.expect_err("is being sent");
    assert_eq!(contents(&store, id).await, [vec![0], b"a".to_vec()]);
}

pub(crate) async fn a_thousand_files_are_stored(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = naming(f, "/srv/many").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    let files: Vec<_> = (0..1_000)
        .map(|n| file(&format!("{n}.txt"), format!("content {n}").as_bytes()))
        .collect();
    assert!(store_files(&store, id, token, &files).await);
    let wanted: Vec<_> = files.into_iter().map(|file| file.name).collect();
    assert_eq!(names(&store, id).await, wanted);
}

pub(crate) async fn files_go_with_their_alert(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = naming(f, "/srv/a").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    assert!(store_files(&store, id, token, &[file("a", b"a")]).await);
    let relayed = outcome(id, token, 1, &[RecipientStatus::Relayed]);
    record(&store, instance, &relayed).await;
    let alert = f.table("Alert");
    f.sql(&format!("DELETE FROM {alert} WHERE AlertId = {id}"))
        .await;
    let stored = stored(f);
    assert_eq!(f.count(&format!("SELECT COUNT(*) FROM {stored}")).await, 0);
}
