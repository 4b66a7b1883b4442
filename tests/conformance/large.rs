//! Alerts with very many recipients, and texts that are very long.

use RecipientStatus::{Delayed, Failed, Relayed};
use sendport_core::domain::{
    AlertStatus, CommandReply, Outcome, OutcomeKind, RecipientAddress, RecipientStatus,
    SessionFacts,
};
use sendport_store::RecordResult;

use crate::fixture::*;

pub(crate) const RECIPIENTS: usize = 10_000;

/// The addresses that [`recipient`] names.
pub(crate) fn list() -> String {
    let addresses: Vec<_> = (0..RECIPIENTS)
        .map(|n| format!("ops{n}@contoso.com"))
        .collect();
    addresses.join("; ")
}

pub(crate) async fn ten_thousand_recipients_are_recorded(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to(&list()).await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    let mut statuses = vec![Relayed; RECIPIENTS];
    statuses[4_711] = Delayed;
    statuses[RECIPIENTS - 1] = Failed;
    let first = outcome(id, token, 1, &statuses);
    assert_eq!(record(&store, instance, &first).await, RecordResult::Whole);
    let seen = line(&store, id).await;
    assert_eq!(seen.status, AlertStatus::Delayed);
    assert_eq!((seen.recipient_count, seen.relayed_count), (10_000, 9_998));
    assert_eq!((seen.waiting_count, seen.failed_count), (1, 1));
    assert_eq!(f.rows("AttemptReply", "1 = 1").await, 10_000);
    // Repeated without the lease: every fact is recorded already.
    assert_eq!(
        record(&store, instance, &first).await,
        RecordResult::FactsOnly
    );
    assert_eq!(line(&store, id).await, seen);
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, instance).await;
    assert_eq!(load(&store, id).await.recipients.len(), RECIPIENTS);
    statuses[4_711] = Relayed;
    let second = outcome(id, token, 2, &statuses);
    assert_eq!(record(&store, instance, &second).await, RecordResult::Whole);
    assert_eq!(status(&store, id).await, AlertStatus::Partial);
}

/// An instance without the lease records what was relayed, of all of them.
pub(crate) async fn ten_thousand_facts_are_recorded(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to(&list()).await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    f.advance(LEASE_AND_MORE).await;
    let b = instance(&store, "b").await;
    assert_eq!(in_rounds(1, || take_over(&store, b, 10)).await, 1);
    let facts = outcome(id, token, 1, &vec![Relayed; RECIPIENTS]);
    assert_eq!(record(&store, a, &facts).await, RecordResult::FactsOnly);
    let seen = line(&store, id).await;
    assert_eq!(seen.status, AlertStatus::Relayed);
    assert_eq!((seen.recipient_count, seen.relayed_count), (10_000, 10_000));
}

pub(crate) async fn ten_thousand_recipients_expire(f: &dyn Fixture) {
    let store = f.fresh().await;
    let many = f.alert_to(&list()).await;
    let few = f.alert_to("ops@contoso.com").await;
    f.advance(minutes(3 * 24 * 60)).await;
    assert_eq!(in_rounds(2, || expire(&store, 10)).await, 2);
    for (id, count) in [(many, 10_000), (few, 1)] {
        let seen = line(&store, id).await;
        assert_eq!(seen.status, AlertStatus::Expired);
        assert_eq!((seen.recipient_count, seen.failed_count), (count, count));
    }
}

/// In full, or as much as is documented, with a mark.
fn assert_kept(what: &str, found: Option<&str>, written: &str) {
    let found = found.unwrap_or_else(|| panic!("{what} is missing"));
    if found != written {
        let mark = format!(" [cut off here, of {} characters]", written.chars().count());
        let kept = found.strip_suffix(&mark).unwrap_or_else(|| {
            panic!(
                "{what} ends with {}",
                &found[found.len().saturating_sub(60)..]
            )
        });
        assert!(written.starts_with(kept), "{what}");
        let longest = if what == "StatusReason" { 2000 } else { 32_000 };
        assert_eq!(found.encode_utf16().count(), longest, "{what}");
    }
}

pub(crate) async fn long_texts_are_recorded_or_marked(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, _) = claim_one(&store, instance).await;
    let text = "O'Brien ".repeat(25_000);
    let readers = vec!["AB".repeat(20); 4_900].join(" ");
    let long = lengthened(outcome(id, token, 1, &[Failed]), &text, &readers);
    assert_eq!(record(&store, instance, &long).await, RecordResult::Whole);
    let delivery = &store.deliveries(Some(id), 1).await.expect("deliveries")[0];
    assert_kept("ReplyText", delivery.reply_text.as_deref(), &text);
    assert_eq!(delivery.encrypted_to.as_deref(), Some(&*readers));
    let reason = line(&store, id).await.status_reason;
    assert_kept("StatusReason", reason.as_deref(), &text);
    let query = format!("SELECT ReplyText FROM {}", f.table("AttemptReply"));
    assert_kept("AttemptReply", f.scalar(&query).await.as_deref(), &text);
    let query = format!("SELECT DisplayName FROM {}", f.table("Recipient"));
    assert_kept("DisplayName", f.scalar(&query).await.as_deref(), &text);
    assert_eq!(f.rows("Attempt", "ServerName IS NOT NULL").await, 1);
    assert_eq!(f.rows("Recipient", "Remark IS NOT NULL").await, 1);
}

/// With this text in every column that takes one.
fn lengthened(mut outcome: Outcome, text: &str, readers: &str) -> Outcome {
    let OutcomeKind::Decided(decision) = &mut outcome.kind else {
        panic!("{outcome:?}");
    };
    let long = || Some(text.to_owned());
    decision.reason = long();
    let attempt = decision.attempt.as_mut().expect("an attempt");
    attempt.protected.encrypted_to = Some(readers.to_owned());
    attempt.protected.signed_by = long();
    attempt.facts = SessionFacts {
        server_name: long(),
        remote_address: long(),
        ..SessionFacts::default()
    };
    for CommandReply { reply, .. } in &mut attempt.replies {
        reply.text = text.to_owned();
    }
    for recipient in &mut decision.recipients {
        recipient.address = RecipientAddress::from_row(recipient.address.text(), long());
        recipient.remark = long();
        recipient.relay = long();
        recipient.reply.as_mut().expect("a reply").text = text.to_owned();
    }
    outcome
}
