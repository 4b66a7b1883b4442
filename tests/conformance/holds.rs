//! Holds of operators, and their release.

use RecipientStatus::Relayed;
use sendport_core::domain::{AlertStatus, OperatorVerb, RecipientStatus, RequestId};
use sendport_store::Among;
use sendport_store::operator_requests::RequestFilter;

use crate::fixture::*;
use crate::requests::{applied, hold, named, of_name, of_port};

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
    assert_eq!(
        line.result.as_deref(),
        Some("a hold ended; every matching alert is released")
    );
    assert_eq!(claim_one(&store, a).await.1, id);
    assert!(store.open_requests().await.expect("requests").is_empty());
}

pub(crate) async fn a_release_of_nothing_says_so(f: &dyn Fixture) {
    let store = f.fresh().await;
    named(f, "order-late").await;
    let unknown = RequestFilter {
        hold_request_id: Some(RequestId(4711)),
        ..RequestFilter::default()
    };
    for (filter, says) in [
        (unknown, "request 4711 was not in force"),
        (of_all(), "nothing was held"),
    ] {
        let (line, count) = applied(&store, &request(OperatorVerb::Release, filter)).await;
        assert_eq!((line.state.as_str(), count), ("done", 0));
        assert_eq!(line.result.as_deref(), Some(says));
    }
}

pub(crate) async fn a_release_spares_what_is_held_after_it(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = named(f, "order-late").await;
    let releases = [
        add(&store, &request(OperatorVerb::Release, of_all())).await,
        add(&store, &request(OperatorVerb::Release, of_alert(id))).await,
    ];
    let held = add(&store, &hold(of_alert(id))).await;
    assert_eq!(pass(&store, &held).await.applied, 1);
    for release in &releases {
        assert_eq!(pass(&store, release).await.applied, 0);
    }
    assert_eq!(status(&store, id).await, AlertStatus::Held);
    assert_eq!(crate::fixture::release(&store, Some(id)).await.applied, 1);
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

/// Nothing can be held of it any more, and nobody can release it.
pub(crate) async fn a_hold_of_an_alert_that_became_final_ends(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    let line = add(&store, &hold(of_alert(id))).await;
    let first = pass(&store, &line).await;
    assert_eq!(
        (first.applied, first.closed),
        (0, false),
        "it is being sent"
    );
    record(&store, a, &outcome(id, token, 1, &[Relayed, Relayed])).await;
    assert!(pass(&store, &line).await.closed);
    let line = request_line(&store, line.request_id).await;
    assert_eq!((line.state.as_str(), line.applied_count), ("done", 0));
    assert_eq!(line.result.as_deref(), Some("the alert is final"));
    assert_eq!(store.open_requests().await.expect("requests"), []);
}

pub(crate) async fn a_thousand_holds_keep_no_other_request_waiting(f: &dyn Fixture) {
    let store = f.fresh().await;
    let table = f.table("OperatorRequest");
    for part in 0..11 {
        let rows: Vec<_> = (0..100)
            .map(|n| format!("('hold', 'job {}')", part * 100 + n))
            .collect();
        f.sql(&format!(
            "INSERT INTO {table} (Verb, AlertName) VALUES {}",
            rows.join(", ")
        ))
        .await;
    }
    let id = f.alert_to("ops@contoso.com").await;
    let cancel = add(&store, &request(OperatorVerb::Cancel, of_alert(id))).await;
    let open = store.open_requests().await.expect("requests");
    assert!(open.iter().any(|line| line.request_id == cancel.request_id));
    assert!(open.is_sorted_by_key(|line| line.request_id));
    assert_eq!(open.len(), 1_000);
}
