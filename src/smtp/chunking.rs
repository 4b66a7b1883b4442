//! Whether a relay that offers CHUNKING (RFC 3030) can be taken at its word.
//!
//! Some firewalls let the offer of the server behind them through and do not know BDAT. Where
//! the command was denied nothing was handed over, so the same transaction can be repeated with
//! DATA.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::domain::Reply;

/// What came of BDAT in one transaction.
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

/// True of a reply to BDAT behind an accepted recipient that says: I do not know that command,
/// or not like this.
pub(super) fn denies_bdat(reply: &Reply) -> bool {
    let of_a_recipient = reply.enhanced.is_some_and(|code| code.subject == 1);
    matches!(reply.code, 500..=504) && !of_a_recipient
}

/// What is known of one relay, for as long as this process runs.
#[derive(Debug, Default)]
pub(super) struct Chunking {
    proven: AtomicBool,
    refuted: AtomicBool,
}

impl Chunking {
    /// False: DATA.
    pub(super) fn is_trusted(&self) -> bool {
        !self.refuted.load(Ordering::Relaxed)
    }

    /// Learns from a transaction. True where it has to be repeated with DATA. A reply that did
    /// not come leaves the message in doubt, which must not be repeated at once. Neither is held
    /// against a relay that took BDAT before: that one worded a refusal badly, or went away.
    pub(super) fn learn(&self, relay: &str, bdat: Bdat) -> bool {
        match bdat {
            Bdat::Unused => false,
            Bdat::Answered => {
                self.proven.store(true, Ordering::Relaxed);
                false
            }
            Bdat::Denied => {
                self.refute(relay, "it denied BDAT");
                true
            }
            Bdat::Unanswered => {
                self.refute(relay, "it did not answer the first BDAT");
                false
            }
        }
    }

    fn refute(&self, relay: &str, doubt: &str) {
        if self.proven.load(Ordering::Relaxed) {
            return;
        }
        if !self.refuted.swap(true, Ordering::Relaxed) {
            tracing::info!(
                relay,
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
    fn a_relay_that_denies_bdat_gets_the_message_again() {
        let relay = Chunking::default();
        assert!(relay.learn("r", Bdat::Denied));
        assert!(!relay.is_trusted());
        let well_known = Chunking::default();
        assert!(!well_known.learn("r", Bdat::Answered));
        assert!(well_known.learn("r", Bdat::Denied));
        assert!(well_known.is_trusted());
    }

    #[test]
    fn silence_is_held_against_a_relay_that_never_answered() {
        let relay = Chunking::default();
        assert!(!relay.learn("r", Bdat::Unanswered), "it is in doubt");
        assert!(!relay.is_trusted());
        let well_known = Chunking::default();
        assert!(!well_known.learn("r", Bdat::Answered));
        assert!(!well_known.learn("r", Bdat::Unanswered));
        assert!(well_known.is_trusted());
    }
}
