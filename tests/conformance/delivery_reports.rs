//! What is reported to the senders of submitted messages: everything once.

use std::sync::Arc;
use std::time::Duration;

use RecipientStatus::{Cancelled, Delayed, Failed, Relayed};
use sendport_core::domain::{
    AlertId, AlertOrigin, DsnReturn, EnvelopeRecipient, Notify, NotifyOn, OperatorVerb,
    ReceivedContent, ReceivedMessage, RecipientKind, RecipientStatus, ReportAction,
    RequeueRecipients, ReversePath,
};
use sendport_store::delivery_reports::{NewReport, ReportResult, ReportSearch};
use sendport_store::operator_requests::NewRequest;
use sendport_store::retention::{PurgeAmong, PurgeScope};
use sendport_store::{AdoptMode, Store};

use crate::fixture::*;
use crate::received::{message, to};

fn search(action: ReportAction) -> ReportSearch<'static> {
    ReportSearch {
        send_port: "default",
        action,
        after: Duration::ZERO,
        within: minutes(60),
        by_default: false,
        without: &[],
        limit: 100,
    }
}

async fn reportable(store: &Arc<dyn Store>, search: ReportSearch<'_>) -> Vec<AlertId> {
    let found = store.reportable(search).await.expect("read");
    found.into_iter().map(|it| it.alert).collect()
}

async fn failures(store: &Arc<dyn Store>) -> Vec<AlertId> {
    reportable(store, search(ReportAction::Failed)).await
}

/// A submitted message to so many recipients, each with this NOTIFY.
async fn submitted(store: &Arc<dyn Store>, count: usize, notify: Option<Notify>) -> AlertId {
    let mut wanted = message(ReceivedContent::Memory(b"Subject: x\r\n\r\ny\r\n".to_vec()));
    let recipient = |n: usize| EnvelopeRecipient {
        notify: notify.clone(),
        original: None,
        ..to(&format!("ops{n}@contoso.com"), RecipientKind::To)
    };
    wanted.envelope.recipients = (0..count).map(recipient).collect();
    wanted.envelope.returns = Some(DsnReturn::Full);
    store
        .insert_received(wanted.into())
        .await
        .expect("inserted")
}

/// One with these statuses of its recipients after one attempt.
async fn ended(
    store: &Arc<dyn Store>,
    statuses: &[RecipientStatus],
    notify: Option<Notify>,
) -> AlertId {
    let id = submitted(store, statuses.len(), notify).await;
    attempted(store, id, 1, statuses).await;
    id
}

async fn attempted(store: &Arc<dyn Store>, id: AlertId, number: u32, statuses: &[RecipientStatus]) {
    let a = instance(store, "a").await;
    let (token, claimed) = claim_one(store, a).await;
    assert_eq!(id, claimed);
    record(store, a, &outcome(id, token, number, statuses)).await;
}

/// The message of a report.
fn notification() -> ReceivedMessage {
    let bytes = b"Subject: Delivery failed\r\n\r\ntext\r\n".to_vec();
    let mut report = message(ReceivedContent::Memory(bytes));
    report.origin = AlertOrigin::Report;
    report.intake = String::new();
    report.envelope.reverse_path = ReversePath(None);
    report.envelope.recipients = vec![to("app@contoso.com", RecipientKind::To)];
    report
}

async fn insert(
    store: &Arc<dyn Store>,
    alert: AlertId,
    action: ReportAction,
    recipients: &[u32],
) -> ReportResult {
    let report = NewReport {
        alert,
        send_port: "default".to_owned(),
        action,
        recipients: recipients.to_vec(),
        message: Ok(notification()),
    };
    store.insert_report(report).await.expect("done")
}

async fn report(store: &Arc<dyn Store>, alert: AlertId, recipients: &[u32]) -> AlertId {
    match insert(store, alert, ReportAction::Failed, recipients).await {
        ReportResult::Inserted(id) => id,
        other => panic!("{other:?}"),
    }
}

async fn requeue(store: &Arc<dyn Store>, alert: AlertId) {
    let wanted = NewRequest {
        recipients: Some(RequeueRecipients::Failed),
        ..request(OperatorVerb::Requeue, of_alert(alert))
    };
    let request = add(store, &wanted).await;
    assert_eq!(pass(store, &request).await.applied, 1);
}

async fn sentences(store: &Arc<dyn Store>, id: AlertId) -> Vec<String> {
    let lines = store.explanation(id).await.expect("an explanation");
    lines.into_iter().map(|line| line.sentence).collect()
}

pub(crate) async fn a_failed_recipient_is_reported_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(&store, &[Relayed, Failed, Failed], None).await;
    assert_eq!(failures(&store).await, [id]);
    let found = store
        .unreported_message(id, ReportAction::Failed, 100)
        .await;
    let found = found.expect("read").expect("there");
    let ordinals: Vec<_> = found.recipients.iter().map(|it| it.ordinal).collect();
    assert_eq!(ordinals, [1, 2]);
    let first = &found.recipients[0];
    let expected = recipient(1, Failed);
    let reply = expected.reply.expect("a failed recipient has a reply");
    assert_eq!(first.address, "ops1@contoso.com");
    assert_eq!((first.status, &first.relay), (Failed, &expected.relay));
    assert_eq!(first.reply_code, Some(reply.code.into()));
    assert_eq!(first.reply_text.as_deref(), Some(reply.text.as_str()));
    assert_eq!(found.subject.as_deref(), Some("Zähler 😀"));

    let sent = report(&store, id, &[1, 2]).await;
    assert_eq!(failures(&store).await, []);
    let left = store
        .unreported_message(id, ReportAction::Failed, 100)
        .await;
    assert_eq!(left.expect("read").expect("there").recipients, []);
    let again = insert(&store, id, ReportAction::Failed, &[2]).await;
    assert_eq!(again, ReportResult::Outdated);
    assert_eq!(
        f.rows("Alert", "1 = 1").await,
        2,
        "and nothing was inserted"
    );
    let row = format!(
        "AlertId = {id} AND Action = 'failed' AND ReportAlertId = {sent} AND Reason IS NULL"
    );
    assert_eq!(f.rows("DeliveryReport", &row).await, 2);
}

pub(crate) async fn a_report_is_a_message_of_the_service(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(&store, &[Failed], None).await;
    let sent = report(&store, id, &[0]).await;
    let alert = load(&store, sent).await;
    assert_eq!(alert.origin, AlertOrigin::Report);
    assert_eq!(alert.to_recipients.as_deref(), Some("app@contoso.com"));
    let stored = store.received(sent).await.expect("read").expect("there");
    assert_eq!(stored.reverse_path, ReversePath(None));
    let said = sentences(&store, sent).await;
    let expected = format!(
        "the service inserted the alert for send port 'default', to report to the sender of alert {id}"
    );
    assert_eq!(said[0], expected);
    let said = sentences(&store, id).await;
    let expected = format!(
        "a report is sent to the reverse-path app@contoso.com as alert {sent}: 1 recipient failed"
    );
    assert!(said.contains(&expected), "{said:?}");
    attempted(&store, sent, 1, &[Failed]).await;
    assert_eq!(failures(&store).await, [], "of a report never");
}

pub(crate) async fn each_failure_of_a_delayed_message_is_reported_at_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(&store, &[Failed, Delayed], None).await;
    assert_eq!(failures(&store).await, [id]);
    let early = insert(&store, id, ReportAction::Failed, &[0, 1]).await;
    assert_eq!(early, ReportResult::Outdated, "one of them is delayed");
    report(&store, id, &[0]).await;
    assert_eq!(failures(&store).await, []);
    f.advance(minutes(61)).await;
    let a = instance(&store, "a").await;
    let claimed = claim(&store, a, 10).await;
    let (token, ids) = (claimed.0, claimed.1);
    assert!(ids.contains(&id));
    record(&store, a, &outcome(id, token, 2, &[Failed, Failed])).await;
    assert_eq!(failures(&store).await, [id]);
    report(&store, id, &[1]).await;
    assert_eq!(failures(&store).await, []);
}

pub(crate) async fn only_recent_failures_of_submitted_messages_are_reported(f: &dyn Fixture) {
    let store = f.fresh().await;
    ended(&store, &[Failed], None).await;
    f.advance(minutes(61)).await;
    let lately = ended(&store, &[Failed], None).await;
    ended(&store, &[Relayed], None).await;
    ended(&store, &[Cancelled], None).await;
    let inserted = f.alert_to("ops0@contoso.com").await;
    attempted(&store, inserted, 1, &[Failed]).await;
    assert_eq!(failures(&store).await, [lately]);
    let failed = search(ReportAction::Failed);
    let other = ReportSearch {
        send_port: "other",
        ..failed
    };
    assert_eq!(reportable(&store, other).await, []);
    let without = ReportSearch {
        without: &[lately],
        ..failed
    };
    assert_eq!(reportable(&store, without).await, []);
    let long = ReportSearch {
        within: minutes(1000),
        limit: 1,
        ..failed
    };
    let found = store.reportable(long).await.expect("read");
    assert_eq!(found.len(), 1, "the oldest first");
    assert!(
        found[0].age >= minutes(61) && found[0].age < minutes(70),
        "{found:?}"
    );
}

pub(crate) async fn expired_messages_are_reported(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = submitted(&store, 2, None).await;
    f.advance(minutes(3 * 24 * 60)).await;
    assert_eq!(expire(&store, 10).await, 1);
    assert_eq!(failures(&store).await, [id]);
    let found = store.unreported_message(id, ReportAction::Failed, 1).await;
    let found = found.expect("read").expect("there");
    assert_eq!(found.recipients.len(), 1, "as many as were asked for");
    assert_eq!(found.recipients[0].status, RecipientStatus::Expired);
    report(&store, id, &[0]).await;
    assert_eq!(failures(&store).await, [id], "the other one is left");
}

pub(crate) async fn a_failure_after_a_requeue_is_reported_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(&store, &[Relayed, Failed], None).await;
    report(&store, id, &[1]).await;
    let a = instance(&store, "a").await;
    claim(&store, a, 10).await;
    requeue(&store, id).await;
    assert_eq!(failures(&store).await, [], "it is tried again");
    let outdated = insert(&store, id, ReportAction::Failed, &[1]).await;
    assert_eq!(outdated, ReportResult::Outdated);
    attempted(&store, id, 2, &[Relayed, Failed]).await;
    assert_eq!(failures(&store).await, [id]);
    let sent = report(&store, id, &[1]).await;
    claim(&store, a, 10).await;
    requeue(&store, id).await;
    attempted(&store, id, 3, &[Relayed, Relayed]).await;
    assert_eq!(failures(&store).await, [], "it was relayed");
    assert!(sent > id);
}

pub(crate) async fn a_reason_for_no_report_is_recorded(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(&store, &[Failed, Failed], None).await;
    let none = NewReport {
        alert: id,
        send_port: "default".to_owned(),
        action: ReportAction::Failed,
        recipients: vec![0, 1],
        message: Err("the client's NOTIFY asks for none".to_owned()),
    };
    let result = store.insert_report(none).await.expect("done");
    assert_eq!(result, ReportResult::Recorded);
    assert_eq!(failures(&store).await, []);
    assert_eq!(f.rows("Alert", "1 = 1").await, 1);
    let recent = store.recent_reports("default", minutes(1)).await;
    assert_eq!(recent.expect("counted"), 0);
    let said = sentences(&store, id).await;
    let expected = "no report to the reverse-path app@contoso.com because the client's NOTIFY asks for none: 2 recipients failed";
    assert!(said.iter().any(|it| it == expected), "{said:?}");
}

pub(crate) async fn recent_reports_are_counted(f: &dyn Fixture) {
    let store = f.fresh().await;
    let first = ended(&store, &[Failed, Failed], None).await;
    report(&store, first, &[0, 1]).await;
    f.advance(minutes(2)).await;
    for _ in 0..2 {
        let a = instance(&store, "a").await;
        claim(&store, a, 10).await;
        let id = ended(&store, &[Failed], None).await;
        report(&store, id, &[0]).await;
    }
    let count = |port: &'static str, within| {
        let store = Arc::clone(&store);
        async move { store.recent_reports(port, within).await.expect("counted") }
    };
    assert_eq!(count("default", minutes(1)).await, 2);
    assert_eq!(count("default", minutes(5)).await, 3);
    assert_eq!(count("other", minutes(5)).await, 0);
}

pub(crate) async fn late_messages_are_reported_where_that_was_asked(f: &dyn Fixture) {
    let store = f.fresh().await;
    let asks = Notify::On([NotifyOn::Delay].into());
    let asking = submitted(&store, 2, Some(asks.clone())).await;
    let silent = submitted(&store, 1, None).await;
    let late = ReportSearch {
        after: minutes(30),
        within: minutes(60),
        ..search(ReportAction::Delayed)
    };
    assert_eq!(reportable(&store, late).await, [], "not yet");
    f.advance(minutes(31)).await;
    let fresh = submitted(&store, 1, Some(asks)).await;
    assert_eq!(reportable(&store, late).await, [asking]);
    let all = ReportSearch {
        by_default: true,
        ..late
    };
    assert_eq!(reportable(&store, all).await, [asking, silent]);
    let found = store
        .unreported_message(asking, ReportAction::Delayed, 100)
        .await;
    let found = found.expect("read").expect("there");
    let addresses: Vec<_> = found
        .recipients
        .iter()
        .map(|it| it.address.as_str())
        .collect();
    assert_eq!(
        addresses,
        ["ops0@contoso.com", "ops1@contoso.com"],
        "before an attempt, too"
    );
    let sent = insert(&store, asking, ReportAction::Delayed, &[0, 1]).await;
    assert!(matches!(sent, ReportResult::Inserted(_)), "{sent:?}");
    assert_eq!(reportable(&store, late).await, []);
    let again = insert(&store, asking, ReportAction::Delayed, &[0, 1]).await;
    assert_eq!(again, ReportResult::Outdated);
    assert!(fresh > asking);
}

pub(crate) async fn relayed_messages_are_reported_where_that_was_asked(f: &dyn Fixture) {
    let store = f.fresh().await;
    let asks = Notify::On([NotifyOn::Success].into());
    let asking = ended(&store, &[Relayed, Failed], Some(asks)).await;
    let silent = ended(&store, &[Relayed], None).await;
    let relayed = search(ReportAction::Relayed);
    assert_eq!(reportable(&store, relayed).await, [asking]);
    let all = ReportSearch {
        by_default: true,
        ..relayed
    };
    assert_eq!(reportable(&store, all).await, [asking, silent]);
    let found = store
        .unreported_message(asking, ReportAction::Relayed, 100)
        .await;
    let found = found.expect("read").expect("there");
    assert_eq!(found.recipients.len(), 1);
    let attempt = attempt(1, &[Relayed, Failed]);
    assert_eq!(
        found.recipients[0].offers_dsn,
        Some(attempt.facts.offers_dsn)
    );
    assert_eq!(found.recipients[0].server_name, attempt.facts.server_name);
    insert(&store, asking, ReportAction::Relayed, &[0]).await;
    assert_eq!(reportable(&store, relayed).await, []);
}

pub(crate) async fn a_copied_database_reports_nothing_of_before(f: &dyn Fixture) {
    let store = f.fresh().await;
    store.name_environment("test").await.expect("named");
    ended(&store, &[Failed], None).await;
    submitted(&store, 1, None).await;
    f.advance(minutes(1)).await;
    store
        .adopt("test", AdoptMode::Expire)
        .await
        .expect("adopted");
    assert_eq!(failures(&store).await, []);
    f.advance(minutes(1)).await;
    let own = ended(&store, &[Failed], None).await;
    assert_eq!(failures(&store).await, [own]);
}

pub(crate) async fn one_of_many_instances_inserts_a_report(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let id = ended(&here, &[Failed, Failed], None).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(if n % 2 == 0 { &here } else { &there });
        tasks.spawn(async move { insert(&store, id, ReportAction::Failed, &[0, 1]).await });
    }
    let results = tasks.join_all().await;
    let inserted = |it: &&ReportResult| matches!(it, ReportResult::Inserted(_));
    assert_eq!(results.iter().filter(inserted).count(), 1, "{results:?}");
    assert_eq!(f.rows("Alert", "1 = 1").await, 2);
    assert_eq!(f.rows("DeliveryReport", "1 = 1").await, 2);
}

pub(crate) async fn what_was_reported_is_purged_with_its_alert(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = ended(&store, &[Failed], None).await;
    report(&store, id, &[0]).await;
    f.advance(minutes(61)).await;
    let scope = PurgeScope {
        status: sendport_core::domain::AlertStatus::Failed,
        send_port: "default".to_owned(),
        older_than: minutes(60),
        among: PurgeAmong::AllBut(Vec::new()),
        request: None,
    };
    repeated(|| store.purge_bodies(&scope, u64::MAX)).await;
    repeated(|| store.purge_alerts(&scope)).await;
    assert_eq!(f.rows("DeliveryReport", "1 = 1").await, 0);
    assert_eq!(
        f.rows("Alert", "1 = 1").await,
        1,
        "the report is an alert of its own"
    );
}
