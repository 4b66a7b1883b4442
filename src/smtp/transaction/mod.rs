//! One mail transaction (RFC 5321 section 3.3): MAIL, RCPT for each, DATA or BDAT, the content.

mod handover;

use std::time::Duration;

use tokio::time::Instant;

use crate::config::timeouts::Timeouts;
use crate::domain::{
    Command, CommandReply, DsnRequest, Envelope, ForwardPath, Reply, SecuredMessage, SubmissionEnd,
};
use crate::relay::FinalDotGate;
use crate::smtp::chunking::Bdat;
use crate::smtp::content::Form;
use crate::smtp::dsn;
use crate::smtp::pipelining::{Ahead, denies_the_order};
use crate::smtp::refused_here::{refuse_by_extensions, refuse_recipient};
use crate::smtp::session::{Readiness, Session};
use crate::smtp::stream::{NoReply, Wait};

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
pub(super) struct Done {
    pub(super) replies: Vec<CommandReply>,
    pub(super) end: SubmissionEnd,
    /// The session may carry another one.
    pub(super) reusable: bool,
    /// The connection was gone, or said goodbye, before it took anything: a kept one that
    /// the server had given up meanwhile.
    pub(super) stale: bool,
    /// What was written ahead of replies, and whether that went well.
    pub(super) ahead: Ahead,
    /// Whether BDAT was used, and whether that went well.
    pub(super) bdat: Bdat,
    /// How long the final dot waited for its reply, where there was one.
    pub(super) final_dot: Option<Duration>,
}

/// The connection is of no use any more; the last reply says why.
struct Ended(SubmissionEnd);

/// Carries out one transaction. The caller has refused what [`refuse_locally`] refuses.
pub(super) async fn submit(session: &mut Session, waits: &Timeouts, job: Job<'_>) -> Done {
    session.transactions += 1;
    let dsn = job.envelope.dsn.as_ref().filter(|_| session.extensions.dsn);
    let mut transaction = Transaction {
        session,
        dsn,
        waits,
        replies: Vec::new(),
        accepted: 0,
        behind: Behind::Nothing,
        in_flight: None,
        gone: false,
        ahead: Ahead::default(),
        bdat: Bdat::default(),
        final_dot: None,
    };
    let result = transaction.run(job).await;
    transaction.session.smooth_at = transaction.was_smooth().then(Instant::now);
    let (replies, gone, ahead) = (transaction.replies, transaction.gone, transaction.ahead);
    let (bdat, final_dot) = (transaction.bdat, transaction.final_dot);
    match result {
        Ok(()) => Done {
            replies,
            end: SubmissionEnd::Answered,
            reusable: true,
            stale: false,
            ahead,
            bdat,
            final_dot,
        },
        Err(Ended(end)) => Done {
            stale: end == SubmissionEnd::Broken && is_goodbye_at_once(&replies, gone),
            replies,
            end,
            reusable: false,
            ahead,
            bdat,
            final_dot,
        },
    }
}

/// Nothing but a 421, or the end of the connection, in place of the reply to MAIL.
fn is_goodbye_at_once(replies: &[CommandReply], gone: bool) -> bool {
    let mut asked = replies
        .iter()
        .filter(|reply| reply.ordinal.is_none())
        .map(|reply| &reply.reply);
    match (asked.next(), asked.next()) {
        (Some(only), None) => {
            only.command == Command::Mail && (only.code == 421 || (only.code == 0 && gone))
        }
        _ => false,
    }
}

/// What is written behind the recipients before they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Nothing,
    /// `DATA`.
    Data,
    /// `BDAT` with all of the content.
    Content,
}

struct Transaction<'a> {
    session: &'a mut Session,
    /// What is asked for, where the relay offers it.
    dsn: Option<&'a DsnRequest>,
    waits: &'a Timeouts,
    replies: Vec<CommandReply>,
    accepted: usize,
    behind: Behind,
    /// Since when the content is on its way without a reply to it: whatever else is seen of the
    /// connection, the server may have taken the message.
    in_flight: Option<Instant>,
    /// The other end closed the connection; a time-out is something else.
    gone: bool,
    ahead: Ahead,
    bdat: Bdat,
    final_dot: Option<Duration>,
}

impl Transaction<'_> {
    async fn run(&mut self, job: Job<'_>) -> Result<(), Ended> {
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
        let taken = self.mail_and_recipients(job, &due).await?;
        if !taken || self.accepted == 0 {
            self.behind_unwanted().await?;
            return self.reset().await;
        }
        if self.in_flight.is_some() {
            return self.answer_to_content(None).await;
        }
        self.stand_in_step().await?;
        if job.until == Command::EndOfData && self.session.extensions.chunking {
            return self.content(Form::Bdat, message, job.gate).await;
        }
        if job.until < Command::Data || !self.data().await? {
            return self.reset().await;
        }
        if job.until == Command::Data {
            return Err(Ended(SubmissionEnd::Fenced));
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
    ) -> Result<bool, Ended> {
        let group = if self.session.extensions.pipelining {
            GROUP
        } else {
            1
        };
        let mut groups = due.chunks(group);
        let international = due.iter().any(|path| !path.address.is_ascii());
        let mail = self.mail_line(job.envelope, job.message, international);
        self.session.stream.queue(&mail);
        let mut pending: &[&ForwardPath] = &[];
        if self.session.extensions.pipelining {
            pending = groups.next().unwrap_or_default();
            self.queue_recipients(pending);
            if groups.len() == 0 {
                self.queue_behind(job)?;
            }
        }
        self.ahead.begin(1 + pending.len());
        let wait = Wait::new(self.waits.mail, "timeout.mail");
        let unwritten = self.session.stream.flush(wait).await.err();
        if self.behind == Behind::Content && unwritten.is_none() {
            self.content_written(job.message);
        }
        let reply = self.read(Command::Mail, None, wait, unwritten).await?;
        self.check_order(&reply)?;
        let taken = reply.is_success();
        self.recipient_replies(pending, taken).await?;
        if !taken {
            return Ok(false);
        }
        for group in groups {
            self.queue_recipients(group);
            self.ahead.begin(group.len());
            let wait = Wait::new(self.waits.rcpt, "timeout.rcpt");
            // What the server said before it closed is still to be read.
            let _unwritten = self.session.stream.flush(wait).await;
            self.recipient_replies(group, true).await?;
        }
        Ok(true)
    }

    /// Where the transaction before had no refusal, what comes behind the recipients need not
    /// wait for them.
    fn queue_behind(&mut self, job: Job<'_>) -> Result<(), Ended> {
        let Some(smooth_at) = self.session.smooth_at else {
            return Ok(());
        };
        if job.until < Command::EndOfData {
            return Ok(());
        }
        if !self.session.extensions.chunking {
            self.session.stream.queue("DATA");
            self.behind = Behind::Data;
        } else if self.content_may_go_along(job.message, smooth_at) {
            self.queue_content(job.message, job.gate)?;
            self.behind = Behind::Content;
        }
        Ok(())
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
        let eight_bit = message.is_8bit();
        if eight_bit {
            line += " BODY=8BITMIME";
        }
        let international = international || !sender.is_ascii();
        if international || (eight_bit && message.is_international()) {
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
    ) -> Result<(), Ended> {
        let wait = Wait::new(self.waits.rcpt, "timeout.rcpt");
        for path in group {
            if !count {
                let dropped = self.session.stream.read_reply(wait).await;
                // The refusal of MAIL stands and is an answer; the next use finds out.
                if !dropped.is_ok_and(|reply| reply.code != 421) {
                    return Err(Ended(SubmissionEnd::Answered));
                }
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

    /// A server that denies the order of commands that it offered to take says nothing about
    /// sender and recipient.
    fn check_order(&mut self, reply: &Reply) -> Result<(), Ended> {
        // What became of content that is on its way is said behind this.
        if self.in_flight.is_some() || !denies_the_order(reply) || !self.ahead.was_used() {
            return Ok(());
        }
        self.ahead.out_of_step();
        self.replies.pop();
        let what = format!("the server offers PIPELINING and does not do it: {reply}");
        Err(self.broken(Reply::absent(reply.command, what)))
    }

    /// Where more was answered than asked, the next replies would be taken for one another's.
    async fn stand_in_step(&mut self) -> Result<(), Ended> {
        let asked_more = self.behind != Behind::Nothing || !self.ahead.was_used();
        if asked_more || !self.session.stream.has_leftover() {
            return Ok(());
        }
        let wait = Wait::new(self.waits.quit, "timeout.quit");
        // A goodbye may come unasked.
        self.read(Command::Data, None, wait, None).await?;
        self.ahead.out_of_step();
        self.replies.pop();
        let what = "the server answered more commands than it was asked (PIPELINING)";
        Err(self.broken(Reply::absent(Command::Rcpt, what)))
    }

    /// DATA goes alone, after all replies to RCPT, unless the transaction before had no
    /// refusal: without an accepted recipient servers answer it in three different ways, and
    /// some count it as an error. True after 354.
    async fn data(&mut self) -> Result<bool, Ended> {
        let wait = Wait::new(self.waits.data, "timeout.data");
        let mut unwritten = None;
        if self.behind == Behind::Nothing {
            self.ahead.begin(1);
            self.session.stream.queue("DATA");
            unwritten = self.session.stream.flush(wait).await.err();
        }
        let reply = self.read(Command::Data, None, wait, unwritten).await?;
        if self.behind == Behind::Data && reply.code >= 400 {
            self.check_order(&reply)?;
        }
        if reply.code / 100 == 2 {
            self.ahead.out_of_step();
            let what = "the server answered DATA with 2yz where 354 was expected";
            return Err(self.broken(Reply::absent(Command::Data, what)));
        }
        Ok(reply.code / 100 == 3)
    }

    /// The reply to a DATA or BDAT that nobody was accepted for says nothing about the message.
    /// A server that waits for content all the same gets none: RFC 2920 section 3.1 would send
    /// it a lone dot, but a closed connection cannot become an empty message.
    async fn behind_unwanted(&mut self) -> Result<(), Ended> {
        let wait = match self.behind {
            Behind::Nothing => return Ok(()),
            Behind::Data => Wait::new(self.waits.data, "timeout.data"),
            Behind::Content => Wait::new(self.waits.end_of_data, "timeout.end_of_data"),
        };
        self.bdat = Bdat::Unused;
        match self.session.stream.read_reply(wait).await {
            Ok(refused) if refused.code >= 400 && refused.code != 421 => Ok(()),
            _ => Err(Ended(SubmissionEnd::Answered)),
        }
    }

    /// All that was asked was granted.
    fn was_smooth(&self) -> bool {
        let end = self.replies.last().map(|last| last.reply.command);
        let granted = |reply: &Reply| matches!(reply.code, 200..=399);
        end == Some(Command::EndOfData) && self.replies.iter().all(|it| granted(&it.reply))
    }

    /// Leaves the session clean for the next transaction. The reply is read when there is one.
    async fn reset(&mut self) -> Result<(), Ended> {
        let wait = Wait::new(self.waits.command, "timeout.command");
        self.session.stream.queue("RSET");
        self.session.readiness = Readiness::ResetPending;
        match self.session.stream.flush(wait).await {
            Ok(()) => Ok(()),
            Err(_) => Err(Ended(SubmissionEnd::Answered)),
        }
    }

    /// Reads and records one reply. Where none comes, or a 421, the transaction is over.
    async fn read(
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
                self.ahead.answered(&reply);
                if reply.code == 421 {
                    return Err(Ended(SubmissionEnd::Broken));
                }
                Ok(reply)
            }
            Err(lost) => {
                if self.in_flight.is_some() {
                    return Err(self.in_doubt(lost));
                }
                let lost = unwritten.unwrap_or(lost);
                self.ahead.lost(&lost);
                self.gone = matches!(lost, NoReply::Closed | NoReply::Broke(_));
                Err(self.broken(lost.into_reply(command)))
            }
        }
    }

    fn broken(&mut self, what: Reply) -> Ended {
        self.push(None, what);
        Ended(SubmissionEnd::Broken)
    }

    fn push(&mut self, ordinal: Option<u32>, reply: Reply) {
        self.replies.push(CommandReply { ordinal, reply });
    }
}
