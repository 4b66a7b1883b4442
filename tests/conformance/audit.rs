//! Audit copies, and what is remarked about a recipient.

use std::sync::Arc;

use sendport_core::domain::{
    AlertId, AttemptKey, AuditCopy, AuditStage, Outcome, OutcomeKind, RecipientOutcome,
    RecipientStatus,
};
use sendport_store::Store;

use crate::fixture::*;

fn copy(alert: AlertId, bytes: Vec<u8>) -> AuditCopy {
    AuditCopy {
        attempt: AttemptKey::fresh(),
        alert,
        send_port: "default".to_owned(),
        relay: "mail".to_owned(),
        stage: AuditStage::Before,
        created_at: now(),
        message_id: "<4711@contoso.com>".to_owned(),
        reverse_path: String::new(),
        forward_paths: vec![
            "ops@contoso.com".to_owned(),
            "o'brien@contoso.com".to_owned(),
        ],
        bytes,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn kept(f: &dyn Fixture, stage: &str) -> String {
    let table = f.table("AuditCopy");
    let query = format!("SELECT Content FROM {table} WHERE Stage = '{stage}'");
    f.scalar(&query).await.expect("octets")
}

pub(crate) async fn a_copy_is_kept_byte_by_byte(f: &dyn Fixture) {
    let store = f.fresh().await;
    let every: Vec<u8> = (0..=255).collect();
    let copy = copy(f.alert_to("ops@contoso.com").await, every.repeat(20_000));
    store.keep_copy(&copy).await.expect("keep");
    let table = f.table("AuditCopy");
    let one = |column: &str| format!("SELECT {column} FROM {table}");
    assert_eq!(f.count(&one("SizeBytes")).await, 5_120_000);
    assert!(kept(f, "before").await == hex(&copy.bytes), "octets differ");
    let paths = f.scalar(&one("ForwardPaths")).await;
    assert_eq!(
        paths.as_deref(),
        Some("ops@contoso.com\no'brien@contoso.com")
    );
    let condition = format!(
        "AlertId = {} AND Stage = 'before' AND ReversePath = '' AND SendPort = 'default' \
         AND Relay = 'mail' AND MessageId = '<4711@contoso.com>'",
        copy.alert
    );
    assert_eq!(f.rows("AuditCopy", &condition).await, 1);
}

pub(crate) async fn one_attempt_at_one_stage_is_kept_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let before = copy(AlertId(1), b"Subject: first\r\n\r\n".to_vec());
    let again = AuditCopy {
        bytes: b"Subject: second\r\n\r\n".to_vec(),
        ..before.clone()
    };
    let after = AuditCopy {
        stage: AuditStage::After,
        ..again.clone()
    };
    for copy in [&before, &again, &after, &after] {
        store.keep_copy(copy).await.expect("keep");
    }
    assert_eq!(f.rows("AuditCopy", "1 = 1").await, 2);
    assert_eq!(kept(f, "before").await, hex(&before.bytes));
}

pub(crate) async fn a_copy_outlives_its_alert(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops@contoso.com").await;
    let copy = copy(id, Vec::new());
    store.keep_copy(&copy).await.expect("keep");
    let table = f.table("Alert");
    f.sql(&format!("DELETE FROM {table} WHERE AlertId = {id}"))
        .await;
    assert_eq!(f.rows("AuditCopy", &format!("AlertId = {id}")).await, 1);
}

fn recipients(outcome: &mut Outcome) -> &mut Vec<RecipientOutcome> {
    match &mut outcome.kind {
        OutcomeKind::Decided(decision) => &mut decision.recipients,
        OutcomeKind::Released { .. } => panic!("decided"),
    }
}

fn remarked(mut outcome: Outcome, remarks: &[Option<String>]) -> Outcome {
    for (recipient, remark) in recipients(&mut outcome).iter_mut().zip(remarks) {
        recipient.remark.clone_from(remark);
    }
    outcome
}

async fn remarks(store: &Arc<dyn Store>, id: AlertId) -> Vec<Option<String>> {
    let lines = store.deliveries(Some(id), 100).await.expect("deliveries");
    lines.into_iter().map(|line| line.remark).collect()
}

pub(crate) async fn a_remark_is_stored_beside_the_reply(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let remark = |text: &str| Some(text.to_owned());
    let statuses = [RecipientStatus::Relayed, RecipientStatus::Delayed];
    let first = remarked(
        outcome(id, token, 1, &statuses),
        &[remark("the relay doesn't do receipts"), remark("first")],
    );
    record(&store, a, &first).await;
    assert_eq!(
        remarks(&store, id).await,
        [remark("the relay doesn't do receipts"), remark("first")]
    );
    f.advance(minutes(6)).await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let statuses = [RecipientStatus::Relayed, RecipientStatus::Relayed];
    let mut second = outcome(id, token, 2, &statuses);
    recipients(&mut second).remove(0);
    record(&store, a, &second).await;
    assert_eq!(
        remarks(&store, id).await,
        [remark("the relay doesn't do receipts"), None]
    );
}

pub(crate) async fn a_long_remark_is_stored(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let long = "it's 😀 ".repeat(1000);
    let outcome = remarked(
        outcome(id, token, 1, &[RecipientStatus::Relayed]),
        &[Some(long.clone())],
    );
    record(&store, a, &outcome).await;
    let kept = remarks(&store, id).await.remove(0).expect("a remark");
    assert!(kept.len() > 300 && long.starts_with(&kept), "{kept}");
}
