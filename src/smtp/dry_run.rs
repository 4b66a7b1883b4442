//! Sessions that stop where one says: the same steps as the service's, by the same code.

use super::relay::SmtpRelay;
use super::transaction::Job;
use crate::domain::{Command, Envelope, SessionFacts, SubmissionReport};
use crate::relay::{FinalDotGate, NotReady};
use crate::smime::SecuredMessage;

/// Nobody else works on what is rehearsed.
struct Open;

impl FinalDotGate for Open {
    fn may_send_final_dot(&self) -> bool {
        true
    }
}

impl SmtpRelay {
    /// Opens a session, takes the steps up to `until`, which is `AUTH` at most, and says goodbye.
    ///
    /// # Errors
    /// [`NotReady`] with the reply that stopped it.
    pub async fn dry_run_session(&self, until: Command) -> Result<SessionFacts, NotReady> {
        self.open_and_quit(until.min(Command::Auth)).await
    }

    /// Carries out a mail transaction up to `until`: `MAIL`, `RCPT`, `DATA`, or
    /// [`Command::EndOfData`], which submits the message. What stops at `MAIL` or `RCPT` is taken
    /// back with `RSET`; after `DATA` the connection is closed, which takes it back, too. The
    /// session is kept: [`close`](crate::relay::Relay::close) says goodbye.
    pub async fn dry_run_transaction(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        until: Command,
    ) -> SubmissionReport {
        let job = Job {
            envelope,
            message,
            gate: &Open,
            until,
        };
        self.perform(job).await
    }
}
