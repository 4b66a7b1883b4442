//! The view `AlertExplanation`: for every status what happened, why, what happens next, and what a person can do.

use std::sync::Arc;

use RecipientStatus::{Delayed, Failed, Relayed};
use regex::Regex;
use sendport_core::domain::{
    AlertId, AlertStatus, AttemptOutcome, Decision, OperatorVerb, Outcome, OutcomeKind,
    RecipientStatus, RelayCondition, Resolution,
};
use sendport_store::operator_requests::RequestFilter;
use sendport_store::{AdoptMode, Among, Event, EventSeverity, Store};

use crate::fixture::*;
use crate::queue::relay;

/// The lines of an alert as `kind: sentence`, without what differs between two runs or two engines.
async fn explained(store: &Arc<dyn Store>, id: AlertId) -> Vec<String> {
    let lines = store.explanation(id).await.expect("explanation");
    let time = Regex::new(r"\d{4}-\d\d-\d\d[T ][0-9:.]+Z").expect("a pattern");
    let writer =
        Regex::new(r"^history: .* (inserted the alert|requested|resolved)").expect("a pattern");
    let number = Regex::new(r"(request|hold) \d+").expect("a pattern");
    let person = Regex::new(r" of \S+ is in force").expect("a pattern");
    let public_id = Regex::new(r"PublicId [0-9a-f-]{36}").expect("a pattern");
    let procedure =
        Regex::new(r"EXEC sendport\.(Requeue|Release|Cancel) @AlertId = (\d+)").expect("a pattern");
    let hold = Regex::new(r"EXEC sendport\.Release @HoldRequestId = (\d+)").expect("a pattern");
    let verb =
        |found: &regex::Captures<'_>| format!("sendport {} {}", found[1].to_lowercase(), &found[2]);
    let mut shown = Vec::new();
    for line in lines {
        let sentence = format!("{}: {}", line.kind, line.sentence);
        let sentence = time.replace_all(&sentence, "<time>");
        let sentence = writer.replace(&sentence, "history: <user> $1");
        let sentence = person.replace(&sentence, " of <user> is in force");
        let sentence = public_id.replace(&sentence, "PublicId <uuid>");
        let sentence = number.replace_all(&sentence, "$1 <n>");
        let sentence = procedure.replace_all(&sentence, verb);
        let sentence = hold.replace_all(&sentence, "sendport release --hold $1");
        let sentence = number.replace_all(&sentence, "$1 <n>");
        let at = if line.at.is_some() { " at <time>" } else { "" };
        let sentence = ["resolve", "requeue", "release", "cancel"]
            .iter()
            .fold(sentence.into_owned(), |line, before| {
                line.replace(&format!("{before} {id}"), &format!("{before} <id>"))
            });
        shown.push(format!("{sentence}{at}"));
    }
    shown
}

const INSERTED: &str = "history: <user> inserted the alert for send port 'default' at <time>";
const EXPIRES: &str = "next: it expires, unless it is final by then at <time>";
const REQUEUE: &str = "advice: remove the cause, and send it again: sendport requeue <id>; if the cause is in the alert itself, insert a new one";

pub(crate) async fn a_queued_alert_says_what_it_waits_for(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "status: the alert is queued at <time>",
            "next: nothing: no instance of the service is running",
            "advice: start the service, and read its log",
        ]
    );
    let one = instance(&store, "one").await;
    let paused = [
        relay("mail", RelayCondition::Paused, Some("535 5.7.8 wrong")),
        relay("backup", RelayCondition::Paused, None),
    ];
    let ports = ["default".to_owned()];
    store
        .renew(one, LEASE, &ports, &paused)
        .await
        .expect("renew");
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "status: the alert is queued at <time>",
            "next: an instance sends it, once this is over: relay mail paused since <time>, tried again at <time>: 535 5.7.8 wrong",
            EXPIRES,
        ]
    );
    let usable = [relay("mail", RelayCondition::Closed, None)];
    store
        .renew(one, LEASE, &ports, &usable)
        .await
        .expect("renew");
    assert_eq!(
        explained(&store, id).await[2..],
        ["next: an instance sends it within seconds", EXPIRES]
    );
    let other = f
        .insert("ToRecipients, SendPort", "'ops0@contoso.com', 'nope'")
        .await;
    assert_eq!(
        explained(&store, other).await,
        [
            "history: <user> inserted the alert for send port 'nope' at <time>",
            "status: the alert is queued at <time>",
            "next: nothing: no running instance has a send port named 'nope'",
            "advice: add the send port to the configuration of an instance, or cancel the alert and insert it again for another send port",
        ]
    );
}

pub(crate) async fn a_leased_alert_names_the_instance_or_its_end(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let one = instance(&store, "one").await;
    claim_one(&store, one).await;
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "status: the alert is sending at <time>",
            "next: instance one is processing it, and records the outcome",
            EXPIRES,
        ]
    );
    f.advance(LEASE_AND_MORE).await;
    let next =
        "next: the lease of instance one has ended: another running instance takes the alert over";
    // On SQLite the machine's clock may have jumped: not from a process that runs.
    let expected = match f.state_table().as_str() {
        "AlertState" => format!(
            "{next}, unless process 4711 on host-of-one still runs there; if it hangs, end it (kill -9 4711)"
        ),
        _ => next.to_owned(),
    };
    assert_eq!(explained(&store, id).await[2], expected);
}

pub(crate) async fn a_delayed_and_then_failed_alert_has_its_history_and_cause(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f
        .alert_to("ops0@contoso.com; ops1@contoso.com; ops2@contoso.com")
        .await;
    let one = instance(&store, "one").await;
    let (token, _) = claim_one(&store, one).await;
    record(
        &store,
        one,
        &outcome(id, token, 1, &[Delayed, Delayed, Failed]),
    )
    .await;
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "history: attempt 1 over relay 'mail': the relay accepted the message for no recipient, and some wait for another attempt, the first refusal: RCPT 450 4.7.1 greylisted, Message-ID <4711@contoso.com> at <time>",
            "status: the alert is delayed (0 of 3 recipients relayed, 2 waiting) at <time>",
            "cause: 2 recipients are delayed, for example ops0@contoso.com: RCPT 450 4.7.1 greylisted at <time>",
            "cause: ops2@contoso.com is failed: RCPT 550 5.1.1 no such user. the mailbox does not exist at <time>",
            "next: an instance tries it again at <time>",
            EXPIRES,
            "advice: correct the address",
        ]
    );
    f.advance(minutes(6)).await;
    let (token, _) = claim_one(&store, instance(&store, "two").await).await;
    record(
        &store,
        one,
        &outcome(id, token, 2, &[Relayed, Failed, Failed]),
    )
    .await;
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "history: attempt 1 over relay 'mail': the relay accepted the message for no recipient, and some wait for another attempt, the first refusal: RCPT 450 4.7.1 greylisted, Message-ID <4711@contoso.com> at <time>",
            "history: attempt 2 over relay 'mail': the relay accepted the message for some recipients, the first refusal: RCPT 550 5.1.1 no such user, Message-ID <4711@contoso.com> at <time>",
            "status: the alert is partial (1 of 3 recipients relayed, 0 waiting) at <time>",
            "cause: 2 recipients are failed, for example ops1@contoso.com: RCPT 550 5.1.1 no such user. the mailbox does not exist at <time>",
            "next: nothing more, unless an operator sends it again",
            "advice: correct the address",
            REQUEUE,
        ]
    );
}

pub(crate) async fn a_relayed_alert_says_what_the_relay_promised(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let one = instance(&store, "one").await;
    let (token, _) = claim_one(&store, one).await;
    record(&store, one, &outcome(id, token, 1, &[Relayed])).await;
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "history: attempt 1 over relay 'mail': the relay accepted the message, Message-ID <4711@contoso.com> at <time>",
            "status: the alert is relayed (1 of 1 recipients relayed, 0 waiting) at <time>",
            "next: nothing more: the relay has promised to deliver the message or to report that it could not",
            "advice: if a recipient has no message, the administrator of the relay finds it by its Message-ID",
        ]
    );
}

pub(crate) async fn an_alert_that_failed_as_a_whole_has_its_reason(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("").await;
    let one = instance(&store, "one").await;
    let (token, _) = claim_one(&store, one).await;
    let decision = Decision {
        status: AlertStatus::Failed,
        retry_in: None,
        reason: Some("ToRecipients has no address".to_owned()),
        attempt: None,
        recipients: Vec::new(),
        template_version: None,
    };
    record(&store, one, &decided(id, token, decision)).await;
    assert_eq!(
        explained(&store, id).await,
        [
            INSERTED,
            "status: the alert is failed: ToRecipients has no address at <time>",
            "next: nothing more, unless an operator sends it again",
            REQUEUE,
        ]
    );
}

pub(crate) async fn an_alert_in_doubt_is_resolved_and_an_adopted_one_released(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    claim_one(&store, holding_instance(&store, "dead").await).await;
    f.advance(LEASE_AND_MORE).await;
    let other = holding_instance(&store, "other").await;
    assert_eq!(take_over(&store, other, 10).await, 1);
    let in_doubt = explained(&store, id).await;
    assert_eq!(
        in_doubt,
        [
            INSERTED,
            "history: attempt 1: its end was not observed, so the relay may have accepted the message at <time>",
            "status: the alert is held: in doubt: the instance that worked on it ended; it may have been sent at <time>",
            "next: nothing, until an operator resolves it",
            EXPIRES,
            "advice: search the log of the relay for the PublicId <uuid>, which is the left side of the Message-ID, then sendport resolve <id> with --relayed, --resend or --cancel",
        ]
    );
    let resolved = resolve(&store, id, Resolution::Cancel).await;
    assert!(resolved.is_some());
    let lines = explained(&store, id).await;
    assert_eq!(
        lines[2],
        "history: <user> resolved the alert as cancel, request <n>: seen in the log at <time>"
    );
    assert!(
        lines[3].starts_with("status: the alert is cancelled by "),
        "{lines:#?}"
    );
    assert_eq!(
        lines.last().map(String::as_str),
        Some(
            "advice: it may have been sent: search the log of the relay for the PublicId <uuid>, which is the left side of the Message-ID; if it is not there, send it again: sendport requeue <id>"
        )
    );

    let adopted = f.alert_to("ops0@contoso.com").await;
    store.adopt("other", AdoptMode::Hold).await.expect("adopt");
    let lines = explained(&store, adopted).await;
    assert_eq!(lines[2], "next: nothing, until an operator releases it");
    assert_eq!(
        lines.last().map(String::as_str),
        Some("advice: sendport release <id>, or sendport cancel <id>")
    );
}

pub(crate) async fn an_alert_that_an_operator_holds_or_cancels_names_the_request(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f
        .insert(
            "ToRecipients, AlertName",
            "'ops0@contoso.com', 'order-late'",
        )
        .await;
    let one = instance(&store, "one").await;
    let of_name = RequestFilter {
        alert_name: Some("order-late".to_owned()),
        ..RequestFilter::default()
    };
    let mut hold = request(OperatorVerb::Hold, of_name.clone());
    hold.comment = Some("maintenance".to_owned());
    add(&store, &hold).await;
    assert!(claim(&store, one, 10).await.1.is_empty());
    let lines = explained(&store, id).await;
    let has = |wanted: &str| lines.iter().any(|line| line.starts_with(wanted));
    for wanted in [
        "history: <user> requested hold, request <n>: maintenance",
        "status: the alert is held by ",
        "next: nothing, until an operator ends the hold <n>",
        "advice: sendport release --hold <n>, or sendport cancel <id>",
    ] {
        assert!(has(wanted), "{wanted} is not in {lines:#?}");
    }
    let line = add(&store, &request(OperatorVerb::Cancel, of_name)).await;
    assert_eq!(pass(&store, &line).await.applied, 1);
    let lines = explained(&store, id).await;
    let has = |wanted: &str| lines.iter().any(|line| line.starts_with(wanted));
    for wanted in [
        "history: <user> requested cancel, request <n>",
        "status: the alert is cancelled by ",
        "next: nothing more, unless an operator sends it again",
        REQUEUE,
    ] {
        assert!(has(wanted), "{wanted} is not in {lines:#?}");
    }
}

/// `Queue` is about the send port: what it waits for may be the reason of one alert.
pub(crate) async fn the_reason_of_another_alert_is_not_given(f: &dyn Fixture) {
    let store = f.fresh().await;
    let waits = f.alert_to("ops0@contoso.com").await;
    let ports = ["default".to_owned()];
    let states = [relay("mail", RelayCondition::Closed, None)];
    let one = instance(&store, "one").await;
    let renewed = store.renew(one, LEASE, &ports, &states);
    renewed.await.expect("renew");
    let (token, _) = claim_one(&store, one).await;
    let kind = OutcomeKind::Released {
        retry_in: minutes(30),
        reason: Some("template 'slow' takes 9 s".to_owned()),
    };
    let alert = waits;
    record(&store, one, &Outcome { alert, token, kind }).await;
    f.advance(minutes(30)).await;
    let one = instance(&store, "one").await;
    let renewed = store.renew(one, LEASE, &ports, &states);
    renewed.await.expect("renew");
    let other = f.alert_to("ops0@contoso.com").await;
    let own = "next: an instance sends it, once this is over: template 'slow' takes 9 s";
    assert!(explained(&store, waits).await.contains(&own.to_owned()));
    let next = "next: an instance sends it within seconds";
    let lines = explained(&store, other).await;
    assert!(lines.contains(&next.to_owned()), "{lines:#?}");
}

pub(crate) async fn a_cancel_that_the_database_refuses_says_so(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let cancel = add(&store, &request(OperatorVerb::Cancel, of_alert(id))).await;
    let refused = Event {
        severity: EventSeverity::Error,
        event_type: "request-refused",
        instance: None,
        alert: Some(id),
        send_port: None,
        relay: None,
        message: "the row is damaged".to_owned(),
    };
    store.log_event(&refused).await.expect("an event");
    let lines = explained(&store, id).await;
    for wanted in [
        "history: request-refused: the row is damaged at <time>",
        "next: request <n> of <user> is in force: the database refused to cancel the alert (request-refused above), and an instance tries again (runaway job)",
    ] {
        assert!(
            lines.contains(&wanted.to_owned()),
            "{wanted} is not in {lines:#?}"
        );
    }
    assert_eq!(cancel.state, "open");
}

/// Each request, the oldest first; of many the latest ones and how many there were before.
pub(crate) async fn an_alert_shows_every_request_that_changed_it(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let apply = async |verb| {
        f.advance(minutes(1)).await;
        let line = add(&store, &request(verb, of_alert(id))).await;
        assert_eq!(pass(&store, &line).await.applied, 1, "{verb}");
    };
    let requests = async || {
        let lines = explained(&store, id).await;
        let requests = lines.into_iter().filter(|it| it.contains("request"));
        requests.collect::<Vec<_>>()
    };
    let requested = |verb: &str| {
        format!("history: <user> requested {verb}, request <n>: runaway job at <time>")
    };
    let verbs = [
        OperatorVerb::Hold,
        OperatorVerb::Release,
        OperatorVerb::Cancel,
        OperatorVerb::Requeue,
    ];
    for verb in verbs {
        apply(verb).await;
    }
    assert_eq!(
        requests().await[..4],
        verbs.map(|verb| requested(verb.as_str()))
    );
    for verb in verbs.into_iter().cycle().take(20) {
        apply(verb).await;
    }
    let shown = requests().await;
    let earlier =
        "history: 4 earlier requests of operators changed the alert: see EarlierRequest at <time>";
    assert_eq!(shown[0], earlier, "{shown:#?}");
    let latest: Vec<_> = verbs.iter().cycle().take(20).collect();
    assert_eq!(shown.len(), 21, "{shown:#?}");
    assert_eq!(
        shown[1..],
        latest
            .iter()
            .map(|it| requested(it.as_str()))
            .collect::<Vec<_>>()
    );
}

/// A request that no claim or pass has met yet.
pub(crate) async fn a_waiting_alert_names_the_request_that_is_in_force(f: &dyn Fixture) {
    let store = f.fresh().await;
    let columns = "ToRecipients, AlertName";
    let id = f.insert(columns, "'ops@contoso.com', 'order-late'").await;
    let other = f.alert_to("ops@contoso.com").await;
    let of_name = RequestFilter {
        alert_name: Some("order-late".to_owned()),
        ..RequestFilter::default()
    };
    add(&store, &request(OperatorVerb::Hold, of_name.clone())).await;
    let held = "next: request <n> of <user> is in force: an instance holds the alert (runaway job)";
    assert_eq!(
        explained(&store, id).await[2..4],
        ["next: nothing: no instance of the service is running", held]
    );
    let one = instance(&store, "one").await;
    let usable = [relay("mail", RelayCondition::Closed, None)];
    let ports = ["default".to_owned()];
    store
        .renew(one, LEASE, &ports, &usable)
        .await
        .expect("renew");
    assert_eq!(explained(&store, id).await[2..], [held, EXPIRES]);
    let sent = ["next: an instance sends it within seconds", EXPIRES];
    assert_eq!(explained(&store, other).await[2..], sent);
    add(&store, &request(OperatorVerb::Cancel, of_name)).await;
    let cancelled =
        "next: request <n> of <user> is in force: an instance cancels the alert (runaway job)";
    assert_eq!(explained(&store, id).await[2..], [cancelled, EXPIRES]);
    // Its alerts stay queued.
    let of_port = RequestFilter {
        send_port: Some("default".to_owned()),
        ..RequestFilter::default()
    };
    add(&store, &request(OperatorVerb::Hold, of_port)).await;
    let lines = explained(&store, other).await;
    assert_eq!(lines[3..], [EXPIRES]);
    assert!(
        lines[2].starts_with(
            "next: an instance sends it, once this is over: the send port is held by "
        ),
        "{lines:#?}"
    );
}

pub(crate) async fn a_waiting_alert_says_what_a_filter_by_recipient_does(f: &dyn Fixture) {
    let store = f.fresh().await;
    let delayed = f.alert_to("ops0@contoso.com").await;
    let one = instance(&store, "one").await;
    let (token, _) = claim_one(&store, one).await;
    record(&store, one, &outcome(delayed, token, 1, &[Delayed])).await;
    let queued = f.alert_to("ops0@contoso.com").await;
    let cancel = |relay: &str, status| {
        let filter = RequestFilter {
            relay: Some(relay.to_owned()),
            status: Some(status),
            ..RequestFilter::default()
        };
        request(OperatorVerb::Cancel, filter)
    };
    let is_cancelled = |lines: &[String]| lines.iter().any(|it| it.contains("cancels the alert"));
    add(&store, &cancel("backup", AlertStatus::Delayed)).await;
    add(&store, &cancel("mail", AlertStatus::Held)).await;
    assert!(!is_cancelled(&explained(&store, delayed).await));
    add(&store, &cancel("mail", AlertStatus::Delayed)).await;
    assert!(is_cancelled(&explained(&store, delayed).await));
    assert!(!is_cancelled(&explained(&store, queued).await));
}

pub(crate) async fn a_cancel_in_doubt_says_that_it_may_have_been_sent(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let one = holding_instance(&store, "one").await;
    let (token, _) = claim_one(&store, one).await;
    let mut unseen = outcome(id, token, 1, &[Delayed]);
    let OutcomeKind::Decided(decision) = &mut unseen.kind else {
        panic!("decided")
    };
    decision.status = AlertStatus::Held;
    decision.retry_in = None;
    decision.reason = Some("in doubt: it may have been sent".to_owned());
    decision.attempt.as_mut().expect("an attempt").outcome = AttemptOutcome::Unknown;
    record(&store, one, &unseen).await;
    assert_eq!(
        explained(&store, id).await.last().map(String::as_str),
        Some(
            "advice: search the log of the relay for the Message-ID <4711@contoso.com>, then sendport resolve <id> with --relayed, --resend or --cancel"
        )
    );
    let cancel = add(&store, &request(OperatorVerb::Cancel, of_alert(id))).await;
    assert_eq!(pass(&store, &cancel).await.applied, 1);
    assert_eq!(
        explained(&store, id).await.last().map(String::as_str),
        Some(
            "advice: it may have been sent: search the log of the relay for the Message-ID <4711@contoso.com>; if it is not there, send it again: sendport requeue <id>"
        )
    );
}

pub(crate) async fn an_alert_that_is_due_after_it_expires_says_so(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let one = instance(&store, "one").await;
    let (token, _) = claim_one(&store, one).await;
    let three_days = minutes(3 * 24 * 60);
    record(&store, one, &released(id, token, three_days)).await;
    assert_eq!(
        explained(&store, id).await[2..],
        [
            EXPIRES,
            "next: nothing: it expires before it is due at <time>"
        ]
    );
}

pub(crate) async fn an_expired_alert_has_its_cause(f: &dyn Fixture) {
    let store = f.fresh().await;
    let id = f.alert_to("ops0@contoso.com").await;
    let _one = instance(&store, "one").await;
    f.advance(minutes(3 * 24 * 60)).await;
    let expired = store.expire(10, Among::AllBut(&[])).await.expect("expire");
    assert_eq!(expired.count, 1);
    let lines = explained(&store, id).await;
    assert!(
        lines[1].starts_with("status: the alert is expired"),
        "{lines:#?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("cause: ops0@contoso.com is expired: not sent before ")),
        "{lines:#?}"
    );
    assert_eq!(lines.last().map(String::as_str), Some(REQUEUE));
}

pub(crate) async fn an_unknown_alert_has_no_line(f: &dyn Fixture) {
    let store = f.fresh().await;
    assert!(explained(&store, AlertId(4711)).await.is_empty());
}
