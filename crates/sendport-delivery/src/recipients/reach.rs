//! The result of a transaction for one of its recipients: the reply that decides, or that the
//! relay did not process it.

use std::collections::HashSet;

use sendport_core::domain::{Command, ForwardPath, Limit, Reply, SubmissionEnd, SubmissionReport};
use sendport_core::replies::ReplyTable;

/// A key of the table of replies.
const TOO_MANY_RECIPIENTS: &str = "too-many-recipients";

/// The ordinal of the recipient of `carried` at which the connection ended, with 421 or without a reply.
/// The recipients before it, and those without a reply, did not cause the end: they belong into another
/// transaction. `None` if the connection did not end at a recipient, or ended for a limit of the relay.
pub(crate) fn ended_at(
    report: &SubmissionReport,
    carried: &[ForwardPath],
    replies: &ReplyTable,
) -> Option<u32> {
    let last = report.replies.last()?;
    let among_them = report.end == SubmissionEnd::Broken && last.reply.command == Command::Rcpt;
    let for_a_limit = || {
        let limit = replies.limit(&last.reply);
        matches!(limit, Some(Limit::Connections | Limit::Rate))
    };
    if !among_them || for_a_limit() {
        return None;
    }
    let answered: HashSet<u32> = report.replies.iter().filter_map(|it| it.ordinal).collect();
    let mut unanswered = carried.iter().map(|path| path.ordinal);
    last.ordinal
        .or_else(|| unanswered.find(|ordinal| !answered.contains(ordinal)))
}

/// The relay accepted the message for other recipients and limits their number (RFC 5321
/// section 4.5.3.1.10), or ended the connection after it had refused others permanently: for too
/// many errors (421), or because of one of them (521). Such a recipient belongs into another
/// transaction, and this one does not count for it.
pub(crate) fn was_left_out(
    report: &SubmissionReport,
    own: Option<&Reply>,
    replies: &ReplyTable,
) -> bool {
    match own.filter(|reply| !reply.is_success() && reply.code != 421) {
        Some(refusal) => {
            let entry = replies.explain(refusal);
            report.is_accepted() && entry.is_some_and(|entry| entry.key == TOO_MANY_RECIPIENTS)
        }
        None => report.end == SubmissionEnd::Broken && refused_a_recipient(report),
    }
}

/// The relay works: the message may be sent to the recipients left out at once. A relay that accepts nothing
/// at the moment is not asked again for the next few.
pub(crate) fn is_at_work(report: &SubmissionReport) -> bool {
    report.is_accepted() || refused_a_recipient(report)
}

/// Permanently.
fn refused_a_recipient(report: &SubmissionReport) -> bool {
    report
        .replies
        .iter()
        .any(|answer| answer.ordinal.is_some() && answer.reply.is_permanent())
}

/// The reply that decides about a recipient: its own refusal, or else the result of its
/// transaction.
pub(crate) fn deciding_reply(report: &SubmissionReport, own: Option<&Reply>) -> Reply {
    if let SubmissionEnd::NotBegun { reply, .. } = &report.end {
        return reply.clone();
    }
    if let Some(refusal) = own.filter(|reply| !reply.is_success()) {
        return refusal.clone();
    }
    // Searched from the end, where it is: this function runs for each recipient.
    let end = report
        .replies
        .iter()
        .rfind(|answer| answer.ordinal.is_none() && answer.reply.command.hands_over());
    let is_for_all = |reply: &&Reply| reply.command == Command::Post || !reply.is_success();
    if let Some(end) = end
        .map(|answer| &answer.reply)
        .filter(|end| own.is_some() || is_for_all(end))
    {
        return end.clone();
    }
    let whole = report
        .replies
        .iter()
        .rev()
        .find(|r| r.ordinal.is_none() && !r.reply.is_success());
    let broke = || {
        report
            .replies
            .last()
            .filter(|_| report.end != SubmissionEnd::Answered)
    };
    match whole.or_else(broke) {
        Some(last) => last.reply.clone(),
        None => Reply::absent(
            Command::Rcpt,
            "the server did not answer for this recipient",
        ),
    }
}
