use std::time::Duration;

use sendport_core::domain::Message;
use sendport_core::domain::{
    AlertStatus, Command, CommandReply, EnhancedStatusCode, SessionFacts, Timestamp,
};
use sendport_smime::{ProtectionPlan, secure};

use super::*;
use RecipientStatus::{Delayed, Failed, Queued, Relayed};

fn alert(to: &str) -> Alert {
    Alert {
        to_recipients: Some(to.to_owned()),
        ..crate::fixture::alert()
    }
}

fn port(extra: &str) -> SendPort {
    SendPort::with_settings("p", &["d"], extra)
}

/// For an alert that was just inserted.
fn rules<'r>(port: &'r SendPort, replies: &'r ReplyTable) -> Rules<'r> {
    Rules {
        port,
        replies,
        age: Duration::ZERO,
        chance: 0.0,
        throttled_for: None,
        of_one_domain: false,
    }
}

fn reply(ordinal: Option<u32>, command: Command, code: u16, text: &str) -> CommandReply {
    CommandReply {
        ordinal,
        reply: Reply::new(command, code, None, text),
    }
}

/// MAIL, and these answers to RCPT.
fn envelope(answers: &[(u16, &str)]) -> Vec<CommandReply> {
    let mut replies = vec![reply(None, Command::Mail, 250, "ok")];
    replies.extend(
        (0..)
            .zip(answers)
            .map(|(ordinal, (code, text))| reply(Some(ordinal), Command::Rcpt, *code, text)),
    );
    replies
}

/// The same, and DATA with this answer to the message.
fn message(answers: &[(u16, &str)], end: CommandReply) -> Vec<CommandReply> {
    let mut replies = envelope(answers);
    replies.extend([reply(None, Command::Data, 354, "go"), end]);
    replies
}

/// The same, and the message is accepted.
fn accepted(answers: &[(u16, &str)]) -> Vec<CommandReply> {
    message(answers, reply(None, Command::EndOfData, 250, "queued as 1"))
}

fn report(replies: Vec<CommandReply>, end: SubmissionEnd) -> SubmissionReport {
    SubmissionReport {
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        facts: SessionFacts::default(),
        replies,
        end,
    }
}

/// The decision about an alert when a relay answers like this.
fn decision(
    alert: &Alert,
    extra: &str,
    replies: Vec<CommandReply>,
    end: SubmissionEnd,
) -> Decision {
    decision_of_some(alert, extra, usize::MAX, replies, end)
}

/// The same in a transaction with at most so many of the recipients that are due.
fn decision_of_some(
    alert: &Alert,
    extra: &str,
    at_most: usize,
    replies: Vec<CommandReply>,
    end: SubmissionEnd,
) -> Decision {
    let (port, table) = (port(extra), ReplyTable::built_in());
    decision_by(&rules(&port, &table), alert, at_most, report(replies, end))
}

/// The same by these rules.
fn decision_by(
    rules: &Rules<'_>,
    alert: &Alert,
    at_most: usize,
    report: SubmissionReport,
) -> Decision {
    let port = rules.port;
    let mut recipients = RecipientSet::load(alert, rules);
    let mut carried = recipients.forward_paths();
    carried.truncate(at_most);
    recipients.apply("d", &carried, &report, rules);
    let message = secure(
        Message {
            message_id: "<1@x>".to_owned(),
            bytes: b"\r\n".to_vec(),
        },
        &ProtectionPlan::Unprotected,
    )
    .expect("needs nothing");
    let attempt = recipients.attempt(AttemptKey::fresh(), "d", report, &message);
    recipients.into_decision(attempt, port.in_doubt, None)
}

fn statuses(decision: &Decision) -> Vec<(u32, RecipientStatus)> {
    let recipients = decision.recipients.iter();
    recipients.map(|r| (r.ordinal, r.status)).collect()
}

/// How many attempts each has used.
fn spent(decision: &Decision) -> Vec<u32> {
    let recipients = decision.recipients.iter();
    recipients.map(|r| r.attempt_count).collect()
}

fn explanation(decision: &Decision, recipient: usize) -> Option<&str> {
    decision.recipients[recipient].explanation.as_deref()
}

#[test]
fn a_refused_recipient_does_not_harm_the_others() {
    let replies = accepted(&[(250, "ok"), (550, "user unknown"), (451, "busy")]);
    let decision = decision(
        &alert("a@x.com;b@x.com;c@x.com"),
        "",
        replies,
        SubmissionEnd::Answered,
    );
    let expected = [(0, Relayed), (1, Failed), (2, Delayed)];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(decision.status, AlertStatus::Delayed);
    assert_eq!(decision.retry_in, Some(Duration::from_secs(60)));
    assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Partial);
    assert_eq!(
        decision.recipients[0].reply.as_ref().unwrap().text,
        "queued as 1"
    );
}

#[test]
fn a_421_in_the_middle_leaves_earlier_replies_standing_and_the_rest_waiting() {
    let replies = envelope(&[(250, "ok"), (450, "greylisted"), (421, "shutting down")]);
    let decision = decision(
        &alert("a@x.com;b@x.com;c@x.com;d@x.com"),
        "",
        replies,
        SubmissionEnd::Broken,
    );
    let expected = [(0, Queued), (1, Delayed), (2, Delayed), (3, Queued)];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(
        spent(&decision),
        [0, 1, 1, 0],
        "only of those that were answered so"
    );
    assert_eq!(decision.recipients[1].reply.as_ref().unwrap().code, 450);
    assert_eq!(decision.recipients[3].reply.as_ref().unwrap().code, 421);
    assert_eq!(explanation(&decision, 3), Some("service-closing"));
    assert_eq!(decision.retry_in, Some(Duration::from_secs(60)));
}

/// The relay takes two of four at a time and then ends the connection: only the third may be
/// why.
#[test]
fn accepted_recipients_do_not_fail_for_a_lost_connection() {
    let accepted = || envelope(&[(250, "ok"), (250, "ok")]);
    let mut goodbye = accepted();
    goodbye.push(reply(Some(2), Command::Rcpt, 421, "closing"));
    let mut closed = accepted();
    closed.push(reply(
        None,
        Command::Rcpt,
        0,
        "the server closed the connection",
    ));
    for replies in [goodbye, closed] {
        let decision = decision(
            &alert("a@x.com;b@x.com;c@x.com;d@x.com"),
            "[retry]\nattempts = 1",
            replies,
            SubmissionEnd::Broken,
        );
        let expected = [(0, Queued), (1, Queued), (2, Failed), (3, Queued)];
        assert_eq!(statuses(&decision), expected);
        assert_eq!(decision.retry_in, Some(Duration::from_secs(60)));
    }
}

#[test]
fn recipients_left_out_after_too_many_errors_go_on_at_once() {
    let replies = envelope(&[(250, "ok"), (550, "user unknown"), (421, "too many errors")]);
    let decision = decision(
        &alert("a@x.com;b@x.com;c@x.com;d@x.com"),
        "",
        replies,
        SubmissionEnd::Broken,
    );
    let expected = [(0, Queued), (1, Failed), (2, Queued), (3, Queued)];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(decision.status, AlertStatus::Queued);
    assert_eq!(decision.retry_in, Some(Duration::ZERO));
    assert_eq!(spent(&decision), [0, 1, 0, 0]);
    assert_eq!(explanation(&decision, 3), Some("too-many-errors"));
    assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Delayed);
}

#[test]
fn more_recipients_than_the_relay_takes_go_on_at_once_and_unspent() {
    for (code, text) in [
        (452, "too many recipients"),
        (552, "Too many recipients"),
        (451, "Too many recipients received this session"),
    ] {
        let replies = accepted(&[(250, "ok"), (450, "greylisted"), (code, text)]);
        let alert = alert("a@x.com;b@x.com;c@x.com");
        let decision = decision(&alert, "", replies, SubmissionEnd::Answered);
        let expected = [(0, Relayed), (1, Delayed), (2, Queued)];
        assert_eq!(statuses(&decision), expected, "{code} {text}");
        assert_eq!(decision.recipients[2].attempt_count, 0);
        assert_eq!(decision.retry_in, Some(Duration::ZERO));
        assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Partial);
    }
}

#[test]
fn a_full_mailbox_is_not_taken_for_too_many_recipients() {
    let mut replies = accepted(&[(250, "ok"), (552, "mailbox full")]);
    replies[2].reply.enhanced = Some(EnhancedStatusCode::new(5, 2, 2));
    let decision = decision(
        &alert("a@x.com;b@x.com"),
        "",
        replies,
        SubmissionEnd::Answered,
    );
    assert_eq!(decision.recipients[1].status, Failed);
    assert_eq!(explanation(&decision, 1), Some("mailbox-full"));
}

#[test]
fn a_relay_that_takes_not_even_one_recipient_is_not_asked_again_at_once() {
    let replies = envelope(&[(452, "too many recipients")]);
    let decision = decision(&alert("a@x.com"), "", replies, SubmissionEnd::Answered);
    assert_eq!(statuses(&decision), [(0, Delayed)]);
    assert_eq!(decision.recipients[0].attempt_count, 1);
    assert_eq!(decision.retry_in, Some(Duration::from_secs(60)));
}

/// An alert that was worked on before: its recipients with their statuses and attempts.
fn begun(recipients: &[(RecipientStatus, u32)]) -> Alert {
    let recipient = |(ordinal, (status, attempt_count)): (u32, &(RecipientStatus, u32))| {
        let mut all = expand_recipients(&alert(&format!("r{ordinal}@x.com")));
        Recipient {
            ordinal,
            status: *status,
            attempt_count: *attempt_count,
            ..all.remove(0)
        }
    };
    Alert {
        recipients: (0..).zip(recipients).map(recipient).collect(),
        ..crate::fixture::alert()
    }
}

fn due(alert: &Alert) -> Vec<u32> {
    let (port, table) = (port(""), ReplyTable::built_in());
    let paths = RecipientSet::load(alert, &rules(&port, &table)).forward_paths();
    paths.iter().map(|path| path.ordinal).collect()
}

#[test]
fn left_out_recipients_go_before_waiting_ones() {
    let alert = begun(&[(Relayed, 1), (Delayed, 3), (Queued, 0), (Queued, 2)]);
    assert_eq!(due(&alert), [2, 3]);
    assert_eq!(due(&begun(&[(Relayed, 1), (Delayed, 3)])), [1]);
    let mut replies = accepted(&[]);
    let accepted = |ordinal| reply(Some(ordinal), Command::Rcpt, 250, "ok");
    replies.splice(1..1, [accepted(2), accepted(3)]);
    let decision = decision(&alert, "", replies, SubmissionEnd::Answered);
    assert_eq!(statuses(&decision), [(2, Relayed), (3, Relayed)]);
    assert_eq!(decision.status, AlertStatus::Delayed);
    let third_delay = Some(Duration::from_secs(240));
    assert_eq!(
        decision.retry_in, third_delay,
        "the greylisted one waits on"
    );
}

#[test]
fn the_relays_own_limit_leaves_the_rest_to_the_next_transaction() {
    let alert = begun(&[(Delayed, 1), (Delayed, 1), (Delayed, 1)]);
    let replies = accepted(&[(250, "ok")]);
    let decision = decision_of_some(&alert, "", 1, replies, SubmissionEnd::Answered);
    assert_eq!(
        statuses(&decision),
        [(0, Relayed), (1, Queued), (2, Queued)]
    );
    assert_eq!(decision.retry_in, Some(Duration::ZERO));
    assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Relayed);

    let busy = vec![reply(None, Command::Mail, 451, "busy")];
    let decision = decision_of_some(&alert, "", 1, busy, SubmissionEnd::Answered);
    assert_eq!(
        statuses(&decision),
        [(0, Delayed), (1, Queued), (2, Queued)]
    );
    let soonest = Some(Duration::from_secs(60));
    assert_eq!(decision.retry_in, soonest, "not at once: the relay is busy");
}

#[test]
fn an_unseen_end_is_unknown_and_tried_again() {
    let lost = CommandReply {
        ordinal: None,
        reply: Reply::absent(Command::EndOfData, "connection reset"),
    };
    let replies = message(&[(250, "ok")], lost);
    let decision = decision(&alert("a@x.com"), "", replies, SubmissionEnd::InDoubt);
    assert_eq!(decision.status, AlertStatus::Delayed);
    assert_eq!(explanation(&decision, 0), Some("in-doubt"));
    assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Unknown);
}

#[test]
fn an_unseen_end_is_held_where_the_send_port_says_so() {
    let lost = CommandReply {
        ordinal: None,
        reply: Reply::absent(Command::EndOfData, "connection reset"),
    };
    let replies = message(&[(250, "ok")], lost);
    let hold = "in_doubt = 'hold'";
    let decision = decision(&alert("a@x.com"), hold, replies, SubmissionEnd::InDoubt);
    assert_eq!(
        (decision.status, decision.retry_in),
        (AlertStatus::Held, None)
    );
    assert_eq!(statuses(&decision), [(0, Delayed)]);
    assert!(decision.reason.unwrap().contains("sendport resolve"));
}

#[test]
fn a_refused_message_fails_every_accepted_recipient() {
    let replies = message(
        &[(250, "ok"), (250, "ok")],
        reply(None, Command::EndOfData, 554, "spam"),
    );
    let decision = decision(
        &alert("a@x.com;b@x.com"),
        "",
        replies,
        SubmissionEnd::Answered,
    );
    assert_eq!(decision.status, AlertStatus::Failed);
    assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Failed);
    assert!(
        decision
            .recipients
            .iter()
            .all(|r| r.reply.as_ref().unwrap().code == 554)
    );
}

#[test]
fn a_refused_sender_decides_about_all_recipients() {
    let replies = vec![reply(None, Command::Mail, 550, "bad sender")];
    let decision = decision(&alert("a@x.com"), "", replies, SubmissionEnd::Answered);
    assert_eq!(
        decision.recipients[0].reply.as_ref().unwrap().command,
        Command::Mail
    );
    assert_eq!(decision.status, AlertStatus::Delayed);
}

#[test]
fn a_malformed_address_and_a_forbidden_domain_fail_alone() {
    let replies = accepted(&[(250, "ok")]);
    let extra = "allow_recipient_domains = ['x.com']";
    let decision = decision(
        &alert("a@x.com; not an address; b@elsewhere.com"),
        extra,
        replies,
        SubmissionEnd::Answered,
    );
    let expected = [(0, Relayed), (1, Failed), (2, Failed)];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(decision.status, AlertStatus::Partial);
    assert_eq!(explanation(&decision, 1), Some("malformed-address"));
    assert_eq!(
        explanation(&decision, 2),
        Some("recipient-domain-not-allowed")
    );
    assert_eq!(
        decision.attempt.unwrap().outcome,
        AttemptOutcome::Relayed,
        "of those who were tried"
    );
}

#[test]
fn only_waiting_recipients_are_tried_again() {
    let mut alert = alert("a@x.com;b@x.com");
    alert.recipients = expand_recipients(&alert);
    alert.recipients[0].status = Relayed;
    alert.recipients[1].status = Delayed;
    alert.recipients[1].attempt_count = 1;
    alert.attempt_count = 1;
    assert_eq!(due(&alert), [1]);
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(1), Command::Rcpt, 250, "ok"),
        reply(None, Command::Data, 354, "go"),
        reply(None, Command::EndOfData, 250, "ok"),
    ];
    let decision = decision(&alert, "", replies, SubmissionEnd::Answered);
    assert_eq!(statuses(&decision), [(1, Relayed)]);
    assert_eq!(decision.status, AlertStatus::Relayed);
    assert_eq!(decision.attempt.unwrap().number, 2);
}

#[test]
fn an_alert_without_any_address_says_so() {
    let (port, table) = (port(""), ReplyTable::built_in());
    let recipients = RecipientSet::load(&alert(" ; "), &rules(&port, &table));
    let decision = recipients.into_decision(None, InDoubt::Retry, None);
    assert_eq!(decision.status, AlertStatus::Failed);
    assert!(decision.reason.unwrap().contains("hold no address"));
}

/// The decision about `a@x.com;b@x.com` of this age when a relay that refuses for a limit may be asked
/// again after 17 seconds.
fn limited_decision(age: Duration, report: SubmissionReport) -> Decision {
    let (port, table) = (port(""), ReplyTable::built_in());
    let rules = Rules {
        age,
        throttled_for: Some(Duration::from_secs(17)),
        ..rules(&port, &table)
    };
    decision_by(&rules, &alert("a@x.com;b@x.com"), usize::MAX, report)
}

const EXCEEDED: &str = "Concurrent connections limit exceeded";
const THREADS: &str = "STOREDRV.ClientSubmit; sender thread limit exceeded";

/// Refusals for a limit where the first recipient was refused for good, or was not.
fn limited_reports() -> [SubmissionReport; 4] {
    let at_the_greeting = Reply::new(Command::Greeting, 421, None, "Too many connections");
    let not_begun = SubmissionEnd::NotBegun {
        reply: at_the_greeting,
        fault: None,
    };
    let goodbye = vec![reply(
        None,
        Command::Mail,
        421,
        "Too many concurrent SMTP connections",
    )];
    [
        report(vec![], not_begun),
        report(
            vec![reply(None, Command::Mail, 432, EXCEEDED)],
            SubmissionEnd::Answered,
        ),
        report(goodbye, SubmissionEnd::Broken),
        report(at_the_final_dot(250), SubmissionEnd::Answered),
    ]
}

fn at_the_final_dot(to_the_first: u16) -> Vec<CommandReply> {
    message(
        &[(to_the_first, "user unknown"), (250, "ok")],
        reply(None, Command::EndOfData, 432, THREADS),
    )
}

#[test]
fn a_refusal_for_a_limit_spends_nothing_and_is_kept_with_the_recipients() {
    for report in limited_reports() {
        let case = format!("{report:?}");
        let decision = limited_decision(Duration::ZERO, report);
        assert_eq!(decision.status, AlertStatus::Delayed, "{case}");
        assert_eq!(decision.retry_in, Some(Duration::from_secs(17)), "{case}");
        assert_eq!(decision.attempt, None, "{case}");
        let reason = decision.reason.expect("why it waits");
        assert!(
            reason.starts_with("waits for the limits of relay d: 4"),
            "{reason}"
        );
        assert_eq!(decision.recipients.len(), 2, "{case}");
        for recipient in &decision.recipients {
            assert_eq!(recipient.status, Delayed, "{case}");
            assert_eq!(recipient.attempt_count, 0, "{case}");
            assert!(
                recipient
                    .reply
                    .as_ref()
                    .is_some_and(|reply| reply.code >= 421),
                "{case}"
            );
        }
    }
}

#[test]
fn an_alert_that_only_ever_met_a_limit_expires_with_that_reply() {
    for report in limited_reports() {
        let case = format!("{report:?}");
        let decision = limited_decision(Duration::from_secs(48 * 3600), report);
        assert_eq!(decision.status, AlertStatus::Expired, "{case}");
        for recipient in &decision.recipients {
            assert!(
                recipient
                    .reply
                    .as_ref()
                    .is_some_and(|reply| reply.code >= 421),
                "{case}"
            );
        }
    }
}

#[test]
fn a_recipient_that_was_relayed_before_a_requeue_does_not_expire() {
    let mut alert = begun(&[(Queued, 0), (Queued, 0)]);
    alert.recipients[0].was_relayed = true;
    let (port, table) = (port(""), ReplyTable::built_in());
    let rules = Rules {
        age: Duration::from_secs(48 * 3600),
        ..rules(&port, &table)
    };
    let mut recipients = RecipientSet::load(&alert, &rules);
    let carried = recipients.forward_paths();
    let busy = report(
        envelope(&[(451, "busy"), (451, "busy")]),
        SubmissionEnd::Answered,
    );
    recipients.apply("d", &carried, &busy, &rules);
    recipients.remark(Some("no receipt"));
    let decision = recipients.into_decision(None, port.in_doubt, None);
    assert_eq!(
        statuses(&decision),
        [(0, Relayed), (1, RecipientStatus::Expired)]
    );
    assert_eq!(decision.status, AlertStatus::Partial);
    let first = &decision.recipients[0];
    let remark = Some("relayed before the requeue; sending it again expired");
    assert_eq!(first.remark.as_deref(), remark);
    assert_eq!(explanation(&decision, 0), None);
}

#[test]
fn a_recipient_refused_for_good_fails_where_the_message_meets_a_limit() {
    let report = report(at_the_final_dot(550), SubmissionEnd::Answered);
    let decision = limited_decision(Duration::ZERO, report);
    let expected = [(0, Failed), (1, Delayed)];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(spent(&decision), [1, 0]);
    let attempt = decision.attempt.expect("it says who was refused");
    assert_eq!(attempt.outcome, AttemptOutcome::Delayed);
}
