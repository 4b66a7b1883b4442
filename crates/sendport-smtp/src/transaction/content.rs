//! The content of a transaction, after DATA or with BDAT (RFC 3030): it hands the message over.

use sendport_core::domain::{Command, Reply, SubmissionEnd};
use sendport_smime::SecuredMessage;
use tokio::time::Instant;

use super::{Abort, Transaction, is_about_an_address};
use crate::chunking::{Bdat, denies_bdat};
use crate::content::{Form, bdat, blocks};
use crate::observer::Step;
use crate::relay::{BeforeFinalDot, SubmissionGate};
use crate::stream::{ReplyError, Wait};

/// Size of a block of content in bytes; each block has its own time-out.
const BLOCK: usize = 65_536;

impl Transaction<'_> {
    /// Writes the content.
    pub(super) async fn content(
        &mut self,
        form: Form,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> Result<(), Abort> {
        let wait = Wait::new(self.waits.data_block, "timeout.data_block");
        match form {
            Form::Bdat => {
                self.in_step(Command::Rcpt).await?;
                self.result.bdat = Bdat::Unanswered;
            }
            Form::Data => self.in_step(Command::Data).await?,
        }
        let mut blocks = blocks(form, message.bytes(), BLOCK);
        let mut last = blocks.next().unwrap_or_default();
        for block in blocks {
            let next = std::mem::replace(&mut last, block);
            if let Err(lost) = self.session.stream.write_unanswered(&next, wait).await {
                return Err(self.content_stopped(lost).await);
            }
        }
        let so_far = BeforeFinalDot {
            facts: &self.session.facts,
            replies: &self.result.replies,
        };
        if !gate.may_send_final_dot(so_far) {
            self.result.bdat = Bdat::Unused;
            return Err(Abort(SubmissionEnd::Fenced));
        }
        let unwritten = match self.session.stream.write_unanswered(&last, wait).await {
            Err(lost @ (ReplyError::Unsolicited(_) | ReplyError::Closed)) => {
                return Err(self.content_stopped(lost).await);
            }
            written => written.err(),
        };
        self.end_written = true;
        self.session.stream.notify(|| match form {
            Form::Data => Step::ContentSent(message.bytes().len()),
            Form::Bdat => Step::ChunkSent(bdat(message.bytes())),
        });
        self.answer_to_content(unwritten).await
    }

    /// Checks that no reply came after the one to `last`.
    async fn in_step(&mut self, last: Command) -> Result<(), Abort> {
        match self.session.stream.quiet().await {
            Err(found @ ReplyError::Unsolicited(_)) => Err(self.unsolicited(last, found).await),
            // A closed connection shows at the next write.
            _ => Ok(()),
        }
    }

    /// Reads the reply to the content; `unwritten` is the error of its last write. After a refusal, or
    /// an ambiguous reply, the next replies show whether it was the reply to the content.
    async fn answer_to_content(&mut self, unwritten: Option<ReplyError>) -> Result<(), Abort> {
        let wait = match &unwritten {
            // A whole reply before the connection broke is an answer.
            Some(_) => Wait::new(self.waits.quit, "timeout.quit"),
            None => Wait::new(self.waits.end_of_data, "timeout.end_of_data"),
        };
        let written_at = Instant::now();
        let reply = match self.session.stream.read_reply(wait).await {
            Ok(reply) => reply.into_reply(Command::EndOfData),
            Err(ReplyError::NotSmtp(what)) => {
                return Err(self.desync(Command::EndOfData, what.to_string()));
            }
            Err(error) => return Err(self.in_doubt(unwritten.unwrap_or(error))),
        };
        self.result.final_dot = Some(written_at.elapsed());
        let behind = self.check_single(&reply).await?;
        if self.denied_bdat(&reply) {
            let what = format!("the server does not support the CHUNKING that it offers: {reply}");
            return Err(self.broken(Reply::absent(Command::EndOfData, what)));
        }
        // Without an enhanced code it may be a late reply to MAIL or RCPT.
        let ambiguous = self.result.bdat != Bdat::Unused && reply.enhanced.is_none();
        let accepted = reply.is_success() && !ambiguous;
        let closes = reply.code == 421 || behind.is_err();
        if closes && ambiguous && reply.is_success() {
            let what =
                format!("the content was answered with '{reply}', without a code, and no more");
            return Err(self.desync(Command::EndOfData, what));
        }
        self.push(None, reply);
        match (closes, accepted) {
            (true, _) => Err(Abort(SubmissionEnd::Answered)),
            (false, true) => Ok(()),
            (false, false) => self.reset().await,
        }
    }

    /// Checks that the reply can answer the content, and that no other came with it, except a closing 421 or 221.
    async fn check_single(&mut self, reply: &Reply) -> Result<Result<(), ReplyError>, Abort> {
        let offered = self.session.extensions.enhanced_status_codes;
        let of_another = match reply.code {
            // x5z is the mail system's (RFC 5321 section 4.2.1); 221 closes the connection.
            200..=299 => reply.code / 10 != 25 || (offered && is_about_an_address(reply)),
            code => code < 400,
        };
        if of_another {
            let what = format!("the content was answered with '{reply}'");
            return Err(self.desync(Command::EndOfData, what));
        }
        let behind = self.session.stream.quiet().await;
        let added = match &behind {
            Err(ReplyError::Unsolicited(more)) => more.as_ref().map_or(0, |it| it.code),
            _ => return Ok(behind),
        };
        // A server that adds to every reply would get the message again.
        if added == 421 || (self.session.lockstep && reply.is_success() && added < 400) {
            return Ok(behind);
        }
        let what = "the content was answered more than once";
        Err(self.desync(Command::EndOfData, what.to_owned()))
    }

    /// The server may have accepted the message: all of it was written.
    fn in_doubt(&mut self, error: ReplyError) -> Abort {
        self.push(None, error.into_reply(Command::EndOfData));
        Abort(SubmissionEnd::InDoubt)
    }

    /// Notes what the reply says about BDAT. True where it was denied.
    fn denied_bdat(&mut self, reply: &Reply) -> bool {
        if self.result.bdat == Bdat::Unused {
            return false;
        }
        let denied = denies_bdat(reply);
        self.result.bdat = if denied { Bdat::Denied } else { Bdat::Answered };
        denied
    }

    /// A server that closes within the content often replies why. The end was not sent, so 2yz cannot
    /// accept the message.
    async fn content_stopped(&mut self, lost: ReplyError) -> Abort {
        let wait = Wait::new(self.waits.quit, "timeout.quit");
        let said = match lost {
            ReplyError::Unsolicited(Some(reply)) => Ok(reply),
            lost => self.session.stream.read_reply(wait).await.map_err(|_| lost),
        };
        let reply = match said {
            Ok(reply) => reply.into_reply(Command::EndOfData),
            Err(lost) => return self.broken(lost.into_reply(Command::EndOfData)),
        };
        let chunked = self.result.bdat != Bdat::Unused;
        if reply.code < 400 || (chunked && is_about_an_address(&reply)) {
            let what = format!("'{reply}' came before the content was whole");
            return self.desync(Command::EndOfData, what);
        }
        self.denied_bdat(&reply);
        self.broken(reply)
    }
}
