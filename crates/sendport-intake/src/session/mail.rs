//! MAIL and RCPT.

use sendport_core::domain::TransactionId;
use tokio::time::timeout;

use super::{Session, Transaction};
use crate::command::{Mail, PathError, Rcpt};
use crate::queue::QueueError;
use crate::reply::Reply;

impl Session {
    /// An error is the last reply of the session.
    pub(super) async fn mail(&mut self, mail: Box<Mail>) -> Result<Reply, Reply> {
        let settings = &self.intake.settings;
        if self.messages >= settings.max_messages_per_connection {
            let what = "too many messages over this connection, connect again";
            return Err(Reply::new(421, "4.7.0", what));
        }
        if let Some(refusal) = self.refusal_of_mail(&mail) {
            return Ok(refusal);
        }
        if let Err(refusal) = self.check_queue(mail.size).await {
            return Ok(refusal);
        }
        self.messages += 1;
        self.transaction = Some(Box::new(Transaction::new(TransactionId::random(), mail)));
        Ok(Reply::new(250, "2.1.0", "sender ok"))
    }

    fn refusal_of_mail(&self, mail: &Mail) -> Option<Reply> {
        let settings = &self.intake.settings;
        let rate = self.intake.message_rate.as_ref();
        match () {
            () if self.helo.is_none() => Some(Reply::new(503, "5.5.1", "send EHLO or HELO first")),
            () if self.needs_starttls() => Some(Reply::new(
                530,
                "5.7.0",
                "TLS is required: send STARTTLS first",
            )),
            () if self.transaction.is_some() => Some(Reply::new(
                503,
                "5.5.1",
                "MAIL was sent already, send RSET to begin again",
            )),
            () if mail
                .size
                .is_some_and(|size| size > settings.max_message_size.0) =>
            {
                let most = settings.max_message_size.0;
                Some(Reply::new(
                    552,
                    "5.3.4",
                    format!("the message is larger than {most} octets"),
                ))
            }
            () if rate.is_some_and(|rate| !rate.has_room(self.client)) => Some(Reply::new(
                450,
                "4.7.1",
                "too many messages from your address, try again later",
            )),
            () => {
                let refusal = self.grant().check_sender(mail.path.as_ref()).err()?;
                let sender = mail.path.as_ref().map(|path| path.masked());
                tracing::info!(
                    sender = sender.as_deref().unwrap_or("<>"),
                    user = self.user(),
                    "reverse-path refused"
                );
                Some(refusal)
            }
        }
    }

    /// Whether the database takes such a message now. A client that may not send costs no query.
    async fn check_queue(&self, size: Option<u64>) -> Result<(), Reply> {
        if !self.grant().may_relay {
            return Ok(());
        }
        let checking = self.intake.queue.check(size);
        let checked = match timeout(self.intake.settings.timeout.commit, checking).await {
            Ok(checked) => checked,
            Err(_) => Err(QueueError::Unavailable(
                "it did not answer in time".to_owned(),
            )),
        };
        checked.map_err(|error| {
            tracing::warn!(%error, "message refused before its content");
            reply_to(&error)
        })
    }

    pub(super) fn rcpt(&mut self, rcpt: Rcpt) -> Reply {
        let most = self.intake.settings.max_recipients as usize;
        let Some(transaction) = &self.transaction else {
            return Reply::new(503, "5.5.1", "send MAIL first");
        };
        if transaction.chunks.is_some() {
            return Reply::new(503, "5.5.1", "the content has begun");
        }
        if rcpt.needs_smtp_utf8 && !transaction.mail.smtp_utf8 {
            return PathError::NeedsSmtpUtf8.reply();
        }
        if transaction.recipients.len() >= most {
            return Reply::new(
                452,
                "4.5.3",
                "too many recipients, send to them in another transaction",
            );
        }
        if let Err(refusal) = self.grant().check_recipient(&rcpt.path) {
            let recipient = rcpt.path.masked();
            tracing::info!(recipient, user = self.user(), "relaying denied");
            return refusal;
        }
        if let Some(transaction) = &mut self.transaction {
            transaction.add(rcpt);
        }
        Reply::new(250, "2.1.5", "recipient ok")
    }
}

/// The reply to a message that the queue does not take. What the database said is for the log.
pub(crate) fn reply_to(error: &QueueError) -> Reply {
    match error {
        QueueError::Unavailable(_) => Reply::new(
            451,
            "4.3.0",
            "the database cannot be used now, try again later",
        ),
        QueueError::Full(_) => {
            Reply::new(452, "4.3.1", "there is not enough space, try again later")
        }
        QueueError::Refused(_) => Reply::new(554, "5.3.0", "the database refuses the message"),
    }
}
