//! The content of a transaction, after DATA or with BDAT (RFC 3030): what hands the message over.

use std::time::Duration;

use tokio::time::Instant;

use super::{Ended, Transaction};
use crate::domain::{Command, Reply, SecuredMessage, SubmissionEnd};
use crate::relay::FinalDotGate;
use crate::smtp::chunking::{Bdat, denies_bdat};
use crate::smtp::content::{Form, bdat, blocks};
use crate::smtp::observer::Step;
use crate::smtp::stream::{NoReply, Wait};

/// The content is written in blocks of this size, each with its own time-out.
const BLOCK: usize = 65_536;

/// A connection that was used so lately is taken for one that still stands.
const LATELY: Duration = Duration::from_secs(5);

impl Transaction<'_> {
    /// All of the content can go in one write with the commands before it: only as much as does
    /// no harm where it is for nobody, and only where the connection is known to stand. What is
    /// written into one that the server has given up is in doubt.
    pub(super) fn content_may_go_along(
        &mut self,
        message: &SecuredMessage,
        used_at: Instant,
    ) -> bool {
        message.octets().len() <= BLOCK
            && used_at.elapsed() < LATELY
            && self.session.stream.is_quiet()
    }

    /// Puts the content into the next write.
    pub(super) fn queue_content(
        &mut self,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> Result<(), Ended> {
        if !gate.may_send_final_dot() {
            return Err(Ended(SubmissionEnd::Fenced));
        }
        for block in blocks(Form::Bdat, message.octets(), BLOCK) {
            self.session.stream.queue_octets(&block);
        }
        self.bdat = Bdat::Unanswered;
        Ok(())
    }

    /// All of the content was written, and what ends it.
    pub(super) fn content_written(&mut self, message: &SecuredMessage) {
        self.session.stream.tell(|| match self.bdat {
            Bdat::Unused => Step::SaidContent(message.octets().len()),
            _ => Step::SaidChunk(bdat(message.octets())),
        });
        self.in_flight = Some(Instant::now());
    }

    /// Writes the content, which nothing was said against so far.
    pub(super) async fn content(
        &mut self,
        form: Form,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> Result<(), Ended> {
        let wait = Wait::new(self.waits.data_block, "timeout.data_block");
        if form == Form::Bdat {
            self.bdat = Bdat::Unanswered;
        }
        let mut blocks = blocks(form, message.octets(), BLOCK);
        let mut last = blocks.next().unwrap_or_default();
        for block in blocks {
            let next = std::mem::replace(&mut last, block);
            if let Err(lost) = self.session.stream.write(&next, wait).await {
                let lost = lost.into_reply(Command::EndOfData);
                return Err(self.content_stopped(lost).await);
            }
        }
        if self.session.stream.has_leftover() {
            // A reply that is here before the end must not be taken for the end's.
            let what = "the server answered before the content was whole";
            let early = Reply::absent(Command::EndOfData, what);
            return Err(self.content_stopped(early).await);
        }
        if !gate.may_send_final_dot() {
            self.bdat = Bdat::Unused;
            return Err(Ended(SubmissionEnd::Fenced));
        }
        let unwritten = self.session.stream.write(&last, wait).await.err();
        self.content_written(message);
        self.answer_to_content(unwritten).await
    }

    /// The reply to the content, of which the end was `unwritten` where that went wrong.
    pub(super) async fn answer_to_content(
        &mut self,
        unwritten: Option<NoReply>,
    ) -> Result<(), Ended> {
        let wait = match &unwritten {
            // What was said before the connection broke is an answer, if it came whole.
            Some(_) => Wait::new(self.waits.quit, "timeout.quit"),
            None => Wait::new(self.waits.end_of_data, "timeout.end_of_data"),
        };
        let read = self.session.stream.read_reply(wait).await;
        let written_at = self.in_flight.take().filter(|_| read.is_ok());
        self.final_dot = written_at.map(|at| at.elapsed());
        let reply = match read {
            Ok(reply) => reply.into_reply(Command::EndOfData),
            Err(lost) => return Err(self.in_doubt(unwritten.unwrap_or(lost))),
        };
        if self.denied_bdat(&reply) {
            let what = format!("the server offers CHUNKING and does not do it: {reply}");
            return Err(self.broken(Reply::absent(Command::EndOfData, what)));
        }
        let (code, taken) = (reply.code, reply.is_success());
        self.push(None, reply);
        match code {
            421 => Err(Ended(SubmissionEnd::Answered)),
            _ if taken => Ok(()),
            _ => self.reset().await,
        }
    }

    /// The server may have taken the message: all of it was on its way.
    pub(super) fn in_doubt(&mut self, lost: NoReply) -> Ended {
        self.push(None, lost.into_reply(Command::EndOfData));
        Ended(SubmissionEnd::InDoubt)
    }

    /// Notes what the reply says of BDAT. True where it was denied.
    fn denied_bdat(&mut self, reply: &Reply) -> bool {
        if self.bdat == Bdat::Unused {
            return false;
        }
        let denied = denies_bdat(reply);
        self.bdat = if denied { Bdat::Denied } else { Bdat::Answered };
        denied
    }

    /// A server that closes in the middle of the content often said why.
    async fn content_stopped(&mut self, otherwise: Reply) -> Ended {
        let wait = Wait::new(self.waits.quit, "timeout.quit");
        let said = self.session.stream.read_reply(wait).await;
        // The end was not sent, so 2yz cannot mean the message.
        let refused = said.ok().filter(|reply| reply.code >= 400);
        let Some(reply) = refused.map(|reply| reply.into_reply(Command::EndOfData)) else {
            return self.broken(otherwise);
        };
        self.denied_bdat(&reply);
        self.broken(reply)
    }
}
