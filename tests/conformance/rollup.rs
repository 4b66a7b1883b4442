//! The monitoring views show what was recorded, minute by minute.

use std::sync::Arc;

use RecipientStatus::{Failed, Relayed};
use sendport_core::domain::{AlertId, RecipientStatus};
use sendport_store::Store;
use sendport_store::rollup::RolledUp;

use crate::fixture::*;

/// Counts all closed minutes.
async fn roll_up(store: &Arc<dyn Store>) {
    for _ in 0..1000 {
        if !repeated(|| store.roll_up()).await.more {
            return;
        }
    }
    panic!("it does not end");
}

/// An alert with these statuses of its recipients after one attempt.
async fn ended(f: &dyn Fixture, store: &Arc<dyn Store>, statuses: &[RecipientStatus]) -> AlertId {
    let id = f.alert_to("ops0@contoso.com").await;
    let a = instance(store, "a").await;
    let (token, claimed) = claim_one(store, a).await;
    assert_eq!(id, claimed);
    record(store, a, &outcome(id, token, 1, statuses)).await;
    id
}

/// The sum of a column.
async fn sum(f: &dyn Fixture, column: &str, view: &str, condition: &str) -> i64 {
    let view = f.table(view);
    let query = format!("SELECT CAST(sum({column}) AS bigint) FROM {view} WHERE {condition}");
    f.count(&query).await
}

pub(crate) async fn each_final_alert_is_counted_once_in_its_minute(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(f, &store, &[Relayed, Relayed]).await;
    ended(f, &store, &[Relayed, Failed]).await;
    f.advance(minutes(30)).await;
    ended(f, &store, &[Failed]).await;
    f.alert_to("ops@contoso.com").await;
    f.advance(minutes(5)).await;
    roll_up(&store).await;
    for view in ["ThroughputByMinute", "ThroughputByHour"] {
        for (column, expected) in [
            ("AlertCount", 3),
            ("RelayedCount", 1),
            ("PartialCount", 1),
            ("FailedCount", 1),
            ("ExpiredCount", 0),
            ("RecipientCount", 5),
            ("AttemptCount", 3),
        ] {
            let found = sum(f, column, view, "SendPort = 'default' AND Relay = 'mail'").await;
            assert_eq!(found, expected, "{column} of {view}");
        }
    }
    assert_eq!(
        f.rows("ThroughputByMinute", "FailedCount = 1 AND AlertCount = 1")
            .await,
        1
    );
    let open = sum(
        f,
        "AlertCount",
        "MinuteCount",
        "Status NOT IN ('relayed', 'partial', 'failed')",
    )
    .await;
    assert_eq!(open, 0);
}

pub(crate) async fn counting_again_changes_nothing(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    ended(f, &here, &[Relayed]).await;
    ended(f, &here, &[Failed]).await;
    f.advance(minutes(3)).await;
    let (a, b) = tokio::join!(roll_up(&here), roll_up(&there));
    let ((), ()) = (a, b);
    let nothing = repeated(|| here.roll_up()).await;
    assert!(nothing.minutes <= 1, "{nothing:?}");
    // The watermark is set back, as if an instance had died before it moved on.
    let earlier = match f.state_table().as_str() {
        "AlertState" => "strftime('%Y-%m-%dT%H:%M:%fZ', CountedTo, '-20 minutes')",
        _ => "DATEADD(minute, -20, CountedTo)",
    };
    let state = f.table("RollupState");
    f.sql(&format!("UPDATE {state} SET CountedTo = {earlier}"))
        .await;
    let again = repeated(|| here.roll_up()).await;
    assert_eq!(
        again,
        RolledUp {
            minutes: 10,
            more: true
        }
    );
    roll_up(&here).await;
    assert_eq!(sum(f, "AlertCount", "MinuteCount", "1 = 1").await, 2);
    assert_eq!(sum(f, "AlertCount", "MinuteLatency", "1 = 1").await, 1);
}

/// A transaction that began before the minute was counted commits after it.
pub(crate) async fn what_is_recorded_late_is_counted_too(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(f, &store, &[Relayed]).await;
    f.advance(minutes(1)).await;
    roll_up(&store).await;
    assert_eq!(sum(f, "AlertCount", "MinuteCount", "1 = 1").await, 1);
    let late = ended(f, &store, &[Relayed]).await;
    let minute_before = match f.state_table().as_str() {
        "AlertState" => "strftime('%Y-%m-%dT%H:%M:%fZ', FinalAt, '-2 minutes')",
        _ => "DATEADD(minute, -2, FinalAt)",
    };
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET FinalAt = {minute_before} WHERE AlertId = {late}"
    ))
    .await;
    // The next closed minute.
    let earlier = match state.as_str() {
        "AlertState" => "strftime('%Y-%m-%dT%H:%M:%fZ', CountedTo, '-1 minutes')",
        _ => "DATEADD(minute, -1, CountedTo)",
    };
    let rollup = f.table("RollupState");
    f.sql(&format!("UPDATE {rollup} SET CountedTo = {earlier}"))
        .await;
    roll_up(&store).await;
    assert_eq!(sum(f, "AlertCount", "MinuteCount", "1 = 1").await, 2);
}

pub(crate) async fn percentiles_are_those_of_the_alerts(f: &dyn Fixture) {
    let store = f.fresh().await;
    f.many(100).await;
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET Status = 'relayed', DueAt = NULL"
    ))
    .await;
    f.advance(minutes(10)).await;
    // The n-th alert took n times 100 ms: 5 s, 9.5 s and 9.9 s are the percentiles.
    let first = f.count(&format!("SELECT min(AlertId) FROM {state}")).await;
    let ms = format!("(AlertId - {first} + 1) * 100");
    let (same, later) = match state.as_str() {
        "AlertState" => (
            format!("UPDATE {state} SET CreatedAt = substr(CreatedAt, 1, 16) || ':00.000Z'"),
            format!("strftime('%Y-%m-%dT%H:%M:%fZ', CreatedAt, (({ms}) / 1000.0) || ' seconds')"),
        ),
        _ => (
            format!(
                "UPDATE {state} SET CreatedAt = DATEADD(minute, DATEDIFF(minute, '2000-01-01', CreatedAt), '2000-01-01')"
            ),
            format!("DATEADD(millisecond, {ms}, CreatedAt)"),
        ),
    };
    f.sql(&same).await;
    f.sql(&format!("UPDATE {state} SET FinalAt = {later}"))
        .await;
    roll_up(&store).await;
    let expected =
        "AlertCount = 100 AND P50Ms = 5000 AND P95Ms = 10000 AND P99Ms = 10000 AND MaxMs = 10000";
    assert_eq!(f.rows("LatencyByMinute", expected).await, 1);
    assert_eq!(f.rows("LatencyByHour", expected).await, 1);
}

pub(crate) async fn failures_are_shown_by_cause_with_a_sample(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(f, &store, &[Failed, Failed, Relayed]).await;
    let last = ended(f, &store, &[Failed]).await;
    let row = format!(
        "ExplanationKey = 'no-such-user' AND Cause = 'the mailbox does not exist' AND Advice = 'correct the address' \
         AND SendPort = 'default' AND Relay = 'mail' AND RecipientCount = 3 AND SampleAlertId = {last} \
         AND Sample LIKE '%no such user%'"
    );
    assert_eq!(f.rows("FailureByCause", &row).await, 1);
    let whole = f.alert_to("").await;
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET Status = 'failed', DueAt = NULL, FinalAt = StatusAt, StatusReason = 'it names no recipient' \
         WHERE AlertId = {whole}"
    ))
    .await;
    let row = "ExplanationKey IS NULL AND RecipientCount = 1 AND Sample = 'it names no recipient'";
    assert_eq!(f.rows("FailureByCause", row).await, 1);
    f.advance(minutes(24 * 60 + 1)).await;
    assert_eq!(f.rows("FailureByCause", "1 = 1").await, 0);
}

pub(crate) async fn instances_show_their_state(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let b = instance(&store, "b").await;
    f.alert_to("ops@contoso.com").await;
    claim_one(&store, a).await;
    store.retire(b).await.expect("retired");
    let shown = async |row: &str| f.rows("InstanceStatus", row).await;
    assert_eq!(
        shown("Name = 'a' AND State = 'running' AND LeasedCount = 1").await,
        1
    );
    assert_eq!(
        shown("Name = 'b' AND State = 'stopped' AND LeasedCount = 0").await,
        1
    );
    f.advance(LEASE_AND_MORE).await;
    assert_eq!(shown("Name = 'a' AND State = 'lost'").await, 1);
}

/// The outcome of a killed instance comes half an hour after the alert failed without it.
pub(crate) async fn a_late_outcome_corrects_the_counts_of_its_minute(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let dead = instance(&store, "dead").await;
    let (token, _) = claim_one(&store, dead).await;
    let late = outcome(id, token, 1, &[Relayed]);
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    let (token, _) = claim_one(&store, other).await;
    record(&store, other, &outcome(id, token, 2, &[Failed])).await;
    f.advance(minutes(30)).await;
    roll_up(&store).await;
    let counts = |column: &'static str| sum(f, column, "ThroughputByMinute", "1 = 1");
    assert_eq!(
        (counts("FailedCount").await, counts("RelayedCount").await),
        (1, 0)
    );
    record(&store, dead, &late).await;
    roll_up(&store).await;
    assert_eq!(
        (counts("FailedCount").await, counts("RelayedCount").await),
        (0, 1)
    );
    assert_eq!(sum(f, "AlertCount", "MinuteLatency", "1 = 1").await, 1);
    assert_eq!(f.rows("MinuteRecount", "1 = 1").await, 0);
}

/// Where alerts of the day are deleted, a minute is not counted again: what is left would be too few.
pub(crate) async fn a_minute_of_which_alerts_are_deleted_keeps_its_counts(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(f, &store, &[Relayed]).await;
    ended(f, &store, &[Failed]).await;
    f.advance(minutes(30)).await;
    roll_up(&store).await;
    let (daily, recount, state) = (
        f.table("DailyCount"),
        f.table("MinuteRecount"),
        f.state_table(),
    );
    let (day, minute) = match state.as_str() {
        "AlertState" => (
            "substr(FinalAt, 1, 10)",
            "substr(FinalAt, 1, 16) || ':00.000Z'",
        ),
        _ => (
            "CAST(FinalAt AS date)",
            "DATEADD(minute, DATEDIFF(minute, '2000-01-01', FinalAt), '2000-01-01')",
        ),
    };
    for statement in [
        format!(
            "INSERT INTO {daily} (Day, SendPort, Status, AlertCount, RecipientCount)
             SELECT {day}, 'default', 'failed', 1, 1 FROM {state} WHERE Status = 'failed'"
        ),
        format!("INSERT INTO {recount} (Minute) SELECT {minute} FROM {state}"),
        format!("UPDATE {state} SET Status = 'cancelled' WHERE Status = 'failed'"),
    ] {
        f.sql(&statement).await;
    }
    roll_up(&store).await;
    assert_eq!(
        sum(f, "FailedCount", "ThroughputByMinute", "1 = 1").await,
        1
    );
    assert_eq!(f.rows("MinuteRecount", "1 = 1").await, 0);
}
