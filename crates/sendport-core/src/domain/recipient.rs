//! One recipient of an alert, with a delivery status.

use super::{
    AddressError, Alert, Command, EnhancedStatusCode, Mailbox, Reply, address::split_entries,
    alert::word_enum, parse_address_list,
};

word_enum! {
    /// The header with the recipient (RFC 5322 section 3.6.3); none for `Bcc`.
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
    /// The delivery status of one recipient, from which the alert's status follows.
    pub enum RecipientStatus {
        /// Not tried yet.
        Queued = "queued",
        /// Tried; will be tried again.
        Delayed = "delayed",
        /// A relay accepted the message. Not a proof of delivery.
        Relayed = "relayed",
        /// Will not be tried again.
        Failed = "failed",
        /// It expired before a relay accepted it.
        Expired = "expired",
        /// An operator canceled it.
        Cancelled = "cancelled",
        /// A guard (duplicate, limit) suppressed it.
        Suppressed = "suppressed",
    }
}

impl RecipientStatus {
    /// True if a later transaction has to send to this recipient.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Delayed)
    }
}

/// A recipient of an alert. `ordinal` counts from 0 through To, Cc and Bcc in their written order. It is
/// the same at every reading and, with the alert's id, the key of the row, so every write can be
/// repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Position among the alert's recipients.
    pub ordinal: u32,
    /// To, Cc or Bcc.
    pub kind: RecipientKind,
    /// The mailbox; for a malformed address, `address` is the text as written.
    pub mailbox: Mailbox,
    /// Its status.
    pub status: RecipientStatus,
    /// Number of attempts.
    pub attempt_count: u32,
    /// The local refusal (a malformed address: 5.1.3), else `None`.
    pub refusal: Option<Reply>,
}

/// Most recipients of one alert. Each takes time and memory; the limit protects the service from a
/// single row.
pub const MOST_RECIPIENTS: usize = 10_000;

/// True if the three lists have more than [`MOST_RECIPIENTS`] entries, counting duplicates.
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
    // Counting separators is cheap and usually enough.
    lists().map(separators).sum::<usize>() + 3 > MOST_RECIPIENTS
        && lists().map(|list| split_entries(list).len()).sum::<usize>() > MOST_RECIPIENTS
}

/// Parses the three lists of an alert. Removes duplicates (To takes precedence over Cc, Cc over Bcc; the
/// domain is compared without case). A malformed address becomes a failed recipient with 501 5.1.3 and
/// does not affect others.
pub fn expand_recipients(alert: &Alert) -> Vec<Recipient> {
    expand_recipient_lists(
        alert.to_recipients.as_deref(),
        alert.cc_recipients.as_deref(),
        alert.bcc_recipients.as_deref(),
    )
}

/// [`expand_recipients`] of the three lists (To, Cc, Bcc).
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
