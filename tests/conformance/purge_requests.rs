//! What operators ask to purge.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, AlertStatus, OperatorVerb};
use sendport_store::operator_requests::{NewRequest, RequestFilter, RequestLine};
use sendport_store::purge_requests::{PurgeBatches, PurgeStage, purge_step};
use sendport_store::retention::{PurgeAmong, PurgeScope, Purged};
use sendport_store::{RefusedRow, Store, StoreError};

use crate::fixture::*;
use crate::requests::{named, of_name, of_port};

const HOUR: Duration = minutes(60);

fn purge(filter: RequestFilter) -> NewRequest {
    request(OperatorVerb::Purge, filter)
}

/// Batches without a pace.
struct Batches<'a>(&'a Arc<dyn Store>);

#[async_trait]
impl PurgeBatches for Batches<'_> {
    async fn purge(
        &mut self,
        stage: PurgeStage,
        scope: &PurgeScope,
    ) -> Result<Option<Purged>, StoreError> {
        let purged = match stage {
            PurgeStage::Bodies => repeated(|| self.0.purge_bodies(scope, 1_000_000)).await,
            PurgeStage::Alerts => repeated(|| self.0.purge_alerts(scope)).await,
        };
        Ok(Some(purged))
    }
}

/// Carries it out as an instance does; the row afterwards, and what was refused.
async fn carry_out(
    store: &Arc<dyn Store>,
    request: &RequestLine,
) -> (RequestLine, Vec<RefusedRow>) {
    let (mut from, mut refused) = (None, Vec::new());
    loop {
        let mut batches = Batches(store);
        let step = purge_step(&**store, request, from.as_ref(), &mut refused, &mut batches);
        from = step.await.expect("a step");
        if from.is_none() {
            break;
        }
    }
    let ids: Vec<_> = refused.iter().map(|row| row.alert).collect();
    let closed = repeated(|| store.close_request(request, 0, &ids)).await;
    assert!(closed.closed && closed.closed_now, "{closed:?}");
    let again = repeated(|| store.close_request(request, 0, &ids)).await;
    assert!(
        again.closed && !again.closed_now,
        "its event is written once"
    );
    (request_line(store, request.request_id).await, refused)
}

/// Makes an alert final without an instance.
async fn end(f: &dyn Fixture, id: AlertId, status: &str) {
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET Status = '{status}', DueAt = NULL, FinalAt = StatusAt WHERE AlertId = {id}"
    ))
    .await;
}

/// An alert with a name that became final just now.
async fn ended(f: &dyn Fixture, name: &str, status: &str) -> AlertId {
    let id = named(f, name).await;
    end(f, id, status).await;
    id
}

async fn left(f: &dyn Fixture) -> Vec<AlertId> {
    let mut ids = Vec::new();
    for line in f.another().await.alerts(None, 100).await.expect("alerts") {
        ids.push(line.alert_id);
    }
    ids.sort();
    ids
}

pub(crate) async fn what_is_final_and_old_is_deleted_and_counted(f: &dyn Fixture) {
    let store = f.fresh().await;
    for status in ["relayed", "failed", "cancelled"] {
        ended(f, "late", status).await;
    }
    let other = ended(f, "invoice", "relayed").await;
    let waiting = named(f, "late").await;
    f.advance(2 * HOUR).await;
    let young = ended(f, "late", "relayed").await;
    let line = add(&store, &purge(of_name("late"))).await;
    let counted = store.count_matching(&purge(of_name("late"))).await;
    let counted: u64 = counted.expect("count").iter().map(|it| it.alerts).sum();
    assert_eq!(counted, 3);
    let (line, refused) = carry_out(&store, &line).await;
    assert_eq!((line.applied_count, line.refused_count), (3, 0));
    assert_eq!(refused, []);
    assert_eq!(line.state, "done");
    let result = line.result.expect("a result");
    assert_eq!(result, "every matching alert is deleted");
    assert_eq!(left(f).await, [other, waiting, young]);
    assert_eq!(f.rows("DailyCount", "AlertCount = 1").await, 3);
    let events = "EventType = 'request-done' AND Message LIKE '%purge AlertName ''late''%'";
    assert_eq!(f.rows("EventLog", events).await, 1);
}

/// Clocks differ, or one was corrected.
pub(crate) async fn what_is_final_before_it_was_inserted_is_deleted(f: &dyn Fixture) {
    let store = f.fresh().await;
    let old = ended(f, "invoice", "relayed").await;
    f.advance(2 * HOUR).await;
    let id = ended(f, "late", "relayed").await;
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET FinalAt = (SELECT x.FinalAt FROM {state} x WHERE x.AlertId = {old}) WHERE AlertId = {id}"
    ))
    .await;
    let (line, refused) = carry_out(&store, &add(&store, &purge(of_alert(id))).await).await;
    assert_eq!((line.applied_count, refused.len()), (1, 0));
    assert_eq!(left(f).await, [old]);
}

pub(crate) async fn bodies_alone_are_deleted(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(f, "late", "relayed").await;
    let purged = ended(f, "late", "relayed").await;
    let state = f.state_table();
    let note = format!(
        "UPDATE {state} SET BodyPurgedAt = StatusAt, BodyPurged = 1 WHERE AlertId = {purged}"
    );
    f.sql(&note).await;
    f.advance(2 * HOUR).await;
    let bodies = NewRequest {
        bodies_only: true,
        ..purge(of_name("late"))
    };
    let line = add(&store, &bodies).await;
    assert!(line.bodies_only);
    let (line, _) = carry_out(&store, &line).await;
    assert_eq!(line.applied_count, 1);
    let result = line.result.expect("a result");
    assert_eq!(result, "the body of every matching alert is deleted");
    assert_eq!(left(f).await, [id, purged]);
    assert_eq!(f.rows("AlertStatus", "BodyPurgedAt IS NOT NULL").await, 2);
    let (line, _) = carry_out(&store, &add(&store, &purge(of_name("late"))).await).await;
    assert_eq!(line.applied_count, 2, "those without a body too");
    assert_eq!(left(f).await, []);
}

pub(crate) async fn every_filter_limits_a_purge(f: &dyn Fixture) {
    let store = f.fresh().await;
    let old = ended(f, "late", "failed").await;
    f.advance(10 * HOUR).await;
    let id = ended(f, "late", "failed").await;
    f.advance(2 * HOUR).await;
    let count = async |filter| {
        let line = add(&store, &purge(filter)).await;
        carry_out(&store, &line).await.0.applied_count
    };
    let none = [
        of_port("bulk"),
        of_name("invoice"),
        RequestFilter {
            status: Some(AlertStatus::Relayed),
            ..of_name("late")
        },
        RequestFilter {
            reference: Some("4711".to_owned()),
            ..of_name("late")
        },
        RequestFilter {
            created_by: Some("nobody".to_owned()),
            ..of_name("late")
        },
        RequestFilter {
            final_before: Some(now() - minutes(2 * 24 * 60)),
            ..of_name("late")
        },
    ];
    for filter in none {
        assert_eq!(count(filter.clone()).await, 0, "{filter:?}");
    }
    assert_eq!(left(f).await, [old, id]);
    let one = RequestFilter {
        status: Some(AlertStatus::Failed),
        ..of_alert(id)
    };
    assert_eq!(count(one).await, 1);
    assert_eq!(left(f).await, [old]);
    let age = RequestFilter {
        final_before: Some(now() - minutes(60)),
        ..of_port("default")
    };
    assert_eq!(count(age).await, 1);
}

pub(crate) async fn many_are_deleted_in_steps(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(1203).await;
    let state = f.state_table();
    let end = format!(
        "UPDATE {state} SET Status = CASE WHEN AlertId % 3 = 0 THEN 'failed' ELSE 'relayed' END, DueAt = NULL, FinalAt = StatusAt"
    );
    f.sql(&end).await;
    let waiting = f.alert_to("ops@contoso.com").await;
    f.advance(2 * HOUR).await;
    let line = add(&store, &purge(of_port("default"))).await;
    let (line, _) = carry_out(&store, &line).await;
    assert_eq!((line.applied_count, line.state.as_str()), (1203, "done"));
    assert_eq!(left(f).await, [waiting]);
    let counted = format!("SELECT sum(AlertCount) FROM {}", f.table("DailyCount"));
    assert_eq!(f.count(&counted).await, 1203);
}

/// A rule of the site keeps one body, and no other.
pub(crate) async fn what_the_database_refuses_keeps_no_other(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(ended(f, "late", "relayed").await);
    }
    f.advance(2 * HOUR).await;
    let rule = f.rules(&ids[2].to_string(), "'relayed'").remove(0);
    f.sql(&rule.make).await;
    let mut scope = PurgeScope::old(AlertStatus::Relayed, "default", HOUR);
    let purged = repeated(|| store.purge_bodies(&scope, u64::MAX)).await;
    assert_eq!(purged.alerts, 4);
    assert_eq!(purged.refused.len(), 1);
    assert_eq!(purged.refused[0].alert, ids[2]);
    assert!(purged.refused[0].why.contains(rule.says), "{purged:?}");
    scope.among = PurgeAmong::AllBut(vec![ids[2]]);
    let left_out = repeated(|| store.purge_bodies(&scope, u64::MAX)).await;
    assert_eq!(left_out, Purged::default());
    let line = add(&store, &purge(of_name("late"))).await;
    let (line, refused) = carry_out(&store, &line).await;
    assert_eq!((line.applied_count, line.refused_count), (4, 1));
    assert_eq!(refused.len(), 1);
    assert_eq!(
        line.result.as_deref(),
        Some("every matching alert is deleted, except 1 that cannot be changed")
    );
    f.sql(rule.drop).await;
    assert_eq!(left(f).await, [ids[2]]);
}

/// What was requeued in the meantime is not deleted.
pub(crate) async fn what_is_not_final_any_more_is_left(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(f, "late", "failed").await;
    f.advance(2 * HOUR).await;
    let line = add(&store, &purge(of_name("late"))).await;
    let found = store.purge_matches(&line, None).await.expect("a step");
    let requeue = add(&store, &request(OperatorVerb::Requeue, of_alert(id))).await;
    assert_eq!(pass(&store, &requeue).await.applied, 1);
    let lists: Vec<_> = found.groups.iter().map(|it| it.alerts.clone()).collect();
    let mut scope = PurgeScope::old(AlertStatus::Failed, "default", HOUR);
    scope.among = PurgeAmong::These(vec![id]);
    assert!(lists.is_empty() || lists == [vec![id]], "{lists:?}");
    assert_eq!(
        repeated(|| store.purge_bodies(&scope, u64::MAX)).await.rows,
        0
    );
    assert_eq!(status(&store, id).await, AlertStatus::Queued);
    let (line, _) = carry_out(&store, &line).await;
    assert_eq!((line.applied_count, line.state.as_str()), (0, "done"));
}

/// A row that a person writes needs an age, of an hour at least.
pub(crate) async fn a_purge_needs_an_age(f: &dyn Fixture) {
    let store = f.fresh().await;
    let table = f.table("OperatorRequest");
    for (columns, values) in [
        ("Verb, MatchesAll", "'purge', 1"),
        ("Verb, FinalBefore", "'purge', '2199-01-01T00:00:00.000Z'"),
        (
            "Verb, FinalBefore, Relay",
            "'purge', '2020-01-01T00:00:00.000Z', 'mail'",
        ),
    ] {
        let insert = format!("INSERT INTO {table} ({columns}) VALUES ({values})");
        let error = f.try_sql(&insert).await.expect_err(&insert).to_lowercase();
        assert!(error.contains("ck_operatorrequest_purge_has"), "{error}");
    }
    let insert = format!(
        "INSERT INTO {table} (Verb, FinalBefore) VALUES ('purge', '2020-01-01T00:00:00.000Z')"
    );
    f.sql(&insert).await;
    let open = store.open_requests().await.expect("requests");
    assert_eq!(open.len(), 1);
    let (line, _) = carry_out(&store, &open[0]).await;
    assert_eq!((line.applied_count, line.state.as_str()), (0, "done"));
}
