//! Requests of operators: what all verbs have in common.

use std::sync::Arc;

use RecipientStatus::Failed;
use sendport_core::domain::{AlertId, AlertStatus, InstanceId, OperatorVerb, RecipientStatus};
use sendport_store::Store;
use sendport_store::operator_requests::{NewRequest, RequestFilter, RequestLine};

use crate::fixture::*;

pub(crate) fn cancel(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Cancel, filter)
}

pub(crate) fn hold(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Hold, filter)
}

pub(crate) fn requeue(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Requeue, filter)
}

pub(crate) fn of_name(name: &str) -> RequestFilter {
    RequestFilter {
        alert_name: Some(name.to_owned()),
        ..RequestFilter::default()
    }
}

pub(crate) fn of_port(name: &str) -> RequestFilter {
    RequestFilter {
        send_port: Some(name.to_owned()),
        ..RequestFilter::default()
    }
}

/// An alert with a name, for two recipients.
pub(crate) async fn named(f: &dyn Fixture, name: &str) -> AlertId {
    let values = format!("'ops0@contoso.com; ops1@contoso.com', 's', '{name}'");
    f.insert("ToRecipients, Subject, AlertName", &values).await
}

/// Claims the one alert that is due, and records an attempt with these statuses.
pub(crate) async fn attempt_of(
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
pub(crate) async fn applied(store: &Arc<dyn Store>, request: &NewRequest) -> (RequestLine, u64) {
    let line = add(store, request).await;
    let count = pass(store, &line).await.applied;
    (request_line(store, line.request_id).await, count)
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

pub(crate) async fn a_comment_has_400_characters_at_most(f: &dyn Fixture) {
    let store = f.fresh().await;
    for (length, fits) in [(401, false), (400, true)] {
        let request = NewRequest {
            comment: Some("x".repeat(length)),
            ..cancel(of_all())
        };
        assert_eq!(store.add_request(&request).await.is_ok(), fits, "{length}");
    }
}

pub(crate) async fn a_request_that_is_done_has_one_event(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.alert_to("ops@contoso.com").await;
    let line = add(&store, &cancel(of_port("default"))).await;
    let first = pass(&store, &line).await;
    assert!(first.closed && first.closed_now);
    let second = pass(&store, &line).await;
    assert!(second.closed && !second.closed_now);
    let events = "EventType = 'request-done' AND Severity = 'information' AND Message LIKE '%cancel SendPort ''default''%'";
    assert_eq!(f.rows("EventLog", events).await, 1);
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
