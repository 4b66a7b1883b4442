//! The membership of an instance among those that live.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{InstanceId, Membership};
use sendport_store::Store;

use crate::fixture::*;

async fn publish_share(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    share_count: u32,
) -> Membership {
    store
        .publish_share(instance, share_count)
        .await
        .expect("publish")
}

fn assert_about(ago: Option<Duration>, expected: Duration) {
    let ago = ago.expect("another one ended");
    let off = ago.abs_diff(expected);
    assert!(off < Duration::from_secs(20), "{ago:?}, not {expected:?}");
}

pub(crate) async fn one_alone_has_everything(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    assert_eq!(publish_share(&store, a, 1).await, Membership::ALONE);
}

pub(crate) async fn each_has_a_place_by_age(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut all = Vec::new();
    for name in ["a", "b", "c"] {
        all.push(instance(&store, name).await);
        f.advance(Duration::from_secs(1)).await;
    }
    for (rank, &instance) in (0..).zip(&all) {
        let membership = publish_share(&store, instance, 3).await;
        assert_eq!((membership.instances, membership.rank), (3, rank));
    }
}

pub(crate) async fn instances_started_together_have_distinct_positions(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    let table = f.table("Instance");
    f.sql(&format!(
        "UPDATE {table} SET StartedAt = (SELECT max(StartedAt) FROM {table})"
    ))
    .await;
    let (a, b) = (
        publish_share(&store, a, 2).await,
        publish_share(&store, b, 2).await,
    );
    assert_eq!(a.rank + b.rank, 1, "{a:?} {b:?}");
}

pub(crate) async fn they_agree_when_every_other_one_shares(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    assert!(
        !publish_share(&store, a, 2).await.acknowledged,
        "b still takes it all"
    );
    assert!(publish_share(&store, b, 2).await.acknowledged);
    assert!(publish_share(&store, a, 2).await.acknowledged);
    assert_eq!(f.rows("Instance", "ShareCount = 2").await, 2);
    instance(&store, "c").await;
    assert!(
        !publish_share(&store, a, 3).await.acknowledged,
        "b shares among two"
    );
}

pub(crate) async fn stopped_and_expired_instances_do_not_count(f: &dyn Fixture) {
    let store = f.fresh().await;
    instance(&store, "dead").await;
    f.advance(minutes(3)).await;
    let a = instance(&store, "a").await;
    // Of two that begin in one millisecond either may be the older.
    f.advance(Duration::from_secs(1)).await;
    let b = instance(&store, "b").await;
    let membership = publish_share(&store, a, 1).await;
    assert_eq!((membership.instances, membership.rank), (2, 0));
    assert_about(membership.others_ended, minutes(2));
    store.retire(b).await.expect("retire");
    let membership = publish_share(&store, a, 1).await;
    assert_eq!((membership.instances, membership.acknowledged), (1, true));
    assert_about(membership.others_ended, Duration::ZERO);
    f.advance(minutes(31)).await;
    let c = instance(&store, "c").await;
    assert_about(publish_share(&store, c, 1).await.others_ended, minutes(30));
}

pub(crate) async fn an_instance_that_stopped_an_hour_ago_does_not_count(f: &dyn Fixture) {
    let store = f.fresh().await;
    let dead = instance(&store, "dead").await;
    store.retire(dead).await.expect("retire");
    f.advance(minutes(61)).await;
    let a = instance(&store, "a").await;
    assert_eq!(publish_share(&store, a, 1).await, Membership::ALONE);
}

pub(crate) async fn an_unregistered_instance_counts_as_the_youngest(f: &dyn Fixture) {
    let store = f.fresh().await;
    let stranger = InstanceId::random();
    assert_eq!(publish_share(&store, stranger, 1).await, Membership::ALONE);
    let (a, b) = (instance(&store, "a").await, instance(&store, "b").await);
    let membership = publish_share(&store, stranger, 3).await;
    assert_eq!((membership.instances, membership.rank), (3, 2));
    assert!(!membership.acknowledged);
    for instance in [a, b] {
        let membership = publish_share(&store, instance, 3).await;
        assert_eq!(membership.instances, 2, "it waits for no absent instance");
    }
    assert!(publish_share(&store, stranger, 3).await.acknowledged);
}

pub(crate) async fn a_waiting_instance_has_no_share(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let waits = instance(&store, "waits").await;
    assert_eq!(publish_share(&store, a, 1).await.instances, 2);
    assert_eq!(publish_share(&store, waits, 0).await.instances, 2);
    assert_eq!(publish_share(&store, a, 1).await, Membership::ALONE);
    store.retire(waits).await.expect("retire");
    assert_eq!(
        publish_share(&store, a, 1).await,
        Membership::ALONE,
        "it never sent"
    );
}
