//! The content of a transaction and its final dot: what hands the message over.

use tokio::time::Instant;

use super::{Ended, Transaction};
use crate::domain::{Command, Reply, SecuredMessage, SubmissionEnd};
use crate::relay::FinalDotGate;
use crate::smtp::content::blocks;
use crate::smtp::observer::Step;
use crate::smtp::stream::Wait;

/// The content is written in blocks of this size, each with its own time-out.
const BLOCK: usize = 65_536;

impl Transaction<'_> {
    pub(super) async fn content(
        &mut self,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> Result<(), Ended> {
        let wait = Wait::new(self.waits.data_block, "timeout.data_block");
        let mut blocks = blocks(message.octets(), BLOCK);
        let mut last = blocks.next().unwrap_or_default();
        for block in blocks {
            let next = std::mem::replace(&mut last, block);
            if let Err(lost) = self.session.stream.write(&next, wait).await {
                let lost = lost.into_reply(Command::EndOfData);
                return Err(self.content_stopped(lost).await);
            }
        }
        if self.session.stream.has_leftover() {
            // A reply that is here before the dot must not be taken for the dot's.
            let what = "the server answered before the content was whole";
            let early = Reply::absent(Command::EndOfData, what);
            return Err(self.content_stopped(early).await);
        }
        if !gate.may_send_final_dot() {
            return Err(Ended(SubmissionEnd::Fenced));
        }
        self.final_dot(&last, wait, message.octets().len()).await
    }

    /// From here on the server may have taken the message, whatever we see.
    async fn final_dot(&mut self, last: &[u8], wait: Wait, octets: usize) -> Result<(), Ended> {
        let written = self.session.stream.write(last, wait).await;
        let answer = Wait::new(self.waits.end_of_data, "timeout.end_of_data");
        let answer = match &written {
            // What was said before the connection broke is an answer, if it came whole.
            Err(_) => Wait::new(self.waits.quit, "timeout.quit"),
            Ok(()) => answer,
        };
        self.session.stream.tell(|| Step::SaidContent(octets));
        let begun = Instant::now();
        let read = self.session.stream.read_reply(answer).await;
        self.final_dot = read.is_ok().then(|| begun.elapsed());
        let reply = match (read, written) {
            (Ok(reply), _) => reply.into_reply(Command::EndOfData),
            (Err(lost), Ok(())) | (Err(_), Err(lost)) => {
                self.push(None, lost.into_reply(Command::EndOfData));
                return Err(Ended(SubmissionEnd::InDoubt));
            }
        };
        let (code, taken) = (reply.code, reply.is_success());
        self.push(None, reply);
        match code {
            421 => Err(Ended(SubmissionEnd::Answered)),
            _ if taken => Ok(()),
            _ => self.reset().await,
        }
    }

    /// A server that closes in the middle of the content often said why.
    async fn content_stopped(&mut self, otherwise: Reply) -> Ended {
        let wait = Wait::new(self.waits.quit, "timeout.quit");
        let said = self.session.stream.read_reply(wait).await;
        let reply = match said {
            // No final dot was sent, so 2yz cannot mean the message.
            Ok(reply) if reply.code >= 400 => reply.into_reply(Command::EndOfData),
            _ => otherwise,
        };
        self.broken(reply)
    }
}
