//! Redirects of operators: what a redirect is about, how it ends, and what the views say of what it sent.

use std::sync::Arc;

use RecipientStatus::{Failed, Relayed};
use sendport_core::domain::{
    AlertId, AlertStatus, AttemptOutcome, InstanceId, OperatorVerb, Outcome, OutcomeKind,
    RecipientAddress, RecipientStatus, Redirect, RequestId, RequeueRecipients, Resolution,
};
use sendport_store::operator_requests::{NewRequest, RequestFilter, RequestLine};
use sendport_store::{RecordResult, Store};

use crate::fixture::*;
use crate::large;

const QA: &str = "qa@contoso.com";

fn redirect(filter: RequestFilter) -> NewRequest {
    NewRequest {
        redirect_to: Some(QA.to_owned()),
        ..request(OperatorVerb::Redirect, filter)
    }
}

fn of_port(name: &str) -> RequestFilter {
    RequestFilter {
        send_port: Some(name.to_owned()),
        ..RequestFilter::default()
    }
}

fn of_name(name: &str) -> RequestFilter {
    RequestFilter {
        alert_name: Some(name.to_owned()),
        ..RequestFilter::default()
    }
}

/// An alert for two recipients.
async fn named(f: &dyn Fixture, port: &str, name: &str) -> AlertId {
    let values = format!("'ops0@contoso.com; ops1@contoso.com', '{port}', '{name}'");
    let columns = "ToRecipients, SendPort, AlertName";
    f.insert(columns, &values).await
}

async fn found(store: &Arc<dyn Store>, id: AlertId) -> Option<Redirect> {
    load(store, id).await.redirect
}

fn of(line: &RequestLine) -> Option<Redirect> {
    Some(Redirect::from_row(line.request_id.0, Some(QA)))
}

async fn end(store: &Arc<dyn Store>, redirect: &RequestLine) {
    let by_number = RequestFilter {
        hold_request_id: Some(redirect.request_id),
        ..RequestFilter::default()
    };
    let release = add(store, &request(OperatorVerb::Release, by_number)).await;
    assert!(pass(store, &release).await.closed);
    let ended = "a redirect ended: alerts go to their recipients again, unless another redirect matches them";
    let result = request_line(store, release.request_id).await.result;
    assert_eq!(result.as_deref(), Some(ended));
}

/// Claims the one alert that is due, and records an attempt that a redirect sent to another address.
async fn redirected(
    store: &Arc<dyn Store>,
    a: InstanceId,
    statuses: &[RecipientStatus],
) -> AlertId {
    let (token, id) = claim_one(store, a).await;
    let outcome = sent_elsewhere(outcome(id, token, 1, statuses));
    record(store, a, &outcome).await;
    id
}

fn sent_elsewhere(mut outcome: Outcome) -> Outcome {
    if let OutcomeKind::Decided(decision) = &mut outcome.kind {
        let to = || Some(QA.to_owned());
        decision.reason = Some("redirected to qa@contoso.com by request 1".to_owned());
        decision.attempt.as_mut().expect("an attempt").redirect_to = to();
        for recipient in &mut decision.recipients {
            recipient.remark.clone_from(&decision.reason);
            recipient.redirect_to = to();
        }
    }
    outcome
}

async fn remarks(store: &Arc<dyn Store>, id: AlertId) -> Vec<Option<String>> {
    let lines = store.deliveries(Some(id), 10).await.expect("deliveries");
    lines.into_iter().map(|line| line.remark).collect()
}

pub(crate) async fn an_alert_is_read_with_the_redirect_that_it_matches(f: &dyn Fixture) {
    let store = f.fresh().await;
    let late = named(f, "default", "order-late").await;
    let invoice = named(f, "default", "invoice").await;
    let bulk = named(f, "bulk", "invoice").await;
    assert_eq!(found(&store, late).await, None);
    for (filter, matching) in [
        (of_alert(late), [true, false, false]),
        (of_port("bulk"), [false, false, true]),
        (of_name("invoice"), [false, true, true]),
        (of_all(), [true, true, true]),
    ] {
        let line = add(&store, &redirect(filter)).await;
        assert_eq!(
            (line.state.as_str(), line.redirect_to.as_deref()),
            ("open", Some(QA))
        );
        for (id, matches) in [late, invoice, bulk].into_iter().zip(matching) {
            let expected = of(&line).filter(|_| matches);
            assert_eq!(
                found(&store, id).await,
                expected,
                "{}",
                line.filter.in_words()
            );
        }
        end(&store, &line).await;
        assert_eq!(request_line(&store, line.request_id).await.state, "done");
        assert_eq!(found(&store, late).await, None, "it has ended");
    }
}

pub(crate) async fn the_newest_redirect_that_matches_is_in_force(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = named(f, "default", "order-late").await;
    let first = add(&store, &redirect(of_alert(id))).await;
    let second = add(&store, &redirect(of_all())).await;
    let other = add(&store, &redirect(of_port("bulk"))).await;
    assert_eq!(found(&store, id).await, of(&second));
    end(&store, &second).await;
    assert_eq!(found(&store, id).await, of(&first));
    end(&store, &first).await;
    assert_eq!(found(&store, id).await, None);
    let open = store.open_requests().await.expect("requests");
    assert_eq!(open, [other]);
}

/// What open requests say about claimed alerts: the redirect, and whether a claim would leave them alone.
async fn in_force(store: &Arc<dyn Store>, alerts: [AlertId; 2]) -> [(Option<RequestId>, bool); 2] {
    let found = store.requests_in_force(&alerts).await.expect("requests");
    alerts.map(|alert| {
        let one = found.iter().find(|it| it.alert == alert);
        one.map_or((None, false), |it| (it.redirect, it.keeps_from_sending))
    })
}

/// Right before it is sent, a claimed alert is asked about once more.
pub(crate) async fn requests_in_force_are_read_of_claimed_alerts(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let late = named(f, "default", "order-late").await;
    let invoice = named(f, "default", "invoice").await;
    let both = [late, invoice];
    assert_eq!(claim(&store, a, 10).await.1.len(), 2);
    let nothing = (None, false);
    assert_eq!(in_force(&store, both).await, [nothing; 2]);

    let first = add(&store, &redirect(of_name("order-late"))).await;
    let to = |line: &RequestLine| (Some(line.request_id), false);
    assert_eq!(in_force(&store, both).await, [to(&first), nothing]);
    let newer = add(&store, &redirect(of_all())).await;
    assert_eq!(in_force(&store, both).await, [to(&newer); 2]);
    end(&store, &newer).await;
    assert_eq!(in_force(&store, both).await, [to(&first), nothing]);

    let hold = request(OperatorVerb::Hold, of_port("default"));
    add(&store, &hold).await;
    let kept = (Some(first.request_id), true);
    assert_eq!(in_force(&store, both).await, [kept, (None, true)]);
    let release = request(OperatorVerb::Release, of_port("default"));
    let release = add(&store, &release).await;
    assert!(pass(&store, &release).await.closed);

    // It is about alerts that wait, and a claim would not leave this one alone for it.
    let waiting = RequestFilter {
        status: Some(AlertStatus::Queued),
        ..of_all()
    };
    add(&store, &request(OperatorVerb::Cancel, waiting)).await;
    assert_eq!(in_force(&store, both).await, [to(&first), nothing]);
    let cancel = request(OperatorVerb::Cancel, of_alert(invoice));
    add(&store, &cancel).await;
    assert_eq!(in_force(&store, both).await, [to(&first), (None, true)]);
}

/// A release of holds must not let messages out to their recipients.
pub(crate) async fn a_redirect_ends_by_its_number_alone(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = named(f, "default", "order-late").await;
    let line = add(&store, &redirect(of_port("default"))).await;
    for filter in [of_all(), of_port("default")] {
        let release = add(&store, &request(OperatorVerb::Release, filter)).await;
        assert!(pass(&store, &release).await.closed);
        assert_eq!(found(&store, id).await, of(&line));
    }
    let before = pass(&store, &line).await;
    assert!(!before.closed, "a pass of its own ends it neither");
    assert_eq!(status(&store, id).await, AlertStatus::Queued);
    end(&store, &line).await;
    assert_eq!(found(&store, id).await, None);
}

/// Whatever somebody writes there, the alert is never read as if there were no redirect.
pub(crate) async fn a_malformed_redirect_is_read_as_one(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = named(f, "default", "order-late").await;
    for to in ["nobody", "a@contoso.com; b@contoso.com", "", "a@b c"] {
        let table = f.table("OperatorRequest");
        let insert = format!(
            "INSERT INTO {table} (Verb, SendPort, RedirectTo) VALUES ('redirect', 'default', '{to}')"
        );
        f.sql(&insert).await;
        let redirect = found(&store, id).await.expect("a redirect");
        assert!(
            matches!(redirect.to, RecipientAddress::Malformed(_)),
            "{redirect:?}"
        );
        let lines = store.explanation(id).await.expect("explanation");
        let next = format!("it waits, and goes to no recipient: the address '{to}' of redirect ");
        assert!(
            lines.iter().any(|line| line.sentence.starts_with(&next)),
            "{next} is not in {lines:#?}"
        );
    }
}

pub(crate) async fn a_redirect_needs_one_filter_and_an_address(f: &dyn Fixture) {
    let store = f.fresh().await;
    let both = RequestFilter {
        alert_name: Some("late".to_owned()),
        ..of_port("default")
    };
    let with_cause = RequestFilter {
        explanation_key: Some("mailbox-full".to_owned()),
        ..of_port("default")
    };
    for refused in [
        request(OperatorVerb::Redirect, of_all()),
        redirect(RequestFilter::default()),
        redirect(both),
        redirect(with_cause),
        NewRequest {
            redirect_to: Some(QA.to_owned()),
            ..request(OperatorVerb::Cancel, of_all())
        },
    ] {
        let error = store.add_request(&refused).await.expect_err("refused");
        let error = error.to_string().to_lowercase();
        assert!(error.contains("operatorrequest"), "{error}");
    }
    f.many(3).await;
    let counted = store.count_matching(&redirect(of_port("default"))).await;
    let counted = counted.expect("count");
    assert_eq!((counted.len(), counted[0].alerts), (1, 3));
    assert_eq!(store.requests(10).await.expect("requests"), []);
}

/// Its texts are read again when there is memory for them, and the redirect with them.
pub(crate) async fn a_large_alert_is_read_with_its_redirect(f: &dyn Fixture) {
    let store = f.fresh().await;
    let body = "x".repeat(100_000);
    let id = f
        .insert(
            "ToRecipients, Body",
            &format!("'ops0@contoso.com', '{body}'"),
        )
        .await;
    let line = add(&store, &redirect(of_all())).await;
    let alert = load(&store, id).await;
    assert_eq!(alert.body.map(|it| it.len()), Some(100_000));
    assert_eq!(alert.redirect, of(&line));
}

pub(crate) async fn what_was_redirected_says_so(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    named(f, "default", "order-late").await;
    let id = redirected(&store, a, &[Relayed, Relayed]).await;
    let said = Some("redirected to qa@contoso.com by request 1".to_owned());
    assert_eq!(line(&store, id).await.status_reason, said);
    assert_eq!(remarks(&store, id).await, [said.clone(), said]);
    let redirected = "RedirectTo = 'qa@contoso.com'";
    assert_eq!(f.rows("Attempt", redirected).await, 1);
    assert_eq!(f.rows("Recipient", redirected).await, 2);
    let lines = store.explanation(id).await.expect("explanation");
    let has = |text: &str| lines.iter().any(|line| line.sentence.contains(text));
    for text in [
        "attempt 1 over relay 'mail', redirected to qa@contoso.com alone: the relay accepted the message",
        "the alert is relayed: redirected to qa@contoso.com by request 1",
        "recipients with a remark about a redirect do not have it",
    ] {
        assert!(has(text), "{text} is not in {lines:#?}");
    }
}

pub(crate) async fn an_alert_that_waits_says_where_it_will_go(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = named(f, "default", "order-late").await;
    add(&store, &redirect(of_name("order-late"))).await;
    let lines = store.explanation(id).await.expect("explanation");
    let next = "it goes to qa@contoso.com and to no recipient, until an operator ends redirect ";
    let said = |line: &sendport_store::ExplanationLine| {
        line.kind == "next" && line.sentence.starts_with(next)
    };
    assert_eq!(
        lines.iter().filter(|line| said(line)).count(),
        1,
        "{lines:#?}"
    );
}

/// A recipient whose message went elsewhere does not have it, whatever happens to the requeue.
pub(crate) async fn what_was_redirected_does_not_count_as_relayed_after_a_requeue(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    named(f, "default", "order-late").await;
    let id = redirected(&store, a, &[Relayed, Failed]).await;
    f.advance(minutes(1)).await;
    let again = NewRequest {
        recipients: Some(RequeueRecipients::All),
        ..request(OperatorVerb::Requeue, of_alert(id))
    };
    let again = add(&store, &again).await;
    assert_eq!(pass(&store, &again).await.applied, 1);
    assert_eq!(remarks(&store, id).await, [None, None]);
    assert_eq!(f.rows("Recipient", "RedirectTo IS NOT NULL").await, 0);
    let cancel = add(&store, &request(OperatorVerb::Cancel, of_alert(id))).await;
    assert_eq!(pass(&store, &cancel).await.applied, 1);
    assert_eq!(
        recipient_words(&store, id).await,
        ["cancelled", "cancelled"]
    );
}

/// Those that have their message, and those that failed without the redirect, are left alone.
pub(crate) async fn a_requeue_sends_to_those_that_were_redirected(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "default", "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    let first = outcome(id, token, 1, &[Relayed, RecipientStatus::Delayed]);
    record(&store, a, &first).await;
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, a).await;
    let mut second = sent_elsewhere(outcome(id, token, 2, &[Relayed, Relayed]));
    if let OutcomeKind::Decided(decision) = &mut second.kind {
        decision.recipients.remove(0);
    }
    record(&store, a, &second).await;
    assert_eq!(status(&store, id).await, AlertStatus::Relayed);
    for statuses in [[Relayed, Relayed], [Relayed, Failed]] {
        let other = named(f, "default", "order-late").await;
        let (token, _) = claim_one(&store, a).await;
        record(&store, a, &outcome(other, token, 1, &statuses)).await;
    }
    f.advance(minutes(1)).await;
    let again = NewRequest {
        recipients: Some(RequeueRecipients::Redirected),
        ..request(OperatorVerb::Requeue, of_all())
    };
    let counted = store.count_matching(&again).await.expect("count");
    assert_eq!((counted.len(), counted[0].alerts), (1, 1));
    let line = add(&store, &again).await;
    let pass = pass(&store, &line).await;
    assert_eq!((pass.applied, pass.closed), (1, true));
    assert_eq!(recipient_words(&store, id).await, ["relayed", "queued"]);
    assert_eq!(f.rows("Attempt", "RedirectTo IS NOT NULL").await, 1);
    let lines = store.explanation(id).await.expect("explanation");
    let earlier = "attempt 2 over relay 'mail', redirected to qa@contoso.com alone";
    assert!(
        lines.iter().any(|line| line.sentence.contains(earlier)),
        "{lines:#?}"
    );
}

/// The next attempt, without the redirect, says nothing of it.
pub(crate) async fn an_attempt_without_the_redirect_clears_the_remark(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    named(f, "default", "order-late").await;
    let id = redirected(
        &store,
        a,
        &[RecipientStatus::Delayed, RecipientStatus::Delayed],
    )
    .await;
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, a).await;
    record(&store, a, &outcome(id, token, 2, &[Relayed, Relayed])).await;
    assert_eq!(remarks(&store, id).await, [None, None]);
    assert_eq!(f.rows("Recipient", "RedirectTo IS NOT NULL").await, 0);
    assert_eq!(line(&store, id).await.status_reason, None);
}

/// An operator who finds the message in the relay's log finds it at the address of the redirect.
pub(crate) async fn resolving_a_redirected_attempt_in_doubt_says_where_it_went(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "default", "order-late").await;
    let (token, _) = claim_one(&store, a).await;
    let mut unseen = sent_elsewhere(outcome(id, token, 1, &[]));
    if let OutcomeKind::Decided(decision) = &mut unseen.kind {
        decision.status = AlertStatus::Held;
        let attempt = decision.attempt.as_mut().expect("an attempt");
        attempt.outcome = AttemptOutcome::Unknown;
    }
    record(&store, a, &unseen).await;
    let resolved = resolve(&store, id, Resolution::Relayed).await;
    assert!(resolved.is_some());
    let said = Some("redirected to qa@contoso.com".to_owned());
    assert_eq!(recipient_words(&store, id).await, ["relayed", "relayed"]);
    assert_eq!(remarks(&store, id).await, [said.clone(), said]);
    assert_eq!(
        f.rows("Recipient", "RedirectTo = 'qa@contoso.com'").await,
        2
    );
}

/// The redirect changes no row of the alert; its attempt says where it went.
pub(crate) async fn an_alert_that_was_redirected_names_the_request(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "default", "order-late").await;
    let redirect = add(&store, &redirect(of_name("invoice"))).await;
    let of_it = add(&store, &self::redirect(of_name("order-late"))).await;
    redirected(&store, a, &[Relayed, Relayed]).await;
    let lines = store.explanation(id).await.expect("an explanation");
    let named = |id: RequestId| format!(" requested redirect to {QA}, request {id}");
    let is_named = |id| lines.iter().any(|it| it.sentence.contains(&named(id)));
    assert!(is_named(of_it.request_id), "{lines:#?}");
    assert!(!is_named(redirect.request_id), "{lines:#?}");
}

/// Ten thousand remarks are written as one outcome.
pub(crate) async fn ten_thousand_recipients_are_redirected(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    f.alert_to(&large::list()).await;
    redirected(&store, a, &vec![Relayed; large::RECIPIENTS]).await;
    let redirected = "RedirectTo = 'qa@contoso.com' AND Remark IS NOT NULL";
    assert_eq!(f.rows("Recipient", redirected).await, 10_000);
}

/// Its instance was killed behind the reply of the relay, another one sent the alert to the address of a redirect, and
/// the outcome of the first comes from its state folder.
pub(crate) async fn a_late_delivery_replaces_what_was_redirected(f: &dyn Fixture) {
    let store = f.fresh().await;
    named(f, "default", "late").await;
    let a = instance(&store, "a").await;
    let (token, id) = claim_one(&store, a).await;
    let first = outcome(id, token, 1, &[Relayed, Relayed]);
    record(&store, a, &released(id, token, std::time::Duration::ZERO)).await;
    let b = instance(&store, "b").await;
    let (token, _) = claim_one(&store, b).await;
    let second = sent_elsewhere(outcome(id, token, 2, &[Relayed, Relayed]));
    record(&store, b, &second).await;
    let elsewhere = "Status = 'relayed' AND RedirectTo = 'qa@contoso.com'";
    assert_eq!(f.rows("Recipient", elsewhere).await, 2);
    record(&store, a, &first).await;
    let here = "Status = 'relayed' AND RedirectTo IS NULL AND Remark IS NULL";
    assert_eq!(f.rows("Recipient", here).await, 2);
    let found = line(&store, id).await;
    assert_eq!(
        (found.status, found.status_reason),
        (AlertStatus::Relayed, None)
    );
    // What went elsewhere afterwards takes nothing back.
    let third = sent_elsewhere(outcome(id, token, 3, &[Relayed, Relayed]));
    record(&store, b, &third).await;
    assert_eq!(f.rows("Recipient", here).await, 2);
}

/// An alert for two recipients that a killed instance sent to the address of a redirect, as nobody knows yet: it was
/// claimed with that redirect, and another instance has it now.
struct Killed {
    store: Arc<dyn Store>,
    alert: AlertId,
    redirect: RequestLine,
    dead: InstanceId,
    outcome: Outcome,
    other: InstanceId,
}

async fn killed(f: &dyn Fixture, statuses: &[RecipientStatus]) -> Killed {
    let store = f.fresh().await;
    let alert = named(f, "default", "late").await;
    let redirect = add(&store, &redirect(of_name("late"))).await;
    let dead = instance(&store, "dead").await;
    let (token, _) = claim_one(&store, dead).await;
    let outcome = sent_elsewhere(outcome(alert, token, 1, statuses));
    f.advance(LEASE_AND_MORE).await;
    let other = instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    Killed {
        store,
        alert,
        redirect,
        dead,
        outcome,
        other,
    }
}

impl Killed {
    /// The state folder of the killed instance is brought to the database.
    async fn record_late(&self) {
        let recorded = record(&self.store, self.dead, &self.outcome).await;
        assert_eq!(recorded, RecordResult::FactsOnly);
    }

    async fn end_redirect(&self) {
        end(&self.store, &self.redirect).await;
    }
}

const REDIRECTED_ATTEMPT: &str =
    "Outcome = 'relayed' AND AttemptNumber = 1 AND RedirectTo = 'qa@contoso.com'";

/// Its recipients do not have the message, and the attempt that is under way brings it to them.
pub(crate) async fn a_late_redirected_outcome_leaves_an_alert_to_its_recipients(f: &dyn Fixture) {
    let killed = killed(f, &[Relayed, Relayed]).await;
    killed.end_redirect().await;
    let (store, id) = (&killed.store, killed.alert);
    let (token, _) = claim_one(store, killed.other).await;
    killed.record_late().await;
    assert_eq!(status(store, id).await, AlertStatus::Sending);
    assert_eq!(recipient_words(store, id).await, ["queued", "queued"]);
    assert_eq!(f.rows("Attempt", REDIRECTED_ATTEMPT).await, 1);
    assert_eq!(f.rows("AttemptReply", "ReplyCode = 250").await, 2);

    let second = outcome(id, token, 2, &[Relayed, RecipientStatus::Delayed]);
    record(store, killed.other, &second).await;
    assert_eq!(recipient_words(store, id).await, ["relayed", "delayed"]);
    assert_eq!(f.rows("Recipient", "RedirectTo IS NOT NULL").await, 0);
    assert_eq!(status(store, id).await, AlertStatus::Delayed);
}

/// It waits, and is tried as before.
pub(crate) async fn a_late_redirected_outcome_drops_no_retry(f: &dyn Fixture) {
    let killed = killed(f, &[Relayed, Relayed]).await;
    killed.end_redirect().await;
    let (store, id) = (&killed.store, killed.alert);
    killed.record_late().await;
    assert_eq!(status(store, id).await, AlertStatus::Queued);
    let (token, _) = claim_one(store, killed.other).await;
    let waits = outcome(id, token, 2, &[Relayed, RecipientStatus::Delayed]);
    record(store, killed.other, &waits).await;
    let due = line(store, id).await.next_attempt_at;
    killed.record_late().await;
    let found = line(store, id).await;
    assert_eq!(
        (found.status, found.next_attempt_at),
        (AlertStatus::Delayed, due)
    );
    assert_eq!(f.rows("Attempt", REDIRECTED_ATTEMPT).await, 1);
}

/// A final status stays: what went elsewhere reached none of its recipients.
pub(crate) async fn a_late_redirected_outcome_changes_no_final_status(f: &dyn Fixture) {
    let killed = killed(f, &[Relayed, Relayed]).await;
    killed.end_redirect().await;
    let (store, id) = (&killed.store, killed.alert);
    let cancel = add(store, &request(OperatorVerb::Cancel, of_alert(id))).await;
    assert_eq!(pass(store, &cancel).await.applied, 1);
    killed.record_late().await;
    assert_eq!(status(store, id).await, AlertStatus::Cancelled);
    assert_eq!(recipient_words(store, id).await, ["cancelled", "cancelled"]);
    assert_eq!(f.rows("Attempt", REDIRECTED_ATTEMPT).await, 1);
}

/// The newest redirect decides where it goes; while that is the same address, it is not sent there twice.
pub(crate) async fn a_late_redirected_outcome_counts_while_its_redirect_is_in_force(
    f: &dyn Fixture,
) {
    let killed = killed(f, &[Relayed, Relayed]).await;
    let (store, id) = (&killed.store, killed.alert);
    let elsewhere = NewRequest {
        redirect_to: Some("other@contoso.com".to_owned()),
        ..redirect(of_all())
    };
    let newer = add(store, &elsewhere).await;
    killed.record_late().await;
    assert_eq!(status(store, id).await, AlertStatus::Queued);
    end(store, &newer).await;

    let second = named(f, "default", "late").await;
    let (token, claimed) = claim(store, killed.dead, 10).await;
    assert_eq!(claimed, [id, second]);
    f.advance(LEASE_AND_MORE).await;
    assert_eq!(take_over(store, killed.other, 10).await, 2);
    let late = sent_elsewhere(outcome(second, token, 1, &[Relayed, Relayed]));
    record(store, killed.dead, &late).await;
    let found = line(store, second).await;
    assert_eq!(found.status, AlertStatus::Relayed);
    let said = Some("redirected to qa@contoso.com by request 1".to_owned());
    assert_eq!(found.status_reason, said);
    assert_eq!(remarks(store, second).await, [said.clone(), said]);
}

/// It is held for this very result, and nothing else will say where it went.
pub(crate) async fn a_late_redirected_outcome_ends_the_doubt(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = named(f, "default", "late").await;
    let dead = holding_instance(&store, "dead").await;
    let (token, _) = claim_one(&store, dead).await;
    f.advance(LEASE_AND_MORE).await;
    let other = holding_instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    assert_eq!(status(&store, id).await, AlertStatus::Held);
    let late = sent_elsewhere(outcome(id, token, 1, &[Relayed, Relayed]));
    record(&store, dead, &late).await;
    let found = line(&store, id).await;
    let said = Some("redirected to qa@contoso.com by request 1".to_owned());
    assert_eq!(
        (found.status, found.status_reason),
        (AlertStatus::Relayed, said)
    );
}

/// It is in force for what is being sent, which a dry run counts and `why` names.
pub(crate) async fn what_is_being_sent_names_the_requests_in_force(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    let id = named(f, "default", "late").await;
    claim_one(&store, a).await;
    let requests = [
        redirect(of_name("late")),
        request(OperatorVerb::Hold, of_name("late")),
        request(OperatorVerb::Cancel, of_name("late")),
    ];
    for request in &requests {
        let counted = store.count_matching(request).await.expect("count");
        assert_eq!(counted.len(), 1);
        assert_eq!(
            (counted[0].status, counted[0].alerts),
            (AlertStatus::Sending, 1)
        );
        let other = NewRequest {
            filter: of_name("other"),
            ..request.clone()
        };
        assert_eq!(store.count_matching(&other).await.expect("count"), []);
    }
    for (request, says) in requests.iter().zip([
        "; a message that is on its way to the relay already goes where it was to go before",
        " is in force: the alert is held",
        " is in force: the alert is cancelled",
    ]) {
        add(&store, request).await;
        let lines = store.explanation(id).await.expect("explanation");
        assert!(
            lines.iter().any(|line| line.sentence.contains(says)),
            "{says} is not in {lines:#?}"
        );
    }
}
