//! What a transaction says about one of its recipients: the reply that decides, or that the
//! relay did not get round to it.

use std::collections::HashSet;

use sendport_core::domain::{Command, ForwardPath, Limit, Reply, SubmissionEnd, SubmissionReport};
use sendport_core::replies::ReplyTable;

/// A key of the table of replies.
const TOO_MANY_RECIPIENTS: &str = "too-many-recipients";

/// At which of `carried` the connection ended, with 421 or without a word. What was accepted
/// before, or not answered, belongs into another transaction: it is not why it ended. `None`
/// where it did not end so, or for a limit, which is a matter of the relay.
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

/// The relay took the message for others and wanted no more recipients with it (RFC 5321
/// section 4.5.3.1.10), or ended the connection after it had refused others for good: for too
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

/// The relay works: the recipients left out may be sent to at once. One that takes nothing
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

/// The reply that decides about a recipient: its own refusal, or else what became of the
/// transaction that it was part of.
pub(crate) fn deciding_reply(report: &SubmissionReport, own: Option<&Reply>) -> Reply {
    if let SubmissionEnd::NotBegun { reply, .. } = &report.end {
        return reply.clone();
    }
    if let Some(refusal) = own.filter(|reply| !reply.is_success()) {
        return refusal.clone();
    }
    // It is among the last replies, and this is asked for each recipient.
    let end = report
        .replies
        .iter()
        .rfind(|answer| answer.ordinal.is_none() && answer.reply.command == Command::EndOfData);
    if let Some(end) = end
        .map(|answer| &answer.reply)
        .filter(|end| own.is_some() || !end.is_success())
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
