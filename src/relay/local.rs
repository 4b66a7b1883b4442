//! What the relays without a server have in common: the report of a transaction in which
//! every command succeeds.

use crate::clock::Clock;
use crate::domain::{
    Command, CommandReply, EnhancedStatusCode, Envelope, Reply, SessionFacts, SubmissionEnd,
    SubmissionReport, Timestamp,
};

/// 250 2.0.0.
fn done(command: Command, text: &str) -> Reply {
    Reply::local(command, 250, EnhancedStatusCode::new(2, 0, 0), text)
}

/// Everybody accepted, and `end` said to the final dot.
pub(super) fn accepted(
    envelope: &Envelope,
    started_at: Timestamp,
    clock: &dyn Clock,
    end: &str,
) -> SubmissionReport {
    let of_sender = CommandReply {
        ordinal: None,
        reply: done(Command::Mail, "ok"),
    };
    let of_recipient = |ordinal| CommandReply {
        ordinal: Some(ordinal),
        reply: done(Command::Rcpt, "ok"),
    };
    let of_content = CommandReply {
        ordinal: None,
        reply: done(Command::EndOfData, end),
    };
    let mut replies = vec![of_sender];
    replies.extend(
        envelope
            .forward_paths
            .iter()
            .map(|path| of_recipient(path.ordinal)),
    );
    replies.push(of_content);
    report(started_at, clock, replies, SubmissionEnd::Answered)
}

/// A report without a session.
pub(super) fn report(
    started_at: Timestamp,
    clock: &dyn Clock,
    replies: Vec<CommandReply>,
    end: SubmissionEnd,
) -> SubmissionReport {
    SubmissionReport {
        started_at,
        ended_at: clock.now(),
        facts: SessionFacts::default(),
        replies,
        end,
    }
}
