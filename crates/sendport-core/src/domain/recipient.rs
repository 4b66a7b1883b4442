//! One recipient of an alert, with a delivery status.

use serde::{Deserialize, Serialize};

use super::{
    AddressError, Alert, Command, EnhancedStatusCode, Mailbox, Reply, address::split_entries,
    alert::word_enum, parse_address_list, parse_mailbox,
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

/// A recipient as the alert names it. Only a parsed one can get a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RecipientTexts", into = "RecipientTexts")]
pub enum RecipientAddress {
    /// A mailbox.
    Parsed(Mailbox),
    /// What is written there is no address.
    Malformed(AddressError),
}

/// A [`RecipientAddress`] as its row has it.
#[derive(Serialize, Deserialize)]
struct RecipientTexts {
    display_name: Option<String>,
    address: String,
}

impl From<RecipientTexts> for RecipientAddress {
    fn from(texts: RecipientTexts) -> Self {
        Self::from_row(&texts.address, texts.display_name)
    }
}

impl From<RecipientAddress> for RecipientTexts {
    fn from(address: RecipientAddress) -> Self {
        Self {
            address: address.text().to_owned(),
            display_name: address.mailbox().and_then(|it| it.display_name.clone()),
        }
    }
}

impl RecipientAddress {
    /// From the columns `Address` and `DisplayName`.
    pub fn from_row(address: &str, display_name: Option<String>) -> Self {
        match parse_mailbox(address) {
            Ok(mailbox) => Self::Parsed(Mailbox {
                display_name,
                ..mailbox
            }),
            Err(error) => Self::Malformed(error),
        }
    }

    /// The mailbox; `None` where there is none.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            Self::Parsed(mailbox) => Some(mailbox),
            Self::Malformed(_) => None,
        }
    }

    /// The address, or the text that is none, for people and for the column `Address`.
    pub fn text(&self) -> &str {
        match self {
            Self::Parsed(mailbox) => &mailbox.address,
            Self::Malformed(error) => &error.written,
        }
    }

    /// The local refusal of a malformed address: 501 5.1.3.
    pub fn refusal(&self) -> Option<Reply> {
        let Self::Malformed(error) = self else {
            return None;
        };
        let enhanced = EnhancedStatusCode::new(5, 1, 3);
        Some(Reply::local(
            Command::Rcpt,
            501,
            enhanced,
            error.to_string(),
        ))
    }

    /// Equal for two spellings of one mailbox.
    fn comparable(&self) -> String {
        match self {
            Self::Parsed(mailbox) => mailbox.address.comparable(),
            Self::Malformed(error) => error.written.clone(),
        }
    }
}

impl From<Result<Mailbox, AddressError>> for RecipientAddress {
    fn from(entry: Result<Mailbox, AddressError>) -> Self {
        entry.map_or_else(Self::Malformed, Self::Parsed)
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
    /// The address.
    pub address: RecipientAddress,
    /// Its status.
    pub status: RecipientStatus,
    /// Number of attempts.
    pub attempt_count: u32,
    /// It was relayed, and a requeue of all recipients sends to it again.
    pub was_relayed: bool,
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
            let address = RecipientAddress::from(entry);
            if seen.insert(address.comparable()) {
                recipients.push(Recipient {
                    ordinal: u32::try_from(recipients.len()).unwrap_or(u32::MAX),
                    kind,
                    status: match &address {
                        RecipientAddress::Parsed(_) => RecipientStatus::Queued,
                        RecipientAddress::Malformed(_) => RecipientStatus::Failed,
                    },
                    address,
                    attempt_count: 0,
                    was_relayed: false,
                });
            }
        }
    }
    recipients
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
