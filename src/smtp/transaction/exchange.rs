//! Each reply belongs to one command: what is written, what is read, and what does not fit.

use super::{Abort, Transaction};
use crate::domain::{Command, CommandReply, Reply, SubmissionEnd};
use crate::smtp::stream::{ReplyError, Wait};

impl Transaction<'_> {
    /// Writes what was queued, so many commands. `Some` where that went wrong, and the server
    /// may have said why.
    pub(super) async fn write(
        &mut self,
        command: Command,
        commands: usize,
        wait: Wait,
    ) -> Result<Option<ReplyError>, Abort> {
        self.done.ahead.begin(commands);
        match self.session.stream.flush(wait).await {
            Ok(()) => Ok(None),
            Err(ReplyError::Unsolicited(found)) => Err(self
                .unsolicited(command, ReplyError::Unsolicited(found))
                .await),
            Err(lost) => Ok(Some(lost)),
        }
    }

    /// Something was there before the command was written: a goodbye, or a reply too many.
    pub(super) async fn unsolicited(&mut self, command: Command, found: ReplyError) -> Abort {
        let found = found.into_reply(command);
        self.gone = command == Command::Mail;
        if found.code == 421 {
            return self.broken(found);
        }
        let closed = matches!(self.session.stream.quiet().await, Err(ReplyError::Closed));
        match self.gone && closed {
            // Idle for too long, in whatever words.
            true => self.broken(found),
            false => self.desync(command, found.text),
        }
    }

    /// Reads and records one reply. Where none comes, or a 421, the transaction is over.
    pub(super) async fn read(
        &mut self,
        command: Command,
        ordinal: Option<u32>,
        wait: Wait,
        unwritten: Option<ReplyError>,
    ) -> Result<Reply, Abort> {
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
                    return Err(Abort(SubmissionEnd::Broken));
                }
                Ok(reply)
            }
            Err(lost) => Err(self.lost(command, unwritten.unwrap_or(lost))),
        }
    }

    pub(super) fn lost(&mut self, command: Command, lost: ReplyError) -> Abort {
        self.gone = matches!(lost, ReplyError::Closed | ReplyError::Io(_));
        self.done.ahead.lost(&lost);
        if matches!(lost, ReplyError::NotSmtp(_)) {
            return self.desync(command, lost.to_string());
        }
        if !self.gone && self.done.ahead.was_used() {
            // One reply less than commands: which one is missing, nobody knows.
            self.done.replies.truncate(self.made_here);
        }
        self.broken(lost.into_reply(command))
    }

    /// The replies do not fit the commands, so that none of them says anything about anybody.
    pub(super) fn desync(&mut self, command: Command, what: String) -> Abort {
        self.done.replies.truncate(self.made_here);
        let text = format!("the replies do not fit the commands: {what}");
        self.done.desync = Some(what);
        if self.end_written {
            self.push(None, Reply::absent(Command::EndOfData, text));
            return Abort(SubmissionEnd::InDoubt);
        }
        self.broken(Reply::absent(command, text))
    }

    pub(super) fn broken(&mut self, what: Reply) -> Abort {
        self.push(None, what);
        Abort(SubmissionEnd::Broken)
    }

    pub(super) fn push(&mut self, ordinal: Option<u32>, reply: Reply) {
        self.done.replies.push(CommandReply { ordinal, reply });
    }
}
