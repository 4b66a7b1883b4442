//! What an outcome leaves behind.

use std::time::Duration;

use RecipientStatus::{Delayed, Failed, Relayed};
use sendport_core::domain::{
    AlertId, AlertStatus, Decision, LeaseToken, Outcome, OutcomeKind, ProtectionFacts,
    RecipientAddress, RecipientStatus, parse_address_list,
};
use sendport_store::RecordResult;

use crate::fixture::*;

pub(crate) async fn relayed_to_all_is_final(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com, ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    let recorded = record(
        &store,
        instance,
        &outcome(id, token, 1, &[Relayed, Relayed]),
    )
    .await;
    assert_eq!(recorded, RecordResult::Whole);
    let line = line(&store, id).await;
    assert_eq!(line.status, AlertStatus::Relayed);
    assert_eq!((line.recipient_count, line.relayed_count), (2, 2));
    assert_eq!((line.waiting_count, line.failed_count), (0, 0));
    assert_eq!((line.attempt_count, line.next_attempt_at), (1, None));
    let deliveries = store.deliveries(Some(id), 10).await.expect("deliveries");
    assert_eq!(deliveries[1].address, "ops1@contoso.com");
    assert_eq!(deliveries[1].status, "relayed");
    assert_eq!(deliveries[1].reply_code, Some(250));
    assert_eq!(deliveries[1].command.as_deref(), Some("END-OF-DATA"));
    assert_eq!(deliveries[1].relay.as_deref(), Some("mail"));
    assert!(store.queue().await.expect("queue").is_empty());
    assert_eq!(f.rows("FailedDelivery", "1 = 1").await, 0);
    assert_eq!(f.rows("AlertStatus", "FinalAt IS NOT NULL").await, 1);
    f.advance(minutes(60)).await;
    assert!(claim(&store, instance, 10).await.1.is_empty());
}

pub(crate) async fn some_relayed_and_some_failed_is_partial(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(id, token, 1, &[Relayed, Failed])).await;
    let line = line(&store, id).await;
    assert_eq!(line.status, AlertStatus::Partial);
    assert_eq!((line.relayed_count, line.failed_count), (1, 1));
    let failed = "Address = 'ops1@contoso.com' AND Reason = 'no such user' \
                  AND ReplyCode = 550 AND EnhancedStatusCode = '5.1.1'";
    assert_eq!(f.rows("FailedDelivery", failed).await, 1);
    assert_eq!(f.rows("FailedDelivery", "1 = 1").await, 1);
}

pub(crate) async fn addresses_of_every_script_come_back(f: &dyn Fixture) {
    let store = f.fresh().await;
    let list =
        "Größe 🚨 <jürgen@xn--mnchen-3ya.example>; 中文@contoso.com; e\u{327}\u{301}@contoso.com";
    let read = parse_address_list(list);
    let mailboxes: Vec<_> = read
        .into_iter()
        .map(|entry| entry.expect("is one"))
        .collect();
    f.alert_to(list).await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    let mut decided = outcome(id, token, 1, &[Relayed, Delayed, Delayed]);
    let OutcomeKind::Decided(decision) = &mut decided.kind else {
        panic!("{decided:?}");
    };
    for (recipient, mailbox) in decision.recipients.iter_mut().zip(&mailboxes) {
        recipient.address = RecipientAddress::Parsed(mailbox.clone());
    }
    record(&store, instance, &decided).await;
    let deliveries = store.deliveries(Some(id), 10).await.expect("deliveries");
    let shown: Vec<_> = deliveries.iter().map(|line| &line.address).collect();
    let written: Vec<_> = mailboxes.iter().map(|it| it.address.to_string()).collect();
    assert_eq!(shown, written.iter().collect::<Vec<_>>());
    let loaded = load(&store, id).await.recipients;
    let again: Vec<_> = loaded
        .into_iter()
        .map(|recipient| recipient.address.mailbox().cloned())
        .collect();
    let written: Vec<_> = mailboxes.into_iter().map(Some).collect();
    assert_eq!(again, written);
}

/// The second attempt is for one of the two, encrypted to so many that their names are long.
pub(crate) async fn an_attempt_and_delivery_show_the_protection(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    let first = outcome(id, token, 1, &[Relayed, Delayed]);
    record(&store, instance, &first).await;
    f.advance(minutes(6)).await;
    let (token, id) = claim_one(&store, instance).await;
    let readers: Vec<_> = (0..100).map(|n| format!("{n:064x}")).collect();
    let protected = ProtectionFacts {
        signed_by: Some("ab".repeat(32)),
        signature_algorithm: Some("ecdsa sha384 opaque".to_owned()),
        encrypted_to: Some(readers.join(" ")),
        encryption_algorithm: Some("aes-256-gcm rsa-oaep rsa-pkcs1".to_owned()),
        header_protection: Some("none".to_owned()),
    };
    let second = protected_for_the_second(outcome(id, token, 2, &[Relayed, Relayed]), &protected);
    record(&store, instance, &second).await;

    let clear = "AttemptNumber = 1 AND SignedBy IS NULL AND SignatureAlgorithm IS NULL \
                 AND EncryptedTo IS NULL AND EncryptionAlgorithm IS NULL AND HeaderProtection IS NULL";
    assert_eq!(f.rows("Attempt", clear).await, 1);
    let done = "SignatureAlgorithm = 'ecdsa sha384 opaque' AND HeaderProtection = 'none' \
                AND EncryptionAlgorithm = 'aes-256-gcm rsa-oaep rsa-pkcs1' AND Protection = 'sign+encrypt'";
    let attempt = format!("AttemptNumber = 2 AND {done}");
    assert_eq!(f.rows("Attempt", &attempt).await, 1);
    let shown = format!("Ordinal = 1 AND {done}");
    assert_eq!(f.rows("Delivery", &shown).await, 1);
    let lines = store.deliveries(Some(id), 10).await.expect("deliveries");
    let of = |line: usize| {
        let line = &lines[line];
        let (id, by) = (line.message_id.as_deref(), line.signed_by.as_deref());
        (
            id,
            line.protection.as_deref(),
            by,
            line.encrypted_to.as_deref(),
        )
    };
    assert_eq!(
        of(0),
        (Some("<4711@contoso.com>"), Some("none"), None, None)
    );
    let (by, to) = (
        protected.signed_by.as_deref(),
        protected.encrypted_to.as_deref(),
    );
    assert_eq!(
        of(1),
        (Some("<4711.ec@contoso.com>"), Some("sign+encrypt"), by, to)
    );
}

/// The same outcome, of an attempt for the second recipient alone.
fn protected_for_the_second(mut outcome: Outcome, protected: &ProtectionFacts) -> Outcome {
    let OutcomeKind::Decided(decision) = &mut outcome.kind else {
        panic!("{outcome:?}");
    };
    decision.recipients.remove(0);
    let attempt = decision.attempt.as_mut().expect("an attempt");
    attempt.replies.remove(0);
    attempt.message_id = "<4711.ec@contoso.com>".to_owned();
    attempt.protection = "sign+encrypt".to_owned();
    attempt.protected = protected.clone();
    outcome
}

pub(crate) async fn failed_for_all_is_failed(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(id, token, 1, &[Failed, Failed])).await;
    assert_eq!(status(&store, id).await, AlertStatus::Failed);
    assert_eq!(f.rows("FailedDelivery", "1 = 1").await, 2);
    assert_eq!(f.rows("Attempt", "Outcome = 'failed'").await, 1);
}

pub(crate) async fn an_alert_that_fails_as_a_whole_says_why(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    let decision = Decision {
        status: AlertStatus::Failed,
        retry_in: None,
        reason: Some("there is no template 'late-order'".to_owned()),
        attempt: None,
        recipients: Vec::new(),
        template_version: None,
    };
    record(&store, instance, &decided(id, token, decision)).await;
    let line = line(&store, id).await;
    assert_eq!(line.status, AlertStatus::Failed);
    assert_eq!(
        line.status_reason.as_deref(),
        Some("there is no template 'late-order'")
    );
    assert_eq!(line.attempt_count, 0);
    let shown = "Reason = 'there is no template ''late-order'''";
    assert_eq!(f.rows("FailedDelivery", shown).await, 1);
}

pub(crate) async fn delayed_is_due_again_after_its_retry_only(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(
        &store,
        instance,
        &outcome(id, token, 1, &[Relayed, Delayed]),
    )
    .await;
    let line = line(&store, id).await;
    assert_eq!(line.status, AlertStatus::Delayed);
    assert_eq!(line.waiting_count, 1);
    let due = line.next_attempt_at.expect("due") - now();
    assert!(
        (4 * 60..=5 * 60).contains(&due.num_seconds()),
        "due in {due}"
    );
    f.advance(minutes(4)).await;
    assert!(claim(&store, instance, 10).await.1.is_empty());
    f.advance(minutes(1)).await;
    let (token, _) = claim_one(&store, instance).await;
    let alert = load(&store, id).await;
    assert_eq!(alert.attempt_count, 1);
    let statuses: Vec<_> = alert.recipients.iter().map(|r| r.status).collect();
    assert_eq!(statuses, [Relayed, Delayed]);
    record(
        &store,
        instance,
        &outcome(id, token, 2, &[Relayed, Relayed]),
    )
    .await;
    assert_eq!(status(&store, id).await, AlertStatus::Relayed);
    assert_eq!(f.rows("Attempt", "1 = 1").await, 2);
}

pub(crate) async fn released_comes_back_without_an_attempt(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    let outcome = released(id, token, Duration::from_secs(30));
    assert_eq!(
        record(&store, instance, &outcome).await,
        RecordResult::Whole
    );
    let line = line(&store, id).await;
    assert_eq!((line.status, line.attempt_count), (AlertStatus::Queued, 0));
    assert!(claim(&store, instance, 10).await.1.is_empty());
    f.advance(Duration::from_secs(31)).await;
    claim_one(&store, instance).await;
    assert_eq!(f.rows("Attempt", "1 = 1").await, 0);
}

pub(crate) async fn a_delayed_alert_that_is_released_is_delayed_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(id, token, 1, &[Delayed])).await;
    f.advance(minutes(6)).await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &released(id, token, Duration::ZERO)).await;
    let line = line(&store, id).await;
    assert_eq!((line.status, line.attempt_count), (AlertStatus::Delayed, 1));
    claim_one(&store, instance).await;
}

pub(crate) async fn an_outcome_that_is_repeated_changes_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    let outcome = outcome(id, token, 1, &[Relayed, Delayed]);
    assert_eq!(
        record(&store, instance, &outcome).await,
        RecordResult::Whole
    );
    let before = (
        line(&store, id).await,
        store.deliveries(None, 10).await.expect("deliveries"),
    );
    for _ in 0..2 {
        assert_ne!(record(&store, instance, &outcome).await, RecordResult::Gone);
    }
    let after = (
        line(&store, id).await,
        store.deliveries(None, 10).await.expect("deliveries"),
    );
    assert_eq!(before, after);
    assert_eq!(f.rows("Attempt", "1 = 1").await, 1);
    assert_eq!(f.rows("AttemptReply", "1 = 1").await, 2);
}

pub(crate) async fn every_reply_is_a_row(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(id, token, 1, &[Delayed, Failed])).await;
    let second = "RecipientOrdinal = 1 AND Command = 'RCPT' AND ReplyCode = 550 \
                  AND EnhancedStatusCode = '5.1.1' AND ReplyText = 'no such user'";
    assert_eq!(f.rows("AttemptReply", second).await, 1);
    assert_eq!(f.rows("AttemptReply", "1 = 1").await, 2);
    let whole = "AttemptNumber = 1 AND Relay = 'mail' AND SizeBytes = 1234 \
                 AND MessageId = '<4711@contoso.com>' AND Outcome = 'delayed'";
    assert_eq!(f.rows("Attempt", whole).await, 1);
}

pub(crate) async fn delivery_shows_cause_and_advice(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(id, token, 1, &[Failed])).await;
    let line = store
        .deliveries(Some(id), 10)
        .await
        .expect("deliveries")
        .remove(0);
    assert_eq!(line.fault.as_deref(), Some("recipient"));
    assert_eq!(line.cause.as_deref(), Some("the mailbox does not exist"));
    assert_eq!(line.advice.as_deref(), Some("correct the address"));
    assert_eq!(line.reply_text.as_deref(), Some("no such user"));
}

pub(crate) async fn the_template_version_is_pinned_by_the_first_render(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com").await;
    let instance = instance(&store, "a").await;
    for (number, version) in [(1, "v1"), (2, "v2")] {
        let (token, id) = claim_one(&store, instance).await;
        let decision = Decision {
            status: AlertStatus::Delayed,
            retry_in: Some(Duration::ZERO),
            reason: None,
            attempt: Some(attempt(number, &[Delayed])),
            recipients: vec![recipient(0, Delayed)],
            template_version: Some(version.to_owned()),
        };
        record(&store, instance, &decided(id, token, decision)).await;
        assert_eq!(
            load(&store, id).await.template_version.as_deref(),
            Some("v1")
        );
    }
}

pub(crate) async fn each_outcome_of_a_batch_is_answered_in_order(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(3).await;
    let instance = instance(&store, "a").await;
    let (token, ids) = claim(&store, instance, 10).await;
    let outcomes = [
        outcome(ids[2], token, 1, &[Relayed]),
        outcome(AlertId(i64::from(i32::MAX)), token, 1, &[Relayed]),
        outcome(ids[0], LeaseToken::random(), 1, &[Failed]),
        released(ids[1], token, Duration::ZERO),
    ];
    let recorded = store.record(instance, &outcomes).await.expect("record");
    let expected = [
        RecordResult::Whole,
        RecordResult::Gone,
        RecordResult::FactsOnly,
        RecordResult::Whole,
    ];
    assert_eq!(recorded, expected);
    assert_eq!(status(&store, ids[2]).await, AlertStatus::Relayed);
    assert_eq!(status(&store, ids[0]).await, AlertStatus::Sending);
    assert_eq!(status(&store, ids[1]).await, AlertStatus::Queued);
    assert!(
        store
            .record(instance, &[])
            .await
            .expect("record")
            .is_empty()
    );
}

pub(crate) async fn a_relayed_recipient_stays_relayed(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (token, id) = claim_one(&store, instance).await;
    record(
        &store,
        instance,
        &outcome(id, token, 1, &[Relayed, Delayed]),
    )
    .await;
    f.advance(minutes(6)).await;
    let (token, id) = claim_one(&store, instance).await;
    record(&store, instance, &outcome(id, token, 2, &[Failed, Failed])).await;
    assert_eq!(recipient_words(&store, id).await, ["relayed", "failed"]);
    assert_eq!(status(&store, id).await, AlertStatus::Partial);
}
