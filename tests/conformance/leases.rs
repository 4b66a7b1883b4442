//! Leases: renewed, lost, ended, taken over.

use std::time::Duration;

use sendport_core::domain::{AlertStatus, InstanceId, LeaseToken, OutcomeKind, RecipientStatus};
use sendport_store::{RecordResult, Renewal};

use crate::fixture::*;

pub(crate) async fn a_dead_instance_loses_its_alerts_as_unknown(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(3).await;
    let dead = instance(&store, "dead").await;
    let (_, held) = claim(&store, dead, 2).await;
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 2);
    for id in held {
        let line = line(&store, id).await;
        assert_eq!((line.status, line.attempt_count), (AlertStatus::Queued, 1));
    }
    let unknown = "Outcome = 'unknown' AND AttemptNumber = 1 AND StartedAt IS NOT NULL";
    assert_eq!(f.rows("Attempt", unknown).await, 2);
    assert_eq!(take_over(&store, other, 10).await, 0);
    assert_eq!(claim(&store, other, 10).await.1.len(), 3, "due at once");
}

pub(crate) async fn a_renewed_lease_is_not_taken_over(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let living = instance(&store, "living").await;
    let other = instance(&store, "other").await;
    claim_one(&store, living).await;
    for _ in 0..3 {
        f.advance(LEASE / 2).await;
        let renewal = store
            .renew(living, LEASE, &["default".to_owned()], &[])
            .await;
        assert_eq!(renewal.expect("renew"), Renewal::Renewed);
        assert_eq!(take_over(&store, other, 10).await, 0);
    }
}

pub(crate) async fn a_new_owner_keeps_what_is_not_recorded_yet(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(3).await;
    let dead = instance(&store, "dead").await;
    let (token, held) = claim(&store, dead, 3).await;
    let (kept, moved) = (held[0], held[1]);
    let new_owner = instance(&store, "new_owner").await;
    let leases = [(kept, token), (moved, LeaseToken::random())];
    store
        .take_over_leases(new_owner, &leases)
        .await
        .expect("take over leases");
    store.retire(dead).await.expect("retire");
    assert_eq!(status(&store, kept).await, AlertStatus::Sending);
    let free = claim(&store, new_owner, 10).await.1;
    assert_eq!(free.len(), 2, "whose token is another one is free");
    let recorded = record(
        &store,
        new_owner,
        &outcome(kept, token, 1, &[RecipientStatus::Relayed]),
    )
    .await;
    assert_eq!(recorded, RecordResult::Whole);
    assert_eq!(status(&store, kept).await, AlertStatus::Relayed);
    assert_eq!(f.rows("Attempt", "Outcome = 'unknown'").await, 0);
}

/// Retired or taken over, alone or with others: the instance that gives it back says nothing about it.
pub(crate) async fn a_released_alert_keeps_the_reason_it_waited_for(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let text = "waits for relay main: 421 4.7.0 too many connections";
    let reason = async |id| line(&store, id).await.status_reason;
    let first = instance(&store, "first").await;
    let (token, id) = claim_one(&store, first).await;
    let mut throttled = released(id, token, Duration::ZERO);
    if let OutcomeKind::Released { reason, .. } = &mut throttled.kind {
        *reason = Some(text.to_owned());
    }
    record(&store, first, &throttled).await;

    let (token, _) = claim_one(&store, first).await;
    assert_eq!(reason(id).await, None, "it is being sent");
    let new_owner = instance(&store, "new_owner").await;
    store
        .take_over_leases(new_owner, &[(id, token)])
        .await
        .expect("take over leases");
    store.retire(new_owner).await.expect("retire");
    assert_eq!(reason(id).await.as_deref(), Some(text), "retired");

    claim_one(&store, first).await;
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    assert_eq!(reason(id).await.as_deref(), Some(text), "taken over");

    let (token, _) = claim_one(&store, other).await;
    let relayed = outcome(id, token, 2, &[RecipientStatus::Relayed]);
    record(&store, other, &relayed).await;
    assert_eq!(reason(id).await, None, "it waited for nothing more");
}

pub(crate) async fn overdue_leases_are_counted(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(3).await;
    let dead = instance(&store, "dead").await;
    claim(&store, dead, 2).await;
    f.advance(LEASE_AND_MORE).await;
    let overdue = store.overdue(LEASE).await.expect("overdue");
    assert_eq!(
        (overdue.alerts, overdue.in_words()),
        (0, None),
        "others may take it over yet"
    );
    f.advance(LEASE).await;
    let living = instance(&store, "living").await;
    claim(&store, living, 1).await;
    let overdue = store.overdue(LEASE).await.expect("overdue");
    let words = overdue.in_words().unwrap_or_default();
    assert!(
        words.starts_with("2 hang in 'sending', the first since "),
        "{words}"
    );
    take_over(&store, living, 10).await;
    assert_eq!(store.overdue(LEASE).await.expect("overdue").alerts, 0);
}

pub(crate) async fn an_instance_takes_over_nothing_from_itself(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1).await;
    let alone = instance(&store, "alone").await;
    claim_one(&store, alone).await;
    f.advance(LEASE_AND_MORE).await;
    assert_eq!(take_over(&store, alone, 10).await, 0);
}

pub(crate) async fn take_over_keeps_its_limit(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(5).await;
    for name in ["dead", "dead too"] {
        let dead = instance(&store, name).await;
        claim(&store, dead, if name == "dead" { 2 } else { 3 }).await;
    }
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 4).await, 4);
    assert_eq!(take_over(&store, other, 4).await, 1);
}

pub(crate) async fn a_partly_delayed_alert_is_taken_over_as_delayed(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let dead = instance(&store, "dead").await;
    let (token, id) = claim_one(&store, dead).await;
    let statuses = [RecipientStatus::Relayed, RecipientStatus::Delayed];
    record(&store, dead, &outcome(id, token, 1, &statuses)).await;
    f.advance(minutes(6)).await;
    claim_one(&store, dead).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    let line = line(&store, id).await;
    assert_eq!((line.status, line.attempt_count), (AlertStatus::Delayed, 2));
    claim_one(&store, other).await;
}

pub(crate) async fn renewing_after_the_lease_ran_out_says_lost(f: &dyn Fixture) {
    let store = f.fresh().await;
    let late = instance(&store, "late").await;
    f.advance(LEASE_AND_MORE).await;
    let renewal = store.renew(late, LEASE, &[], &[]).await.expect("renew");
    assert_eq!(renewal, Renewal::Lost);
    let again = store.renew(late, LEASE, &[], &[]).await.expect("renew");
    assert_eq!(again, Renewal::Lost, "a lost lease does not come back");
}

pub(crate) async fn renewing_without_a_row_says_lost(f: &dyn Fixture) {
    let store = f.fresh().await;
    let unknown = InstanceId::random();
    let renewal = store
        .renew(unknown, LEASE, &["default".to_owned()], &[])
        .await;
    assert_eq!(renewal.expect("renew"), Renewal::Lost);
}

pub(crate) async fn retiring_releases_without_an_attempt(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(2).await;
    let leaving = instance(&store, "leaving").await;
    let (_, held) = claim(&store, leaving, 2).await;
    store.retire(leaving).await.expect("retire");
    store.retire(leaving).await.expect("retire again");
    let line = line(&store, held[0]).await;
    assert_eq!((line.status, line.attempt_count), (AlertStatus::Queued, 0));
    assert_eq!(f.rows("Attempt", "1 = 1").await, 0);
    let other = instance(&store, "other").await;
    assert_eq!(claim(&store, other, 10).await.1.len(), 2);
    assert_eq!(f.rows("Instance", "StoppedAt IS NOT NULL").await, 1);
}

pub(crate) async fn a_retired_instance_cannot_renew(f: &dyn Fixture) {
    let store = f.fresh().await;
    let leaving = instance(&store, "leaving").await;
    store.retire(leaving).await.expect("retire");
    let renewal = store.renew(leaving, LEASE, &[], &[]).await.expect("renew");
    assert_eq!(renewal, Renewal::Lost);
}

pub(crate) async fn registering_twice_is_registering_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let info = info("a");
    for _ in 0..2 {
        let ports = [send_port("default"), send_port("billing")];
        store
            .register(&info, LEASE, &ports, &[])
            .await
            .expect("register");
    }
    assert_eq!(f.rows("Instance", "1 = 1").await, 1);
    assert_eq!(f.rows("SendPort", "1 = 1").await, 2);
    assert_eq!(f.rows("SendPortRelay", "1 = 1").await, 4);
}
