//! One mail transaction.

use std::collections::HashSet;

use sendport_core::domain::{
    BodyType, EnvelopeRecipient, ReceivedEnvelope, RecipientKind, ReversePath, TransactionId,
};
use tokio::time::Instant;

use crate::command::{Mail, Rcpt};
use crate::content::incoming::IncomingContent;

/// From MAIL to the reply to the content.
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) mail: Box<Mail>,
    pub(super) recipients: Vec<EnvelopeRecipient>,
    /// The addresses of the recipients, comparable.
    known: HashSet<String>,
    /// Its first chunks.
    pub(super) chunks: Option<Chunks>,
}

/// Content that comes by BDAT.
pub(super) struct Chunks {
    pub(super) content: IncomingContent,
    /// When the last chunk has to be complete.
    pub(super) end: Instant,
}

impl Transaction {
    pub(super) fn new(mail: Box<Mail>) -> Self {
        Self {
            id: TransactionId::random(),
            mail,
            recipients: Vec::new(),
            known: HashSet::new(),
            chunks: None,
        }
    }

    /// A repeated address is the same recipient.
    pub(super) fn add(&mut self, rcpt: Rcpt) {
        if self.known.insert(rcpt.path.comparable()) {
            self.recipients.push(EnvelopeRecipient {
                address: rcpt.path,
                kind: RecipientKind::Bcc,
                notify: rcpt.notify,
                original: rcpt.original,
            });
        }
    }

    pub(super) fn into_envelope(self, is_eight_bit: bool) -> ReceivedEnvelope {
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
