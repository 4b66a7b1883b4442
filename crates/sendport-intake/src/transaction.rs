//! One mail transaction.

use std::collections::HashSet;

use sendport_core::domain::{
    AlertOrigin, BodyType, EnvelopeRecipient, IntakeClient, ReceivedEnvelope, ReceivedHeader,
    ReceivedMessage, RecipientKind, ReversePath, TransactionId,
};
use tokio::time::Instant;

use crate::command::{Mail, Rcpt};
use crate::content::incoming::{Accepted, IncomingContent};
use crate::content::recipients::set_kinds;

/// From MAIL to the reply to the content; or what a file says of both.
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) mail: Box<Mail>,
    pub(crate) recipients: Vec<EnvelopeRecipient>,
    /// The addresses of the recipients, comparable.
    known: HashSet<String>,
    /// Its first chunks.
    pub(crate) chunks: Option<Chunks>,
}

/// Content that comes by BDAT.
pub(crate) struct Chunks {
    pub(crate) content: IncomingContent,
    /// When the last chunk has to be complete.
    pub(crate) end: Instant,
}

impl Transaction {
    pub(crate) fn new(id: TransactionId, mail: Box<Mail>) -> Self {
        Self {
            id,
            mail,
            recipients: Vec::new(),
            known: HashSet::new(),
            chunks: None,
        }
    }

    /// A repeated address is the same recipient.
    pub(crate) fn add(&mut self, rcpt: Rcpt) {
        if self.known.insert(rcpt.path.comparable()) {
            self.recipients.push(EnvelopeRecipient {
                address: rcpt.path,
                kind: RecipientKind::Bcc,
                notify: rcpt.notify,
                original: rcpt.original,
            });
        }
    }

    /// The message that the queue gets. What `accepted` reserves of the memory is to be kept until then.
    pub(crate) fn into_message(
        self,
        accepted: Accepted,
        submission: Submission,
    ) -> ReceivedMessage {
        let id = self.id;
        let mut envelope = self.into_envelope(accepted.is_eight_bit);
        set_kinds(&mut envelope.recipients, &accepted.header);
        let header = accepted.header;
        ReceivedMessage {
            transaction: id,
            intake: submission.intake,
            origin: submission.origin,
            send_port: submission.send_port,
            client: submission.client,
            envelope,
            header: ReceivedHeader {
                message_id: header.message_id.unwrap_or_default(),
                from: header.from,
                subject: header.subject,
                from_allowed: submission.from_allowed,
            },
            content: accepted.content,
        }
    }

    fn into_envelope(self, is_eight_bit: bool) -> ReceivedEnvelope {
        ReceivedEnvelope {
            reverse_path: ReversePath(self.mail.path),
            recipients: self.recipients,
            body: match is_eight_bit {
                true => BodyType::EightBitMime,
                false => self.mail.body,
            },
            smtp_utf8: self.mail.smtp_utf8,
            envelope_id: self.mail.envelope_id,
            returns: self.mail.returns,
        }
    }
}

/// How a message was submitted, and which send port sends it.
pub(crate) struct Submission {
    pub(crate) intake: String,
    pub(crate) origin: AlertOrigin,
    pub(crate) send_port: String,
    pub(crate) client: IntakeClient,
    /// The client may use the address in From.
    pub(crate) from_allowed: bool,
}
