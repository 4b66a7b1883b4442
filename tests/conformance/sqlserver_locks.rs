//! Applications that leave transactions open: what they have locked waits, and all else goes on.
//!
//! Engines that ignore lock hints pass this by short time limits; that SQL Server passes it by
//! READPAST is reasoned at each statement.

use std::sync::Arc;

use libtest_mimic::Trial;
use sendport_core::domain::{
    AlertId, AlertStatus, InstanceId, LeaseToken, Outcome, RecipientStatus,
};
use sendport_store::{RecordResult, Store};

use crate::fixture::{self, Fixture, LEASE_AND_MORE, minutes};
use crate::sqlserver::{SqlServerFixture, on_server};
use crate::tsql::OpenTransaction;

impl SqlServerFixture {
    /// An application changes these alerts, and does not commit.
    async fn lock(&self, alerts: &[AlertId]) -> OpenTransaction {
        let ids: Vec<_> = alerts.iter().map(ToString::to_string).collect();
        let statement = format!(
            "UPDATE sendport.AlertRow SET Source = N'locked' WHERE AlertId IN ({})",
            ids.join(", ")
        );
        OpenTransaction::begin(&self.connection_string(), &statement).await
    }

    async fn alerts(&self, count: usize) -> Vec<AlertId> {
        let fixture: &dyn Fixture = self;
        fixture.many(count).await;
        let first = fixture
            .count("SELECT MIN(AlertId) FROM sendport.AlertRow")
            .await;
        (first..).take(count).map(AlertId).collect()
    }
}

fn relayed(id: AlertId, token: LeaseToken) -> Outcome {
    fixture::outcome(id, token, 1, &[RecipientStatus::Relayed])
}

async fn record(store: &Arc<dyn Store>, by: InstanceId, outcomes: &[Outcome]) -> Vec<RecordResult> {
    store.record(by, outcomes).await.expect("record")
}

async fn a_claim_leaves_a_locked_alert(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let instance = fixture::instance(&store, "a").await;
    let ids = fixture.alerts(6).await;
    let open = fixture.lock(&ids[..1]).await;
    let (_, claimed) = fixture::claim_from(&store, instance, "default", 2).await;
    assert_eq!(claimed.alerts, ids[1..3], "the oldest is locked");
    assert!(claimed.may_hold_more);
    let (_, claimed) = fixture::claim(&store, instance, 10).await;
    assert_eq!(claimed, ids[3..]);
    open.roll_back().await;
    assert_eq!(fixture::claim(&store, instance, 10).await.1, ids[..1]);
}

async fn the_other_outcomes_of_a_batch_are_recorded(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let instance = fixture::instance(&store, "a").await;
    let ids = fixture.alerts(8).await;
    let (token, claimed) = fixture::claim(&store, instance, 10).await;
    assert_eq!(claimed, ids);
    let outcomes: Vec<_> = ids.iter().map(|&id| relayed(id, token)).collect();
    let open = fixture.lock(&ids[2..3]).await;
    let mut expected = vec![RecordResult::Whole; 8];
    expected[2] = RecordResult::NotNow;
    assert_eq!(record(&store, instance, &outcomes).await, expected);
    let again = record(&store, instance, &outcomes[2..3]).await;
    assert_eq!(again, [RecordResult::NotNow]);
    open.roll_back().await;
    let again = record(&store, instance, &outcomes[2..3]).await;
    assert_eq!(again, [RecordResult::Whole]);
    for id in ids {
        assert_eq!(fixture::status(&store, id).await, AlertStatus::Relayed);
    }
}

/// A deletion that is rolled back must not make the outcome of an alert forgotten.
async fn an_alert_that_is_being_deleted_is_not_gone(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let instance = fixture::instance(&store, "a").await;
    let ids = fixture.alerts(2).await;
    let (token, _) = fixture::claim(&store, instance, 10).await;
    let outcomes: Vec<_> = ids.iter().map(|&id| relayed(id, token)).collect();
    let delete = format!("DELETE FROM sendport.AlertRow WHERE AlertId = {}", ids[0]);
    let open = OpenTransaction::begin(&fixture.connection_string(), &delete).await;
    let recorded = record(&store, instance, &outcomes).await;
    assert_eq!(recorded, [RecordResult::NotNow, RecordResult::Whole]);
    open.roll_back().await;
    let recorded = record(&store, instance, &outcomes[..1]).await;
    assert_eq!(recorded, [RecordResult::Whole]);
}

async fn sweeps_leave_a_locked_alert(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let ids = fixture.alerts(4).await;
    (fixture as &dyn Fixture)
        .advance(minutes(3 * 24 * 60))
        .await;
    let open = fixture.lock(&ids[..1]).await;
    assert_eq!(fixture::expire(&store, 10).await, 3);
    assert_eq!(fixture::fail_unrouted(&store, minutes(10), 10).await, 0);
    open.roll_back().await;
    assert_eq!(fixture::expire(&store, 10).await, 1);
}

/// Where an engine ignores READPAST as well.
async fn taking_over_leaves_a_locked_alert(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let dead = fixture::instance(&store, "dead").await;
    let ids = fixture.alerts(4).await;
    fixture::claim(&store, dead, 10).await;
    (fixture as &dyn Fixture).advance(LEASE_AND_MORE).await;
    let instance = fixture::instance(&store, "a").await;
    let open = fixture.lock(&ids[..1]).await;
    let taken = fixture::take_over(&store, instance, 10).await;
    assert!(taken < 4, "{taken}");
    assert_eq!(fixture::status(&store, ids[0]).await, AlertStatus::Sending);
    open.roll_back().await;
    let rest = fixture::take_over(&store, instance, 10).await;
    assert_eq!(taken + rest, 4);
}

/// A copied database must send nothing: there nothing is passed over.
async fn adopting_says_that_an_alert_is_locked(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let ids = fixture.alerts(2).await;
    let open = fixture.lock(&ids[..1]).await;
    let adopted = store.adopt("copy", sendport_store::AdoptMode::Expire).await;
    assert!(adopted.is_err(), "{adopted:?}");
    open.roll_back().await;
    let adopted = store.adopt("copy", sendport_store::AdoptMode::Expire).await;
    adopted.expect("adopt");
    for id in ids {
        assert_eq!(fixture::status(&store, id).await, AlertStatus::Expired);
    }
}

/// Until nothing comes any more; how many.
async fn drain(store: &Arc<dyn Store>, instance: InstanceId) -> usize {
    let mut sent = 0;
    loop {
        let (token, ids) = fixture::claim(store, instance, 20).await;
        if ids.is_empty() {
            return sent;
        }
        sent += ids.len();
        let outcomes: Vec<_> = ids.iter().map(|&id| relayed(id, token)).collect();
        let recorded = record(store, instance, &outcomes).await;
        assert!(
            recorded.iter().all(|it| *it == RecordResult::Whole),
            "{recorded:?}"
        );
    }
}

/// One application has changed rows, one has read in a serializable transaction, one has inserted:
/// no transaction commits.
async fn mail_flows_beside_open_transactions(fixture: &SqlServerFixture) {
    let store = fixture.fresh().await;
    let instance = fixture::instance(&store, "a").await;
    let ids = fixture.alerts(60).await;
    let changed = fixture.lock(&[ids[0], ids[20], ids[40]]).await;
    let own = fixture.connection_string();
    let read = format!(
        "SELECT Status FROM sendport.AlertRow WITH (SERIALIZABLE) WHERE AlertId IN ({}, {})",
        ids[1], ids[21]
    );
    let read = OpenTransaction::begin(&own, &read).await;
    let insert = "INSERT INTO sendport.Alert (ToRecipients, Subject) VALUES (N'ops@contoso.com', N'not yet')";
    let inserted = OpenTransaction::begin(&own, insert).await;
    // SQL Server leaves two more; an engine without shared locks of rows takes them.
    let sent = drain(&store, instance).await;
    assert!((55..=57).contains(&sent), "{sent}");
    assert_eq!(fixture::expire(&store, 10).await, 0);
    let queued = store.queue().await.expect("the queue, whatever is locked");
    let depth: u64 = queued.iter().map(|line| line.depth).sum();
    assert!((3..=6).contains(&depth), "{queued:?}");
    store.in_doubt(10).await.expect("what is in doubt");
    for open in [changed, read, inserted] {
        open.roll_back().await;
    }
    assert_eq!(sent + drain(&store, instance).await, 60);
}

macro_rules! on_sqlserver {
    ($($scenario:ident;)*) => {
        /// What applications lock.
        pub(crate) fn trials() -> Vec<Trial> {
            vec![$(
                on_server(
                    concat!("sqlserver_locks::", stringify!($scenario)),
                    |fixture| async move { $scenario(&fixture).await },
                ),
            )*]
        }
    };
}
on_sqlserver! {
    a_claim_leaves_a_locked_alert;
    the_other_outcomes_of_a_batch_are_recorded;
    an_alert_that_is_being_deleted_is_not_gone;
    sweeps_leave_a_locked_alert;
    taking_over_leaves_a_locked_alert;
    adopting_says_that_an_alert_is_locked;
    mail_flows_beside_open_transactions;
}
