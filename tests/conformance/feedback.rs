//! Reports of other mail systems: recorded of the recipients that they prove to be about.

use std::sync::Arc;

use ReportedOutcome::{Bounced, Delayed, Delivered, Read};
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, AttemptKey, BounceClass, Feedback, FeedbackKind, FeedbackProof,
    InstanceId, LeaseToken, OperatorVerb, OutcomeKind, PublicId, RecipientFeedback,
    RecipientStatus, ReportedOutcome, RequeueRecipients,
};
use sendport_store::Store;
use sendport_store::feedback::{FeedbackResult, MOST_FEEDBACK};
use sendport_store::operator_requests::NewRequest;
use sendport_store::retention::{PurgeAmong, PurgeScope};

use crate::fixture::*;

/// An alert to so many recipients, ops0 and so on, that a relay accepted, and its transaction.
async fn relayed(store: &Arc<dyn Store>, f: &dyn Fixture, count: usize) -> (AlertId, AttemptKey) {
    let addresses: Vec<_> = (0..count).map(|n| format!("ops{n}@contoso.com")).collect();
    let id = f.alert_to(&addresses.join("; ")).await;
    let key = attempted(store, id, 1, &vec![RecipientStatus::Relayed; count]).await;
    (id, key)
}

async fn attempted(
    store: &Arc<dyn Store>,
    id: AlertId,
    number: u32,
    statuses: &[RecipientStatus],
) -> AttemptKey {
    let a = instance(store, "a").await;
    let (token, claimed) = claim_one(store, a).await;
    assert_eq!(id, claimed);
    submitted(store, a, id, token, attempt(number, statuses), statuses).await
}

/// Records this transaction, and says its key.
async fn submitted(
    store: &Arc<dyn Store>,
    a: InstanceId,
    id: AlertId,
    token: LeaseToken,
    transaction: Attempt,
    statuses: &[RecipientStatus],
) -> AttemptKey {
    let key = transaction.key;
    let mut outcome = outcome(id, token, transaction.number, statuses);
    if let OutcomeKind::Decided(decision) = &mut outcome.kind {
        decision.attempt = Some(transaction);
    }
    record(store, a, &outcome).await;
    key
}

fn of(address: &str, outcome: ReportedOutcome) -> RecipientFeedback {
    let is_bounce = outcome == Bounced;
    RecipientFeedback {
        original_recipient: None,
        final_recipient: Some(address.to_owned()),
        outcome,
        at: Some(now()),
        reported_by: Some("mx.contoso.com".to_owned()),
        reply_code: is_bounce.then_some(550),
        enhanced: is_bounce.then(|| "5.1.1".to_owned()),
        text: is_bounce.then(|| "no such user".to_owned()),
        class: is_bounce.then_some(BounceClass::Hard),
        explanation: None,
    }
}

fn report(
    key: &str,
    (alert, attempt): (AlertId, AttemptKey),
    recipients: Vec<RecipientFeedback>,
) -> Feedback {
    Feedback {
        key: key.to_owned(),
        source: "bounces".to_owned(),
        kind: FeedbackKind::DeliveryStatus,
        proof: Ok(FeedbackProof::ReturnPath {
            alert,
            attempt: attempt.random_half(),
            recipient: None,
        }),
        from: Some("MAILER-DAEMON@contoso.com".to_owned()),
        subject: Some("Undelivered Mail Returned to Sender".to_owned()),
        message_id: Some("<1@mx.contoso.com>".to_owned()),
        size_bytes: 2000,
        recipients,
    }
}

async fn recorded(store: &Arc<dyn Store>, feedback: &Feedback) -> FeedbackResult {
    store.record_feedback(feedback, false).await.expect("done")
}

async fn matched(store: &Arc<dyn Store>, feedback: &Feedback) -> Vec<u32> {
    match recorded(store, feedback).await {
        FeedbackResult::Matched { recipients, .. } => recipients,
        other => panic!("{other:?}"),
    }
}

/// How many recipients `Delivery` shows this of.
async fn shown(f: &dyn Fixture, id: AlertId, outcome: ReportedOutcome) -> i64 {
    let condition = format!("AlertId = {id} AND ReportedOutcome = '{outcome}'");
    f.rows("Delivery", &condition).await
}

pub(crate) async fn a_bounce_is_shown_at_its_recipient_and_changes_no_status(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 3).await;
    let two = vec![
        RecipientFeedback {
            original_recipient: Some("OPS1@contoso.com".to_owned()),
            ..of("boss@fabrikam.com", Bounced)
        },
        of("ops2@contoso.com", Delivered),
    ];
    assert_eq!(matched(&store, &report("1", (id, key), two)).await, [1, 2]);

    let bounced = format!(
        "AlertId = {id} AND Ordinal = 1 AND Status = 'relayed' AND ReportedOutcome = 'bounced' AND ReportedClass = 'hard' \
         AND ReportedReplyCode = 550 AND ReportedEnhancedStatusCode = '5.1.1' AND ReportedText = 'no such user' \
         AND ReportedBy = 'mx.contoso.com' AND ReportedAt IS NOT NULL"
    );
    assert_eq!(f.rows("Delivery", &bounced).await, 1);
    assert_eq!(shown(f, id, Delivered).await, 1);
    let counts = format!(
        "AlertId = {id} AND Status = 'relayed' AND DeliveredCount = 1 AND BouncedCount = 1"
    );
    assert_eq!(f.rows("AlertStatus", &counts).await, 1);
}

pub(crate) async fn a_report_is_recorded_once(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    let bounce = report("1", (id, key), vec![of("ops0@contoso.com", Bounced)]);
    assert_eq!(matched(&store, &bounce).await, [0]);
    assert_eq!(recorded(&store, &bounce).await, FeedbackResult::Repeated);
    assert_eq!(
        f.rows("RecipientFeedback", &format!("AlertId = {id}"))
            .await,
        1
    );
}

pub(crate) async fn the_report_that_says_most_is_shown(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    for (at, outcome) in [Delayed, Delivered, Delayed, Read, Delivered]
        .into_iter()
        .enumerate()
    {
        let one = report(
            &at.to_string(),
            (id, key),
            vec![of("ops0@contoso.com", outcome)],
        );
        assert_eq!(matched(&store, &one).await, [0]);
        let expected = [Delayed, Delivered, Delivered, Read, Read][at];
        assert_eq!(shown(f, id, expected).await, 1, "after {at}");
    }
    assert_eq!(
        f.rows("RecipientFeedback", &format!("AlertId = {id}"))
            .await,
        5
    );
    assert_eq!(f.rows("Delivery", &format!("AlertId = {id}")).await, 1);
}

pub(crate) async fn a_report_of_an_earlier_transaction_replaces_none_of_a_later_one(
    f: &dyn Fixture,
) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let first = attempted(&store, id, 1, &[RecipientStatus::Delayed]).await;
    f.advance(minutes(6)).await;
    let second = attempted(&store, id, 2, &[RecipientStatus::Relayed]).await;
    let delivered = report("2", (id, second), vec![of("ops0@contoso.com", Delivered)]);
    assert_eq!(matched(&store, &delivered).await, [0]);
    let bounced = report("1", (id, first), vec![of("ops0@contoso.com", Bounced)]);
    assert_eq!(matched(&store, &bounced).await, [0]);
    assert_eq!(shown(f, id, Delivered).await, 1);
}

pub(crate) async fn a_report_without_proof_changes_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    let mut forged = report("1", (id, key), vec![of("ops0@contoso.com", Bounced)]);
    forged.proof = Err("its return path has no valid token".to_owned());
    let result = recorded(&store, &forged).await;
    assert_eq!(
        result,
        FeedbackResult::Unmatched("its return path has no valid token".to_owned())
    );
    assert_eq!(shown(f, id, Bounced).await, 0);
    let kept = "AlertId IS NULL AND UnmatchedReason = 'its return path has no valid token' \
        AND Summary = 'bounced: ops0@contoso.com 5.1.1 no such user'";
    assert_eq!(f.rows("Feedback", kept).await, 1);
    assert_eq!(recorded(&store, &forged).await, FeedbackResult::Repeated);
}

pub(crate) async fn a_report_of_an_unknown_transaction_is_asked_for_again(f: &dyn Fixture) {
    let store = f.fresh().await;
    let early = report(
        "1",
        (AlertId(4711), AttemptKey::fresh()),
        vec![of("ops0@contoso.com", Bounced)],
    );
    let result = recorded(&store, &early).await;
    assert_eq!(result, FeedbackResult::UnknownTransaction);
    assert_eq!(f.rows("Feedback", "FeedbackKey = '1'").await, 0);
    let last = store.record_feedback(&early, true).await.expect("done");
    assert!(matches!(last, FeedbackResult::Unmatched(_)), "{last:?}");
    assert_eq!(f.rows("Feedback", "FeedbackKey = '1'").await, 1);
}

pub(crate) async fn the_original_message_in_a_mailbox_of_the_service_is_a_proof(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 2).await;
    let public_id = line(&store, id).await.public_id;
    let alert = PublicId(public_id.parse().expect("a public id"));
    let mut bounce = report("1", (id, key), vec![of("ops1@contoso.com", Bounced)]);
    bounce.proof = Ok(FeedbackProof::Mailbox(alert));
    assert_eq!(matched(&store, &bounce).await, [1]);
    assert_eq!(shown(f, id, Bounced).await, 1);
}

pub(crate) async fn a_report_touches_the_recipients_of_its_transaction_alone(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com; ops1@contoso.com").await;
    let both = [RecipientStatus::Relayed, RecipientStatus::Delayed];
    let _first = attempted(&store, id, 1, &both).await;
    f.advance(minutes(6)).await;
    // The second attempt is for the second recipient alone.
    let a = instance(&store, "a").await;
    let (token, _) = claim_one(&store, a).await;
    let mut second = attempt(2, &both);
    second.replies.retain(|it| it.ordinal != Some(0));
    let key = submitted(&store, a, id, token, second, &both).await;

    let stranger = vec![of("ops0@contoso.com", Bounced)];
    let result = matched(&store, &report("1", (id, key), stranger)).await;
    assert_eq!(result, [1], "the only recipient of that transaction");
}

pub(crate) async fn many_reports_of_one_recipient_are_not_recorded(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    for at in 0..MOST_FEEDBACK {
        let delayed = report(
            &at.to_string(),
            (id, key),
            vec![of("ops0@contoso.com", Delayed)],
        );
        assert_eq!(matched(&store, &delayed).await, [0]);
    }
    let more = report("more", (id, key), vec![of("ops0@contoso.com", Bounced)]);
    assert_eq!(matched(&store, &more).await, [] as [u32; 0]);
    let all = f
        .rows("RecipientFeedback", &format!("AlertId = {id}"))
        .await;
    assert_eq!(all, i64::from(MOST_FEEDBACK));
}

pub(crate) async fn a_requeue_hides_what_was_reported_before(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    let bounce = report("1", (id, key), vec![of("ops0@contoso.com", Bounced)]);
    assert_eq!(matched(&store, &bounce).await, [0]);
    let wanted = NewRequest {
        recipients: Some(RequeueRecipients::All),
        ..request(OperatorVerb::Requeue, of_alert(id))
    };
    let line = add(&store, &wanted).await;
    pass(&store, &line).await;
    assert_eq!(shown(f, id, Bounced).await, 0);
    assert_eq!(
        f.rows(
            "AlertStatus",
            &format!("AlertId = {id} AND BouncedCount = 0")
        )
        .await,
        1
    );
    assert_eq!(
        f.rows("RecipientFeedback", &format!("AlertId = {id}"))
            .await,
        1
    );
}

pub(crate) async fn old_reports_that_match_nothing_are_purged(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    let bounce = report("1", (id, key), vec![of("ops0@contoso.com", Bounced)]);
    assert_eq!(matched(&store, &bounce).await, [0]);
    let forged = |key: &'static str| Feedback {
        key: key.to_owned(),
        proof: Err("it has no token".to_owned()),
        ..bounce.clone()
    };
    recorded(&store, &forged("old")).await;
    f.advance(minutes(61)).await;
    recorded(&store, &forged("new")).await;
    let purged = store.purge_feedback(minutes(60)).await.expect("done");
    assert_eq!(purged, 1);
    assert_eq!(store.purge_feedback(minutes(60)).await.expect("done"), 0);
    assert_eq!(f.rows("Feedback", "FeedbackKey IN ('1', 'new')").await, 2);
}

pub(crate) async fn what_was_reported_by_others_is_purged_with_its_alert(f: &dyn Fixture) {
    let store = f.fresh().await;
    let (id, key) = relayed(&store, f, 1).await;
    let bounce = report("1", (id, key), vec![of("ops0@contoso.com", Bounced)]);
    assert_eq!(matched(&store, &bounce).await, [0]);
    f.advance(minutes(61)).await;
    let scope = PurgeScope {
        among: PurgeAmong::AllBut(Vec::new()),
        ..PurgeScope::old(AlertStatus::Relayed, "default", minutes(60))
    };
    repeated(|| store.purge_bodies(&scope, u64::MAX)).await;
    repeated(|| store.purge_alerts(&scope)).await;
    assert_eq!(f.rows("Alert", "1 = 1").await, 0);
    assert_eq!(f.rows("Feedback", "1 = 1").await, 0);
    assert_eq!(f.rows("RecipientFeedback", "1 = 1").await, 0);
}
