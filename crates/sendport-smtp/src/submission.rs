//! One submission: a session from the pool or a new one, a transaction, and the repetition that a
//! relay with a broken extension needs.

use sendport_core::domain::{
    Address, Command, CommandReply, Envelope, Reply, SessionFacts, SubmissionEnd, SubmissionReport,
    Timestamp,
};
use sendport_smime::SecuredMessage;
use tokio::time::Instant;

use super::preflight;
use super::session::Session;
use super::smtp_relay::SmtpRelay;
use super::transaction::{self, Job, TransactionResult};
use crate::relay::SessionError;
use crate::relay::limits::Connection;
use crate::relay::observer::RelayActivity;

/// The right to a connection, the idle session on it, and when the attempt ends.
struct Checkout {
    connection: Connection,
    idle: Option<Session>,
    attempt_end: Instant,
}

/// The session's facts with the result of its transaction.
type SubmissionOutcome = (SessionFacts, TransactionResult);

impl SmtpRelay {
    /// One transaction. It ends at `end`, or after the time-out of an attempt, which then begins once
    /// there is a connection.
    pub(super) async fn submit_job(&self, job: Job<'_>, end: Option<Instant>) -> SubmissionReport {
        if let Some(result) = without_connection(job.message) {
            return self.report(self.clock.now(), Ok((SessionFacts::default(), result)));
        }
        let checkout = match self.desync_guard.pause() {
            Some(error) => Err(error),
            None => self.check_out(end).await,
        };
        let started_at = self.clock.now();
        let submitted = match checkout {
            Ok(checkout) => self.submit_with_fallback(job, checkout).await,
            Err(error) => Err(error),
        };
        let report = self.report(started_at, submitted);
        self.log(job.envelope, &report);
        report
    }

    /// A session without a transaction. Without a greeting it is closed, and not quit.
    pub(super) async fn open_and_quit(&self, until: Command) -> Result<SessionFacts, SessionError> {
        let mut checkout = self.check_out(None).await?;
        let attempt_end = checkout.attempt_end;
        let opened = self.open(&mut checkout.connection, attempt_end, until);
        let session = opened.await?;
        let facts = session.facts.clone();
        if until > Command::Connect {
            session.quit(&self.settings.config.timeout).await;
        }
        Ok(facts)
    }

    /// Repeats the transaction one command at a time, or with DATA, where the relay does not
    /// support the PIPELINING or CHUNKING that it offers, or its replies did not match: nothing
    /// was handed over by then.
    async fn submit_with_fallback(
        &self,
        job: Job<'_>,
        checkout: Checkout,
    ) -> Result<SubmissionOutcome, SessionError> {
        let attempt_end = checkout.attempt_end;
        let first = self.submit_once(job, checkout, true).await?;
        if !self.learn(&first.1) {
            return Ok(first);
        }
        let Ok(checkout) = self.check_out(Some(attempt_end)).await else {
            return Ok(first);
        };
        let second = self.submit_once(job, checkout, false).await;
        Ok(second.unwrap_or(first))
    }

    /// True where the transaction has to be repeated.
    fn learn(&self, result: &TransactionResult) -> bool {
        let pipelining_failed = self.pipelining.learn(&result.ahead);
        let bdat_denied = self.chunking.learn(result.bdat);
        let desync = self.note_desync(result) && result.end == SubmissionEnd::Broken;
        bdat_denied || pipelining_failed || desync
    }

    fn note_desync(&self, result: &TransactionResult) -> bool {
        if let Some(found) = &result.desync {
            self.desync_guard.begin(found);
        }
        result.desync.is_some()
    }

    /// Uses the idle session, if there is one; replaces it once where the server has closed it.
    async fn submit_once(
        &self,
        job: Job<'_>,
        checkout: Checkout,
        may_chunk: bool,
    ) -> Result<SubmissionOutcome, SessionError> {
        let Checkout {
            mut connection,
            idle,
            attempt_end,
        } = checkout;
        if let Some(mut session) = idle {
            session.stream.set_attempt_end(Some(attempt_end));
            let result = self.transact(&mut session, job, may_chunk).await;
            if !result.stale {
                return Ok(self.check_in(session, connection, result));
            }
            self.note_desync(&result);
            tracing::debug!("stale connection replaced");
            if result.reusable {
                session.quit(&self.settings.config.timeout).await;
            }
        }
        let mut session = self
            .open(&mut connection, attempt_end, Command::EndOfData)
            .await?;
        let result = self.transact(&mut session, job, may_chunk).await;
        Ok(self.check_in(session, connection, result))
    }

    async fn transact(
        &self,
        session: &mut Session,
        job: Job<'_>,
        may_chunk: bool,
    ) -> TransactionResult {
        session.extensions.pipelining &= self.pipelining.is_trusted();
        session.extensions.chunking &= may_chunk && self.chunking.is_trusted();
        session.lockstep = self.desync_guard.requires_lockstep();
        let (begun, waits) = (Instant::now(), &self.settings.config.timeout);
        let envelope = session.facts.limits.offered(job.envelope);
        let envelope = &*envelope;
        let job = Job { envelope, ..job };
        let result = transaction::submit(session, waits, job).await;
        let message = job.message.message_id();
        self.desync_guard.note(&result, session.lockstep, message);
        if !result.stale {
            let observer = &self.settings.relay_observer;
            observer.record(RelayActivity::Transaction(begun.elapsed()));
            if let Some(took) = result.final_dot {
                observer.record(RelayActivity::FinalDot(took));
            }
        }
        result
    }

    async fn check_out(&self, end: Option<Instant>) -> Result<Checkout, SessionError> {
        let limit = self.settings.config.timeout.attempt;
        let patience = end.map_or(limit, |end| end.saturating_duration_since(Instant::now()));
        let checkout = self.pool.check_out(patience).await;
        let (connection, idle) =
            checkout.map_err(|error| error.unwrap_or_else(|| self.all_connections_busy()))?;
        Ok(Checkout {
            connection,
            idle,
            attempt_end: end.unwrap_or_else(|| Instant::now() + limit),
        })
    }

    fn check_in(
        &self,
        session: Session,
        connection: Connection,
        result: TransactionResult,
    ) -> SubmissionOutcome {
        let facts = session.facts.clone();
        if result.reusable {
            self.pool.check_in(session, connection);
        }
        (facts, result)
    }

    fn report(
        &self,
        started_at: Timestamp,
        submitted: Result<SubmissionOutcome, SessionError>,
    ) -> SubmissionReport {
        let (facts, replies, end) = match submitted {
            Ok((facts, result)) => (facts, result.replies, result.end),
            Err(SessionError { reply, fault }) => {
                let end = SubmissionEnd::NotBegun { reply, fault };
                (SessionFacts::default(), Vec::new(), end)
            }
        };
        SubmissionReport {
            started_at,
            ended_at: self.clock.now(),
            facts,
            replies,
            end,
        }
    }

    pub(super) fn all_connections_busy(&self) -> SessionError {
        let config = &self.settings.config;
        let what = format!(
            "all connections were in use for {:.1?} (settings max_connections, timeout.attempt)",
            config.timeout.attempt
        );
        SessionError::new(Reply::absent(Command::Connect, what))
    }

    fn log(&self, envelope: &Envelope, report: &SubmissionReport) {
        tracing::debug!(
            sender = envelope.reverse_path.0.as_ref().map(Address::masked),
            recipients = envelope.forward_paths.len(),
            replies = report.replies.len(),
            accepted = report.is_accepted(),
            answered = report.end == SubmissionEnd::Answered,
            "submission ended"
        );
    }
}

/// The refusal that needs no connection: of a message that cannot be written to a server.
fn without_connection(message: &SecuredMessage) -> Option<TransactionResult> {
    let reply = preflight::reject_locally(message)?;
    let ordinal = None;
    Some(TransactionResult::answered(vec![CommandReply {
        ordinal,
        reply,
    }]))
}
