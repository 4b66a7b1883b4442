//! What is old is purged: bodies first, child rows before their alert, and each alert is counted.

use std::sync::Arc;
use std::time::Duration;

use RecipientStatus::{Failed, Relayed};
use sendport_core::domain::{AlertId, AlertStatus, InstanceId, RecipientStatus};
use sendport_store::retention::{MOST_ALERTS, MOST_CHILD_ROWS, PurgeScope, Purged, RetentionNote};
use sendport_store::{Event, EventSeverity, Store};

use crate::fixture::*;
use crate::{attachments, large};

const HOUR: Duration = minutes(60);

fn scope(status: AlertStatus, send_port: &str, older_than: Duration) -> PurgeScope {
    PurgeScope::old(status, send_port, older_than)
}

/// Relayed ones of the send port `default` that became final an hour ago.
fn relayed() -> PurgeScope {
    scope(AlertStatus::Relayed, "default", HOUR)
}

/// Bodies, until none is left.
async fn purge_bodies(store: &Arc<dyn Store>, scope: &PurgeScope) -> Purged {
    let mut all = Purged::default();
    for _ in 0..1000 {
        all += repeated(|| store.purge_bodies(scope, u64::MAX)).await;
        if !all.more {
            return all;
        }
    }
    panic!("it does not end: {all:?}");
}

/// Alerts, until none is left.
async fn purge_alerts(store: &Arc<dyn Store>, scope: &PurgeScope) -> Purged {
    let mut all = Purged::default();
    for _ in 0..1000 {
        all += repeated(|| store.purge_alerts(scope)).await;
        if !all.more {
            return all;
        }
    }
    panic!("it does not end: {all:?}");
}

/// One batch of bodies.
async fn body_batch(store: &Arc<dyn Store>, bytes: u64) -> Purged {
    let scope = relayed();
    repeated(|| store.purge_bodies(&scope, bytes)).await
}

/// One batch of alerts.
async fn alert_batch(store: &Arc<dyn Store>) -> Purged {
    let scope = relayed();
    repeated(|| store.purge_alerts(&scope)).await
}

/// Makes an alert final without an instance.
async fn end(f: &dyn Fixture, id: AlertId, status: AlertStatus) {
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET Status = '{status}', DueAt = NULL, FinalAt = StatusAt WHERE AlertId = {id}"
    ))
    .await;
}

/// Rows of attachments.
async fn files(f: &dyn Fixture) -> i64 {
    let table = match f.state_table().as_str() {
        "AlertState" => "Attachment",
        _ => "AttachmentRow",
    };
    f.rows(table, "1 = 1").await
}

/// An alert with an attachment that was relayed.
async fn sent(f: &dyn Fixture, store: &Arc<dyn Store>) -> AlertId {
    let id = attachments::with_one(f, "sent").await;
    let a = instance(store, "a").await;
    let (token, claimed) = claim_one(store, a).await;
    assert_eq!(claimed, id);
    record(store, a, &outcome(id, token, 1, &[Relayed, Relayed])).await;
    id
}

pub(crate) async fn bodies_and_attachments_go_first_and_the_status_stays(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = sent(f, &store).await;
    let before = store.deliveries(Some(id), 10).await.expect("deliveries");
    assert_eq!(purge_bodies(&store, &relayed()).await, Purged::default());
    f.advance(minutes(61)).await;
    let times = store.deliveries(Some(id), 10).await.expect("deliveries");
    let purged = purge_bodies(&store, &relayed()).await;
    assert_eq!((purged.alerts, purged.rows), (1, 2));
    assert!(purged.bytes > 0);
    assert_eq!(f.rows("Alert", "Body IS NULL AND Payload IS NULL").await, 1);
    assert_eq!(files(f).await, 0);
    assert_eq!(f.rows("AlertStatus", "BodyPurgedAt IS NOT NULL").await, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Relayed);
    let after = store.deliveries(Some(id), 10).await.expect("deliveries");
    assert_eq!((after.len(), before.len()), (2, 2));
    assert_eq!(after, times);
    assert_eq!(purge_bodies(&store, &relayed()).await.alerts, 0, "once");
}

pub(crate) async fn an_alert_keeps_its_row_until_its_body_is_purged(f: &dyn Fixture) {
    let store = f.fresh().await;
    sent(f, &store).await;
    f.advance(minutes(61)).await;
    assert_eq!(purge_alerts(&store, &relayed()).await, Purged::default());
    purge_bodies(&store, &relayed()).await;
    let purged = purge_alerts(&store, &relayed()).await;
    // The alert, an attempt, two replies and two recipients.
    assert_eq!((purged.alerts, purged.rows), (1, 6));
    for table in ["Alert", "Recipient", "Attempt", "AttemptReply"] {
        assert_eq!(f.rows(table, "1 = 1").await, 0, "{table}");
    }
}

pub(crate) async fn what_is_not_final_is_never_purged(f: &dyn Fixture) {
    let store = f.fresh().await;
    for _ in AlertStatus::ALL {
        f.alert_to("ops@contoso.com").await;
    }
    let a = instance(&store, "a").await;
    let (_, leased) = claim(&store, a, 1).await;
    let first = leased[0].0;
    for (n, &status) in (1..).zip(AlertStatus::ALL) {
        if !status.is_final() && status != AlertStatus::Sending {
            let state = f.state_table();
            let set =
                format!("UPDATE {state} SET Status = '{status}' WHERE AlertId = {first} + {n}");
            f.sql(&set).await;
        }
    }
    f.advance(minutes(24 * 60)).await;
    let all = f.rows("Alert", "Body IS NOT NULL").await;
    for &status in AlertStatus::ALL {
        let scope = scope(status, "default", HOUR);
        assert_eq!(purge_bodies(&store, &scope).await, Purged::default());
        assert_eq!(purge_alerts(&store, &scope).await, Purged::default());
    }
    assert_eq!(f.rows("Alert", "Body IS NOT NULL").await, all);
    assert_eq!(store.final_groups().await.expect("groups"), []);
}

pub(crate) async fn each_status_and_send_port_has_an_age_of_its_own(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (relayed, failed) = (AlertStatus::Relayed, AlertStatus::Failed);
    for (port, status) in [("a", relayed), ("a", failed), ("b", relayed), ("b", failed)] {
        let id = f
            .insert(
                "ToRecipients, SendPort",
                &format!("'ops@contoso.com', '{port}'"),
            )
            .await;
        end(f, id, status).await;
    }
    f.advance(minutes(61)).await;
    let groups = store.final_groups().await.expect("groups");
    let named = |(at, port): (AlertStatus, &str)| (at, port.to_owned());
    let found: Vec<_> = groups
        .iter()
        .map(|group| (group.status, group.send_port.clone()))
        .collect();
    assert_eq!(
        found,
        [(failed, "a"), (failed, "b"), (relayed, "a"), (relayed, "b")].map(named)
    );
    assert!(groups.iter().all(|it| it.oldest() == it.oldest_body));
    for (age, count) in [(HOUR, 1), (2 * HOUR, 0)] {
        let old = store
            .count_old(&scope(failed, "a", age))
            .await
            .expect("counted");
        assert_eq!((old.bodies, old.alerts), (count, count));
    }
    for (port, status, age) in [
        ("a", relayed, HOUR),
        ("a", failed, 2 * HOUR),
        ("b", relayed, 2 * HOUR),
        ("b", failed, HOUR),
    ] {
        let scope = scope(status, port, age);
        purge_bodies(&store, &scope).await;
        purge_alerts(&store, &scope).await;
    }
    assert_eq!(
        f.rows("AlertStatus", "SendPort = 'a' AND Status = 'failed'")
            .await,
        1
    );
    assert_eq!(
        f.rows("AlertStatus", "SendPort = 'b' AND Status = 'relayed'")
            .await,
        1
    );
    assert_eq!(f.rows("AlertStatus", "1 = 1").await, 2);
}

pub(crate) async fn ten_thousand_recipients_are_purged_in_batches(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to(&large::list()).await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let statuses = vec![Relayed; large::RECIPIENTS];
    record(&store, a, &outcome(id, token, 1, &statuses)).await;
    f.advance(minutes(61)).await;
    purge_bodies(&store, &relayed()).await;
    let (mut left, mut calls) = (20_002_u64, 0);
    loop {
        let purged = alert_batch(&store).await;
        left -= purged.rows;
        calls += 1;
        assert!(
            purged.rows <= 3 * u64::from(MOST_CHILD_ROWS) + 1,
            "{purged:?}"
        );
        let [replies, recipients] = [
            f.rows("AttemptReply", "1 = 1").await,
            f.rows("Recipient", "1 = 1").await,
        ];
        assert!(replies == 0 || recipients == 10_000, "replies go first");
        if !purged.more {
            break;
        }
        assert_eq!(
            f.rows("AlertStatus", "1 = 1").await,
            1,
            "the alert goes last"
        );
    }
    assert_eq!(left, 0);
    assert!((20..=25).contains(&calls), "{calls}");
    assert_eq!(
        f.rows("DailyCount", "AlertCount = 1 AND RecipientCount = 10000")
            .await,
        1
    );
}

pub(crate) async fn a_batch_of_bodies_ends_at_its_bytes(f: &dyn Fixture) {
    let store = f.fresh().await;
    for _ in 0..5 {
        let id = f
            .insert(
                "ToRecipients, Body",
                &format!("'ops@contoso.com', '{}'", "x".repeat(10_000)),
            )
            .await;
        end(f, id, AlertStatus::Relayed).await;
    }
    f.advance(minutes(61)).await;
    let one = body_batch(&store, 1).await;
    assert_eq!((one.alerts, one.more), (1, true));
    let two = body_batch(&store, one.bytes + 1).await;
    assert_eq!((two.alerts, two.bytes, two.more), (2, 2 * one.bytes, true));
    let rest = purge_bodies(&store, &relayed()).await;
    assert_eq!(rest.alerts, 2);
}

pub(crate) async fn many_attachments_are_purged_in_batches(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops@contoso.com").await;
    let attachment = f.table("Attachment");
    let content = match attachment.as_str() {
        "Attachment" => "x'00ff'",
        _ => "0x00ff",
    };
    for _ in 0..5 {
        let rows = vec![format!("({id}, {content})"); 500].join(", ");
        f.sql(&format!(
            "INSERT INTO {attachment} (AlertId, Content) VALUES {rows}"
        ))
        .await;
    }
    end(f, id, AlertStatus::Relayed).await;
    f.advance(minutes(61)).await;
    let first = body_batch(&store, u64::MAX).await;
    assert_eq!((first.alerts, first.more), (0, true));
    assert_eq!(files(f).await, 1500);
    let sent_again = f.rows("AlertStatus", "BodyPurgedAt IS NULL").await;
    assert_eq!(
        sent_again, 0,
        "an alert without all of its files is not sent again"
    );
    assert_eq!(purge_alerts(&store, &relayed()).await.alerts, 0, "not yet");
    assert_eq!(purge_bodies(&store, &relayed()).await.alerts, 1);
    assert_eq!(files(f).await, 0);
    assert_eq!(purge_alerts(&store, &relayed()).await.alerts, 1);
}

pub(crate) async fn daily_counts_equal_what_was_deleted(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let days = minutes(24 * 60);
    for statuses in [
        &[Relayed, Relayed, Relayed][..],
        &[Relayed],
        &[Failed, Failed],
    ] {
        let id = f.alert_to("ops@contoso.com").await;
        let (token, _) = claim_one(&store, a).await;
        record(&store, a, &outcome(id, token, 1, statuses)).await;
        f.advance(days).await;
    }
    let state = f.state_table();
    let day = match state.as_str() {
        "AlertState" => "substr(FinalAt, 1, 10)",
        _ => "CONVERT(date, FinalAt)",
    };
    let finals = format!("SELECT count(DISTINCT {day}) FROM {state}");
    assert_eq!(f.count(&finals).await, 3);
    for status in [AlertStatus::Relayed, AlertStatus::Failed] {
        let scope = scope(status, "default", HOUR);
        purge_bodies(&store, &scope).await;
        purge_alerts(&store, &scope).await;
    }
    assert_eq!(f.rows("AlertStatus", "1 = 1").await, 0);
    for row in [
        "Status = 'relayed' AND AlertCount = 1 AND RecipientCount = 3",
        "Status = 'relayed' AND AlertCount = 1 AND RecipientCount = 1",
        "Status = 'failed' AND AlertCount = 1 AND RecipientCount = 2",
    ] {
        assert_eq!(f.rows("DailyCount", row).await, 1, "{row}");
    }
    assert_eq!(f.rows("DailyCount", "SendPort = 'default'").await, 3);
}

pub(crate) async fn two_purges_at_once_count_each_alert_once(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let count = 2 * MOST_ALERTS as usize + 50;
    f.many(count).await;
    let state = f.state_table();
    f.sql(&format!(
        "UPDATE {state} SET Status = 'relayed', DueAt = NULL, FinalAt = StatusAt"
    ))
    .await;
    f.advance(minutes(61)).await;
    let purge = async |store: &Arc<dyn Store>| {
        let mut all = purge_bodies(store, &relayed()).await.alerts;
        all += purge_alerts(store, &relayed()).await.alerts;
        all
    };
    let (a, b) = tokio::join!(purge(&here), purge(&there));
    let rest = purge(&here).await;
    assert_eq!(a + b + rest, 2 * count as u64);
    let counted = format!("SELECT sum(AlertCount) FROM {}", f.table("DailyCount"));
    assert_eq!(f.count(&counted).await, count as i64);
    assert_eq!(f.rows("Alert", "1 = 1").await, 0);
}

pub(crate) async fn one_instance_has_the_right_to_purge(f: &dyn Fixture) {
    let store = f.fresh().await;
    let [a, b] = [InstanceId::random(), InstanceId::random()];
    let begin = async |id| repeated(|| store.begin_retention(id, LEASE)).await;
    assert!(begin(a).await);
    assert!(!begin(b).await);
    f.advance(minutes(1) / 2).await;
    assert!(begin(a).await, "renewed");
    f.advance(minutes(1) / 2 + Duration::from_secs(1)).await;
    assert!(!begin(b).await, "still leased");
    f.advance(LEASE_AND_MORE).await;
    assert!(begin(b).await);
    assert!(!begin(a).await);
}

pub(crate) async fn an_instance_that_ends_gives_up_the_right_to_purge(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let b = InstanceId::random();
    let begin = async |id| repeated(|| store.begin_retention(id, LEASE)).await;
    assert!(begin(a).await);
    let idle = "RunningSince IS NULL";
    assert_eq!(f.rows("RetentionProgress", idle).await, 0);
    store.retire(a).await.expect("retired");
    assert_eq!(f.rows("RetentionProgress", idle).await, 1);
    assert!(begin(b).await, "without a wait for the lease");
    let c = instance(&store, "c").await;
    store.retire(c).await.expect("retired");
    assert!(begin(b).await);
    assert!(!begin(a).await, "another one keeps its right");
}

pub(crate) async fn progress_shows_what_was_purged_today(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    sent(f, &store).await;
    f.advance(minutes(61)).await;
    assert!(repeated(|| store.begin_retention(a, LEASE)).await);
    let oldest = store.final_groups().await.expect("groups")[0].oldest();
    purge_bodies(&store, &relayed()).await;
    let note = RetentionNote {
        paused: Some("the log of the database is full".to_owned()),
        oldest_final: oldest,
        ..RetentionNote::default()
    };
    store.show_retention(a, &note).await.expect("shown");
    let running = "RunningSince IS NOT NULL AND PurgedBodiesToday = 1 AND PurgedAlertsToday = 0 AND PurgedRowsToday = 2 \
                   AND PurgedBytesToday > 0 AND PausedReason = 'the log of the database is full' AND Instance = 'a' \
                   AND OldestFinalAt IS NOT NULL AND OldestBodyAt IS NULL";
    assert_eq!(f.rows("RetentionProgress", running).await, 1);
    purge_alerts(&store, &relayed()).await;
    let ended = RetentionNote {
        ended: true,
        ..RetentionNote::default()
    };
    store.show_retention(a, &ended).await.expect("shown");
    let ended = "RunningSince IS NULL AND PurgedBodiesToday = 1 AND PurgedAlertsToday = 1 AND PausedReason IS NULL";
    assert_eq!(f.rows("RetentionProgress", ended).await, 1);
}

pub(crate) async fn old_events_and_daily_counts_are_purged(f: &dyn Fixture) {
    let store = f.fresh().await;
    let event = Event {
        severity: EventSeverity::Information,
        event_type: "instance-started",
        instance: None,
        alert: None,
        send_port: None,
        relay: None,
        message: "started".to_owned(),
    };
    store.log_event(&event).await.expect("log");
    f.advance(minutes(61)).await;
    store.log_event(&event).await.expect("log");
    assert_eq!(repeated(|| store.purge_events(HOUR)).await, 1);
    assert_eq!(repeated(|| store.purge_events(HOUR)).await, 0);
    assert_eq!(f.rows("EventLog", "1 = 1").await, 1);
    let counts = f.table("DailyCount");
    f.sql(&format!(
        "INSERT INTO {counts} (Day, SendPort, Status, AlertCount, RecipientCount) \
         VALUES ('2026-01-31', 'default', 'relayed', 1, 1), ('2199-01-31', 'default', 'relayed', 1, 1)"
    ))
    .await;
    assert_eq!(repeated(|| store.purge_counts(HOUR)).await, 1);
    assert_eq!(f.rows("DailyCount", "1 = 1").await, 1);
}
