//! Alerts whose rows a rule of the site keeps from being changed: sweeps go around them.

use std::sync::Arc;

use sendport_core::domain::{
    AlertId, AlertStatus, InstanceCondition, InstanceId, Outcome, RecipientStatus,
};
use sendport_store::{AdoptMode, Among, RefusedRow, Store, StoreError, SweepResult};

use crate::fixture::*;

#[derive(Clone, Copy)]
enum Sweep {
    TakeOver(InstanceId),
    Expire,
    FailUnrouted,
}

async fn ask(store: &Arc<dyn Store>, sweep: Sweep, among: Among<'_>) -> SweepResult {
    const LIMIT: u32 = 5;
    repeated(|| async {
        match sweep {
            Sweep::TakeOver(by) => store.take_over(by, LIMIT, among).await,
            Sweep::Expire => store.expire(LIMIT, among).await,
            Sweep::FailUnrouted => store.fail_unrouted(minutes(10), LIMIT, among).await,
        }
    })
    .await
}

fn ids_of(refused: &[RefusedRow]) -> Vec<AlertId> {
    refused.iter().map(|refused| refused.alert).collect()
}

/// By as many sweeps as it takes, leaving out what was refused.
async fn sweep_all(store: &Arc<dyn Store>, sweep: Sweep) -> (usize, Vec<RefusedRow>) {
    let (mut count, mut refused) = (0, Vec::new());
    loop {
        let without = ids_of(&refused);
        let swept = ask(store, sweep, Among::AllBut(&without)).await;
        if swept == SweepResult::default() {
            refused.sort_unstable_by_key(|it: &RefusedRow| it.alert);
            return (count, refused);
        }
        count += swept.count as usize;
        refused.extend(swept.refused);
    }
}

/// What the database knows beside the rows themselves.
async fn traces(f: &dyn Fixture, alert: AlertId) -> (i64, i64) {
    let of_it = format!("AlertId = {alert}");
    (
        f.rows("Attempt", &of_it).await,
        f.rows("Recipient", &of_it).await,
    )
}

/// Three of `ids`, which this sweep would change, must not get one of the statuses `to`.
async fn goes_around(
    f: &dyn Fixture,
    store: &Arc<dyn Store>,
    sweep: Sweep,
    ids: &[AlertId],
    rule: SiteRule,
) {
    let bad = [ids[1], ids[6], ids[7]];
    let (before, old) = (status(store, bad[0]).await, traces(f, bad[0]).await);
    f.sql(&rule.make).await;
    let (count, refused) = sweep_all(store, sweep).await;
    assert_eq!((count, ids_of(&refused)), (ids.len() - 3, bad.to_vec()));
    for one in &refused {
        assert!(one.why.contains(rule.says), "{}", one.why);
        assert_eq!(status(store, one.alert).await, before, "{}", rule.make);
    }
    assert_eq!(traces(f, bad[0]).await, old, "{}", rule.make);
    let again = ask(store, sweep, Among::Only(bad[1])).await;
    assert_eq!((again.count, ids_of(&again.refused)), (0, vec![bad[1]]));

    f.sql(rule.drop).await;
    let one = |count| SweepResult {
        count,
        refused: vec![],
    };
    assert_eq!(ask(store, sweep, Among::Only(bad[1])).await, one(1));
    assert_eq!(ask(store, sweep, Among::Only(bad[1])).await, one(0));
    assert_eq!(ask(store, sweep, Among::AllBut(&bad)).await, one(0));
    assert_eq!(ask(store, sweep, Among::AllBut(&[])).await, one(2));
}

async fn alerts(f: &dyn Fixture, send_port: &str) -> Vec<AlertId> {
    let mut ids = Vec::new();
    for _ in 0..12 {
        let values = format!("'ops@contoso.com', 's', '{send_port}'");
        ids.push(f.insert("ToRecipients, Subject, SendPort", &values).await);
    }
    ids
}

/// Names of alerts, for [`Fixture::rules`].
fn names(ids: &[AlertId]) -> String {
    let names: Vec<_> = ids.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn rules(f: &dyn Fixture, ids: &[AlertId], to: &str) -> Vec<SiteRule> {
    f.rules(&names(&[ids[1], ids[6], ids[7]]), to)
}

pub(crate) async fn all_others_of_a_dead_instance_are_taken_over(f: &dyn Fixture) {
    let store = f.fresh().await;
    for n in 0..f.rules("0", "'queued'").len() {
        alerts(f, "default").await;
        let dead = instance(&store, "dead").await;
        let (_, mut ids) = claim(&store, dead, 100).await;
        ids.sort_unstable();
        f.advance(LEASE_AND_MORE).await;
        let sweep = Sweep::TakeOver(instance(&store, "other").await);
        let rule = rules(f, &ids, "'queued'").remove(n);
        goes_around(f, &store, sweep, &ids, rule).await;
    }
}

pub(crate) async fn all_others_expire(f: &dyn Fixture) {
    let store = f.fresh().await;
    for n in 0..f.rules("0", "'expired'").len() {
        let ids = alerts(f, "default").await;
        f.advance(minutes(3 * 24 * 60)).await;
        let rule = rules(f, &ids, "'expired'").remove(n);
        goes_around(f, &store, Sweep::Expire, &ids, rule).await;
    }
}

pub(crate) async fn all_others_without_a_send_port_fail(f: &dyn Fixture) {
    let store = f.fresh().await;
    for n in 0..f.rules("0", "'failed'").len() {
        let ids = alerts(f, "nobody-has-it").await;
        f.advance(minutes(11)).await;
        let rule = rules(f, &ids, "'failed'").remove(n);
        goes_around(f, &store, Sweep::FailUnrouted, &ids, rule).await;
    }
}

pub(crate) async fn a_retired_instance_keeps_what_is_refused_and_nothing_else(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(4).await;
    let leaving = instance(&store, "leaving").await;
    let (_, ids) = claim(&store, leaving, 10).await;
    let rule = f.rules(&names(&ids[1..2]), "'queued'").remove(0);
    f.sql(&rule.make).await;
    let condition = InstanceCondition {
        waiting_for: Some("outcomes: 3 cannot be recorded".to_owned()),
        unrecorded: 3,
        unclaimed: 2,
        ..InstanceCondition::default()
    };
    let shown = store.show_condition(leaving, &condition).await;
    shown.expect("show its condition");
    let kept = "WaitingFor IS NOT NULL OR UnrecordedCount > 0 OR UnclaimedCount > 0";
    assert_eq!(f.rows("Instance", kept).await, 1);
    store.retire(leaving).await.expect("retire");
    assert_eq!(f.rows("Instance", "StoppedAt IS NOT NULL").await, 1);
    assert_eq!(f.rows("Instance", kept).await, 0);
    assert_eq!(status(&store, ids[1]).await, AlertStatus::Sending);
    for id in [ids[0], ids[2], ids[3]] {
        assert_eq!(status(&store, id).await, AlertStatus::Queued);
    }
    f.sql(rule.drop).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
}

pub(crate) async fn a_new_owner_gets_all_other_leases(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(4).await;
    let dead = instance(&store, "dead").await;
    let (token, ids) = claim(&store, dead, 10).await;
    let new_owner = instance(&store, "new_owner").await;
    let rule = f.rules(&names(&ids[1..2]), "'sending'").remove(0);
    f.sql(&rule.make).await;
    let leases: Vec<_> = ids.iter().map(|&id| (id, token)).collect();
    let refused = store
        .take_over_leases(new_owner, &leases)
        .await
        .expect("take over leases");
    assert_eq!(ids_of(&refused), ids[1..2]);
    f.sql(rule.drop).await;
    store.retire(dead).await.expect("retire");
    assert_eq!(claim(&store, new_owner, 10).await.1, ids[1..2]);
}

pub(crate) async fn all_others_that_are_held_are_released(f: &dyn Fixture) {
    let store = f.fresh().await;
    let ids = alerts(f, "default").await;
    store.adopt("test", AdoptMode::Hold).await.expect("adopt");
    let rule = f.rules(&names(&ids[1..2]), "'queued'").remove(0);
    f.sql(&rule.make).await;
    for (only, released) in [(None, 11), (Some(ids[1]), 0)] {
        let pass = release(&store, only).await;
        assert_eq!(
            (pass.applied, ids_of(&pass.refused)),
            (released, vec![ids[1]])
        );
    }
    f.sql(rule.drop).await;
    assert_eq!(release(&store, None).await.applied, 1);
}

/// A copied database must send nothing: what is refused is an error, behind all others.
pub(crate) async fn adopting_ends_all_others_and_names_it(f: &dyn Fixture) {
    let store = f.fresh().await;
    for (mode, to, ended) in [
        (AdoptMode::Hold, "'held'", AlertStatus::Held),
        (AdoptMode::Expire, "'expired'", AlertStatus::Expired),
    ] {
        let ids = alerts(f, "default").await;
        let rule = f.rules(&names(&ids[1..2]), to).remove(0);
        f.sql(&rule.make).await;
        let refused = store.adopt("test", mode).await.expect_err("refused");
        let words = refused.to_string();
        let named = format!("the first is {}: ", ids[1]);
        assert!(words.contains(&named) && words.contains(RULE), "{words}");
        assert_eq!(store.environment().await.expect("none").as_deref(), None);
        assert_eq!(status(&store, ids[0]).await, ended);
        assert_eq!(status(&store, ids[11]).await, ended);
        f.sql(rule.drop).await;
        store.adopt("test", mode).await.expect("adopt");
        assert_eq!(status(&store, ids[1]).await, ended);
        let forget = format!("DELETE FROM {}", f.table("Environment"));
        f.sql(&forget).await;
    }
}

async fn refusal(store: &Arc<dyn Store>, by: InstanceId, outcome: &Outcome) -> StoreError {
    let outcome = std::slice::from_ref(outcome);
    let recorded = store.record(by, outcome).await;
    recorded.expect_err("a trigger keeps it")
}

/// The message was sent: taking this for recorded would leave the alert stuck for ever.
pub(crate) async fn an_outcome_is_where_a_trigger_keeps_it_without_an_error(f: &dyn Fixture) {
    let store = f.fresh().await;
    let by = instance(&store, "a").await;
    for rule in f.quiet_rules() {
        f.alert_to("ops@contoso.com").await;
        let (token, id) = claim_one(&store, by).await;
        f.sql(&rule.make).await;
        let mut outcomes = vec![outcome(id, token, 1, &[RecipientStatus::Relayed])];
        if rule.says.contains("row") {
            outcomes.push(outcome(id, token, 1, &[RecipientStatus::Delayed]));
            outcomes.push(released(id, token, minutes(1)));
        }
        for outcome in &outcomes {
            let error = refusal(&store, by, outcome).await;
            assert!(error.is_about_data(), "{error}");
            assert!(error.what().contains(rule.says), "{error}");
            assert_eq!(status(&store, id).await, AlertStatus::Sending);
            assert_eq!(traces(f, id).await, (0, 0), "{}", rule.make);
        }
        f.sql(rule.drop).await;
        record(&store, by, &outcomes[0]).await;
        assert_eq!(status(&store, id).await, AlertStatus::Relayed);
        assert_eq!(traces(f, id).await, (1, 1), "{}", rule.make);
    }
}
