//! Which instance claims which alert, and in which order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{
    AlertId, AlertStatus, BodyFormat, Importance, InstanceId, Priority, RecipientStatus,
};
use sendport_store::{Among, Claim, NewAlert, RecordResult, RefusedRow, Store};

use crate::fixture::*;

pub(crate) async fn three_columns_are_enough(f: &dyn Fixture) {
    let store = f.fresh().await;
    let inserted = f.alert_to("ops@contoso.com; oncall@contoso.com").await;
    let instance = instance(&store, "a").await;
    let (_, alerts) = claim(&store, instance, 10).await;
    assert_eq!(alerts, [inserted]);
    let alert = load(&store, inserted).await;
    assert_eq!(
        alert.to_recipients.as_deref(),
        Some("ops@contoso.com; oncall@contoso.com")
    );
    assert_eq!(alert.subject.as_deref(), Some("Order 4711 is late"));
    assert_eq!(alert.body.as_deref(), Some("It is."));
    assert_eq!(alert.body_format, BodyFormat::Text);
    assert_eq!(alert.send_port, "default");
    assert_eq!(alert.priority, Priority::Normal);
    assert_eq!(alert.importance, Importance::Normal);
    assert_eq!(alert.attempt_count, 0);
    assert!(alert.recipients.is_empty());
    assert!(!alert.created_by.is_empty());
    assert!((now() - alert.created_at).num_seconds().abs() < 60);
}

pub(crate) async fn a_claimed_alert_is_sending_and_not_due(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops@contoso.com").await;
    assert_eq!(status(&store, id).await, AlertStatus::Queued);
    let instance = instance(&store, "a").await;
    claim_one(&store, instance).await;
    let line = line(&store, id).await;
    assert_eq!(line.status, AlertStatus::Sending);
    assert_eq!(line.next_attempt_at, None);
    f.advance(minutes(60)).await;
    assert!(claim(&store, instance, 10).await.1.is_empty());
}

async fn with_priority(f: &dyn Fixture, priority: &str) -> AlertId {
    let values = format!("'ops@contoso.com', '{priority}', 'b', '{priority}'");
    f.insert("ToRecipients, Subject, Body, Priority", &values)
        .await
}

pub(crate) async fn urgent_comes_before_normal_before_low(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let low = with_priority(f, "low").await;
    let normal = with_priority(f, "normal").await;
    let urgent = with_priority(f, "urgent").await;
    assert_eq!(claim(&store, instance, 10).await.1, [urgent, normal, low]);
}

pub(crate) async fn a_class_is_passed_after_its_head_start_only(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let low = with_priority(f, "low").await;
    f.advance(minutes(29)).await;
    let early_normal = with_priority(f, "normal").await;
    f.advance(minutes(2)).await;
    let late_normal = with_priority(f, "normal").await;
    let early_urgent = with_priority(f, "urgent").await;
    f.advance(minutes(31)).await;
    let late_urgent = with_priority(f, "urgent").await;
    let expected = [early_urgent, early_normal, low, late_normal, late_urgent];
    assert_eq!(claim(&store, instance, 10).await.1, expected);
}

pub(crate) async fn the_oldest_comes_first(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let mut inserted = Vec::new();
    for _ in 0..5 {
        inserted.push(f.alert_to("ops@contoso.com").await);
        f.advance(Duration::from_secs(1)).await;
    }
    for expected in inserted.chunks(2) {
        assert_eq!(claim(&store, instance, 2).await.1, expected);
    }
}

pub(crate) async fn not_before_is_respected(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let alert = NewAlert {
        to_recipients: Some("ops@contoso.com".to_owned()),
        not_before: Some(now() + minutes(10)),
        ..NewAlert::default()
    };
    let id = store.insert(&alert).await.expect("insert");
    f.advance(minutes(9)).await;
    assert!(claim(&store, instance, 10).await.1.is_empty());
    f.advance(minutes(2)).await;
    assert_eq!(claim(&store, instance, 10).await.1, [id]);
}

pub(crate) async fn other_send_ports_are_left_alone(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let columns = "ToRecipients, Subject, SendPort";
    let billing = f.insert(columns, "'ops@contoso.com', 's', 'billing'").await;
    f.insert(columns, "'ops@contoso.com', 's', 'Billing'").await;
    let (_, claimed) = claim_from(&store, instance, "billing", 10).await;
    assert_eq!(claimed.alerts, [billing]);
    assert!(claim(&store, instance, 10).await.1.is_empty());
}

pub(crate) async fn the_limit_is_kept(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    f.many(7).await;
    let (_, first) = claim_from(&store, instance, "default", 3).await;
    assert_eq!(first.alerts.len(), 3);
    assert!(first.may_hold_more, "four more are due");
    assert!(claim(&store, instance, 0).await.1.is_empty());
    assert_eq!(claim(&store, instance, 3).await.1.len(), 3);
    assert_eq!(claim(&store, instance, 3).await.1.len(), 1);
    let (_, last) = claim_from(&store, instance, "default", 3).await;
    assert!(last.alerts.is_empty() && !last.may_hold_more);
}

pub(crate) async fn two_claimers_never_share_an_alert(f: &dyn Fixture) {
    claimers_never_share(f, 2).await;
}

pub(crate) async fn eight_claimers_never_share_an_alert(f: &dyn Fixture) {
    claimers_never_share(f, 8).await;
}

async fn claimers_never_share(f: &dyn Fixture, claimers: usize) {
    const ALERTS: usize = 2_000;
    let store = f.fresh().await;
    f.many(ALERTS).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..claimers {
        let store = f.another().await;
        let instance = instance(&store, &format!("claimer{n}")).await;
        tasks.spawn(async move { claim_until_empty(&store, instance).await });
    }
    let taken: Vec<AlertId> = tasks.join_all().await.into_iter().flatten().collect();
    let distinct: HashSet<_> = taken.iter().collect();
    assert_eq!(distinct.len(), taken.len(), "an alert was claimed twice");
    assert_eq!(taken.len(), ALERTS, "an alert was never claimed");
    assert_eq!(store.queue().await.expect("queue")[0].depth, ALERTS as u64);
}

async fn claim_until_empty(
    store: &Arc<dyn Store>,
    instance: sendport_core::domain::InstanceId,
) -> Vec<AlertId> {
    let mut taken = Vec::new();
    loop {
        let (_, claimed) = claim_from(store, instance, "default", 20).await;
        if claimed.alerts.is_empty() && !claimed.may_hold_more {
            return taken;
        }
        taken.extend(claimed.alerts);
    }
}

pub(crate) async fn an_alert_inserted_by_the_command_line_is_claimed(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let alert = NewAlert {
        to_recipients: Some("ops@contoso.com".to_owned()),
        subject: Some("s".to_owned()),
        ..NewAlert::default()
    };
    let id = store.insert(&alert).await.expect("insert");
    assert_eq!(claim(&store, instance, 10).await.1, [id]);
    assert_eq!(store.alerts(None, 10).await.expect("alerts").len(), 1);
}

fn ids_of(refused: &[RefusedRow]) -> Vec<AlertId> {
    refused.iter().map(|refused| refused.alert).collect()
}

/// Inserted as low, normal and urgent in turn; in the order of work.
async fn of_all_classes(f: &dyn Fixture, of_each: usize) -> Vec<AlertId> {
    let mut classes = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..of_each {
        for (class, priority) in classes.iter_mut().zip(["urgent", "normal", "low"]) {
            class.push(with_priority(f, priority).await);
        }
    }
    classes.concat()
}

/// All of them by as many claims as it takes, leaving out what was refused.
async fn claim_all(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    limit: u32,
) -> (Vec<AlertId>, Vec<RefusedRow>) {
    let (mut taken, mut refused) = (Vec::new(), Vec::new());
    loop {
        let without = ids_of(&refused);
        let among = Among::AllBut(&without);
        let (_, claimed) = claim_among(store, instance, "default", limit, among).await;
        let nothing = claimed.alerts.is_empty() && claimed.refused.is_empty();
        if nothing && !claimed.may_hold_more {
            return (taken, refused);
        }
        assert!(!nothing, "a claim comes forward");
        taken.extend(claimed.alerts);
        refused.extend(claimed.refused);
    }
}

pub(crate) async fn a_refused_alert_keeps_no_other(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    for n in 0..f.rules("0", "'sending'").len() {
        let due = of_all_classes(f, 4).await;
        let bad = [due[1], due[6], due[7]];
        let rule = f
            .rules(&format!("{}, {}, {}", bad[0], bad[1], bad[2]), "'sending'")
            .remove(n);
        f.sql(&rule.make).await;
        let good: Vec<_> = due.iter().copied().filter(|id| !bad.contains(id)).collect();
        let (taken, refused) = claim_all(&store, instance, 5).await;
        assert_eq!(taken, good, "{}", rule.make);
        assert_eq!(ids_of(&refused), bad);
        for one in &refused {
            assert!(one.why.contains(rule.says), "{}", one.why);
            assert_eq!(status(&store, one.alert).await, AlertStatus::Queued);
        }
        let again = Among::Only(bad[1]);
        let (_, claimed) = claim_among(&store, instance, "default", 1, again).await;
        assert_eq!(
            (claimed.alerts, ids_of(&claimed.refused)),
            (vec![], vec![bad[1]])
        );

        f.sql(rule.drop).await;
        let (token, claimed) = claim_among(&store, instance, "default", 1, again).await;
        assert_eq!((claimed.alerts, claimed.refused), (vec![bad[1]], vec![]));
        let outcome = outcome(bad[1], token, 1, &[RecipientStatus::Relayed]);
        let recorded = store.record(instance, &[outcome]).await.expect("record");
        assert_eq!(recorded, [RecordResult::Whole], "it has its lease");
        let (_, claimed) = claim_among(&store, instance, "default", 1, again).await;
        assert_eq!((claimed.alerts, claimed.refused), (vec![], vec![]));
        assert_eq!(claim(&store, instance, 10).await.1, [bad[0], bad[2]]);
    }
}

/// More than a claim takes, and in front of everything else.
pub(crate) async fn many_refused_alerts_keep_no_other(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    f.many(130).await;
    let alert = f.table("Alert");
    let first = f.count(&format!("SELECT min(AlertId) FROM {alert}")).await;
    let bad: Vec<_> = (first..).take(40).map(AlertId).collect();
    let names: Vec<_> = bad.iter().map(ToString::to_string).collect();
    let rule = f
        .rules(&names.join(", "), "'sending'")
        .pop()
        .expect("a rule");
    f.sql(&rule.make).await;
    let (taken, refused) = claim_all(&store, instance, 20).await;
    let good: Vec<_> = (first + 40..first + 130).map(AlertId).collect();
    assert_eq!((taken, ids_of(&refused)), (good, bad));
    f.sql(rule.drop).await;
    assert_eq!(claim(&store, instance, 100).await.1.len(), 40);
}

/// A claim whose answer was lost is repeated, and gets the same alerts and no more.
pub(crate) async fn a_claim_that_is_repeated_answers_what_it_took(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    of_all_classes(f, 2).await;
    let (token, mut first) = claim_from(&store, instance, "default", 4).await;
    let claim = Claim {
        instance,
        token,
        send_port: "default",
        limit: 4,
        among: Among::AllBut(&[]),
    };
    let mut again = store.claim(&claim).await.expect("claim");
    first.alerts.sort_unstable();
    again.alerts.sort_unstable();
    assert_eq!(again.alerts, first.alerts);
}

/// A claim whose answer was lost is repeated, and gets the same alerts, refused ones or not.
pub(crate) async fn a_claim_that_met_a_refusal_is_repeated_as_any(f: &dyn Fixture) {
    let store = f.fresh().await;
    let instance = instance(&store, "a").await;
    let due = of_all_classes(f, 2).await;
    let rule = f.rules(&due[2].to_string(), "'sending'").remove(0);
    f.sql(&rule.make).await;
    let (token, first) = claim_from(&store, instance, "default", 10).await;
    assert_eq!(first.alerts.len(), 5);
    let claim = Claim {
        instance,
        token,
        send_port: "default",
        limit: 10,
        among: Among::AllBut(&[]),
    };
    let mut again = store.claim(&claim).await.expect("claim");
    again.alerts.extend(first.alerts);
    again.alerts.sort_unstable();
    again.alerts.dedup();
    assert_eq!(again.alerts.len(), 5, "no other is taken by it");
    f.sql(rule.drop).await;
}
