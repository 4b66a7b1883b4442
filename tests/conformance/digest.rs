//! Failures are reported once.

use std::sync::Arc;

use RecipientStatus::{Cancelled, Delayed, Failed, Relayed};
use sendport_core::domain::{AlertId, AlertOrigin, Decision, RecipientStatus};
use sendport_store::digest::{UnreportedFailures, UnreportedLine};
use sendport_store::{NewAlert, Store};

use crate::fixture::*;

async fn unreported(store: &Arc<dyn Store>) -> UnreportedFailures {
    let unreported = store.unreported("default", minutes(60), 100, &[]).await;
    unreported.expect("unreported")
}

async fn unreported_ids(store: &Arc<dyn Store>) -> Vec<AlertId> {
    let lines = unreported(store).await.lines;
    lines.into_iter().map(|line| line.alert).collect()
}

/// An alert with these statuses of its recipients after one attempt.
async fn ended(f: &dyn Fixture, store: &Arc<dyn Store>, statuses: &[RecipientStatus]) -> AlertId {
    let addresses: Vec<_> = (0..statuses.len())
        .map(|n| format!("ops{n}@contoso.com"))
        .collect();
    let id = f.alert_to(&addresses.join("; ")).await;
    let a = instance(store, "a").await;
    let (token, id_of_claim) = claim_one(store, a).await;
    assert_eq!(id, id_of_claim);
    record(store, a, &outcome(id, token, 1, statuses)).await;
    id
}

fn digest() -> NewAlert {
    NewAlert {
        to_recipients: Some("oncall@contoso.com".to_owned()),
        subject: Some("3 alerts were not sent; it's time to look".to_owned()),
        body: Some("Order 4711 is late".to_owned()),
        ..NewAlert::default()
    }
}

async fn report(store: &Arc<dyn Store>, alerts: &[AlertId]) -> Option<AlertId> {
    store
        .insert_digest(alerts, &digest())
        .await
        .expect("recorded")
        .digest
}

pub(crate) async fn each_failed_recipient_is_a_line(f: &dyn Fixture) {
    let store = f.fresh().await;
    let partial = ended(f, &store, &[Relayed, Failed, Relayed, Failed]).await;
    ended(f, &store, &[Relayed]).await;
    ended(f, &store, &[Cancelled]).await;
    let failed = ended(f, &store, &[Failed]).await;
    let found = unreported(&store).await;
    assert_eq!(found.alerts, 2);
    let whose: Vec<_> = found
        .lines
        .iter()
        .map(|line| (line.alert, line.address.as_deref().unwrap_or("none")))
        .collect();
    assert_eq!(
        whose,
        [
            (partial, "ops1@contoso.com"),
            (partial, "ops3@contoso.com"),
            (failed, "ops0@contoso.com")
        ]
    );
}

pub(crate) async fn a_line_has_the_relays_reply(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(f, &store, &[Failed]).await;
    let recipient = recipient(0, Failed);
    let reply = recipient.reply.expect("a failed recipient has a reply");
    let delivery = store.deliveries(Some(id), 1).await.expect("deliveries");
    let expected = UnreportedLine {
        alert: id,
        reference: None,
        subject: Some("Order 4711 is late".to_owned()),
        address: Some("ops0@contoso.com".to_owned()),
        status: "failed".to_owned(),
        status_at: delivery[0].status_at,
        relay: recipient.relay,
        reply: Some(reply.to_string()),
        advice: Some("correct the address".to_owned()),
    };
    assert_eq!(unreported(&store).await.lines, [expected]);
}

pub(crate) async fn an_alert_that_failed_as_a_whole_has_a_line(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("").await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let decision = Decision {
        status: sendport_core::domain::AlertStatus::Failed,
        retry_in: None,
        reason: Some("it names no recipient".to_owned()),
        attempt: None,
        recipients: Vec::new(),
        template_version: None,
    };
    record(&store, a, &decided(id, token, decision)).await;
    let found = unreported(&store).await;
    let [line] = &found.lines[..] else {
        panic!("one line: {found:?}");
    };
    assert_eq!((found.alerts, line.alert), (1, id));
    assert_eq!(
        (line.address.as_deref(), line.reply.as_deref()),
        (None, Some("it names no recipient"))
    );
}

pub(crate) async fn expired_alerts_are_reported(f: &dyn Fixture) {
    let store = f.fresh().await;
    let past = now() - chrono::TimeDelta::minutes(5);
    let alert = NewAlert {
        to_recipients: Some("ops0@contoso.com".to_owned()),
        expires_at: Some(past),
        ..NewAlert::default()
    };
    let id = store.insert(&alert).await.expect("insert");
    assert_eq!(expire(&store, 10).await, 1);
    let lines = unreported(&store).await.lines;
    assert_eq!((lines[0].alert, lines[0].status.as_str()), (id, "expired"));
}

pub(crate) async fn unfinished_alerts_are_not_reported(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(f, &store, &[Failed, Delayed]).await;
    assert_eq!(unreported(&store).await, UnreportedFailures::default());
}

pub(crate) async fn only_recent_failures_of_the_send_port_are_reported(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(f, &store, &[Failed]).await;
    f.advance(minutes(61)).await;
    let lately = ended(f, &store, &[Failed]).await;
    assert_eq!(unreported_ids(&store).await, [lately]);
    let other = store.unreported("other", minutes(60), 100, &[]).await;
    assert_eq!(other.expect("unreported"), UnreportedFailures::default());
    let all = store
        .unreported("default", std::time::Duration::MAX, 100, &[])
        .await;
    assert_eq!(all.expect("unreported").alerts, 2);
}

pub(crate) async fn lines_of_the_oldest_alerts_come_first_up_to_the_limit(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ended(f, &store, &[Failed, Failed]).await);
        f.advance(std::time::Duration::from_secs(1)).await;
    }
    let found = store.unreported("default", minutes(60), 2, &[]).await;
    let found = found.expect("unreported");
    let alerts: Vec<_> = found.lines.iter().map(|line| line.alert).collect();
    assert_eq!(
        (found.alerts, alerts),
        (3, vec![ids[0], ids[0], ids[1], ids[1]])
    );
}

pub(crate) async fn reported_failures_are_not_reported_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    let first = ended(f, &store, &[Failed]).await;
    let second = ended(f, &store, &[Failed]).await;
    let digest = report(&store, &[first]).await.expect("reported");
    assert_eq!(unreported_ids(&store).await, [second]);
    assert_eq!(
        report(&store, &[first, second]).await,
        None,
        "one is reported"
    );
    assert_eq!(f.rows("Alert", "1 = 1").await, 3, "and nothing was done");
    assert_eq!(unreported_ids(&store).await, [second]);
    let row = format!("AlertId = {first} AND DigestAlertId = {digest}");
    assert_eq!(f.rows("FailureNotification", &row).await, 1);
}

pub(crate) async fn a_failure_that_cannot_be_marked_blocks_no_other(f: &dyn Fixture) {
    let store = f.fresh().await;
    for n in 0..f.rules_of_notes(AlertId(0)).len() {
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(ended(f, &store, &[Failed]).await);
        }
        let rule = f.rules_of_notes(ids[1]).remove(n);
        f.sql(&rule.make).await;
        let reported = store
            .insert_digest(&ids, &digest())
            .await
            .expect("recorded");
        let digest = reported.digest.expect("a digest");
        let [refused] = &reported.refused[..] else {
            panic!("one: {reported:?}");
        };
        assert_eq!(refused.alert, ids[1]);
        assert!(refused.why.contains(rule.says), "{}", refused.why);
        let noted = format!("DigestAlertId = {digest}");
        assert_eq!(
            f.rows("FailureNotification", &noted).await,
            4,
            "{}",
            rule.make
        );

        assert_eq!(unreported_ids(&store).await, [ids[1]]);
        let others = store
            .unreported("default", minutes(60), 100, &ids[1..2])
            .await;
        assert_eq!(others.expect("unreported"), UnreportedFailures::default());
        f.sql(rule.drop).await;
        assert!(report(&store, &ids[1..2]).await.is_some());
        // The digests are out of the way of the next claim.
        let a = instance(&store, "a").await;
        assert_eq!(claim(&store, a, 100).await.1.len(), 2);
    }
}

pub(crate) async fn a_digest_is_an_alert_of_the_service(f: &dyn Fixture) {
    let store = f.fresh().await;
    let failed = ended(f, &store, &[Failed]).await;
    assert_eq!(load(&store, failed).await.origin, AlertOrigin::Application);
    let id = report(&store, &[failed]).await.expect("reported");
    let loaded = load(&store, id).await;
    assert_eq!(loaded.origin, AlertOrigin::Digest);
    assert_eq!(loaded.subject, digest().subject);
    assert_eq!(f.rows("AlertStatus", "Origin = 'digest'").await, 1);
    let a = instance(&store, "a").await;
    let (token, claimed) = claim_one(&store, a).await;
    assert_eq!(claimed, id, "it is sent like any other");
    let mut failure = outcome(id, token, 1, &[Failed]);
    failure.alert = id;
    record(&store, a, &failure).await;
    assert_eq!(
        unreported(&store).await,
        UnreportedFailures::default(),
        "of itself never"
    );
}

pub(crate) async fn an_application_cannot_make_a_digest(f: &dyn Fixture) {
    f.fresh().await;
    let alert = f.table("Alert");
    let insert = format!("INSERT INTO {alert} (ToRecipients, Origin) VALUES ('a@b.de', 'digest')");
    let refused = f.try_sql(&insert).await.expect_err("no such column");
    assert!(refused.to_lowercase().contains("origin"), "{refused}");
}

pub(crate) async fn one_of_many_instances_reports(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        failed.push(ended(f, &here, &[Failed]).await);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(if n % 2 == 0 { &here } else { &there });
        let alerts = failed.clone();
        tasks.spawn(async move { store.insert_digest(&alerts, &digest()).await });
    }
    let answers: Result<Vec<_>, _> = tasks.join_all().await.into_iter().collect();
    let answers = answers.expect("every one is answered");
    assert_eq!(
        answers.iter().filter_map(|it| it.digest).count(),
        1,
        "{answers:?}"
    );
    assert_eq!(f.rows("Alert", "1 = 1").await, 4);
    assert_eq!(f.rows("FailureNotification", "1 = 1").await, 3);
}
