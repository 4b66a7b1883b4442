//! Alerts that an operator sends again.

use RecipientStatus::{Delayed, Failed, Relayed};
use sendport_core::domain::{AlertStatus, RecipientStatus, RequeueRecipients};
use sendport_store::NewAlert;
use sendport_store::operator_requests::{NewRequest, RequestFilter};

use crate::fixture::*;
use crate::requests::{applied, attempt_of, cancel, named, of_name, requeue};

pub(crate) async fn a_requeue_sends_to_those_that_failed(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Relayed, Failed]).await;
    let whole = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Relayed, Relayed]).await;
    f.advance(minutes(1)).await;
    let filter = RequestFilter {
        explanation_key: Some("no-such-user".to_owned()),
        ..RequestFilter::default()
    };
    let (line, count) = applied(&store, &requeue(filter)).await;
    assert_eq!(
        (count, line.applied_count, line.state.as_str()),
        (1, 1, "done")
    );
    assert_eq!(status(&store, whole).await, AlertStatus::Relayed);
    assert_eq!(status(&store, id).await, AlertStatus::Queued);
    assert_eq!(recipient_words(&store, id).await, ["relayed", "queued"]);
    assert_eq!(f.rows("FailedDelivery", "Status = 'failed'").await, 0);
    assert_eq!(attempt_of(&store, a, 2, &[Relayed, Relayed]).await, id);
    assert_eq!(status(&store, id).await, AlertStatus::Relayed);
    assert_eq!(f.rows("Attempt", &format!("AlertId = {id}")).await, 2);
}

pub(crate) async fn a_requeue_sends_to_all(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Relayed, Relayed]).await;
    f.advance(minutes(1)).await;
    assert_eq!(applied(&store, &requeue(of_alert(id))).await.1, 0);
    let all = NewRequest {
        recipients: Some(RequeueRecipients::All),
        ..requeue(of_alert(id))
    };
    assert_eq!(applied(&store, &all).await.1, 1);
    assert_eq!(recipient_words(&store, id).await, ["queued", "queued"]);
    assert_eq!(claim_one(&store, a).await.1, id);
    let alert = load(&store, id).await;
    assert!(alert.recipients.iter().all(|it| it.was_relayed));
}

pub(crate) async fn a_requeue_leaves_what_waits_or_is_being_sent(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let sending = named(f, "order-late").await;
    claim_one(&store, a).await;
    let delayed = named(f, "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    record(&store, a, &outcome(delayed, token, 1, &[Delayed, Failed])).await;
    let failed = f.insert("Subject, AlertName", "'s', 'order-late'").await;
    let (token, _) = claim_one(&store, a).await;
    record(&store, a, &outcome(failed, token, 1, &[])).await;
    f.advance(minutes(1)).await;
    assert_eq!(applied(&store, &requeue(of_name("order-late"))).await.1, 1);
    assert_eq!(status(&store, sending).await, AlertStatus::Sending);
    assert_eq!(
        recipient_words(&store, delayed).await,
        ["delayed", "failed"]
    );
    assert_eq!(status(&store, failed).await, AlertStatus::Queued);
}

pub(crate) async fn a_requeue_starts_the_age_anew(f: &dyn Fixture) {
    let store = f.fresh().await;
    instance(&store, "a").await;
    let aged = f.alert_to("ops0@contoso.com").await;
    let limited = NewAlert {
        to_recipients: Some("ops0@contoso.com".to_owned()),
        expires_at: Some(now() + minutes(10)),
        ..NewAlert::default()
    };
    let limited = store.insert(&limited).await.expect("insert");
    f.advance(minutes(2 * 24 * 60 + 1)).await;
    assert_eq!(expire(&store, 10).await, 2);
    f.advance(minutes(1)).await;
    assert_eq!(applied(&store, &requeue(of_all())).await.1, 2);
    let created = load(&store, aged).await;
    assert!(
        created.queued_since() > created.created_at,
        "CreatedAt stays"
    );
    f.advance(minutes(60)).await;
    assert_eq!(expire(&store, 10).await, 0);
    for id in [aged, limited] {
        assert_eq!(status(&store, id).await, AlertStatus::Queued);
    }
    f.advance(minutes(2 * 24 * 60)).await;
    assert_eq!(expire(&store, 10).await, 2);
}

pub(crate) async fn a_requeue_starts_the_attempts_anew(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = f.alert_to("ops0@contoso.com").await;
    attempt_of(&store, a, 1, &[Failed]).await;
    f.advance(minutes(1)).await;
    applied(&store, &requeue(of_alert(id))).await;
    let alert = load(&store, id).await;
    assert_eq!((alert.attempt_count, alert.attempts_before), (1, 1));
    assert_eq!(alert.recipients[0].attempt_count, 0);
}

pub(crate) async fn a_requeue_keeps_the_message_id_or_asks_for_a_new_one(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = f.alert_to("ops0@contoso.com").await;
    for (number, new, generation) in [(1, false, 0), (2, true, 1), (3, false, 1), (4, true, 2)] {
        attempt_of(&store, a, number, &[Failed]).await;
        f.advance(minutes(1)).await;
        let request = NewRequest {
            new_message_id: new,
            ..requeue(of_alert(id))
        };
        assert_eq!(applied(&store, &request).await.1, 1);
        assert_eq!(load(&store, id).await.message_generation, generation);
    }
}

pub(crate) async fn a_requeue_refuses_purged_bodies(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let purged = f.alert_to("ops0@contoso.com").await;
    attempt_of(&store, a, 1, &[Failed]).await;
    let whole = f.alert_to("ops0@contoso.com").await;
    attempt_of(&store, a, 1, &[Failed]).await;
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET BodyPurgedAt = StatusAt, BodyPurged = 1 WHERE AlertId = {purged}"
    ))
    .await;
    f.advance(minutes(1)).await;
    let (line, count) = applied(&store, &requeue(of_all())).await;
    assert_eq!((count, line.applied_count, line.refused_count), (1, 1, 1));
    assert_eq!(line.state, "done");
    assert_eq!(status(&store, purged).await, AlertStatus::Failed);
    assert_eq!(status(&store, whole).await, AlertStatus::Queued);
}

pub(crate) async fn a_failure_after_a_requeue_is_reported_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = f.alert_to("ops0@contoso.com").await;
    let unreported = || store.unreported("default", minutes(60), 10, &[]);
    for (number, round) in [(1, 0), (2, 1)] {
        attempt_of(&store, a, number, &[Failed]).await;
        assert_eq!(unreported().await.expect("failures").alerts, 1, "{round}");
        let digest = NewAlert {
            to_recipients: Some("admin@contoso.com".to_owned()),
            send_port: "other".to_owned(),
            ..NewAlert::default()
        };
        store.insert_digest(&[id], &digest).await.expect("digest");
        assert_eq!(unreported().await.expect("failures").alerts, 0, "{round}");
        f.advance(minutes(1)).await;
        assert_eq!(applied(&store, &requeue(of_alert(id))).await.1, 1);
    }
}

pub(crate) async fn what_fails_again_is_not_requeued_twice(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = f.alert_to("ops0@contoso.com").await;
    attempt_of(&store, a, 1, &[Failed]).await;
    f.advance(minutes(1)).await;
    let line = add(&store, &requeue(of_alert(id))).await;
    let step = store.apply_request(&line, None, &[]).await.expect("a step");
    assert_eq!(step.swept.count, 1);
    f.advance(minutes(1)).await;
    attempt_of(&store, a, 2, &[Failed]).await;
    assert_eq!(pass(&store, &line).await.applied, 0);
    assert_eq!(status(&store, id).await, AlertStatus::Failed);
}

/// Nothing that happens to a second sending hides that the first one was relayed.
pub(crate) async fn a_cancelled_requeue_leaves_relayed_recipients_relayed(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Relayed, Failed]).await;
    let again = NewRequest {
        recipients: Some(RequeueRecipients::All),
        ..requeue(of_alert(id))
    };
    assert_eq!(applied(&store, &again).await.1, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Queued);
    assert_eq!(applied(&store, &cancel(of_alert(id))).await.1, 1);
    assert_eq!(recipient_words(&store, id).await, ["relayed", "cancelled"]);
    assert_eq!(status(&store, id).await, AlertStatus::Partial);
    // A requeue of what failed does not send to it again.
    assert_eq!(applied(&store, &requeue(of_alert(id))).await.1, 1);
    assert_eq!(recipient_words(&store, id).await, ["relayed", "queued"]);
}
