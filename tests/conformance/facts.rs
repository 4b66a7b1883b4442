//! What an instance may still record after it lost its lease.

use std::sync::Arc;

use RecipientStatus::{Delayed, Failed, Relayed};
use sendport_core::domain::{AlertId, AlertStatus, InstanceId, LeaseToken, RecipientStatus};
use sendport_store::{RecordResult, Store};

use crate::fixture::*;

/// The frozen instance with its lost token, and the one that took over.
struct Lost {
    store: Arc<dyn Store>,
    frozen: InstanceId,
    token: LeaseToken,
    alert: AlertId,
    other: InstanceId,
}

/// An alert to two, leased by an instance whose lease ran out, taken over by another one.
async fn lost(f: &dyn Fixture) -> Lost {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let frozen = instance(&store, "frozen").await;
    let (token, alert) = claim_one(&store, frozen).await;
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    Lost {
        store,
        frozen,
        token,
        alert,
        other,
    }
}

impl Lost {
    async fn record(&self, statuses: &[RecipientStatus]) -> RecordResult {
        let outcome = outcome(self.alert, self.token, 1, statuses);
        record(&self.store, self.frozen, &outcome).await
    }
}

pub(crate) async fn relayed_wins_after_a_take_over(f: &dyn Fixture) {
    let lost = lost(f).await;
    assert_eq!(
        lost.record(&[Relayed, Relayed]).await,
        RecordResult::FactsOnly
    );
    assert_eq!(status(&lost.store, lost.alert).await, AlertStatus::Relayed);
    assert!(claim(&lost.store, lost.other, 10).await.1.is_empty());
    assert_eq!(f.rows("Attempt", "Outcome = 'relayed'").await, 1);
    assert_eq!(f.rows("Attempt", "Outcome = 'unknown'").await, 1);
    assert_eq!(f.rows("AlertStatus", "FinalAt IS NOT NULL").await, 1);
}

pub(crate) async fn a_failure_needs_the_lease(f: &dyn Fixture) {
    let lost = lost(f).await;
    assert_eq!(
        lost.record(&[Relayed, Failed]).await,
        RecordResult::FactsOnly
    );
    assert_eq!(
        recipient_words(&lost.store, lost.alert).await,
        ["relayed", "queued"]
    );
    assert_eq!(status(&lost.store, lost.alert).await, AlertStatus::Queued);
    assert_eq!(f.rows("AttemptReply", "ReplyCode = 550").await, 1);
    claim_one(&lost.store, lost.other).await;
}

pub(crate) async fn a_wait_needs_the_lease(f: &dyn Fixture) {
    let lost = lost(f).await;
    assert_eq!(
        lost.record(&[Delayed, Delayed]).await,
        RecordResult::FactsOnly
    );
    assert_eq!(f.rows("Attempt", "Outcome = 'delayed'").await, 1);
    claim_one(&lost.store, lost.other).await;
}

pub(crate) async fn an_alert_that_was_leased_again_is_not_disturbed(f: &dyn Fixture) {
    let lost = lost(f).await;
    let (token, _) = claim_one(&lost.store, lost.other).await;
    assert_eq!(
        lost.record(&[Relayed, Relayed]).await,
        RecordResult::FactsOnly
    );
    let before = line(&lost.store, lost.alert).await;
    assert_eq!(
        (before.status, before.next_attempt_at),
        (AlertStatus::Sending, None)
    );
    assert_eq!(before.relayed_count, 2);
    let outcome = released(lost.alert, token, minutes(0));
    assert_eq!(
        record(&lost.store, lost.other, &outcome).await,
        RecordResult::Whole
    );
}

pub(crate) async fn the_later_lease_cannot_undo_a_relayed_recipient(f: &dyn Fixture) {
    let lost = lost(f).await;
    let (token, _) = claim_one(&lost.store, lost.other).await;
    lost.record(&[Relayed, Failed]).await;
    let outcome = outcome(lost.alert, token, 2, &[Failed, Failed]);
    assert_eq!(
        record(&lost.store, lost.other, &outcome).await,
        RecordResult::Whole
    );
    assert_eq!(
        recipient_words(&lost.store, lost.alert).await,
        ["relayed", "failed"]
    );
    assert_eq!(status(&lost.store, lost.alert).await, AlertStatus::Partial);
}

pub(crate) async fn an_attempt_is_not_counted_twice(f: &dyn Fixture) {
    let lost = lost(f).await;
    assert_eq!(line(&lost.store, lost.alert).await.attempt_count, 1);
    lost.record(&[Delayed, Delayed]).await;
    assert_eq!(line(&lost.store, lost.alert).await.attempt_count, 1);
}

pub(crate) async fn repeated_facts_change_nothing(f: &dyn Fixture) {
    let lost = lost(f).await;
    let outcome = outcome(lost.alert, lost.token, 1, &[Relayed, Delayed]);
    record(&lost.store, lost.frozen, &outcome).await;
    let before = lost.store.deliveries(None, 10).await.expect("deliveries");
    record(&lost.store, lost.frozen, &outcome).await;
    assert_eq!(
        lost.store.deliveries(None, 10).await.expect("deliveries"),
        before
    );
    assert_eq!(f.rows("Attempt", "1 = 1").await, 2);
    assert_eq!(f.rows("AttemptReply", "1 = 1").await, 2);
}

pub(crate) async fn a_release_without_the_lease_does_nothing(f: &dyn Fixture) {
    let lost = lost(f).await;
    let before = line(&lost.store, lost.alert).await;
    let outcome = released(lost.alert, lost.token, minutes(30));
    assert_eq!(
        record(&lost.store, lost.frozen, &outcome).await,
        RecordResult::FactsOnly
    );
    assert_eq!(line(&lost.store, lost.alert).await, before);
}
