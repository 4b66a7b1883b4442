//! Alerts that may have been sent: held or tried again, shown, and resolved by an operator.

use std::sync::Arc;

use RecipientStatus::{Delayed, Failed, Queued, Relayed};
use sendport_core::domain::{
    AlertId, AlertStatus, AttemptOutcome, Decision, InstanceId, LeaseToken, Outcome, OutcomeKind,
    RecipientStatus, Resolution,
};
use sendport_store::operator_requests::RequestLine;
use sendport_store::{InDoubtLine, RecordResult, Store};

use crate::fixture::*;

const REASON: &str = "in doubt: the instance that worked on it ended; it may have been sent";

/// An alert of a send port that holds, whose instance crashed.
struct Held {
    store: Arc<dyn Store>,
    dead: InstanceId,
    token: LeaseToken,
    alert: AlertId,
    other: InstanceId,
}

async fn held(f: &dyn Fixture, recipients: &str) -> Held {
    let store = f.fresh().await;
    let alert = f.alert_to(recipients).await;
    let dead = holding_instance(&store, "dead").await;
    let (token, _) = claim_one(&store, dead).await;
    f.advance(LEASE_AND_MORE).await;
    let other = holding_instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    Held {
        store,
        dead,
        token,
        alert,
        other,
    }
}

impl Held {
    async fn record_late(&self, outcome: &Outcome) -> RecordResult {
        record(&self.store, self.dead, outcome).await
    }

    async fn resolve(&self, resolution: Resolution) -> bool {
        resolve(&self.store, self.alert, resolution).await.is_some()
    }
}

/// An outcome whose attempt ended unseen, and that says `status` of the alert.
fn unseen(
    alert: AlertId,
    token: LeaseToken,
    number: u32,
    status: AlertStatus,
    statuses: &[RecipientStatus],
) -> Outcome {
    let mut outcome = outcome(alert, token, number, statuses);
    let decision = decision_of(&mut outcome);
    decision.status = status;
    if status == AlertStatus::Held {
        decision.retry_in = None;
        decision.reason = Some("in doubt: it may have been sent".to_owned());
    }
    let attempt = decision.attempt.as_mut().expect("an attempt");
    attempt.outcome = AttemptOutcome::Unknown;
    attempt.facts.remote_address = Some("192.0.2.1:25".to_owned());
    outcome
}

fn decision_of(outcome: &mut Outcome) -> &mut Decision {
    match &mut outcome.kind {
        OutcomeKind::Decided(decision) => decision,
        OutcomeKind::Released { .. } => panic!("decided"),
    }
}

async fn in_doubt(store: &Arc<dyn Store>) -> Vec<InDoubtLine> {
    store.in_doubt(10).await.expect("in doubt")
}

async fn only_line(store: &Arc<dyn Store>) -> InDoubtLine {
    let mut lines = in_doubt(store).await;
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

async fn assert_held(store: &Arc<dyn Store>, id: AlertId) {
    let line = line(store, id).await;
    assert_eq!(
        (line.status, line.next_attempt_at),
        (AlertStatus::Held, None)
    );
}

async fn replies(store: &Arc<dyn Store>, id: AlertId) -> Vec<String> {
    let lines = store.deliveries(Some(id), 10).await.expect("deliveries");
    let text = |line: sendport_store::DeliveryLine| line.reply_text.unwrap_or_default();
    lines.into_iter().map(text).collect()
}

pub(crate) async fn a_hold_port_keeps_a_taken_over_alert(f: &dyn Fixture) {
    let held = held(f, "ops@contoso.com").await;
    let store = &held.store;
    assert_held(store, held.alert).await;
    let line = line(store, held.alert).await;
    assert_eq!(line.status_reason.as_deref(), Some(REASON));
    assert_eq!(line.attempt_count, 1);
    let unknown = "Outcome = 'unknown' AND AttemptNumber = 1 AND StartedAt IS NOT NULL";
    assert_eq!(f.rows("Attempt", unknown).await, 1);
    assert_eq!(f.rows("AlertStatus", "FinalAt IS NULL").await, 1);
    let doubt = only_line(store).await;
    assert_eq!(doubt.alert_id, held.alert);
    assert_eq!(doubt.public_id, line.public_id);
    assert_eq!(doubt.send_port, "default");
    assert_eq!(doubt.subject.as_deref(), Some("Order 4711 is late"));
    assert_eq!(doubt.status, AlertStatus::Held);
    assert_eq!(doubt.status_reason.as_deref(), Some(REASON));
    assert_eq!((doubt.attempt_number, doubt.next_attempt_at), (1, None));
    assert!(
        doubt
            .started_at
            .is_some_and(|start| start <= doubt.ended_at)
    );
    assert!(!doubt.created_by.is_empty());
    f.advance(minutes(60)).await;
    assert!(claim(store, held.other, 10).await.1.is_empty());
    assert_eq!(take_over(store, held.other, 10).await, 0);
}

pub(crate) async fn a_retry_port_shows_it_and_tries_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let dead = instance(&store, "dead").await;
    claim_one(&store, dead).await;
    assert!(in_doubt(&store).await.is_empty(), "it is being sent");
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    let doubt = only_line(&store).await;
    assert_eq!((doubt.alert_id, doubt.status), (id, AlertStatus::Queued));
    assert!(doubt.next_attempt_at.is_some(), "due");
    let (token, _) = claim_one(&store, other).await;
    assert!(in_doubt(&store).await.is_empty(), "it is leased");
    record(&store, other, &outcome(id, token, 2, &[Relayed])).await;
    assert!(in_doubt(&store).await.is_empty(), "it is final");
}

pub(crate) async fn a_send_port_can_change_its_mind(f: &dyn Fixture) {
    let store = f.fresh().await;
    holding_instance(&store, "a").await;
    assert_eq!(f.rows("SendPort", "InDoubt = 'hold'").await, 1);
    instance(&store, "a").await;
    assert_eq!(f.rows("SendPort", "InDoubt = 'retry'").await, 1);
    let port = f.table("SendPort");
    let wrong = format!("UPDATE {port} SET InDoubt = 'drop'");
    let refused = f.try_sql(&wrong).await.expect_err("neither retry nor hold");
    let refused = refused.to_lowercase();
    assert!(refused.contains("ck_sendport_indoubt"), "{refused}");
}

pub(crate) async fn only_the_latest_attempt_counts(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let first = unseen(id, token, 1, AlertStatus::Delayed, &[Delayed]);
    record(&store, a, &first).await;
    let doubt = only_line(&store).await;
    assert_eq!(doubt.status, AlertStatus::Delayed);
    assert_eq!(doubt.relay.as_deref(), Some("mail"));
    assert_eq!(doubt.message_id.as_deref(), Some("<4711@contoso.com>"));
    assert_eq!(doubt.remote_address.as_deref(), Some("192.0.2.1:25"));
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, a).await;
    record(&store, a, &outcome(id, token, 2, &[Delayed])).await;
    assert!(in_doubt(&store).await.is_empty(), "the second end was seen");
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, a).await;
    let third = unseen(id, token, 3, AlertStatus::Delayed, &[Delayed]);
    record(&store, a, &third).await;
    assert_eq!(only_line(&store).await.attempt_number, 3);
}

pub(crate) async fn a_decision_to_hold_is_held(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let hold = unseen(id, token, 1, AlertStatus::Held, &[Delayed]);
    assert_eq!(record(&store, a, &hold).await, RecordResult::Whole);
    assert_held(&store, id).await;
    let line = line(&store, id).await;
    assert_eq!(
        line.status_reason.as_deref(),
        Some("in doubt: it may have been sent")
    );
    assert_eq!((line.attempt_count, line.waiting_count), (1, 1));
    assert_eq!(f.rows("AlertStatus", "FinalAt IS NULL").await, 1);
    assert_eq!(only_line(&store).await.alert_id, id);
    assert_eq!(
        record(&store, a, &released(id, token, minutes(0))).await,
        RecordResult::FactsOnly,
        "the lease is given up"
    );
    f.advance(minutes(60)).await;
    assert!(claim(&store, a, 10).await.1.is_empty());
    assert_eq!(release(&store, Some(id)).await.applied, 1);
    assert_eq!(claim_one(&store, a).await.1, id);
}

pub(crate) async fn a_fact_does_not_undo_a_decision_to_hold(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let frozen = instance(&store, "frozen").await;
    let (lost, _) = claim_one(&store, frozen).await;
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    take_over(&store, other, 10).await;
    let (token, _) = claim_one(&store, other).await;
    record(&store, frozen, &outcome(id, lost, 1, &[Relayed, Delayed])).await;
    let hold = unseen(id, token, 2, AlertStatus::Held, &[Delayed, Delayed]);
    assert_eq!(record(&store, other, &hold).await, RecordResult::Whole);
    assert_eq!(recipient_words(&store, id).await, ["relayed", "delayed"]);
    assert_held(&store, id).await;
}

pub(crate) async fn late_facts_end_the_doubt(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com; ops1@contoso.com").await;
    let late = outcome(held.alert, held.token, 1, &[Relayed, Delayed]);
    assert_eq!(held.record_late(&late).await, RecordResult::FactsOnly);
    let store = &held.store;
    assert_eq!(
        recipient_words(store, held.alert).await,
        ["relayed", "queued"]
    );
    let line = line(store, held.alert).await;
    assert_eq!(
        (line.status, line.status_reason, line.attempt_count),
        (AlertStatus::Queued, None, 1)
    );
    assert!(in_doubt(store).await.is_empty());
    assert_eq!(claim_one(store, held.other).await.1, held.alert);
}

pub(crate) async fn a_late_relayed_is_final(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com").await;
    let late = outcome(held.alert, held.token, 1, &[Relayed]);
    held.record_late(&late).await;
    let line = line(&held.store, held.alert).await;
    assert_eq!(
        (line.status, line.status_reason, line.next_attempt_at),
        (AlertStatus::Relayed, None, None)
    );
    assert_eq!(f.rows("AlertStatus", "FinalAt IS NOT NULL").await, 1);
    assert!(in_doubt(&held.store).await.is_empty());
}

pub(crate) async fn a_late_unknown_stays_in_doubt(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com").await;
    let late = unseen(held.alert, held.token, 1, AlertStatus::Held, &[Delayed]);
    held.record_late(&late).await;
    assert_held(&held.store, held.alert).await;
    let doubt = only_line(&held.store).await;
    assert_eq!(doubt.relay.as_deref(), Some("mail"), "more is known now");
}

pub(crate) async fn relayed_resolves_every_recipient(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com; nobody at all; o''brien@contoso.com").await;
    assert!(held.resolve(Resolution::Relayed).await);
    let (store, id) = (&held.store, held.alert);
    assert_eq!(
        recipient_words(store, id).await,
        ["relayed", "failed", "relayed"]
    );
    let replies = replies(store, id).await;
    let by = requests_of(store).await.remove(0).requested_by;
    assert_eq!(
        replies[0],
        format!("resolved by {by}: the relay accepted it")
    );
    let lines = store.deliveries(Some(id), 10).await.expect("deliveries");
    assert_eq!(lines[1].enhanced_status_code.as_deref(), Some("5.1.3"));
    assert_eq!(lines[2].address, "o'brien@contoso.com");
    let line = line(store, id).await;
    assert_eq!(
        (line.status, line.next_attempt_at),
        (AlertStatus::Partial, None)
    );
    assert_eq!(f.rows("AlertStatus", "FinalAt IS NOT NULL").await, 1);
    assert!(in_doubt(store).await.is_empty());
    assert!(!held.resolve(Resolution::Relayed).await, "it is over");
    let event = format!(
        "EventType = 'in-doubt-resolved' AND Severity = 'information' AND AlertId = {id} \
         AND SendPort = 'default' AND Message LIKE 'resolved as relayed by _%'"
    );
    assert_eq!(f.rows("EventLog", &event).await, 1);
    assert_eq!(f.rows("EventLog", "1 = 1").await, 1);
    // One recipient was never sent to; whether the others have it is decided.
    let lines = store.explanation(id).await.expect("an explanation");
    let has = |text: &str| lines.iter().any(|it| it.sentence.contains(text));
    let resolved = format!("{by} resolved the alert as relayed, request ");
    assert!(has(&resolved), "{lines:#?}");
    assert!(!has("may have been sent"), "{lines:#?}");
}

async fn requests_of(store: &Arc<dyn Store>) -> Vec<RequestLine> {
    store.requests(10).await.expect("requests")
}

pub(crate) async fn a_resolve_is_audited_like_every_verb(f: &dyn Fixture) {
    for (resolution, status) in [
        (Resolution::Relayed, "relayed"),
        (Resolution::Cancel, "cancelled"),
        (Resolution::Resend, "queued"),
    ] {
        let held = held(f, "ops0@contoso.com").await;
        let id = resolve(&held.store, held.alert, resolution).await;
        let lines = requests_of(&held.store).await;
        let line = lines.iter().find(|it| Some(it.request_id) == id);
        let line = line.expect("its row");
        assert_eq!(
            (line.verb.as_str(), line.resolution, line.filter.alert_id),
            ("resolve", Some(resolution), Some(held.alert))
        );
        assert_eq!((line.state.as_str(), line.applied_count), ("done", 1));
        assert_eq!(line.comment.as_deref(), Some("seen in the log"));
        assert_eq!(line.result, Some(format!("the alert is {status}")));
        assert!(line.completed_at.is_some() && !line.requested_by.is_empty());
        assert_eq!(line.unreadable, None);
        let changed = format!(
            "SELECT CAST(count(*) AS varchar(9)) FROM {} WHERE AlertId = {} AND RequestId = {}",
            f.state_table(),
            held.alert,
            line.request_id
        );
        assert_eq!(f.scalar(&changed).await.as_deref(), Some("1"));
        if f.state_table() == "AlertState" {
            assert_eq!(line.requested_by, "anna");
        }
    }
}

/// The frozen instance returns with the relay's refusal after an operator found the message in some log.
pub(crate) async fn a_late_refusal_contradicts_a_resolve_as_relayed(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com").await;
    assert!(held.resolve(Resolution::Relayed).await);
    let (store, id) = (&held.store, held.alert);
    let late = outcome(id, held.token, 1, &[Failed]);
    held.record_late(&late).await;
    let lines = store.explanation(id).await.expect("an explanation");
    let has = |text: &str| lines.iter().any(|it| it.sentence.contains(text));
    assert!(
        has(" as relayed, but the relay refused the message"),
        "{lines:#?}"
    );
    assert!(has(" alone have no message: "), "{lines:#?}");
}

pub(crate) async fn relayed_does_not_resolve_refused_recipients(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f
        .alert_to("ops0@contoso.com; ops1@contoso.com; ops2@contoso.com")
        .await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let statuses = [Delayed, Delayed, Failed];
    let mut hold = unseen(id, token, 1, AlertStatus::Held, &statuses);
    let attempt = decision_of(&mut hold).attempt.as_mut().expect("an attempt");
    attempt.replies[0].reply.code = 250;
    record(&store, a, &hold).await;
    let resolved = resolve(&store, id, Resolution::Relayed).await;
    assert!(resolved.is_some());
    let words = recipient_words(&store, id).await;
    assert_eq!(words, ["relayed", "delayed", "failed"]);
    let line = line(&store, id).await;
    assert_eq!(
        (line.status, line.status_reason),
        (AlertStatus::Delayed, None)
    );
    assert!(in_doubt(&store).await.is_empty(), "it is resolved");
    assert_eq!(claim_one(&store, a).await.1, id);
}

pub(crate) async fn resend_is_due_at_once(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com").await;
    assert!(held.resolve(Resolution::Resend).await);
    let line = line(&held.store, held.alert).await;
    assert_eq!(
        (line.status, line.status_reason, line.recipient_count),
        (AlertStatus::Queued, None, 0)
    );
    let (token, _) = claim_one(&held.store, held.other).await;
    let hold = unseen(held.alert, token, 2, AlertStatus::Held, &[Delayed]);
    record(&held.store, held.other, &hold).await;
    assert!(held.resolve(Resolution::Resend).await);
    assert_eq!(status(&held.store, held.alert).await, AlertStatus::Delayed);
    claim_one(&held.store, held.other).await;
    let event = "EventType = 'in-doubt-resolved' AND Message LIKE 'resolved as resend by _%'";
    assert_eq!(f.rows("EventLog", event).await, 2);
    assert_eq!(f.rows("EventLog", "Relay = 'mail'").await, 1);
}

pub(crate) async fn cancel_sends_nothing_more(f: &dyn Fixture) {
    let held = held(f, "ops0@contoso.com; ops1@contoso.com").await;
    assert!(held.resolve(Resolution::Cancel).await);
    let (store, id) = (&held.store, held.alert);
    assert_eq!(recipient_words(store, id).await, ["cancelled", "cancelled"]);
    let line = line(store, id).await;
    assert_eq!(
        (line.status, line.next_attempt_at),
        (AlertStatus::Cancelled, None)
    );
    let by = requests_of(store).await.remove(0).requested_by;
    assert_eq!(
        line.status_reason,
        Some(format!("cancelled by {by}; it may have been sent"))
    );
    assert!(in_doubt(store).await.is_empty());
    assert!(store.queue().await.expect("queue").is_empty());
    let event = "EventType = 'in-doubt-resolved' AND Message LIKE 'resolved as cancel by _%'";
    assert_eq!(f.rows("EventLog", event).await, 1);
}

pub(crate) async fn a_cancelled_alert_with_a_relayed_recipient_is_partial(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    record(&store, a, &outcome(id, token, 1, &[Relayed, Delayed])).await;
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, a).await;
    let hold = unseen(id, token, 2, AlertStatus::Held, &[Relayed, Queued]);
    record(&store, a, &hold).await;
    let resolved = resolve(&store, id, Resolution::Cancel).await;
    assert!(resolved.is_some());
    assert_eq!(recipient_words(&store, id).await, ["relayed", "cancelled"]);
    assert_eq!(status(&store, id).await, AlertStatus::Partial);
    let output = replies(&store, id).await.remove(1);
    assert!(
        output.starts_with("cancelled by ")
            && output.contains("; it may have been sent; the last reply was: "),
        "{output}"
    );
}

pub(crate) async fn only_an_alert_in_doubt_can_be_resolved(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = holding_instance(&store, "a").await;
    let leased = f.alert_to("ops0@contoso.com").await;
    claim_one(&store, a).await;
    let done = f.alert_to("ops0@contoso.com").await;
    let (token, _) = claim_one(&store, a).await;
    let failed = unseen(done, token, 1, AlertStatus::Failed, &[Failed]);
    record(&store, a, &failed).await;
    let queued = f.alert_to("ops0@contoso.com").await;
    for id in [leased, done, queued, AlertId(i64::from(i32::MAX))] {
        for resolution in [Resolution::Relayed, Resolution::Resend, Resolution::Cancel] {
            let resolved = resolve(&store, id, resolution).await;
            assert_eq!(resolved, None, "{id} as {resolution:?}");
        }
    }
    assert_eq!(status(&store, leased).await, AlertStatus::Sending);
    assert_eq!(status(&store, done).await, AlertStatus::Failed);
    assert_eq!(status(&store, queued).await, AlertStatus::Queued);
    assert_eq!(f.rows("EventLog", "1 = 1").await, 0);
}

pub(crate) async fn in_doubt_lists_the_oldest_first_up_to_its_limit(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut all = Vec::new();
    for name in ["first", "second", "third"] {
        all.push(f.alert_to("ops@contoso.com").await);
        let dead = holding_instance(&store, name).await;
        claim_one(&store, dead).await;
        f.advance(LEASE_AND_MORE).await;
        let other = holding_instance(&store, "other").await;
        assert_eq!(take_over(&store, other, 10).await, 1);
    }
    let lines = store.in_doubt(2).await.expect("in doubt");
    let ids: Vec<_> = lines.iter().map(|line| line.alert_id).collect();
    assert_eq!(ids, all[..2]);
}
