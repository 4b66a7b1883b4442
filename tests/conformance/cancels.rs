//! Alerts that an operator cancels.

use RecipientStatus::{Delayed, Relayed};
use sendport_core::domain::{AlertStatus, RecipientStatus};
use sendport_store::operator_requests::RequestFilter;

use crate::fixture::*;
use crate::requests::{applied, attempt_of, cancel, named, of_name, of_port, requeue};

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

pub(crate) async fn a_cancel_spares_what_is_requeued_after_it(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let sending = named(f, "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    let waiting = named(f, "order-late").await;
    let line = add(&store, &cancel(of_name("order-late"))).await;
    let first = pass(&store, &line).await;
    assert_eq!((first.applied, first.closed), (1, false));
    f.advance(minutes(1)).await;
    assert_eq!(applied(&store, &requeue(of_alert(waiting))).await.1, 1);
    assert_eq!(pass(&store, &line).await.applied, 0);
    assert_eq!(
        claim(&store, a, 10).await.1,
        [waiting],
        "the open cancel does not park it"
    );
    record(&store, a, &outcome(sending, token, 1, &[Relayed, Relayed])).await;
    let last = pass(&store, &line).await;
    assert_eq!((last.applied, last.closed), (0, true));
    assert_eq!(status(&store, waiting).await, AlertStatus::Sending);
    let again = add(&store, &cancel(of_alert(waiting))).await;
    assert!(
        !pass(&store, &again).await.closed,
        "a cancel after the requeue is about it"
    );
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
