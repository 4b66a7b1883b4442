//! Commands and their replies: each reply belongs to one command.

use sendport_core::domain::{Command, CommandReply, LocalCause, Reply, SubmissionEnd};

use super::{Abort, Transaction};
use crate::stream::{ReplyError, Wait};

impl Transaction<'_> {
    /// Writes the queued commands. `Some` where that failed: the server may have replied why.
    pub(super) async fn write(
        &mut self,
        command: Command,
        commands: usize,
        wait: Wait,
    ) -> Result<Option<ReplyError>, Abort> {
        self.result.ahead.begin(commands);
        match self.session.stream.flush(wait).await {
            Ok(()) => Ok(None),
            Err(ReplyError::Unsolicited(found)) => Err(self
                .unsolicited(command, ReplyError::Unsolicited(found))
                .await),
            Err(error) => Ok(Some(error)),
        }
    }

    /// Something arrived before the command was written: a closing reply, or a reply too many.
    pub(super) async fn unsolicited(&mut self, command: Command, found: ReplyError) -> Abort {
        let found = found.into_reply(command);
        self.closed = command == Command::Mail;
        if found.code == 421 {
            return self.broken(found);
        }
        let closed = matches!(self.session.stream.quiet().await, Err(ReplyError::Closed));
        match self.closed && closed {
            // Closed because it was idle for too long.
            true => self.broken(found),
            false => self.desync(command, found.text),
        }
    }

    /// Reads and keeps one reply. Without one, or with 421, the transaction ends.
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
                tracing::trace!(%command, code = reply.code, "command answered");
                self.push(ordinal, reply.clone());
                self.result.ahead.answered(&reply);
                if reply.code == 421 {
                    return Err(Abort(SubmissionEnd::Broken));
                }
                Ok(reply)
            }
            Err(error) => Err(self.no_reply(command, unwritten.unwrap_or(error))),
        }
    }

    pub(super) fn no_reply(&mut self, command: Command, error: ReplyError) -> Abort {
        self.closed = error.is_closed();
        self.result.ahead.lost(&error);
        if matches!(error, ReplyError::NotSmtp(_)) {
            return self.desync(command, error.to_string());
        }
        if !self.closed && self.result.ahead.was_used() {
            // One reply less than commands: which one is missing is unknown.
            self.result.replies.truncate(self.local_replies);
        }
        self.broken(error.into_reply(command))
    }

    /// The replies do not match the commands, so none of them counts.
    pub(super) fn desync(&mut self, command: Command, what: String) -> Abort {
        self.result.replies.truncate(self.local_replies);
        let text = format!("the replies do not match the commands: {what}");
        self.result.desync = Some(what);
        if self.end_written {
            self.push(
                None,
                Reply::absent(Command::EndOfData, text).because(LocalCause::Desync),
            );
            return Abort(SubmissionEnd::InDoubt);
        }
        self.broken(Reply::absent(command, text).because(LocalCause::Desync))
    }

    pub(super) fn broken(&mut self, what: Reply) -> Abort {
        self.push(None, what);
        Abort(SubmissionEnd::Broken)
    }

    pub(super) fn push(&mut self, ordinal: Option<u32>, reply: Reply) {
        self.result.replies.push(CommandReply { ordinal, reply });
    }
}
