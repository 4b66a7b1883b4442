//! How the service reads the values that applications write.

use sendport_core::domain::{
    AlertId, BodyFormat, ContentDisposition, Importance, Priority, Sensitivity, TransferEncoding,
};
use sendport_store::{LoadResult, NewAlert, NewAttachment, StoreErrorKind};

use crate::fixture::*;

pub(crate) async fn every_column_comes_back_as_it_was_written(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, CcRecipients, BccRecipients, FromAddress, ReplyTo, Subject, Body, BodyFormat, \
                   Template, Payload, Language, AlertName, Severity, Source, Reference, SendPort, Priority, \
                   Importance, Sensitivity, Headers, DeliveryReceipt, ReadReceipt, Protection, DedupKey, \
                   FileAttachments";
    let values = "'to@contoso.com', 'cc@contoso.com', 'bcc@contoso.com', 'from@contoso.com', 're@contoso.com', \
                  'subject', '<p>body</p>', 'HTML', 'late-order', '{\"order\": 4711}', 'de-AT', 'LateOrder', \
                  'high', 'erp', 'order-4711', 'billing', 'urgent', 'High', 'private', '{\"X-Order\": \"4711\"}', \
                  1, 1, 'sign+encrypt', 'late-4711', '/srv/a.pdf; /srv/b.pdf'";
    let id = f.insert(columns, values).await;
    let alert = load(&store, id).await;
    let texts = [
        (&alert.cc_recipients, "cc@contoso.com"),
        (&alert.bcc_recipients, "bcc@contoso.com"),
        (&alert.from_address, "from@contoso.com"),
        (&alert.reply_to, "re@contoso.com"),
        (&alert.template, "late-order"),
        (&alert.payload, "{\"order\": 4711}"),
        (&alert.language, "de-AT"),
        (&alert.alert_name, "LateOrder"),
        (&alert.severity, "high"),
        (&alert.source, "erp"),
        (&alert.reference, "order-4711"),
        (&alert.headers, "{\"X-Order\": \"4711\"}"),
        (&alert.protection, "sign+encrypt"),
        (&alert.dedup_key, "late-4711"),
        (&alert.file_attachments, "/srv/a.pdf; /srv/b.pdf"),
    ];
    for (found, expected) in texts {
        assert_eq!(found.as_deref(), Some(expected));
    }
    assert_eq!(alert.body_format, BodyFormat::Html);
    assert_eq!(alert.priority, Priority::Urgent);
    assert_eq!(alert.importance, Importance::High);
    assert_eq!(alert.sensitivity, Sensitivity::Private);
    assert!(alert.delivery_receipt && alert.read_receipt);
    assert_eq!(alert.send_port, "billing");
}

/// As an `nchar` variable of an application fills them up. Leading blanks belong to a name.
pub(crate) async fn blanks_at_the_end_of_names_count_for_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, Subject, SendPort, Priority, BodyFormat, Importance, Sensitivity, Protection, \
                   Template, Language, Severity, Source, AlertName, Reference, DedupKey";
    let values = "'ops@contoso.com', 'x', 'default   ', 'urgent ', 'html ', 'high ', 'private ', 'sign ', \
                  'late ', 'de-AT ', 'high ', 'erp ', 'LateOrder ', 'order-4711 ', 'late-4711 '";
    let id = f.insert(columns, values).await;
    f.insert("ToRecipients, SendPort", "'ops@contoso.com', ' default'")
        .await;
    let instance = instance(&store, "a").await;
    let (token, claimed) = claim_one(&store, instance).await;
    assert_eq!(claimed, id);
    let alert = load(&store, id).await;
    assert_eq!(alert.send_port, "default");
    assert_eq!(
        (alert.priority, alert.body_format),
        (Priority::Urgent, BodyFormat::Html)
    );
    assert_eq!(
        (alert.importance, alert.sensitivity),
        (Importance::High, Sensitivity::Private)
    );
    for (found, expected) in [
        (&alert.protection, "sign"),
        (&alert.template, "late"),
        (&alert.language, "de-AT"),
        (&alert.severity, "high"),
        (&alert.source, "erp"),
        (&alert.alert_name, "LateOrder"),
        (&alert.reference, "order-4711"),
        (&alert.dedup_key, "late-4711"),
    ] {
        assert_eq!(found.as_deref(), Some(expected));
    }
    record(&store, instance, &released(id, token, minutes(5))).await;
    for name in ["default", "default ", "default    "] {
        let here = format!("Status = 'queued' AND SendPort = '{name}'");
        assert_eq!(f.rows("AlertStatus", &here).await, 1, "{name}");
    }
    let ports = store.queue().await.expect("queue");
    let ports: Vec<_> = ports.iter().map(|line| &*line.send_port).collect();
    assert_eq!(ports, [" default", "default"]);
    assert_eq!(f.rows("AlertStatus", "Reference = 'order-4711'").await, 1);
}

pub(crate) async fn a_huge_body_and_every_script_come_back_exactly(f: &dyn Fixture) {
    let store = f.fresh().await;
    let scripts = "Zürich Ελλάδα Україна 日本語 עברית 🚨🧑‍💻 \u{301} ' \" ; -- \\ %s\r\n\t";
    let body = scripts.repeat(1024 * 1024 / scripts.len() + 1);
    assert!(body.len() >= 1024 * 1024);
    let alert = NewAlert {
        to_recipients: Some("\"Größe, Jörg\" <ops@contoso.com>".to_owned()),
        subject: Some(scripts.to_owned()),
        body: Some(body.clone()),
        not_before: Some(now() - minutes(1)),
        expires_at: Some(now() + minutes(1)),
        ..NewAlert::default()
    };
    let id = store.insert(&alert).await.expect("insert");
    let found = load(&store, id).await;
    assert!(
        found.body.as_deref() == Some(&*body),
        "the body changed on its way"
    );
    assert_eq!(found.subject.as_deref(), Some(scripts));
    assert_eq!(found.to_recipients, alert.to_recipients);
    let millis =
        |time: Option<sendport_core::domain::Timestamp>| time.map(|t| t.timestamp_millis());
    assert_eq!(millis(found.not_before), millis(alert.not_before));
    assert_eq!(millis(found.expires_at), millis(alert.expires_at));
}

pub(crate) async fn malformed_values_are_refused_by_name(f: &dyn Fixture) {
    f.fresh().await;
    let alert = f.table("Alert");
    for (column, value, constraint) in [
        ("Priority", "asap", "CK_Alert_Priority_urgent_normal_or_low"),
        ("BodyFormat", "rtf", "CK_Alert_BodyFormat_text_or_html"),
        (
            "Importance",
            "very",
            "CK_Alert_Importance_low_normal_or_high",
        ),
        (
            "Sensitivity",
            "secret",
            "CK_Alert_Sensitivity_normal_personal_private_or_confidential",
        ),
        (
            "Protection",
            "rot13",
            "CK_Alert_Protection_none_sign_encrypt_or_sign+encrypt",
        ),
    ] {
        let insert = format!(
            "INSERT INTO {alert} (ToRecipients, {column}) VALUES ('a@b.example', '{value}')"
        );
        let refused = f.try_sql(&insert).await.expect_err(column);
        // Not every engine keeps the case of a name.
        let named = refused.to_lowercase().contains(&constraint.to_lowercase());
        assert!(named, "{column}: {refused}");
    }
    assert_eq!(f.rows("Alert", "1 = 1").await, 0);
}

pub(crate) async fn an_operator_sees_which_constraint_refused(f: &dyn Fixture) {
    let store = f.fresh().await;
    let alert = NewAlert {
        to_recipients: Some("ops@contoso.com".to_owned()),
        subject: Some("x".repeat(2000)),
        ..NewAlert::default()
    };
    let error = store.insert(&alert).await.expect_err("a subject of 2000");
    assert_eq!(error.kind(), StoreErrorKind::Rejected, "{error}");
    assert!(!error.is_transient());
}

pub(crate) async fn one_unreadable_row_fails_alone(f: &dyn Fixture) {
    let store = f.fresh().await;
    let good = f.alert_to("ops@contoso.com").await;
    let bad = f.alert_to("ops@contoso.com").await;
    let Some(statement) = f.make_unreadable(bad) else {
        return;
    };
    f.sql(&statement).await;
    let instance = instance(&store, "a").await;
    let (_, ids) = claim(&store, instance, 10).await;
    assert_eq!(ids.len(), 2, "it is claimed, so that it can fail");
    let loaded = store.load(&ids).await.expect("load");
    assert_eq!(loaded.len(), 2);
    for row in loaded {
        match row {
            LoadResult::Alert(alert) => assert_eq!(alert.id, good),
            LoadResult::Unreadable { id, reason } => {
                assert_eq!(id, bad);
                assert!(!reason.is_empty());
            }
            LoadResult::Large { .. } => panic!("both are short"),
        }
    }
}

/// A hundred of these are claimed at once, and must not be in memory at once.
pub(crate) async fn long_texts_are_read_one_by_one(f: &dyn Fixture) {
    let store = f.fresh().await;
    let text = |bytes: u32| "0123456789abcdef".repeat(bytes as usize / 16);
    let attachment = NewAttachment {
        file_name: Some("orders.bin".to_owned()),
        media_type: None,
        disposition: ContentDisposition::Attachment,
        content_id: None,
        description: None,
        transfer_encoding: TransferEncoding::Base64,
        content: vec![1; 1_000_000],
    };
    let alert = NewAlert {
        to_recipients: Some("ops@contoso.com".to_owned()),
        subject: Some("long".to_owned()),
        body: Some(text(3_000_000)),
        payload: Some("{}".to_owned()),
        attachments: vec![attachment],
        ..NewAlert::default()
    };
    let long = store.insert(&alert).await.expect("insert");
    let short = f.alert_to("ops@contoso.com").await;
    for loaded in store.load(&[long, short]).await.expect("load") {
        match loaded {
            LoadResult::Large { alert, bytes } => {
                assert_eq!((alert.id, alert.body, alert.payload), (long, None, None));
                assert_eq!(alert.subject.as_deref(), Some("long"));
                assert!((4_000_000..8_000_000).contains(&bytes), "{bytes}");
            }
            LoadResult::Alert(alert) => assert_eq!(alert.id, short),
            other @ LoadResult::Unreadable { .. } => panic!("{other:?}"),
        }
    }
    match store.whole_alert(long).await.expect("load") {
        Some(LoadResult::Alert(whole)) => {
            assert_eq!(whole.body, alert.body);
            assert_eq!(whole.payload.as_deref(), Some("{}"));
        }
        other => panic!("{other:?}"),
    }
    let gone = AlertId(i64::from(i32::MAX));
    assert_eq!(store.whole_alert(gone).await.expect("load"), None);
}

pub(crate) async fn an_alert_that_is_gone_is_missing(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops@contoso.com").await;
    let gone = AlertId(i64::from(i32::MAX));
    assert_eq!(store.load(&[gone, id]).await.expect("load").len(), 1);
    assert!(store.load(&[]).await.expect("load").is_empty());
    assert!(
        store
            .alerts(Some(gone), 1)
            .await
            .expect("alerts")
            .is_empty()
    );
}
