//! Whether a relay supports the PIPELINING (RFC 2920) that it offers.
//!
//! Some servers, and some firewalls in front of them, offer it and lose commands that are written
//! ahead, answer only some of them, or close. No content was handed over by then, so the
//! transaction can be repeated one command at a time.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sendport_core::domain::Reply;

use super::stream::ReplyError;

/// Evidence against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipeliningFault {
    /// It answered the first commands of a group only.
    Silent,
    /// It closed the connection within a group; servers do that for other reasons, too.
    Closed,
    /// It objected to the order of the commands.
    Denied,
}

impl fmt::Display for PipeliningFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "it answered only some of the commands that were written at once",
            Self::Closed => "it closed on the first commands that were written at once",
            Self::Denied => "it objected to the order of the commands that were written at once",
        })
    }
}

/// The commands of one transaction that were written ahead of their replies.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PipelinedGroup {
    /// Commands in the current group.
    written: usize,
    /// Of these, the answered ones.
    answered: usize,
    /// The last reply was a refusal, which may be why the server closes.
    refused: bool,
    /// The largest group that was answered whole.
    whole: usize,
    doubt: Option<PipeliningFault>,
}

impl PipelinedGroup {
    /// Begins a group of so many commands.
    pub(super) fn begin(&mut self, commands: usize) {
        self.written = commands;
        self.answered = 0;
        self.refused = false;
    }

    /// One of them was answered.
    pub(super) fn answered(&mut self, reply: &Reply) {
        self.answered += 1;
        self.refused = reply.code >= 400;
        if self.answered == self.written {
            self.whole = self.whole.max(self.written);
        }
    }

    /// One of them was not answered.
    pub(super) fn lost(&mut self, reply: &ReplyError) {
        if self.written < 2 {
            return;
        }
        self.doubt = match reply {
            ReplyError::Timeout(wait) if self.answered == 0 || wait.is_rest_of_attempt => None,
            ReplyError::Timeout(_) => Some(PipeliningFault::Silent),
            ReplyError::Closed | ReplyError::Io(_) if self.refused => None,
            ReplyError::Closed | ReplyError::Io(_) => Some(PipeliningFault::Closed),
            ReplyError::NotSmtp(_) | ReplyError::Unsolicited(_) => None,
        };
    }

    /// False where no command was written ahead of a reply.
    pub(super) fn was_used(&self) -> bool {
        self.written > 1 || self.whole > 1
    }

    /// The relay objected to the order of the commands.
    pub(super) fn denied(&mut self) {
        self.doubt = Some(PipeliningFault::Denied);
    }
}

/// True of a reply to `RCPT` after an accepted `MAIL` that says: the command was lost, or came too
/// early.
pub(super) fn denies_the_order(reply: &Reply) -> bool {
    if reply.is_success() {
        return false;
    }
    let text = reply.text.to_ascii_lowercase();
    let names_it = ["pipelining", "synchronization", "synchronisation"]
        .iter()
        .any(|word| text.contains(word));
    matches!(reply.code, 300..=399 | 503) || (reply.code >= 400 && names_it)
}

/// The state of one relay, until the process ends.
#[derive(Debug, Default)]
pub(super) struct Pipelining {
    /// The largest group that was ever answered whole.
    proven: AtomicUsize,
    refuted: AtomicBool,
}

impl Pipelining {
    /// False: write one command at a time.
    pub(super) fn is_trusted(&self) -> bool {
        !self.refuted.load(Ordering::Relaxed)
    }

    /// Learns from a transaction. True where it has to be repeated one command at a time. A closed
    /// connection counts against a relay only where it never answered as many commands at once.
    pub(super) fn learn(&self, ahead: &PipelinedGroup) -> bool {
        let proven = self.proven.fetch_max(ahead.whole, Ordering::Relaxed);
        let Some(doubt) = ahead.doubt else {
            return false;
        };
        let well_known = ahead.written <= proven.max(ahead.whole);
        if doubt == PipeliningFault::Closed && well_known && self.is_trusted() {
            return false;
        }
        if !self.refuted.swap(true, Ordering::Relaxed) {
            tracing::info!(
                %doubt,
                "relay advertises PIPELINING but breaks it, pipelining off until restart"
            );
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::stream::Wait;
    use super::*;
    use sendport_core::domain::Command;

    fn ahead(commands: usize, answered: usize, lost: Option<&ReplyError>) -> PipelinedGroup {
        let mut ahead = PipelinedGroup::default();
        ahead.begin(commands);
        let ok = Reply::new(Command::Rcpt, 250, None, "ok");
        (0..answered).for_each(|_| ahead.answered(&ok));
        if let Some(lost) = lost {
            ahead.lost(lost);
        }
        ahead
    }

    fn timed_out(is_rest_of_attempt: bool) -> ReplyError {
        ReplyError::Timeout(Wait {
            is_rest_of_attempt,
            ..Wait::new(Duration::from_secs(1), "timeout.rcpt")
        })
    }

    #[test]
    fn distrusts_a_relay_that_answers_part_of_a_group() {
        let relay = Pipelining::default();
        assert!(!relay.learn(&ahead(3, 3, None)));
        assert!(relay.learn(&ahead(3, 1, Some(&timed_out(false)))));
        assert!(!relay.is_trusted());
    }

    #[test]
    fn trusts_a_relay_that_hangs_or_exceeds_the_attempt() {
        let relay = Pipelining::default();
        assert!(!relay.learn(&ahead(3, 0, Some(&timed_out(false)))));
        assert!(!relay.learn(&ahead(3, 1, Some(&timed_out(true)))));
        assert!(!relay.learn(&ahead(1, 0, Some(&ReplyError::Closed))));
        assert!(relay.is_trusted());
    }

    #[test]
    fn a_close_counts_only_for_a_group_larger_than_any_answered_before() {
        let closed = Some(&ReplyError::Closed);
        let well_known = Pipelining::default();
        assert!(!well_known.learn(&ahead(101, 101, None)));
        assert!(!well_known.learn(&ahead(3, 1, closed)));
        assert!(well_known.is_trusted());
        let unknown = Pipelining::default();
        assert!(!unknown.learn(&ahead(2, 2, None)));
        assert!(unknown.learn(&ahead(101, 1, closed)));
        assert!(!unknown.is_trusted());
    }

    #[test]
    fn a_close_after_a_refusal_does_not_count() {
        let relay = Pipelining::default();
        let mut closed = ahead(3, 1, None);
        closed.answered(&Reply::new(Command::Rcpt, 521, None, "no mail here"));
        closed.lost(&ReplyError::Closed);
        assert!(!relay.learn(&closed) && relay.is_trusted());
    }

    #[test]
    fn distinguishes_objections_to_the_order_from_refusals() {
        let denies = |code, text| denies_the_order(&Reply::new(Command::Rcpt, code, None, text));
        for (code, text) in [
            (503, "Bad sequence of commands"),
            (354, "go"),
            (554, "SMTP synchronization error"),
            (550, "Improper use of SMTP command pipelining"),
        ] {
            assert!(denies(code, text), "{code} {text}");
        }
        assert!(!denies(550, "no such user") && !denies(250, "pipelined"));
    }
}
