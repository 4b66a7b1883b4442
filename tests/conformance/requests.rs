//! What operators ask for, by a filter.

use std::sync::Arc;

use RecipientStatus::{Delayed, Failed, Relayed};
use sendport_core::domain::{
    AlertId, AlertStatus, InstanceId, OperatorVerb, RecipientStatus, RequeueRecipients,
};
use sendport_store::operator_requests::{NewRequest, RequestFilter, RequestLine};
use sendport_store::{Among, NewAlert, Store};

use crate::fixture::*;

fn cancel(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Cancel, filter)
}

fn hold(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Hold, filter)
}

fn requeue(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Requeue, filter)
}

fn of_name(name: &str) -> RequestFilter {
    RequestFilter {
        alert_name: Some(name.to_owned()),
        ..RequestFilter::default()
    }
}

fn of_port(name: &str) -> RequestFilter {
    RequestFilter {
        send_port: Some(name.to_owned()),
        ..RequestFilter::default()
    }
}

/// An alert with a name, for two recipients.
async fn named(f: &dyn Fixture, name: &str) -> AlertId {
    let values = format!("'ops0@contoso.com; ops1@contoso.com', 's', '{name}'");
    f.insert("ToRecipients, Subject, AlertName", &values).await
}

/// Claims the one alert that is due, and records an attempt with these statuses.
async fn attempt_of(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    number: u32,
    statuses: &[RecipientStatus],
) -> AlertId {
    let (token, id) = claim_one(store, instance).await;
    record(store, instance, &outcome(id, token, number, statuses)).await;
    id
}

/// Adds it and makes one pass: the row afterwards, and how many alerts were changed.
async fn applied(store: &Arc<dyn Store>, request: &NewRequest) -> (RequestLine, u64) {
    let line = add(store, request).await;
    let count = pass(store, &line).await.applied;
    (request_line(store, line.request_id).await, count)
}

pub(crate) async fn a_cancel_ends_what_waits_and_leaves_what_was_sent(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let relayed = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Relayed, Relayed]).await;
    let partly = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Relayed, Delayed]).await;
    let delayed = named(f, "order-late").await;
    attempt_of(&store, a, 1, &[Delayed, Delayed]).await;
    let queued = named(f, "order-late").await;
    let other = named(f, "invoice").await;
    let (line, count) = applied(&store, &cancel(of_name("order-late"))).await;
    assert_eq!((count, line.applied_count, line.refused_count), (3, 3, 0));
    assert_eq!(line.state, "done");
    assert!(
        line.completed_at.is_some() && line.result.is_some(),
        "{line:?}"
    );
    for (id, alert, recipients) in [
        (relayed, AlertStatus::Relayed, ["relayed", "relayed"]),
        (partly, AlertStatus::Partial, ["relayed", "cancelled"]),
        (delayed, AlertStatus::Cancelled, ["cancelled", "cancelled"]),
        (queued, AlertStatus::Cancelled, ["cancelled", "cancelled"]),
    ] {
        assert_eq!(status(&store, id).await, alert, "{id}");
        assert_eq!(recipient_words(&store, id).await, recipients, "{id}");
    }
    let who = match line.requested_by.as_str() {
        "anna" => "cancelled by anna: runaway job".to_owned(),
        login => format!("cancelled by {login}: runaway job"),
    };
    let line = crate::fixture::line(&store, queued).await;
    assert_eq!(line.status_reason.as_deref(), Some(who.as_str()));
    let texts = store
        .deliveries(Some(delayed), 2)
        .await
        .expect("deliveries");
    let text = texts[0].reply_text.clone().expect("a text");
    assert!(
        text.starts_with(&who) && text.contains("greylisted"),
        "{text}"
    );
    assert_eq!(claim_one(&store, a).await.1, other);
}

pub(crate) async fn a_cancel_waits_for_what_is_being_sent(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    let line = add(&store, &cancel(of_name("order-late"))).await;
    let first = pass(&store, &line).await;
    assert_eq!((first.applied, first.closed), (0, false));
    assert_eq!(status(&store, id).await, AlertStatus::Sending);
    record(&store, a, &outcome(id, token, 1, &[Relayed, Delayed])).await;
    let second = pass(&store, &line).await;
    assert_eq!((second.applied, second.closed), (1, true));
    assert_eq!(status(&store, id).await, AlertStatus::Partial);
    assert_eq!(recipient_words(&store, id).await, ["relayed", "cancelled"]);
}

pub(crate) async fn a_relayed_outcome_wins_over_a_cancel(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    let line = add(&store, &cancel(of_alert(id))).await;
    assert!(!pass(&store, &line).await.closed);
    record(&store, a, &outcome(id, token, 1, &[Relayed, Relayed])).await;
    let last = pass(&store, &line).await;
    assert_eq!((last.applied, last.closed), (0, true));
    assert_eq!(status(&store, id).await, AlertStatus::Relayed);
}

pub(crate) async fn one_row_cancels_many(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1203).await;
    let port = f
        .insert("ToRecipients, SendPort", "'ops@contoso.com', 'bulk'")
        .await;
    let (line, count) = applied(&store, &cancel(of_all())).await;
    assert_eq!((count, line.applied_count), (1204, 1204));
    assert_eq!(line.state, "done");
    assert!(store.queue().await.expect("queue").is_empty());
    assert_eq!(f.rows("AlertStatus", "Status = 'cancelled'").await, 1204);
    assert_eq!(status(&store, port).await, AlertStatus::Cancelled);
}

pub(crate) async fn no_claim_follows_a_cancel(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let cancelled = named(f, "order-late").await;
    let other = named(f, "invoice").await;
    let line = add(&store, &cancel(of_name("order-late"))).await;
    let (_, claimed) = claim_from(&store, a, "default", 10).await;
    assert_eq!((claimed.alerts, claimed.parked), (vec![other], 1));
    let parked = crate::fixture::line(&store, cancelled).await;
    assert_eq!(
        (parked.status, parked.next_attempt_at),
        (AlertStatus::Held, None)
    );
    let waits = store.queue().await.expect("queue");
    let waits = waits.iter().find(|it| it.status == AlertStatus::Held);
    let waits = waits.and_then(|it| it.waiting_for.clone()).expect("a text");
    assert!(waits.starts_with("cancelled by an operator"), "{waits}");
    assert_eq!(
        release(&store, None).await.applied,
        0,
        "a release undoes no cancel"
    );
    assert_eq!(pass(&store, &line).await.applied, 1);
    assert_eq!(status(&store, cancelled).await, AlertStatus::Cancelled);
}

pub(crate) async fn a_cancel_spares_what_is_inserted_later(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let before = f.alert_to("ops@contoso.com").await;
    f.advance(minutes(1)).await;
    let line = add(&store, &cancel(of_port("default"))).await;
    f.advance(minutes(1)).await;
    let after = f.alert_to("ops@contoso.com").await;
    assert_eq!(claim(&store, a, 10).await.1, [after]);
    assert_eq!(pass(&store, &line).await.applied, 1);
    assert_eq!(status(&store, before).await, AlertStatus::Cancelled);
    assert_eq!(request_line(&store, line.request_id).await.state, "done");
}

pub(crate) async fn an_alert_without_addresses_is_cancelled(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.insert("Subject", "'s'").await;
    assert_eq!(applied(&store, &cancel(of_alert(id))).await.1, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Cancelled);
}

pub(crate) async fn what_a_cancel_of_an_alert_in_doubt_says(f: &dyn Fixture) {
    let store = f.fresh().await;
    let dead = instance(&store, "dead").await;
    let id = f.alert_to("ops0@contoso.com").await;
    claim_one(&store, dead).await;
    f.advance(LEASE_AND_MORE).await;
    let a = instance(&store, "a").await;
    assert_eq!(take_over(&store, a, 10).await, 1);
    assert_eq!(applied(&store, &cancel(of_alert(id))).await.1, 1);
    let reason = line(&store, id).await.status_reason.expect("a reason");
    assert!(reason.ends_with("; it may have been sent"), "{reason}");
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Each matches the delayed alert of [`every_filter_limits_a_cancel`] alone.
fn filters_that_match(creator: Option<String>) -> Vec<RequestFilter> {
    let mut filters = vec![RequestFilter::default(); 6];
    filters[0].reference = text("order-4711");
    filters[1].relay = text("mail");
    filters[2].explanation_key = text("greylisted");
    filters[3].status = Some(AlertStatus::Delayed);
    filters[4].alert_name = text("late");
    filters[4].created_by = creator;
    filters[5].alert_name = text("late");
    filters[5].created_from = Some(now() - minutes(5));
    filters
}

fn filters_that_do_not_match() -> Vec<RequestFilter> {
    let mut filters = vec![RequestFilter::default(); 7];
    filters[0].reference = text("order-4712");
    filters[1].relay = text("backup");
    filters[2].explanation_key = text("mailbox-full");
    filters[3].send_port = text("bulk");
    filters[4].created_by = text("nobody");
    filters[5].created_from = Some(now() + minutes(5));
    filters[6].created_until = Some(now() - minutes(5));
    filters
}

pub(crate) async fn every_filter_limits_a_cancel(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let columns = "ToRecipients, Subject, Reference, AlertName";
    let values = "'ops0@contoso.com', 's', 'order-4711', 'late'";
    let delayed = f.insert(columns, values).await;
    let mut delay = outcome(delayed, claim_one(&store, a).await.0, 1, &[Delayed]);
    if let sendport_core::domain::OutcomeKind::Decided(decision) = &mut delay.kind {
        decision.recipients[0].explanation = text("greylisted");
    }
    record(&store, a, &delay).await;
    let other = f.alert_to("ops@contoso.com").await;
    let creator = format!("SELECT max(CreatedBy) FROM {}", f.table("Alert"));
    for filter in filters_that_match(f.scalar(&creator).await) {
        let matches = store.count_matching(&cancel(filter.clone())).await;
        let matches = matches.expect("count");
        assert_eq!(matches.len(), 1, "{filter:?}");
        let found = (matches[0].status, matches[0].alerts);
        assert_eq!(found, (AlertStatus::Delayed, 1), "{filter:?}");
    }
    for filter in filters_that_do_not_match() {
        let count = applied(&store, &cancel(filter.clone())).await.1;
        assert_eq!(count, 0, "{filter:?}");
    }
    let filter = filters_that_match(None).swap_remove(1);
    assert_eq!(applied(&store, &cancel(filter)).await.1, 1);
    assert_eq!(status(&store, delayed).await, AlertStatus::Cancelled);
    assert_eq!(status(&store, other).await, AlertStatus::Queued);
}

pub(crate) async fn a_held_send_port_is_not_asked(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = f.alert_to("ops@contoso.com").await;
    add(&store, &hold(of_port("default"))).await;
    let (_, claimed) = claim_from(&store, a, "default", 10).await;
    assert_eq!(
        (claimed.alerts.len(), claimed.parked, claimed.may_hold_more),
        (0, 0, false)
    );
    assert_eq!(status(&store, id).await, AlertStatus::Queued);
    let only = Among::Only(id);
    assert!(
        claim_among(&store, a, "default", 1, only)
            .await
            .1
            .alerts
            .is_empty()
    );
    let waits = store.queue().await.expect("queue").remove(0).waiting_for;
    let waits = waits.expect("a text");
    assert!(
        waits.starts_with("the send port is held by ") && waits.ends_with(": runaway job"),
        "{waits}"
    );
    let (line, _) = applied(&store, &request(OperatorVerb::Release, of_port("default"))).await;
    assert_eq!(line.state, "done");
    assert_eq!(claim_one(&store, a).await.1, id);
    assert!(store.open_requests().await.expect("requests").is_empty());
}

pub(crate) async fn a_held_alert_name_is_passed_over(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let held = named(f, "order-late").await;
    let other = named(f, "invoice").await;
    add(&store, &hold(of_name("order-late"))).await;
    let (token, claimed) = claim_from(&store, a, "default", 10).await;
    assert_eq!((claimed.alerts, claimed.parked), (vec![other], 1));
    record(&store, a, &outcome(other, token, 1, &[Relayed, Relayed])).await;
    let line = line(&store, held).await;
    assert_eq!(
        (line.status, line.next_attempt_at),
        (AlertStatus::Held, None)
    );
    let reason = line.status_reason.expect("a reason");
    assert!(
        reason.starts_with("held by ") && reason.ends_with(": runaway job"),
        "{reason}"
    );
    let later = named(f, "order-late").await;
    assert!(
        claim(&store, a, 10).await.1.is_empty(),
        "a hold is in force until its release"
    );
    let release = request(OperatorVerb::Release, of_name("order-late"));
    assert_eq!(applied(&store, &release).await.1, 2);
    assert_eq!(claim(&store, a, 10).await.1, [held, later]);
}

pub(crate) async fn one_alert_is_held_and_released(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let held = named(f, "order-late").await;
    let (line, count) = applied(&store, &hold(of_alert(held))).await;
    assert_eq!(
        (line.state.as_str(), line.applied_count, count),
        ("open", 1, 1)
    );
    assert_eq!(status(&store, held).await, AlertStatus::Held);
    assert!(claim(&store, a, 10).await.1.is_empty());
    assert_eq!(release(&store, Some(held)).await.applied, 1);
    assert_eq!(claim_one(&store, a).await.1, held);
}

pub(crate) async fn holds_that_overlap_end_one_by_one(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let held = named(f, "order-late").await;
    let by_name = add(&store, &hold(of_name("order-late"))).await;
    assert!(claim(&store, a, 10).await.1.is_empty());
    add(&store, &hold(of_alert(held))).await;
    let end = RequestFilter {
        hold_request_id: Some(by_name.request_id),
        ..RequestFilter::default()
    };
    assert_eq!(
        applied(&store, &request(OperatorVerb::Release, end))
            .await
            .1,
        1
    );
    assert!(claim(&store, a, 10).await.1.is_empty());
    assert_eq!(status(&store, held).await, AlertStatus::Held);
    assert_eq!(release(&store, Some(held)).await.applied, 1);
    assert_eq!(claim_one(&store, a).await.1, held);
}

pub(crate) async fn a_release_leaves_what_is_in_doubt(f: &dyn Fixture) {
    let store = f.fresh().await;
    let dead = holding_instance(&store, "dead").await;
    let id = named(f, "order-late").await;
    claim_one(&store, dead).await;
    f.advance(LEASE_AND_MORE).await;
    let a = holding_instance(&store, "a").await;
    assert_eq!(take_over(&store, a, 10).await, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Held);
    add(&store, &hold(of_name("order-late"))).await;
    let release = request(OperatorVerb::Release, of_name("order-late"));
    assert_eq!(applied(&store, &release).await.1, 0);
    assert_eq!(status(&store, id).await, AlertStatus::Held);
}

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

pub(crate) async fn two_instances_count_each_alert_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let other = f.another().await;
    f.many(700).await;
    let line = add(&store, &cancel(of_all())).await;
    let (one, two) = tokio::join!(pass(&store, &line), pass(&other, &line));
    let last = pass(&store, &line).await;
    assert!(last.closed);
    let counted = one.applied + two.applied + last.applied;
    let line = request_line(&store, line.request_id).await;
    assert_eq!((counted, line.applied_count), (700, 700));
    assert_eq!(f.rows("AlertStatus", "Status = 'cancelled'").await, 700);
}

pub(crate) async fn what_is_refused_keeps_no_other(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let ids = [
        f.alert_to("ops0@contoso.com").await,
        f.alert_to("ops0@contoso.com").await,
        f.alert_to("ops0@contoso.com").await,
    ];
    let rule = f
        .rules(&ids[1].to_string(), "'cancelled', 'held'")
        .remove(0);
    f.sql(&rule.make).await;
    let line = add(&store, &cancel(of_all())).await;
    let first = pass(&store, &line).await;
    assert_eq!((first.applied, first.closed), (2, false));
    assert_eq!(first.refused.len(), 1);
    assert_eq!(first.refused[0].alert, ids[1]);
    assert!(
        first.refused[0].why.contains(rule.says),
        "{:?}",
        first.refused
    );
    assert_eq!(request_line(&store, line.request_id).await.refused_count, 1);
    let (_, claimed) = claim_from(&store, a, "default", 10).await;
    assert!(claimed.alerts.is_empty(), "a cancel stays in force");
    f.sql(rule.drop).await;
    let last = pass(&store, &line).await;
    assert_eq!((last.applied, last.closed), (1, true));
    assert_eq!(request_line(&store, line.request_id).await.refused_count, 0);
}

pub(crate) async fn a_dry_run_counts_and_changes_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let failed = f.alert_to("ops0@contoso.com").await;
    attempt_of(&store, a, 1, &[Failed]).await;
    f.many(3).await;
    f.advance(minutes(1)).await;
    for (request, expected) in [
        (cancel(of_all()), (AlertStatus::Queued, 3)),
        (requeue(of_all()), (AlertStatus::Failed, 1)),
        (hold(of_port("default")), (AlertStatus::Queued, 3)),
    ] {
        let found = store.count_matching(&request).await.expect("count");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].send_port, "default");
        assert_eq!((found[0].status, found[0].alerts), expected);
    }
    assert_eq!(store.requests(10).await.expect("requests"), []);
    assert_eq!(status(&store, failed).await, AlertStatus::Failed);
}

pub(crate) async fn a_request_needs_a_filter(f: &dyn Fixture) {
    let store = f.fresh().await;
    let none = RequestFilter::default();
    for request in [
        hold(none.clone()),
        request(OperatorVerb::Release, none),
        hold(of_all()),
        hold(RequestFilter {
            alert_name: Some("late".to_owned()),
            ..of_port("default")
        }),
    ] {
        let refused = store.add_request(&request).await.expect_err("refused");
        let error = refused.to_string().to_lowercase();
        assert!(error.contains("operatorrequest"), "{error}");
    }
    assert_eq!(store.requests(10).await.expect("requests"), []);
}

pub(crate) async fn requests_show_who_and_what(f: &dyn Fixture) {
    let store = f.fresh().await;
    let first = add(&store, &cancel(of_name("late"))).await;
    let second = add(&store, &hold(of_port("bulk"))).await;
    let lines = store.requests(10).await.expect("requests");
    let ids: Vec<_> = lines.iter().map(|it| it.request_id).collect();
    assert_eq!(ids, [second.request_id, first.request_id]);
    let line = &lines[1];
    assert_eq!(
        (line.verb.as_str(), line.state.as_str()),
        ("cancel", "open")
    );
    assert_eq!(line.filter.alert_name.as_deref(), Some("late"));
    assert!(line.filter.created_until.is_some() && !line.requested_by.is_empty());
    assert_eq!(line.comment.as_deref(), Some("runaway job"));
    let open = store.open_requests().await.expect("requests");
    let ids: Vec<_> = open.iter().map(|it| it.request_id).collect();
    assert_eq!(ids, [first.request_id, second.request_id]);
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
