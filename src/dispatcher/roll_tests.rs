use std::time::Duration;

use super::*;
use crate::config::Config;
use crate::domain::{AlertStatus, CommandReply, SessionFacts, Timestamp};

fn alert(to: &str) -> Alert {
    Alert {
        to_recipients: Some(to.to_owned()),
        ..crate::fixture::alert()
    }
}

fn port(extra: &str) -> SendPort {
    let text = format!(
        "[relay.d]\nkind = 'discard'\n[send_port.p]\nfrom = 'a@contoso.com'\nrelays = ['d']\n{extra}"
    );
    SendPort::from_config("p", &Config::from_text(&text).unwrap().send_port["p"]).unwrap()
}

fn reply(ordinal: Option<u32>, command: Command, code: u16, text: &str) -> CommandReply {
    CommandReply {
        ordinal,
        reply: Reply::new(command, code, None, text),
    }
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

/// What becomes of `to` when a relay answers like this.
fn decision(
    alert: &Alert,
    extra: &str,
    replies: Vec<CommandReply>,
    end: SubmissionEnd,
) -> Decision {
    let (port, table) = (port(extra), ReplyTable::built_in());
    let rules = Rules {
        port: &port,
        replies: &table,
        age: Duration::ZERO,
        chance: 0.0,
    };
    let mut roll = Roll::call(alert, &rules);
    let report = report(replies, end);
    roll.apply("d", &report, &rules);
    let message = SecuredMessage::vouch_for("<1@x>".to_owned(), b"\r\n".to_vec(), "none");
    let attempt = roll.attempt(AttemptKey::random(), "d", report, &message);
    roll.into_decision(Some(attempt), port.in_doubt, None)
}

fn statuses(decision: &Decision) -> Vec<(u32, RecipientStatus)> {
    statuses_of(&decision.recipients)
}

fn statuses_of(recipients: &[RecipientOutcome]) -> Vec<(u32, RecipientStatus)> {
    recipients.iter().map(|r| (r.ordinal, r.status)).collect()
}

#[test]
fn a_refused_recipient_does_not_harm_the_others() {
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(0), Command::Rcpt, 250, "ok"),
        reply(Some(1), Command::Rcpt, 550, "unknown"),
        reply(Some(2), Command::Rcpt, 451, "busy"),
        reply(None, Command::Data, 354, "go"),
        reply(None, Command::EndOfData, 250, "queued as 1"),
    ];
    let decision = decision(
        &alert("a@x.com;b@x.com;c@x.com"),
        "",
        replies,
        SubmissionEnd::Answered,
    );
    let expected = [
        (0, RecipientStatus::Relayed),
        (1, RecipientStatus::Failed),
        (2, RecipientStatus::Delayed),
    ];
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
fn a_421_in_the_middle_leaves_earlier_refusals_final_and_the_rest_waiting() {
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(0), Command::Rcpt, 250, "ok"),
        reply(Some(1), Command::Rcpt, 550, "unknown"),
        reply(Some(2), Command::Rcpt, 421, "too many errors"),
    ];
    let decision = decision(
        &alert("a@x.com;b@x.com;c@x.com;d@x.com"),
        "",
        replies,
        SubmissionEnd::Broken,
    );
    let expected = [
        (0, RecipientStatus::Delayed),
        (1, RecipientStatus::Failed),
        (2, RecipientStatus::Delayed),
        (3, RecipientStatus::Delayed),
    ];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(decision.recipients[3].reply.as_ref().unwrap().code, 421);
    assert_eq!(
        decision.recipients[3].explanation.as_deref(),
        Some("too-many-errors")
    );
}

#[test]
fn an_unseen_end_is_unknown_and_tried_again() {
    let lost = CommandReply {
        ordinal: None,
        reply: Reply::absent(Command::EndOfData, "connection reset"),
    };
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(0), Command::Rcpt, 250, "ok"),
        reply(None, Command::Data, 354, "go"),
        lost,
    ];
    let decision = decision(&alert("a@x.com"), "", replies, SubmissionEnd::InDoubt);
    assert_eq!(decision.status, AlertStatus::Delayed);
    assert_eq!(decision.attempt.unwrap().outcome, AttemptOutcome::Unknown);
    assert_eq!(
        decision.recipients[0].explanation.as_deref(),
        Some("in-doubt")
    );
}

#[test]
fn an_unseen_end_is_held_where_the_send_port_says_so() {
    let lost = CommandReply {
        ordinal: None,
        reply: Reply::absent(Command::EndOfData, "connection reset"),
    };
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(0), Command::Rcpt, 250, "ok"),
        reply(None, Command::Data, 354, "go"),
        lost,
    ];
    let hold = "in_doubt = 'hold'";
    let decision = decision(&alert("a@x.com"), hold, replies, SubmissionEnd::InDoubt);
    assert_eq!(
        (decision.status, decision.retry_in),
        (AlertStatus::Held, None)
    );
    assert!(decision.reason.unwrap().contains("sendport resolve"));
    assert_eq!(
        statuses_of(&decision.recipients),
        [(0, RecipientStatus::Delayed)]
    );
}

#[test]
fn a_refused_message_fails_everybody_who_was_accepted() {
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(0), Command::Rcpt, 250, "ok"),
        reply(Some(1), Command::Rcpt, 250, "ok"),
        reply(None, Command::Data, 354, "go"),
        reply(None, Command::EndOfData, 554, "spam"),
    ];
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
fn a_refused_sender_decides_about_recipients_who_were_never_asked() {
    let replies = vec![reply(None, Command::Mail, 550, "bad sender")];
    let decision = decision(&alert("a@x.com"), "", replies, SubmissionEnd::Answered);
    assert_eq!(
        decision.recipients[0].reply.as_ref().unwrap().command,
        Command::Mail
    );
    assert_eq!(decision.status, AlertStatus::Failed);
}

#[test]
fn a_malformed_address_and_a_forbidden_domain_fail_alone() {
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(0), Command::Rcpt, 250, "ok"),
        reply(None, Command::Data, 354, "go"),
        reply(None, Command::EndOfData, 250, "ok"),
    ];
    let extra = "allow_recipient_domains = ['x.com']";
    let decision = decision(
        &alert("a@x.com; not an address; b@elsewhere.com"),
        extra,
        replies,
        SubmissionEnd::Answered,
    );
    let expected = [
        (0, RecipientStatus::Relayed),
        (1, RecipientStatus::Failed),
        (2, RecipientStatus::Failed),
    ];
    assert_eq!(statuses(&decision), expected);
    assert_eq!(decision.status, AlertStatus::Partial);
    assert_eq!(
        decision.recipients[1].explanation.as_deref(),
        Some("malformed-address")
    );
    assert_eq!(
        decision.recipients[2].explanation.as_deref(),
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
    alert.recipients[0].status = RecipientStatus::Relayed;
    alert.recipients[1].status = RecipientStatus::Delayed;
    alert.recipients[1].attempt_count = 1;
    alert.attempt_count = 1;
    let (port, table) = (port(""), ReplyTable::built_in());
    let rules = Rules {
        port: &port,
        replies: &table,
        age: Duration::ZERO,
        chance: 0.0,
    };
    let roll = Roll::call(&alert, &rules);
    assert_eq!(
        roll.forward_paths()
            .iter()
            .map(|p| p.ordinal)
            .collect::<Vec<_>>(),
        [1]
    );
    let replies = vec![
        reply(None, Command::Mail, 250, "ok"),
        reply(Some(1), Command::Rcpt, 250, "ok"),
        reply(None, Command::Data, 354, "go"),
        reply(None, Command::EndOfData, 250, "ok"),
    ];
    let decision = decision(&alert, "", replies, SubmissionEnd::Answered);
    assert_eq!(statuses(&decision), [(1, RecipientStatus::Relayed)]);
    assert_eq!(decision.status, AlertStatus::Relayed);
    assert_eq!(decision.attempt.unwrap().number, 2);
}

#[test]
fn an_alert_without_any_address_says_so() {
    let (port, table) = (port(""), ReplyTable::built_in());
    let rules = Rules {
        port: &port,
        replies: &table,
        age: Duration::ZERO,
        chance: 0.0,
    };
    let decision = Roll::call(&alert(" ; "), &rules).into_decision(None, InDoubt::Retry, None);
    assert_eq!(decision.status, AlertStatus::Failed);
    assert!(decision.reason.unwrap().contains("hold no address"));
}
