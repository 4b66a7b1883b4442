//! One mail transaction (RFC 5321 section 3.3): MAIL, RCPT for each, DATA or BDAT, the content.

mod content;
mod exchange;
#[cfg(test)]
#[path = "tests/reply_streams.rs"]
mod reply_streams;

use std::time::Duration;

use sendport_core::domain::{
    Command, CommandReply, DsnRequest, Envelope, ForwardPath, Reply, SubmissionEnd,
};
use sendport_smime::SecuredMessage;

use crate::chunking::Bdat;
use crate::content::Form;
use crate::dsn;
use crate::pipelining::{PipelinedGroup, denies_the_order};
use crate::preflight::{reject_by_extensions, reject_recipient};
use crate::relay::SubmissionGate;
use crate::session::Session;
use crate::settings::timeouts::Timeouts;
use crate::stream::{ReplyError, Wait};

/// Recipients that are written ahead of their replies. More could fill both directions of the
/// connection while neither side reads (RFC 2920 section 3.1).
const GROUP: usize = 100;

/// One transaction to carry out.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) message: &'a SecuredMessage,
    pub(super) gate: &'a dyn SubmissionGate,
    /// The last command: [`Command::EndOfData`] for the whole transaction.
    pub(super) until: Command,
}

/// The result of a transaction.
pub(super) struct TransactionResult {
    pub(super) replies: Vec<CommandReply>,
    pub(super) end: SubmissionEnd,
    /// The session may carry another one.
    pub(super) reusable: bool,
    /// The server had closed this idle connection, or seems to have: another one is needed.
    pub(super) stale: bool,
    /// What was written ahead of replies, and whether that worked.
    pub(super) ahead: PipelinedGroup,
    /// Whether BDAT was used, and whether that worked.
    pub(super) bdat: Bdat,
    /// Time from the final dot to its reply.
    pub(super) final_dot: Option<Duration>,
    /// How the replies did not match the commands.
    pub(super) desync: Option<String>,
}

impl TransactionResult {
    /// Replies without a transaction.
    pub(super) fn answered(replies: Vec<CommandReply>) -> Self {
        Self {
            replies,
            end: SubmissionEnd::Answered,
            reusable: false,
            stale: false,
            ahead: PipelinedGroup::default(),
            bdat: Bdat::default(),
            final_dot: None,
            desync: None,
        }
    }
}

/// Ends the transaction and the connection; the last reply says why.
struct Abort(SubmissionEnd);

/// Carries out one transaction. The caller has checked [`reject_locally`].
pub(super) async fn submit(
    session: &mut Session,
    waits: &Timeouts,
    job: Job<'_>,
) -> TransactionResult {
    let was_idle = session.transactions > 0;
    session.transactions += 1;
    let dsn = job.envelope.dsn.as_ref().filter(|_| session.extensions.dsn);
    let mut transaction = Transaction {
        session,
        dsn,
        waits,
        local_replies: 0,
        accepted: 0,
        data_ahead: false,
        end_written: false,
        closed: false,
        result: TransactionResult::answered(Vec::new()),
    };
    let ended = transaction.run(job).await;
    transaction.session.all_accepted = transaction.all_accepted();
    let (closed, local_replies) = (transaction.closed, transaction.local_replies);
    let mut result = transaction.result;
    result.reusable = ended.is_ok();
    if let Err(Abort(end)) = ended {
        result.end = end;
    }
    let from_server = &result.replies[local_replies..];
    result.stale = was_idle && is_stale(from_server, result.reusable, closed);
    result
}

/// The server closed the idle connection: the only reply to MAIL is a 421 or the end of the
/// connection. A refusal, too, may be a closing reply that crossed MAIL: 5yz, or one before the end.
fn is_stale(replies: &[CommandReply], reusable: bool, closed: bool) -> bool {
    let [only] = replies else { return false };
    let crossed = match only.reply.code {
        0 => closed,
        421 | 500.. => true,
        code => code >= 400 && !reusable,
    };
    only.reply.command == Command::Mail && crossed
}

struct Transaction<'a> {
    session: &'a mut Session,
    /// The requested notifications, where the relay offers DSN.
    dsn: Option<&'a DsnRequest>,
    waits: &'a Timeouts,
    /// Replies by sendport itself, before the server's.
    local_replies: usize,
    accepted: usize,
    /// `DATA` was written with the recipients.
    data_ahead: bool,
    /// The end of the content was written: the server may have accepted the message.
    end_written: bool,
    /// The server closed the connection. False after a time-out.
    closed: bool,
    result: TransactionResult,
}

impl Transaction<'_> {
    async fn run(&mut self, job: Job<'_>) -> Result<(), Abort> {
        let (envelope, message) = (job.envelope, job.message);
        let extensions = &self.session.extensions;
        if let Some(refused) = reject_by_extensions(extensions, envelope, message) {
            self.push(None, refused);
            return Ok(());
        }
        let due = match job.until {
            Command::Mail => Vec::new(),
            _ => self.acceptable_recipients(&envelope.forward_paths),
        };
        if due.is_empty() && job.until != Command::Mail {
            return Ok(());
        }
        self.local_replies = self.result.replies.len();
        if !job.gate.may_begin().await {
            self.result.end = SubmissionEnd::Fenced;
            return Ok(());
        }
        let mail_accepted = self.mail_and_recipients(job, &due).await?;
        if !mail_accepted || self.accepted == 0 {
            self.cancel_data().await?;
            return self.reset().await;
        }
        if job.until == Command::EndOfData && self.may_chunk() {
            return self.content(Form::Bdat, message, job.gate).await;
        }
        if job.until < Command::Data || !self.data().await? {
            return self.reset().await;
        }
        if job.until == Command::Data {
            return Err(Abort(SubmissionEnd::Fenced));
        }
        self.content(Form::Data, message, job.gate).await
    }

    /// Rejects recipients that the server cannot accept; the others are not affected.
    fn acceptable_recipients<'e>(&mut self, paths: &'e [ForwardPath]) -> Vec<&'e ForwardPath> {
        let mut due = Vec::with_capacity(paths.len());
        for path in paths {
            match reject_recipient(&path.address, self.session.extensions.smtp_utf8) {
                Some(refused) => self.push(Some(path.ordinal), refused),
                None => due.push(path),
            }
        }
        due
    }

    /// MAIL and the recipients, in groups with PIPELINING (RFC 2920). True where MAIL was accepted.
    async fn mail_and_recipients(
        &mut self,
        job: Job<'_>,
        due: &[&ForwardPath],
    ) -> Result<bool, Abort> {
        let pipelined = self.session.extensions.pipelining && !self.session.lockstep;
        let mut groups = due.chunks(if pipelined { GROUP } else { 1 });
        let international = due.iter().any(|path| !path.address.is_ascii());
        let mail = self.mail_line(job.envelope, job.message, international);
        self.session.stream.queue(&mail);
        let mut pending: &[&ForwardPath] = &[];
        if pipelined {
            pending = groups.next().unwrap_or_default();
            self.queue_recipients(pending);
            if groups.len() == 0 && job.until == Command::EndOfData {
                self.queue_data();
            }
        }
        let wait = Wait::new(self.waits.mail, "timeout.mail");
        let unwritten = self.write(Command::Mail, 1 + pending.len(), wait).await?;
        let reply = self.read(Command::Mail, None, wait, unwritten).await?;
        self.check_order(&reply)?;
        let accepted = reply.is_success();
        self.recipient_replies(pending, accepted).await?;
        if !accepted {
            return Ok(false);
        }
        for group in groups {
            self.queue_recipients(group);
            let wait = Wait::new(self.waits.rcpt, "timeout.rcpt");
            // The replies before a close are still to be read.
            let _unwritten = self.write(Command::Rcpt, group.len(), wait).await?;
            self.recipient_replies(group, true).await?;
        }
        Ok(true)
    }

    /// After a transaction without a refusal, DATA need not wait for the replies to RCPT.
    fn queue_data(&mut self) {
        if self.session.all_accepted && !self.offers_chunking() {
            self.session.stream.queue("DATA");
            self.data_ahead = true;
        }
    }

    /// CHUNKING, where the reply to BDAT is distinguishable from those before it.
    fn offers_chunking(&self) -> bool {
        let offered = &self.session.extensions;
        offered.chunking && offered.enhanced_status_codes && !self.session.lockstep
    }

    /// BDAT needs a server that answers sender and recipients with 2.1.z: a late one of these replies
    /// cannot pass for the reply to BDAT.
    fn may_chunk(&self) -> bool {
        let replies = self.result.replies[self.local_replies..].iter();
        let mut accepted = replies.filter(|it| it.reply.is_success());
        self.offers_chunking() && accepted.all(|it| is_about_an_address(&it.reply))
    }

    /// `SMTPUTF8` (RFC 6531 section 3.4) only where it is needed: a message with it bounces at the
    /// first server without it.
    fn mail_line(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        international: bool,
    ) -> String {
        let sender = envelope.reverse_path.as_str();
        let mut line = format!("MAIL FROM:<{sender}>");
        if self.session.extensions.size.is_some() {
            line += &format!(" SIZE={}", message.bytes().len());
        }
        // Not offered: only a dry run up to MAIL comes here.
        let offered = &self.session.extensions;
        let eight_bit = message.is_8bit() && offered.eight_bit_mime;
        if eight_bit {
            line += " BODY=8BITMIME";
        }
        let international = international || !sender.is_ascii();
        if offered.smtp_utf8 && (international || (eight_bit && message.is_international())) {
            line += " SMTPUTF8";
        }
        line + &self.dsn.map(dsn::of_mail).unwrap_or_default()
    }

    fn queue_recipients(&mut self, group: &[&ForwardPath]) {
        for path in group {
            let address = &path.address;
            let requested = |request| dsn::of_recipient(request, path);
            let parameters = self.dsn.map(requested).unwrap_or_default();
            let line = format!("RCPT TO:<{address}>{parameters}");
            self.session.stream.queue(&line);
        }
    }

    /// After a refused MAIL the replies to RCPT say nothing about the recipients: they are dropped.
    async fn recipient_replies(
        &mut self,
        group: &[&ForwardPath],
        count: bool,
    ) -> Result<(), Abort> {
        let wait = Wait::new(self.waits.rcpt, "timeout.rcpt");
        for path in group {
            if !count {
                self.drop_reply(wait).await?;
                continue;
            }
            let reply = self
                .read(Command::Rcpt, Some(path.ordinal), wait, None)
                .await?;
            self.check_order(&reply)?;
            self.accepted += usize::from(reply.is_success());
        }
        Ok(())
    }

    /// No RCPT may be accepted after a refused MAIL.
    async fn drop_reply(&mut self, wait: Wait) -> Result<(), Abort> {
        match self.session.stream.read_reply(wait).await {
            Ok(reply) if reply.code < 400 => {
                let what = "a recipient was accepted after a refused sender";
                Err(self.desync(Command::Mail, what.to_owned()))
            }
            Ok(reply) if reply.code != 421 => Ok(()),
            Err(error @ ReplyError::Timeout(_)) => Err(self.no_reply(Command::Mail, error)),
            // The refusal of MAIL is an answer.
            _ => Err(Abort(SubmissionEnd::Answered)),
        }
    }

    /// A server that objects to the order of pipelined commands says nothing about sender and
    /// recipient.
    fn check_order(&mut self, reply: &Reply) -> Result<(), Abort> {
        if !denies_the_order(reply) {
            return Ok(());
        }
        if !self.result.ahead.was_used() {
            return match reply.code {
                300..=399 => Err(self.desync(reply.command, format!("it said '{reply}'"))),
                _ => Ok(()),
            };
        }
        self.result.ahead.denied();
        self.result.replies.truncate(self.local_replies);
        let what = format!("the server does not support the PIPELINING that it offers: {reply}");
        Err(self.broken(Reply::absent(reply.command, what)))
    }

    /// DATA is sent alone, after all replies to RCPT, unless the transaction before had no refusal:
    /// without an accepted recipient, servers answer it in three different ways, and some count it
    /// as an error. True after 354.
    async fn data(&mut self) -> Result<bool, Abort> {
        let wait = Wait::new(self.waits.data, "timeout.data");
        let mut unwritten = None;
        if !self.data_ahead {
            self.session.stream.queue("DATA");
            unwritten = self.write(Command::Data, 1, wait).await?;
        }
        let reply = self.read(Command::Data, None, wait, unwritten).await?;
        if self.data_ahead && reply.code >= 400 {
            self.check_order(&reply)?;
        }
        match reply.code {
            200..=299 => {
                let what = "the server answered DATA with 2yz where 354 was expected";
                Err(self.desync(Command::Data, what.to_owned()))
            }
            code => Ok(code / 100 == 3),
        }
    }

    /// Reads the reply to a pipelined DATA without an accepted recipient. A server that expects
    /// content gets none: RFC 2920 section 3.1 would send it a lone dot, but a closed connection
    /// cannot become an empty message.
    async fn cancel_data(&mut self) -> Result<(), Abort> {
        if !self.data_ahead {
            return Ok(());
        }
        let wait = Wait::new(self.waits.data, "timeout.data");
        match self.session.stream.read_reply(wait).await {
            Ok(reply) if reply.code < 300 => {
                let what = "the server answered DATA with 2yz after refused recipients";
                Err(self.desync(Command::Data, what.to_owned()))
            }
            Ok(refused) if refused.code >= 400 && refused.code != 421 => Ok(()),
            _ => Err(Abort(SubmissionEnd::Answered)),
        }
    }

    /// The message and all its recipients were accepted.
    fn all_accepted(&self) -> bool {
        let replies = &self.result.replies;
        let end = replies.last().map(|last| last.reply.command);
        let accepted = |reply: &Reply| matches!(reply.code, 200..=399);
        end == Some(Command::EndOfData) && replies.iter().all(|it| accepted(&it.reply))
    }

    /// Resets the session for the next transaction. The refusals before it count only where RSET is
    /// answered as the standard says, or not at all: a shifted reply would show here. The reply to
    /// RSET may look like one to MAIL, RCPT or the content; the one to EHLO, which resets, too
    /// (RFC 5321 section 4.1.4), does not.
    async fn reset(&mut self) -> Result<(), Abort> {
        // A reply to RSET looks like one to BDAT.
        self.session.extensions.chunking = false;
        let (reply, _) = self.after_a_refusal("RSET").await?;
        let alike = reply.enhanced.is_none() || self.end_written;
        let Some(ehlo) = self.session.ehlo.clone().filter(|_| alike) else {
            return Ok(());
        };
        match self.after_a_refusal(&ehlo).await? {
            (_, lines) if lines > 1 => Ok(()),
            (reply, _) => Err(self.shifted(&ehlo, &reply)),
        }
    }

    /// The success reply to `command`, and the number of its lines.
    async fn after_a_refusal(&mut self, command: &str) -> Result<(Reply, usize), Abort> {
        let answered = Err(Abort(SubmissionEnd::Answered));
        let wait = Wait::new(self.waits.command, "timeout.command");
        self.session.stream.queue(command);
        let reply = match self.session.stream.flush(wait).await {
            Ok(()) => self.session.stream.read_reply(wait).await,
            Err(error) => Err(error),
        };
        let lines = reply.as_ref().map_or(0, |reply| reply.lines.len());
        let found = match reply {
            Ok(reply) => reply.into_reply(Command::Rset),
            Err(error @ ReplyError::Unsolicited(_)) => error.into_reply(Command::Rset),
            Err(_) => return answered,
        };
        match found.code {
            200..=299 if !is_about_an_address(&found) => Ok((found, lines)),
            421 => answered,
            // A server that accepts one EHLO only.
            500..=504 if command != "RSET" => answered,
            400.. if self.session.lockstep => answered,
            _ => Err(self.shifted(command, &found)),
        }
    }

    fn shifted(&mut self, command: &str, found: &Reply) -> Abort {
        let what = format!("after a refusal, {command}: {found}");
        self.desync(Command::Rcpt, what)
    }
}

/// x.1.z (RFC 3463 section 3.2), which answers MAIL and RCPT.
fn is_about_an_address(reply: &Reply) -> bool {
    reply.enhanced.is_some_and(|code| code.subject == 1)
}
