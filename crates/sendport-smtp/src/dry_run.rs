//! Sessions and transactions that stop at a given step: the code of the service itself.

use sendport_core::domain::{Command, Envelope, SessionFacts, SubmissionReport};
use sendport_smime::SecuredMessage;

use super::smtp_relay::SmtpRelay;
use super::transaction::Job;
use crate::relay::{BeforeFinalDot, SessionError, SubmissionGate};

/// A dry run holds no lease that could expire.
struct NoLease;

impl SubmissionGate for NoLease {
    fn may_send_final_dot(&self, _so_far: BeforeFinalDot<'_>) -> bool {
        true
    }
}

impl SmtpRelay {
    /// Opens a session, takes the steps up to `until`, `AUTH` at most, and quits.
    ///
    /// # Errors
    /// [`SessionError`] with the reply that ended it.
    pub async fn dry_run_session(&self, until: Command) -> Result<SessionFacts, SessionError> {
        self.open_and_quit(until.min(Command::Auth)).await
    }

    /// Carries out a mail transaction up to `until`: `MAIL`, `RCPT`, `DATA`, or
    /// [`Command::EndOfData`], which submits the message. After `MAIL` or `RCPT` the transaction is
    /// aborted with `RSET`, after `DATA` by closing the connection. The session is kept idle:
    /// [`close`](crate::relay::Relay::close) quits it.
    pub async fn dry_run_transaction(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        until: Command,
    ) -> SubmissionReport {
        let job = Job {
            envelope,
            message,
            gate: &NoLease,
            until,
        };
        self.submit_job(job, None).await
    }
}
