//! Whether a relay supports the CHUNKING (RFC 3030) that it offers.
//!
//! Some firewalls pass the offer of the server behind them on and do not know BDAT. A denied command
//! handed nothing over, so the transaction can be repeated with DATA.

use std::sync::atomic::{AtomicBool, Ordering};

use sendport_core::domain::Reply;

/// The result of BDAT in one transaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Bdat {
    /// DATA was used, or nothing was handed over.
    #[default]
    Unused,
    /// The reply was about the message.
    Answered,
    /// The reply was about the command.
    Denied,
    /// No reply came.
    Unanswered,
}

/// True of a reply to BDAT after an accepted recipient that says: the command is unknown, or its
/// form is.
pub(super) fn denies_bdat(reply: &Reply) -> bool {
    let of_a_recipient = reply.enhanced.is_some_and(|code| code.subject == 1);
    matches!(reply.code, 500..=504) && !of_a_recipient
}

/// The state of one relay, until the process ends.
#[derive(Debug, Default)]
pub(super) struct Chunking {
    proven: AtomicBool,
    refuted: AtomicBool,
}

impl Chunking {
    /// False: use DATA.
    pub(super) fn is_trusted(&self) -> bool {
        !self.refuted.load(Ordering::Relaxed)
    }

    /// Learns from a transaction. True where it has to be repeated with DATA. A missing reply leaves
    /// the message in doubt, which must not be repeated at once. Neither counts against a relay that
    /// accepted BDAT before: it worded a refusal badly, or went down.
    pub(super) fn learn(&self, bdat: Bdat) -> bool {
        match bdat {
            Bdat::Unused => false,
            Bdat::Answered => {
                self.proven.store(true, Ordering::Relaxed);
                false
            }
            Bdat::Denied => {
                self.refute("it denied BDAT");
                true
            }
            Bdat::Unanswered => {
                self.refute("it did not answer the first BDAT");
                false
            }
        }
    }

    fn refute(&self, doubt: &str) {
        if self.proven.load(Ordering::Relaxed) {
            return;
        }
        if !self.refuted.swap(true, Ordering::Relaxed) {
            tracing::info!(
                %doubt,
                "relay advertises CHUNKING but rejects BDAT, DATA used until restart"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denied_bdat_is_repeated_with_data() {
        let relay = Chunking::default();
        assert!(relay.learn(Bdat::Denied));
        assert!(!relay.is_trusted());
        let well_known = Chunking::default();
        assert!(!well_known.learn(Bdat::Answered));
        assert!(well_known.learn(Bdat::Denied));
        assert!(well_known.is_trusted());
    }

    #[test]
    fn an_unanswered_bdat_counts_only_where_none_was_answered() {
        let relay = Chunking::default();
        assert!(!relay.learn(Bdat::Unanswered), "it is in doubt");
        assert!(!relay.is_trusted());
        let well_known = Chunking::default();
        assert!(!well_known.learn(Bdat::Answered));
        assert!(!well_known.learn(Bdat::Unanswered));
        assert!(well_known.is_trusted());
    }
}
