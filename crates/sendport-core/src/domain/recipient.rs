//! One addressee of one alert, the owner of a delivery status.

use super::{
    AddressError, Alert, Command, EnhancedStatusCode, Mailbox, Reply, address::split_entries,
    alert::word_enum, parse_address_list,
};

word_enum! {
    /// Which header the addressee stands in (RFC 5322 section 3.6.3). `Bcc` stands in none.
    pub enum RecipientKind {
        /// `To`.
        To = "to",
        /// `Cc`.
        Cc = "cc",
        /// Envelope only.
        Bcc = "bcc",
    }
}

word_enum! {
    /// The delivery status of one recipient: the truth that the alert's status is made from.
    pub enum RecipientStatus {
        /// Known, never tried.
        Queued = "queued",
        /// Tried, and will be tried again.
        Delayed = "delayed",
        /// The relay took responsibility. Not a proof of delivery.
        Relayed = "relayed",
        /// Will not be tried again.
        Failed = "failed",
        /// Its time ran out before a relay took it.
        Expired = "expired",
        /// An operator took it back.
        Cancelled = "cancelled",
        /// A guard (duplicate, limit) kept it from being sent.
        Suppressed = "suppressed",
    }
}

impl RecipientStatus {
    /// True where a later transaction still has to send to this recipient.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Delayed)
    }
}

/// A recipient of an alert. `ordinal` counts from 0 through To, Cc and Bcc as they were
/// written: it is the same however often the lists are read, and with the alert's id it is
/// the key of the row, so that every write is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Position among the alert's recipients.
    pub ordinal: u32,
    /// To, Cc or Bcc.
    pub kind: RecipientKind,
    /// Who; for an address that could not be read, `address` is what was written.
    pub mailbox: Mailbox,
    /// Where it stands.
    pub status: RecipientStatus,
    /// Attempts spent on this recipient.
    pub attempt_count: u32,
    /// Why it failed before any server was asked (a malformed address: 5.1.3), else `None`.
    pub refusal: Option<Reply>,
}

/// Most recipients of one alert. What is done for each of them takes time and memory, and one row
/// must not take those of the service.
pub const MOST_RECIPIENTS: usize = 10_000;

/// True where the three lists hold more than [`MOST_RECIPIENTS`], repeated ones counted.
pub fn has_too_many_recipients(alert: &Alert) -> bool {
    let lists = || {
        let lists = [
            &alert.to_recipients,
            &alert.cc_recipients,
            &alert.bcc_recipients,
        ];
        lists.into_iter().flatten()
    };
    let separators = |list: &String| list.bytes().filter(|b| b";,".contains(b)).count();
    // Counting separators is cheap, and seldom is there more to do.
    lists().map(separators).sum::<usize>() + 3 > MOST_RECIPIENTS
        && lists().map(|list| split_entries(list).len()).sum::<usize>() > MOST_RECIPIENTS
}

/// Reads the three lists of an alert. Duplicates collapse (To wins over Cc over Bcc; the
/// domain is compared without case). A malformed address becomes a failed recipient with
/// 501 5.1.3 and harms nobody else.
pub fn expand_recipients(alert: &Alert) -> Vec<Recipient> {
    expand_recipient_lists(
        alert.to_recipients.as_deref(),
        alert.cc_recipients.as_deref(),
        alert.bcc_recipients.as_deref(),
    )
}

/// [`expand_recipients`] for who has the three lists (To, Cc, Bcc) and not the whole alert.
pub fn expand_recipient_lists(
    to: Option<&str>,
    cc: Option<&str>,
    bcc: Option<&str>,
) -> Vec<Recipient> {
    let lists = [
        (RecipientKind::To, to),
        (RecipientKind::Cc, cc),
        (RecipientKind::Bcc, bcc),
    ];
    let mut seen = std::collections::HashSet::new();
    let mut recipients = Vec::new();
    for (kind, list) in lists {
        for entry in parse_address_list(list.unwrap_or_default()) {
            let (mailbox, refusal) = match entry {
                Ok(mailbox) => (mailbox, None),
                Err(error) => refused(&error),
            };
            if seen.insert(mailbox.comparable()) {
                recipients.push(Recipient {
                    ordinal: u32::try_from(recipients.len()).unwrap_or(u32::MAX),
                    kind,
                    mailbox,
                    status: if refusal.is_some() {
                        RecipientStatus::Failed
                    } else {
                        RecipientStatus::Queued
                    },
                    attempt_count: 0,
                    refusal,
                });
            }
        }
    }
    recipients
}

fn refused(error: &AddressError) -> (Mailbox, Option<Reply>) {
    let reply = Reply::local(
        Command::Rcpt,
        501,
        EnhancedStatusCode::new(5, 1, 3),
        error.to_string(),
    );
    (Mailbox::unreadable(&error.written), Some(reply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_row_holds_no_more_recipients_than_the_service_can_work_on() {
        let counted = |to: &str, bcc: &str| {
            let alert = Alert {
                to_recipients: Some(to.to_owned()),
                bcc_recipients: Some(bcc.to_owned()),
                ..fixture::alert()
            };
            (
                has_too_many_recipients(&alert),
                expand_recipients(&alert).len(),
            )
        };
        let many =
            |count: usize| -> String { (0..count).map(|n| format!("u{n}@x.com;")).collect() };
        assert_eq!(
            counted(&many(MOST_RECIPIENTS), ""),
            (false, MOST_RECIPIENTS)
        );
        assert!(counted(&many(MOST_RECIPIENTS), "b@x.com").0);
        assert_eq!(
            counted(&many(MOST_RECIPIENTS * 2), ""),
            (true, MOST_RECIPIENTS + 1)
        );
        assert!(counted(&"a@x.com;".repeat(MOST_RECIPIENTS + 1), "").0);
        assert_eq!(
            counted(&";".repeat(MOST_RECIPIENTS * 9), "b@x.com"),
            (false, 1)
        );
        let name = format!("\"{}\" <a@x.com>", ";".repeat(MOST_RECIPIENTS * 2));
        assert_eq!(counted(&name, ""), (false, 1));
    }
}
