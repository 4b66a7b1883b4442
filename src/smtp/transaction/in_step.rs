//! Each reply belongs to one command: what is written, what is read, and what does not fit.

use super::{Ended, Transaction};
use crate::domain::{Command, CommandReply, Reply, SubmissionEnd};
use crate::smtp::stream::{NoReply, Wait};

impl Transaction<'_> {
    /// Writes what was queued, so many commands. `Some` where that went wrong, and the server
    /// may have said why.
    pub(super) async fn write(
        &mut self,
        command: Command,
        commands: usize,
        wait: Wait,
    ) -> Result<Option<NoReply>, Ended> {
        self.done.ahead.begin(commands);
        match self.session.stream.flush(wait).await {
            Ok(()) => Ok(None),
            Err(NoReply::Unasked(found)) => {
                Err(self.unasked(command, NoReply::Unasked(found)).await)
            }
            Err(lost) => Ok(Some(lost)),
        }
    }

    /// Something was there before the command was written: a goodbye, or a reply too many.
    pub(super) async fn unasked(&mut self, command: Command, found: NoReply) -> Ended {
        let found = found.into_reply(command);
        self.gone = command == Command::Mail;
        if found.code == 421 {
            return self.broken(found);
        }
        let closed = matches!(self.session.stream.quiet().await, Err(NoReply::Closed));
        match self.gone && closed {
            // Idle for too long, in whatever words.
            true => self.broken(found),
            false => self.misfit(command, found.text),
        }
    }

    /// Reads and records one reply. Where none comes, or a 421, the transaction is over.
    pub(super) async fn read(
        &mut self,
        command: Command,
        ordinal: Option<u32>,
        wait: Wait,
        unwritten: Option<NoReply>,
    ) -> Result<Reply, Ended> {
        let wait = match unwritten {
            Some(_) => Wait::new(self.waits.quit, "timeout.quit"),
            None => wait,
        };
        match self.session.stream.read_reply(wait).await {
            Ok(reply) => {
                let reply = reply.into_reply(command);
                tracing::trace!(%command, code = reply.code, "asked and answered");
                self.push(ordinal, reply.clone());
                self.done.ahead.answered(&reply);
                if reply.code == 421 {
                    return Err(Ended(SubmissionEnd::Broken));
                }
                Ok(reply)
            }
            Err(lost) => Err(self.lost(command, unwritten.unwrap_or(lost))),
        }
    }

    pub(super) fn lost(&mut self, command: Command, lost: NoReply) -> Ended {
        self.gone = matches!(lost, NoReply::Closed | NoReply::Broke(_));
        self.done.ahead.lost(&lost);
        if matches!(lost, NoReply::NotSmtp(_)) {
            return self.misfit(command, lost.to_string());
        }
        if !self.gone && self.done.ahead.was_used() {
            // One reply less than commands: which one is missing, nobody knows.
            self.done.replies.truncate(self.made_here);
        }
        self.broken(lost.into_reply(command))
    }

    /// The replies do not fit the commands, so that none of them says anything about anybody.
    pub(super) fn misfit(&mut self, command: Command, what: String) -> Ended {
        self.done.replies.truncate(self.made_here);
        let text = format!("the replies do not fit the commands: {what}");
        self.done.misfit = Some(what);
        if self.end_written {
            self.push(None, Reply::absent(Command::EndOfData, text));
            return Ended(SubmissionEnd::InDoubt);
        }
        self.broken(Reply::absent(command, text))
    }

    pub(super) fn broken(&mut self, what: Reply) -> Ended {
        self.push(None, what);
        Ended(SubmissionEnd::Broken)
    }

    pub(super) fn push(&mut self, ordinal: Option<u32>, reply: Reply) {
        self.done.replies.push(CommandReply { ordinal, reply });
    }
}
