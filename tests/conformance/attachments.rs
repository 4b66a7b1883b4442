//! Attachments: inserted with their alert, read when it is sent, the same in every attempt.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{
    AlertId, AttachmentId, ContentDisposition, RecipientStatus, TransferEncoding,
};
use sendport_store::{NewAlert, NewAttachment, Store};

use crate::fixture::*;

/// A statement that adds a file to the alerts of a reference.
fn add(f: &dyn Fixture, reference: &str) -> String {
    let (alert, attachment) = (f.table("Alert"), f.table("Attachment"));
    // Bytes are written differently: x'00ff' and 0x00ff.
    let bytes = if alert.contains('.') {
        "0x00FF"
    } else {
        "x'00FF'"
    };
    format!(
        "INSERT INTO {attachment} (AlertId, FileName, Content) \
         SELECT AlertId, 'order.bin', {bytes} FROM {alert} WHERE Reference = '{reference}'"
    )
}

/// An alert with one attachment, inserted as the documentation shows.
pub(crate) async fn with_one(f: &dyn Fixture, reference: &str) -> AlertId {
    let alert = f.table("Alert");
    let insert = format!(
        "INSERT INTO {alert} (ToRecipients, Subject, Reference) VALUES ('ops@contoso.com', 'x', '{reference}')"
    );
    let add = add(f, reference);
    f.sql(&format!("BEGIN TRANSACTION; {insert}; {add}; COMMIT"))
        .await;
    let id = format!("SELECT AlertId FROM {alert} WHERE Reference = '{reference}'");
    AlertId(f.count(&id).await)
}

/// The table that holds them: on SQL Server `Attachment` shows what may still be added to.
pub(crate) fn stored(f: &dyn Fixture) -> String {
    match f.table("Attachment") {
        table if table.contains('.') => f.table("AttachmentRow"),
        table => table,
    }
}

pub(crate) async fn contents(store: &Arc<dyn Store>, id: AlertId) -> Vec<Vec<u8>> {
    let mut contents = Vec::new();
    for attachment in store.attachments(id).await.expect("attachments") {
        let mut content = Vec::new();
        while (content.len() as u64) < attachment.size_bytes {
            let from = content.len() as u64;
            let piece = store.attachment_content(id, attachment.id, from, 1_000_000);
            content.extend(piece.await.expect("content").expect("is there"));
            assert!(
                content.len().is_multiple_of(1_000_000)
                    || content.len() as u64 == attachment.size_bytes
            );
        }
        let behind = store.attachment_content(id, attachment.id, attachment.size_bytes, 10);
        assert_eq!(behind.await.expect("content"), Some(Vec::new()));
        contents.push(content);
    }
    contents
}

pub(crate) async fn attachments_come_back_in_order(f: &dyn Fixture) {
    let store = f.fresh().await;
    let every: Vec<u8> = (0..=255).collect();
    let attachments = vec![
        NewAttachment {
            media_type: Some("image/png; x=\"y\"".to_owned()),
            disposition: ContentDisposition::Inline,
            content_id: Some("<logo@contoso.com>".to_owned()),
            description: Some("Größe, 報告 😀".to_owned()),
            transfer_encoding: TransferEncoding::QuotedPrintable,
            ..NewAttachment::file("報告 'x'; DROP TABLE 😀.png", every.repeat(20_000))
        },
        NewAttachment::file("empty", Vec::new()),
        NewAttachment {
            file_name: None,
            transfer_encoding: TransferEncoding::SevenBit,
            ..NewAttachment::file("", vec![0; 9000])
        },
    ];
    let alert = NewAlert {
        to_recipients: Some("ops@contoso.com".to_owned()),
        attachments: attachments.clone(),
        ..NewAlert::default()
    };
    let id = store.insert(&alert).await.expect("insert");
    let found = store.attachments(id).await.expect("attachments");
    assert_eq!(found.len(), 3);
    for (found, wanted) in found.iter().zip(&attachments) {
        assert_eq!(found.file_name, wanted.file_name);
        assert_eq!(found.media_type, wanted.media_type);
        assert_eq!(found.disposition, wanted.disposition);
        assert_eq!(found.content_id, wanted.content_id);
        assert_eq!(found.description, wanted.description);
        assert_eq!(found.transfer_encoding, wanted.transfer_encoding);
    }
    let wanted = attachments.into_iter().map(|attachment| attachment.content);
    assert!(contents(&store, id).await == wanted.collect::<Vec<_>>());
}

pub(crate) async fn one_transaction_inserts_alert_and_attachment(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = with_one(f, "a").await;
    let without = f.alert_to("ops@contoso.com").await;
    assert_eq!(contents(&store, id).await, [[0, 255]]);
    let found = store.attachments(id).await.expect("attachments").remove(0);
    assert_eq!(found.disposition, ContentDisposition::Attachment);
    assert_eq!(found.transfer_encoding, TransferEncoding::Base64);
    assert_eq!(load(&store, id).await.attachment_count, 1);
    assert_eq!(load(&store, without).await.attachment_count, 0);
    assert_eq!(store.attachments(without).await.expect("none"), []);
}

pub(crate) async fn a_rolled_back_alert_leaves_none(f: &dyn Fixture) {
    f.fresh().await;
    let alert = f.table("Alert");
    let add = add(f, "a");
    f.sql(&format!(
        "BEGIN TRANSACTION; INSERT INTO {alert} (ToRecipients, Reference) VALUES ('a@b.example', 'a'); {add}; ROLLBACK"
    ))
    .await;
    assert_eq!(f.count(&format!("SELECT COUNT(*) FROM {alert}")).await, 0);
    let stored = stored(f);
    assert_eq!(f.count(&format!("SELECT COUNT(*) FROM {stored}")).await, 0);
}

pub(crate) async fn nothing_is_added_behind_a_claim(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = with_one(f, "a").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    let late = add(f, "a");
    let refused = f.try_sql(&late).await.expect_err("is being sent");
    let why = [
        "check option",
        "needs an alert that waits for its first attempt",
    ];
    let refused = refused.to_lowercase();
    assert!(why.iter().any(|it| refused.contains(it)), "{refused}");
    record(&store, instance, &released(id, token, Duration::ZERO)).await;
    f.sql(&late).await;

    let (token, _) = claim_one(&store, instance).await;
    let delayed = outcome(id, token, 1, &[RecipientStatus::Delayed]);
    record(&store, instance, &delayed).await;
    f.try_sql(&late).await.expect_err("was tried once");
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, instance).await;
    let relayed = outcome(id, token, 2, &[RecipientStatus::Relayed]);
    record(&store, instance, &relayed).await;
    f.try_sql(&late).await.expect_err("is final");
    assert_eq!(contents(&store, id).await.len(), 2);
}

pub(crate) async fn they_need_an_alert_and_go_with_it(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = with_one(f, "a").await;
    let kept = with_one(f, "b").await;
    let attachment = f.table("Attachment");
    let lone = format!(
        "INSERT INTO {attachment} (AlertId, Content) SELECT 4711, Content FROM {attachment} WHERE AlertId = {id}"
    );
    f.try_sql(&lone).await.expect_err("no such alert");
    let gone = store
        .attachments(id)
        .await
        .expect("attachments")
        .remove(0)
        .id;
    let alert = f.table("Alert");
    f.sql(&format!("DELETE FROM {alert} WHERE AlertId = {id}"))
        .await;
    let stored = stored(f);
    assert_eq!(f.count(&format!("SELECT COUNT(*) FROM {stored}")).await, 1);
    assert_eq!(
        store
            .attachment_content(id, gone, 0, 10)
            .await
            .expect("asked"),
        None
    );
    let never = AttachmentId(i64::MAX);
    assert_eq!(
        store
            .attachment_content(kept, never, 0, 10)
            .await
            .expect("asked"),
        None
    );
}

pub(crate) async fn malformed_attachments_are_refused_by_name(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = with_one(f, "a").await;
    let attachment = f.table("Attachment");
    for (column, value, constraint) in [
        (
            "Disposition",
            "hidden",
            "CK_Attachment_Disposition_attachment_or_inline",
        ),
        (
            "TransferEncoding",
            "8bit",
            "CK_Attachment_TransferEncoding_base64_quoted-printable_or_7bit",
        ),
    ] {
        let insert = format!(
            "INSERT INTO {attachment} (AlertId, {column}, Content) SELECT AlertId, '{value}', Content FROM {attachment}"
        );
        let refused = f.try_sql(&insert).await.expect_err(value);
        assert!(
            refused.to_lowercase().contains(&constraint.to_lowercase()),
            "{refused}"
        );
    }
    assert_eq!(contents(&store, id).await.len(), 1);
}
