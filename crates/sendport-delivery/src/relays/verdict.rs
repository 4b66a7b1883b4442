//! The verdict of a report on its relay: healthy, at fault, or throttled.

use sendport_core::domain::{
    Command, Fault, Limit, Reply, ReplyClass, SubmissionEnd, SubmissionReport,
};
use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::limits::Usage;
use sendport_smtp::relay::observer::SubmissionClass;

/// The health of the relay, by a report.
#[derive(Clone, Copy)]
pub(crate) enum Verdict<'r> {
    Well,
    Fault(Fault, &'r Reply),
    /// It replied, and its reply about this alert is a configuration fault.
    Declined(&'r Reply),
    Broke(&'r Reply),
    /// It refuses everything for a limit.
    Limited(&'r Reply),
    Nothing,
}

/// The verdict on the relay of this report. `others_work`: it refused for a
/// limit while others were under way.
pub(crate) fn verdict<'r>(
    replies: &ReplyTable,
    report: &'r SubmissionReport,
    others_work: bool,
) -> Verdict<'r> {
    if let Some(reply) = limited(replies, report) {
        return match others_work {
            true => Verdict::Nothing,
            false => Verdict::Limited(reply),
        };
    }
    match &report.end {
        SubmissionEnd::NotBegun { reply, fault } => {
            let fault = fault.unwrap_or_else(|| replies.fault(reply));
            Verdict::Fault(fault, reply)
        }
        SubmissionEnd::Answered if !was_asked(report) => Verdict::Nothing,
        SubmissionEnd::Answered => match configuration_fault(replies, report) {
            Some(reply) => Verdict::Declined(reply),
            None => closing_reply(report).map_or(Verdict::Well, Verdict::Broke),
        },
        SubmissionEnd::Broken | SubmissionEnd::InDoubt => match report.replies.last() {
            Some(last) => Verdict::Broke(&last.reply),
            None => Verdict::Nothing,
        },
        SubmissionEnd::Fenced => Verdict::Nothing,
    }
}

/// The refusal for a limit that kept the message from being accepted.
fn limited<'r>(replies: &ReplyTable, report: &'r SubmissionReport) -> Option<&'r Reply> {
    let is_seen = !matches!(report.end, SubmissionEnd::InDoubt | SubmissionEnd::Fenced);
    let limited = limit_refusal(replies, report).filter(|_| is_seen && !report.is_accepted());
    limited.map(|(_, reply)| reply)
}

/// The reply that means "slower", before MAIL or after it, and its limit.
pub(crate) fn limit_refusal<'r>(
    replies: &ReplyTable,
    report: &'r SubmissionReport,
) -> Option<(Limit, &'r Reply)> {
    let not_begun = match &report.end {
        SubmissionEnd::NotBegun { reply, fault } => {
            Some(reply).filter(|_| *fault != Some(Fault::Configuration))
        }
        _ => None,
    };
    let answer = report.replies.iter().rev().map(|answer| &answer.reply);
    let refused = not_begun
        .into_iter()
        .chain(answer)
        .filter(|r| is_refusal(r));
    let mut limited = refused.filter_map(|reply| Some((replies.limit(reply)?, reply)));
    limited.find(|(limit, _)| *limit != Limit::Recipients)
}

/// The result of a submission, and the reply that prevented its acceptance; `None` if no relay was
/// connected.
pub(crate) fn submission_class(
    report: &SubmissionReport,
) -> Option<(SubmissionClass, Option<&Reply>)> {
    use SubmissionClass::{Accepted, Broken, Fenced, InDoubt, NotBegun, Permanent, Transient};
    let last = report.replies.last().map(|answer| &answer.reply);
    Some(match &report.end {
        SubmissionEnd::NotBegun { reply, .. } => (NotBegun, Some(reply)),
        SubmissionEnd::Answered if report.is_accepted() => (Accepted, None),
        SubmissionEnd::Answered if !was_asked(report) => return None,
        SubmissionEnd::Answered => {
            let reply = refusal(report)?;
            let class = match reply.is_permanent() {
                true => Permanent,
                false => Transient,
            };
            (class, Some(reply))
        }
        SubmissionEnd::Broken => (Broken, last),
        SubmissionEnd::InDoubt => (InDoubt, last),
        SubmissionEnd::Fenced => (Fenced, None),
    })
}

/// The refusal of the whole message, else of its first recipient.
fn refusal(report: &SubmissionReport) -> Option<&Reply> {
    let answer = || {
        report
            .replies
            .iter()
            .filter(|answer| is_refusal(&answer.reply))
    };
    let whole = answer().find(|answer| answer.ordinal.is_none());
    whole
        .or_else(|| answer().next())
        .map(|answer| &answer.reply)
}

fn is_refusal(reply: &Reply) -> bool {
    matches!(
        reply.class(),
        Some(ReplyClass::TransientFailure | ReplyClass::PermanentFailure)
    )
}

/// The report for the limits, and the refusal to learn from.
pub(crate) fn submitted<'r>(
    replies: &ReplyTable,
    report: &'r SubmissionReport,
    refusal: Option<(Limit, &'r str)>,
) -> Usage<'r> {
    let few = few_recipients(replies, report);
    Usage {
        transactions: transactions(report),
        accepted: report.is_accepted(),
        refusal: refusal.or(few.map(|_| (Limit::Recipients, ""))),
        recipients: few.unwrap_or(0),
        ended_behind: ended_behind(report),
    }
}

/// How many recipients were accepted when the connection ended among them, with 421 or without
/// a reply.
fn ended_behind(report: &SubmissionReport) -> Option<u32> {
    let last = &report.replies.last()?.reply;
    let of_this_one = report.replies.iter().rev();
    let of_this_one = of_this_one.take_while(|answer| !is_mail(&answer.reply));
    let accepted =
        of_this_one.filter(|answer| answer.ordinal.is_some() && answer.reply.is_success());
    let accepted = u32::try_from(accepted.count()).unwrap_or(u32::MAX);
    let among_them = report.end == SubmissionEnd::Broken && last.command == Command::Rcpt;
    (among_them && accepted > 0).then_some(accepted)
}

/// Transactions that reached MAIL at a server, or requests.
fn transactions(report: &SubmissionReport) -> u32 {
    if report.facts.remote_address.is_none() {
        return 0;
    }
    let mails = report
        .replies
        .iter()
        .filter(|answer| answer.ordinal.is_none() && is_mail(&answer.reply));
    u32::try_from(mails.count()).unwrap_or(u32::MAX)
}

fn is_mail(reply: &Reply) -> bool {
    matches!(reply.command, Command::Mail | Command::Post)
}

/// How many recipients a transaction may have, if this one had too many.
fn few_recipients(replies: &ReplyTable, report: &SubmissionReport) -> Option<u32> {
    let mut accepted = 0;
    for answer in &report.replies {
        if is_mail(&answer.reply) {
            accepted = 0;
        } else if answer.ordinal.is_some() && answer.reply.is_success() {
            accepted += 1;
        } else if is_refusal(&answer.reply)
            && replies.limit(&answer.reply) == Some(Limit::Recipients)
        {
            // Refused with the content: this number is too high, and the highest possible one is unknown.
            let most = match answer.reply.command {
                Command::Rcpt => accepted,
                _ => accepted / 2,
            };
            // If not even one was accepted, the number was not the reason.
            return Some(most).filter(|most| *most > 0);
        }
    }
    None
}

/// A refusal that the table calls configuration: of MAIL or the content, or of every RCPT.
fn configuration_fault<'r>(
    replies: &ReplyTable,
    report: &'r SubmissionReport,
) -> Option<&'r Reply> {
    let is_configuration =
        |reply: &Reply| !reply.is_positive() && replies.fault(reply) == Fault::Configuration;
    let whole = [
        Command::Mail,
        Command::Data,
        Command::EndOfData,
        Command::Post,
    ];
    let mut refused = whole
        .into_iter()
        .filter_map(|command| report.reply_to(command));
    if let Some(reply) = refused.find(|reply| is_configuration(reply)) {
        return Some(reply);
    }
    let mut of_recipients = report
        .replies
        .iter()
        .filter(|r| r.ordinal.is_some())
        .map(|r| &r.reply);
    let first = of_recipients.next()?;
    (is_configuration(first) && of_recipients.all(is_configuration)).then_some(first)
}

/// False if the message or all its recipients were rejected locally, without a connection.
fn was_asked(report: &SubmissionReport) -> bool {
    report.facts.remote_address.is_some() || report.is_accepted()
}

/// 421 closes the connection wherever it comes (RFC 5321 section 3.8), after the final dot too.
fn closing_reply(report: &SubmissionReport) -> Option<&Reply> {
    let last = report.replies.last().map(|last| &last.reply);
    last.filter(|reply| reply.code == 421)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::{CommandReply, SessionFacts, Timestamp};

    /// The limit that is learned if the last of `accepted` recipients, or the content, is refused so.
    fn learned(accepted: u32, command: Command, code: u16, text: &str) -> Option<u32> {
        let output = |ordinal, command, code, text: &str| CommandReply {
            ordinal,
            reply: Reply::new(command, code, None, text),
        };
        let mut replies = vec![output(None, Command::Mail, 250, "ok")];
        replies.extend((0..accepted).map(|it| output(Some(it), Command::Rcpt, 250, "ok")));
        let ordinal = (command == Command::Rcpt).then_some(accepted);
        replies.push(output(ordinal, command, code, text));
        let report = SubmissionReport {
            started_at: Timestamp::default(),
            ended_at: Timestamp::default(),
            facts: SessionFacts::default(),
            replies,
            end: match code {
                421 => SubmissionEnd::Broken,
                _ => SubmissionEnd::Answered,
            },
        };
        few_recipients(&ReplyTable::built_in(), &report)
    }

    #[test]
    fn a_number_that_was_refused_with_the_content_is_halved_and_never_learned() {
        let text = "Too many recipients";
        for code in [421, 452, 552, 554] {
            for command in [Command::Data, Command::EndOfData] {
                assert_eq!(
                    learned(250, command, code, text),
                    Some(125),
                    "{command} {code}"
                );
                assert_eq!(
                    learned(1, command, code, text),
                    None,
                    "it is not the number"
                );
            }
        }
        assert_eq!(learned(100, Command::Rcpt, 452, text), Some(100));
        assert_eq!(learned(250, Command::EndOfData, 554, "no"), None);
    }
}
