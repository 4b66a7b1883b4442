//! DATA (RFC 5321 section 4.1.1.4), BDAT (RFC 3030) and the commit.

use std::sync::Arc;

use sendport_core::domain::{AlertOrigin, IntakeClient};
use tokio::time::{Instant, timeout, timeout_at};

use super::mail::reply_to;
use super::{Next, Session, SessionEnd, Transaction};
use crate::command::Chunk;
use crate::content::dot::DotReader;
use crate::content::incoming::{Accepted, Defect, IncomingContent};
use crate::content::preface::{Preface, Protocol, Source, Trace};
use crate::observer::IntakeActivity;
use crate::queue::{QueueError, Queued};
use crate::reply::Reply;
use crate::transaction::{Chunks, Submission};

/// Octets that one read of content may bring.
const CONTENT_READ: usize = 32 * 1024;

impl Session {
    /// Why no content can follow.
    fn refusal_of_content(&self) -> Option<Reply> {
        match &self.transaction {
            None => Some(Reply::new(503, "5.5.1", "send MAIL and RCPT first")),
            Some(transaction) if transaction.recipients.is_empty() => {
                Some(Reply::new(554, "5.5.1", "no valid recipients"))
            }
            Some(_) => None,
        }
    }

    pub(super) async fn data(&mut self) -> Result<Next, SessionEnd> {
        if let Some(refusal) = self.refusal_of_content() {
            return Ok(self.answer(&refusal));
        }
        let Some(transaction) = self.transaction.take_if(|it| it.chunks.is_none()) else {
            return Ok(self.answer(&Reply::new(503, "5.5.1", "the content has begun with BDAT")));
        };
        self.queue(&Reply::new(
            354,
            "",
            "send the message, end with a dot on a line of its own",
        ));
        let mut content = self.incoming(&transaction);
        let mut reader = DotReader::default();
        let end = self.wait_end(self.intake.settings.timeout.message);
        loop {
            self.receive(end).await?;
            let piece = self.connection.unread();
            let progress = reader.feed(piece, |octets| content.take(octets));
            self.connection.consume(progress.consumed);
            if progress.is_complete {
                return self.commit(*transaction, content).await;
            }
            if content.received() > self.most_content() {
                let defect = content.defect().unwrap_or(Defect::TooLarge);
                self.answer(&defect.reply());
                return Ok(Next::Close);
            }
            content.spill().await;
        }
    }

    /// Octets of a message that are read at most, though it is refused.
    fn most_content(&self) -> u64 {
        self.intake.settings.max_message_size.0.saturating_mul(2)
    }

    pub(super) async fn bdat(&mut self, chunk: Chunk) -> Result<Next, SessionEnd> {
        if let Some(refusal) = self.refusal_of_content() {
            return self.skip(chunk, &refusal).await;
        }
        let Some(mut transaction) = self.transaction.take() else {
            return Ok(Next::Close);
        };
        let mut chunks = transaction.chunks.take().unwrap_or_else(|| Chunks {
            content: self.incoming(&transaction),
            end: self.wait_end(self.intake.settings.timeout.message),
        });
        let most = self.intake.settings.max_message_size.0;
        if chunks.content.received().saturating_add(chunk.size) > most {
            return self.skip(chunk, &Defect::TooLarge.reply()).await;
        }
        self.chunk(chunk, &mut chunks).await?;
        match (chunks.content.defect(), chunk.is_last) {
            (Some(defect), _) => Ok(self.refuse_content(defect)),
            (None, true) => self.commit(*transaction, chunks.content).await,
            (None, false) => {
                transaction.chunks = Some(chunks);
                self.transaction = Some(transaction);
                let size = chunk.size;
                Ok(self.answer(&Reply::new(250, "2.0.0", format!("{size} octets received"))))
            }
        }
    }

    async fn chunk(&mut self, chunk: Chunk, chunks: &mut Chunks) -> Result<(), SessionEnd> {
        let mut left = chunk.size;
        while left > 0 {
            self.receive(chunks.end).await?;
            let piece = within(self.connection.unread(), left);
            chunks.content.take(piece);
            let length = piece.len();
            self.connection.consume(length);
            left -= length as u64;
            chunks.content.spill().await;
        }
        Ok(())
    }

    /// Refuses a chunk and what was before it. Its octets are never read as commands.
    async fn skip(&mut self, chunk: Chunk, refusal: &Reply) -> Result<Next, SessionEnd> {
        self.transaction = None;
        if chunk.size > self.intake.settings.max_message_size.0 {
            self.answer(refusal);
            return Ok(Next::Close);
        }
        let end = self.wait_end(self.intake.settings.timeout.message);
        let mut left = chunk.size;
        while left > 0 {
            self.receive(end).await?;
            let length = within(self.connection.unread(), left).len();
            self.connection.consume(length);
            left -= length as u64;
        }
        Ok(self.answer(refusal))
    }

    /// Waits for content unless some is there.
    async fn receive(&mut self, end: Instant) -> Result<(), SessionEnd> {
        // Octets that are there do not wait, and are too late all the same.
        if Instant::now() >= end {
            return Err(SessionEnd::Timeout("message"));
        }
        if !self.connection.unread().is_empty() {
            return Ok(());
        }
        let block_end = self.wait_end(self.intake.settings.timeout.data_block);
        let setting = if end < block_end {
            "message"
        } else {
            "data_block"
        };
        match timeout_at(end.min(block_end), self.connection.receive(CONTENT_READ)).await {
            Ok(received) => Ok(received?),
            Err(_) => Err(SessionEnd::Timeout(setting)),
        }
    }

    fn incoming(&self, transaction: &Transaction) -> IncomingContent {
        let helo = self.helo.as_ref();
        let source = Source::Smtp {
            helo: helo.and_then(|it| it.name.as_deref()),
            client: self.client,
            protocol: Protocol {
                is_extended: helo.is_some_and(|it| it.is_extended),
                is_encrypted: self.is_encrypted(),
                is_authenticated: self.user().is_some(),
                is_international: transaction.mail.smtp_utf8,
            },
            tls: self.tls.as_deref(),
        };
        let trace = Trace {
            source,
            hostname: &self.intake.hostname,
            transaction: transaction.id,
            recipient: match &*transaction.recipients {
                [only] => Some(&only.address),
                _ => None,
            },
            at: self.intake.clock.now(),
        };
        IncomingContent::new(self.intake.content_limits.clone(), Preface::new(&trace))
    }

    fn refuse_content(&mut self, defect: Defect) -> Next {
        tracing::info!(reason = ?defect, user = self.user(), "message refused");
        match self.answer(&defect.reply()) {
            Next::Command if defect.ends_session() => Next::Close,
            next => next,
        }
    }

    /// Commits a complete message and answers at once (RFC 1047).
    async fn commit(
        &mut self,
        transaction: Transaction,
        content: IncomingContent,
    ) -> Result<Next, SessionEnd> {
        let accepted = match content.finish().await {
            Ok(accepted) => accepted,
            Err(defect) => return Ok(self.refuse_content(defect)),
        };
        let next = self.commit_accepted(transaction, accepted).await;
        self.connection.flush().await?;
        Ok(next)
    }

    async fn commit_accepted(&mut self, transaction: Transaction, mut accepted: Accepted) -> Next {
        // Until the queue has the content.
        let _reservation = accepted.reservation.take();
        let submission = self.submission(&transaction, accepted.header.from.as_deref());
        let message = transaction.into_message(accepted, submission);
        let (bytes, recipients) = (message.content.size(), message.envelope.recipients.len());
        let send_port = message.send_port.clone();
        let began = Instant::now();
        let committing = self.intake.queue.commit(Arc::new(message));
        let committed = match timeout(self.intake.settings.timeout.commit, committing).await {
            Ok(committed) => committed,
            Err(_) => Err(QueueError::Unavailable(
                "it did not answer in time".to_owned(),
            )),
        };
        match committed {
            Ok(queued) => {
                let user = self.user();
                match queued {
                    Queued::Alert(alert) => {
                        let alert = alert.0;
                        tracing::info!(
                            alert,
                            bytes,
                            recipients,
                            send_port,
                            user,
                            "message accepted"
                        );
                    }
                    Queued::Spooled(transaction) => {
                        tracing::info!(%transaction, bytes, recipients, send_port, user, "message spooled");
                    }
                }
                self.intake.observer.record(IntakeActivity::Accepted {
                    bytes,
                    recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
                    commit: began.elapsed(),
                });
                if let Some(rate) = &self.intake.message_rate {
                    rate.count(self.client);
                }
                (self.errors, self.idle_commands) = (0, 0);
                let what = match queued {
                    Queued::Alert(_) => "queued",
                    Queued::Spooled(_) => "spooled",
                };
                self.answer(&Reply::new(250, "2.0.0", format!("{what} as {queued}")))
            }
            Err(error) => {
                tracing::warn!(%error, "message not committed");
                self.answer(&reply_to(&error))
            }
        }
    }

    /// `from`: what From says.
    fn submission(&self, transaction: &Transaction, from: Option<&str>) -> Submission {
        let grant = self.grant();
        let send_port = grant.send_port(transaction.mail.path.as_ref());
        Submission {
            intake: self.intake.name.clone(),
            origin: AlertOrigin::Smtp,
            send_port: send_port.to_owned(),
            client: IntakeClient {
                address: Some(self.client),
                helo: self.helo.as_ref().and_then(|it| it.name.clone()),
                user: self.user().map(str::to_owned),
            },
            from_allowed: grant.allows_from(from),
        }
    }
}

/// As much of `piece` as belongs to a chunk of which so many octets are left.
fn within(piece: &[u8], left: u64) -> &[u8] {
    let length = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
    &piece[..length]
}
