//! The replies of relays without a server, so that their reports look like a server's.

use sendport_core::domain::{
    Command, CommandReply, EnhancedStatusCode, Envelope, LocalCause, Reply, SubmissionEnd,
};

/// The replies of one transaction, as far as it has come.
pub(super) struct SyntheticReplies {
    pub(super) replies: Vec<CommandReply>,
    pub(super) end: SubmissionEnd,
}

impl SyntheticReplies {
    /// MAIL and RCPT: accepts every address without a control character.
    pub(super) fn begin(envelope: &Envelope) -> Self {
        let mut synthetic = Self {
            replies: Vec::with_capacity(envelope.forward_paths.len() + 3),
            end: SubmissionEnd::Answered,
        };
        if breaks_a_line(sender(envelope)) {
            let what = "the sender's address has a control character";
            synthetic.push(None, Command::Mail, 501, (5, 1, 7), what);
            if let Some(said) = synthetic.replies.last_mut() {
                said.reply.local = Some(LocalCause::SenderSyntax);
            }
            return synthetic;
        }
        synthetic.push(None, Command::Mail, 250, (2, 1, 0), "sender ok");
        for path in &envelope.forward_paths {
            let (code, enhanced, what) = if breaks_a_line(&path.address) {
                (501, (5, 1, 3), "the address has a control character")
            } else {
                (250, (2, 1, 5), "recipient ok")
            };
            synthetic.push(Some(path.ordinal), Command::Rcpt, code, enhanced, what);
        }
        synthetic
    }

    /// True where a recipient was accepted.
    pub(super) fn has_recipients(&self) -> bool {
        self.replies
            .iter()
            .any(|r| r.ordinal.is_some() && r.reply.is_success())
    }

    /// The addresses of the accepted recipients.
    pub(super) fn accepted<'e>(&self, envelope: &'e Envelope) -> Vec<&'e str> {
        let paths = envelope.forward_paths.iter();
        let good = paths.filter(|path| !breaks_a_line(&path.address));
        good.map(|path| path.address.as_str()).collect()
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

/// The address in MAIL, empty for the null reverse-path.
pub(super) fn sender(envelope: &Envelope) -> &str {
    envelope.reverse_path.0.as_deref().unwrap_or_default()
}

fn breaks_a_line(address: &str) -> bool {
    address.chars().any(char::is_control)
}
