//! One mail transaction (RFC 5321 section 3.3): MAIL, RCPT for each, DATA or BDAT, the content.

mod content;
mod exchange;
#[cfg(test)]
#[path = "tests/reply_streams.rs"]
mod reply_streams;

use std::time::Duration;

use crate::config::timeouts::Timeouts;
use crate::domain::{
    Command, CommandReply, DsnRequest, Envelope, ForwardPath, Reply, SubmissionEnd,
};
use crate::relay::FinalDotGate;
use crate::smime::SecuredMessage;
use crate::smtp::chunking::Bdat;
use crate::smtp::content::Form;
use crate::smtp::dsn;
use crate::smtp::pipelining::{Ahead, denies_the_order};
use crate::smtp::preflight::{refuse_by_extensions, refuse_recipient};
use crate::smtp::session::Session;
use crate::smtp::stream::{ReplyError, Wait};

/// Recipients that are written ahead of their replies. More could fill both directions of
/// the connection while neither side reads (RFC 2920 section 3.1).
const GROUP: usize = 100;

/// One transaction to carry out.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) message: &'a SecuredMessage,
    pub(super) gate: &'a dyn FinalDotGate,
    /// The last command: [`Command::EndOfData`] for all that is meant.
    pub(super) until: Command,
}

/// What became of a transaction.
pub(super) struct TransactionResult {
    pub(super) replies: Vec<CommandReply>,
    pub(super) end: SubmissionEnd,
    /// The session may carry another one.
    pub(super) reusable: bool,
    /// A kept connection whose server had given it up meanwhile, or seems to have: another one
    /// has to be asked.
    pub(super) stale: bool,
    /// What was written ahead of replies, and whether that went well.
    pub(super) ahead: Ahead,
    /// Whether BDAT was used, and whether that went well.
    pub(super) bdat: Bdat,
    /// How long the final dot waited for its reply, where there was one.
    pub(super) final_dot: Option<Duration>,
    /// How the replies did not fit the commands.
    pub(super) desync: Option<String>,
}

impl TransactionResult {
    /// What was answered without a transaction.
    pub(super) fn answered(replies: Vec<CommandReply>) -> Self {
        Self {
            replies,
            end: SubmissionEnd::Answered,
            reusable: false,
            stale: false,
            ahead: Ahead::default(),
            bdat: Bdat::default(),
            final_dot: None,
            desync: None,
        }
    }
}

/// The connection is of no use any more; the last reply says why.
struct Abort(SubmissionEnd);

/// Carries out one transaction. The caller has refused what [`reject_locally`] refuses.
pub(super) async fn submit(
    session: &mut Session,
    waits: &Timeouts,
    job: Job<'_>,
) -> TransactionResult {
    let kept = session.transactions > 0;
    session.transactions += 1;
    let dsn = job.envelope.dsn.as_ref().filter(|_| session.extensions.dsn);
    let mut transaction = Transaction {
        session,
        dsn,
        waits,
        made_here: 0,
        accepted: 0,
        data_ahead: false,
        end_written: false,
        gone: false,
        done: TransactionResult::answered(Vec::new()),
    };
    let result = transaction.run(job).await;
    transaction.session.smooth = transaction.was_smooth();
    let (gone, made_here) = (transaction.gone, transaction.made_here);
    let mut done = transaction.done;
    done.reusable = result.is_ok();
    if let Err(Abort(end)) = result {
        done.end = end;
    }
    done.stale = kept && is_given_up(&done, &done.replies[made_here..], gone);
    done
}

/// Nothing but a 421, or the end of the connection, in place of the reply to MAIL. A refusal,
/// too, may be a goodbye that crossed the command: one for good, or with the end behind it.
fn is_given_up(done: &TransactionResult, said: &[CommandReply], gone: bool) -> bool {
    let [only] = said else { return false };
    let crossed = match only.reply.code {
        0 => gone,
        421 | 500.. => true,
        code => code >= 400 && !done.reusable,
    };
    only.reply.command == Command::Mail && crossed
}

struct Transaction<'a> {
    session: &'a mut Session,
    /// What is asked for, where the relay offers it.
    dsn: Option<&'a DsnRequest>,
    waits: &'a Timeouts,
    /// So many replies were made here, before the server was asked.
    made_here: usize,
    accepted: usize,
    /// `DATA` was written with the recipients.
    data_ahead: bool,
    /// The end of the content was written: the server may have taken the message.
    end_written: bool,
    /// The other end closed the connection; a time-out is something else.
    gone: bool,
    done: TransactionResult,
}

impl Transaction<'_> {
    async fn run(&mut self, job: Job<'_>) -> Result<(), Abort> {
        let (envelope, message) = (job.envelope, job.message);
        let extensions = &self.session.extensions;
        if let Some(refused) = refuse_by_extensions(extensions, envelope, message) {
            self.push(None, refused);
            return Ok(());
        }
        let due = match job.until {
            Command::Mail => Vec::new(),
            _ => self.recipients_for_the_wire(&envelope.forward_paths),
        };
        if due.is_empty() && job.until != Command::Mail {
            return Ok(());
        }
        self.made_here = self.done.replies.len();
        let taken = self.mail_and_recipients(job, &due).await?;
        if !taken || self.accepted == 0 {
            self.data_unwanted().await?;
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

    /// One recipient that cannot be written harms no other.
    fn recipients_for_the_wire<'e>(&mut self, paths: &'e [ForwardPath]) -> Vec<&'e ForwardPath> {
        let mut due = Vec::with_capacity(paths.len());
        for path in paths {
            match refuse_recipient(&path.address, self.session.extensions.smtp_utf8) {
                Some(refused) => self.push(Some(path.ordinal), refused),
                None => due.push(path),
            }
        }
        due
    }

    /// MAIL and the recipients, in groups where the server offers PIPELINING (RFC 2920).
    /// True where MAIL was taken.
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
        let taken = reply.is_success();
        self.recipient_replies(pending, taken).await?;
        if !taken {
            return Ok(false);
        }
        for group in groups {
            self.queue_recipients(group);
            let wait = Wait::new(self.waits.rcpt, "timeout.rcpt");
            // What the server said before it closed is still to be read.
            let _unwritten = self.write(Command::Rcpt, group.len(), wait).await?;
            self.recipient_replies(group, true).await?;
        }
        Ok(true)
    }

    /// Behind a transaction without a refusal DATA need not wait for the recipients.
    fn queue_data(&mut self) {
        if self.session.smooth && !self.offers_chunking() {
            self.session.stream.queue("DATA");
            self.data_ahead = true;
        }
    }

    /// CHUNKING, where the reply to BDAT can be told from those before it.
    fn offers_chunking(&self) -> bool {
        let offered = &self.session.extensions;
        offered.chunking && offered.enhanced_status_codes && !self.session.lockstep
    }

    /// Only a server that says 2.1.z to sender and recipients gets BDAT: where one of these
    /// replies comes late, it cannot be taken for the one to BDAT.
    fn may_chunk(&self) -> bool {
        let said = &self.done.replies[self.made_here..];
        let mut granted = said.iter().filter(|said| said.reply.is_success());
        self.offers_chunking() && granted.all(|said| is_about_an_address(&said.reply))
    }

    /// `SMTPUTF8` (RFC 6531 section 3.4) only where it is needed: a server that has to pass the
    /// message on to one without it sends it back.
    fn mail_line(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        international: bool,
    ) -> String {
        let sender = envelope.reverse_path.0.as_deref().unwrap_or_default();
        let mut line = format!("MAIL FROM:<{sender}>");
        if self.session.extensions.size.is_some() {
            line += &format!(" SIZE={}", message.octets().len());
        }
        // Where it is not offered, only a trial that ends at MAIL comes here.
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
            let asked = |request| dsn::of_recipient(request, address);
            let parameters = self.dsn.map(asked).unwrap_or_default();
            let line = format!("RCPT TO:<{address}>{parameters}");
            self.session.stream.queue(&line);
        }
    }

    /// Where MAIL was refused, the replies to the RCPTs behind it say nothing about the
    /// recipients: they are read and dropped.
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

    /// Nothing is granted behind a refused MAIL.
    async fn drop_reply(&mut self, wait: Wait) -> Result<(), Abort> {
        match self.session.stream.read_reply(wait).await {
            Ok(reply) if reply.code < 400 => {
                let what = "a recipient was accepted behind a refused sender";
                Err(self.desync(Command::Mail, what.to_owned()))
            }
            Ok(reply) if reply.code != 421 => Ok(()),
            Err(missing @ ReplyError::Timeout(_)) => Err(self.lost(Command::Mail, missing)),
            // The refusal of MAIL stands and is an answer.
            _ => Err(Abort(SubmissionEnd::Answered)),
        }
    }

    /// A server that denies the order of commands that it offered to take says nothing about
    /// sender and recipient.
    fn check_order(&mut self, reply: &Reply) -> Result<(), Abort> {
        if !denies_the_order(reply) {
            return Ok(());
        }
        if !self.done.ahead.was_used() {
            return match reply.code {
                300..=399 => Err(self.desync(reply.command, format!("it said '{reply}'"))),
                _ => Ok(()),
            };
        }
        self.done.ahead.denied();
        self.done.replies.truncate(self.made_here);
        let what = format!("the server offers PIPELINING and does not do it: {reply}");
        Err(self.broken(Reply::absent(reply.command, what)))
    }

    /// DATA goes alone, after all replies to RCPT, unless the transaction before had no
    /// refusal: without an accepted recipient servers answer it in three different ways, and
    /// some count it as an error. True after 354.
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

    /// The reply to a DATA that nobody was accepted for says nothing about the message. A server
    /// that waits for content all the same gets none: RFC 2920 section 3.1 would send it a lone
    /// dot, but a closed connection cannot become an empty message.
    async fn data_unwanted(&mut self) -> Result<(), Abort> {
        if !self.data_ahead {
            return Ok(());
        }
        let wait = Wait::new(self.waits.data, "timeout.data");
        match self.session.stream.read_reply(wait).await {
            Ok(reply) if reply.code < 300 => {
                let what = "the server answered DATA with 2yz behind refused recipients";
                Err(self.desync(Command::Data, what.to_owned()))
            }
            Ok(refused) if refused.code >= 400 && refused.code != 421 => Ok(()),
            _ => Err(Abort(SubmissionEnd::Answered)),
        }
    }

    /// All that was asked was granted.
    fn was_smooth(&self) -> bool {
        let replies = &self.done.replies;
        let end = replies.last().map(|last| last.reply.command);
        let granted = |reply: &Reply| matches!(reply.code, 200..=399);
        end == Some(Command::EndOfData) && replies.iter().all(|it| granted(&it.reply))
    }

    /// Leaves the session clean for the next transaction. What was refused stands where RSET is
    /// answered as it has to be, or not at all. That answer may look like one to MAIL or RCPT, which
    /// have no code where there are none, or to the content; the one to EHLO, which resets, too
    /// (RFC 5321 section 4.1.4), does not.
    async fn reset(&mut self) -> Result<(), Abort> {
        // The reply to it looks like one to BDAT.
        self.session.extensions.chunking = false;
        let (reply, _) = self.behind_a_refusal("RSET").await?;
        let alike = reply.enhanced.is_none() || self.end_written;
        let Some(ehlo) = self.session.ehlo.clone().filter(|_| alike) else {
            return Ok(());
        };
        match self.behind_a_refusal(&ehlo).await? {
            (_, lines) if lines > 1 => Ok(()),
            (reply, _) => Err(self.shifted(&ehlo, &reply)),
        }
    }

    /// The success that the command was answered with, and its lines.
    async fn behind_a_refusal(&mut self, command: &str) -> Result<(Reply, usize), Abort> {
        let answered = Err(Abort(SubmissionEnd::Answered));
        let wait = Wait::new(self.waits.command, "timeout.command");
        self.session.stream.queue(command);
        let reply = match self.session.stream.flush(wait).await {
            Ok(()) => self.session.stream.read_reply(wait).await,
            Err(lost) => Err(lost),
        };
        let lines = reply.as_ref().map_or(0, |reply| reply.lines.len());
        let found = match reply {
            Ok(reply) => reply.into_reply(Command::Rset),
            Err(lost @ ReplyError::Unsolicited(_)) => lost.into_reply(Command::Rset),
            Err(_) => return answered,
        };
        match found.code {
            200..=299 if !is_about_an_address(&found) => Ok((found, lines)),
            421 => answered,
            // A server that takes one EHLO only.
            500..=504 if command != "RSET" => answered,
            400.. if self.session.lockstep => answered,
            _ => Err(self.shifted(command, &found)),
        }
    }

    fn shifted(&mut self, command: &str, found: &Reply) -> Abort {
        let what = format!("behind a refusal, {command}: {found}");
        self.desync(Command::Rcpt, what)
    }
}

/// x.1.z (RFC 3463 section 3.2), which servers say to MAIL and RCPT.
fn is_about_an_address(reply: &Reply) -> bool {
    reply.enhanced.is_some_and(|code| code.subject == 1)
}
