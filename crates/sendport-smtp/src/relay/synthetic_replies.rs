//! The replies of relays without a server, so that their reports look like a server's.

use sendport_core::domain::{
    Command, CommandReply, EnhancedStatusCode, Envelope, Reply, SessionFacts, SubmissionEnd,
};

use super::BeforeFinalDot;

/// The replies of one transaction, as far as it has come.
pub(super) struct SyntheticReplies {
    pub(super) replies: Vec<CommandReply>,
    pub(super) end: SubmissionEnd,
    /// There is no session.
    facts: SessionFacts,
}

impl SyntheticReplies {
    /// MAIL and RCPT: accepts every address.
    pub(super) fn begin(envelope: &Envelope) -> Self {
        let mut synthetic = Self {
            replies: Vec::with_capacity(envelope.forward_paths.len() + 3),
            end: SubmissionEnd::Answered,
            facts: SessionFacts::default(),
        };
        synthetic.push(None, Command::Mail, 250, (2, 1, 0), "sender ok");
        for path in &envelope.forward_paths {
            let ordinal = Some(path.ordinal);
            synthetic.push(ordinal, Command::Rcpt, 250, (2, 1, 5), "recipient ok");
        }
        synthetic
    }

    /// What the gate is told.
    pub(super) fn before_final_dot(&self) -> BeforeFinalDot<'_> {
        BeforeFinalDot {
            facts: &self.facts,
            replies: &self.replies,
        }
    }

    /// The message was stored.
    pub(super) fn accept(&mut self, text: &str) {
        self.push(None, Command::EndOfData, 250, (2, 0, 0), text);
    }

    /// The message may have been stored.
    pub(super) fn in_doubt(&mut self, what: String) {
        self.replies.push(CommandReply {
            ordinal: None,
            reply: Reply::absent(Command::EndOfData, what),
        });
        self.end = SubmissionEnd::InDoubt;
    }

    fn push(
        &mut self,
        ordinal: Option<u32>,
        command: Command,
        code: u16,
        (class, subject, detail): (u8, u16, u16),
        text: &str,
    ) {
        let enhanced = EnhancedStatusCode::new(class, subject, detail);
        let reply = Reply::local(command, code, enhanced, text);
        self.replies.push(CommandReply { ordinal, reply });
    }
}
