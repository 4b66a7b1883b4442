//! What other mail systems reported of messages: matched to the transaction that a report proves to be about.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, Feedback, FeedbackProof, RecipientFeedback};

use super::StoreError;

/// Most reports that are recorded of one recipient: one who has a return path cannot fill the database.
pub const MOST_FEEDBACK: u32 = 20;

/// What was done with a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedbackResult {
    /// It is recorded of these recipients.
    Matched {
        /// Of this alert.
        alert: AlertId,
        /// Their ordinals. Empty: it says nothing of a recipient, such as an automatic reply.
        recipients: Vec<u32>,
    },
    /// It is recorded, and changes nothing, for this reason.
    Unmatched(String),
    /// It was recorded before.
    Repeated,
    /// Nothing is recorded: its transaction has no row. An outcome can reach the database after the report does, so the
    /// caller asks again for a while.
    UnknownTransaction,
}

/// Records reports.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait FeedbackStore: Send + Sync {
    /// In one transaction: records the report, and what it says of each recipient of the transaction that it proves to be
    /// about. Of its alert no status changes. Repeated, it is done once.
    ///
    /// `is_last`: a report whose transaction has no row is recorded as one that matches nothing.
    async fn record_feedback(
        &self,
        feedback: &Feedback,
        is_last: bool,
    ) -> Result<FeedbackResult, StoreError>;
}

/// The transaction that a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportedTransaction {
    pub(crate) alert: AlertId,
    /// `Attempt.AttemptId`.
    pub(crate) attempt: i64,
    /// The address that got the message instead of its recipients.
    pub(crate) redirect_to: Option<String>,
    /// Ordinal and address.
    pub(crate) recipients: Vec<(u32, String)>,
}

/// What a report says, sorted by whether it can be recorded of a recipient.
#[derive(Debug, Default)]
pub(crate) struct Assigned<'a> {
    /// Of the recipient with this ordinal; of each one thing, that which says most.
    pub(crate) recipients: BTreeMap<u32, &'a RecipientFeedback>,
    /// Of none.
    pub(crate) others: Vec<&'a RecipientFeedback>,
}

impl ReportedTransaction {
    /// Original-Recipient first: a Final-Recipient may be the address that a message was forwarded to. What is reported of
    /// the only recipient is about it, whatever its address.
    pub(crate) fn assign<'a>(&self, feedback: &'a Feedback) -> Assigned<'a> {
        let only = match feedback.proof {
            Ok(FeedbackProof::ReturnPath { recipient, .. }) => recipient,
            _ => None,
        };
        let only = only.or(match &self.recipients[..] {
            [(ordinal, _)] => Some(*ordinal),
            _ => None,
        });
        let mut assigned = Assigned::default();
        for reported in &feedback.recipients {
            let addresses = [&reported.original_recipient, &reported.final_recipient];
            let mut addresses = addresses.into_iter().flatten();
            let named = addresses.clone().find_map(|it| self.named(it)).or(only);
            match named {
                Some(ordinal) if only.is_none_or(|only| only == ordinal) => {
                    assigned.put(ordinal, reported);
                }
                None if addresses.any(|it| self.is_redirected_to(it)) => {
                    let all = self.recipients.iter();
                    all.for_each(|(ordinal, _)| assigned.put(*ordinal, reported));
                }
                _ => assigned.others.push(reported),
            }
        }
        assigned
    }

    fn named(&self, address: &str) -> Option<u32> {
        let found = self.recipients.iter().find(|(_, it)| is_same(it, address));
        found.map(|(ordinal, _)| *ordinal)
    }

    fn is_redirected_to(&self, address: &str) -> bool {
        let redirect_to = self.redirect_to.as_deref();
        redirect_to.is_some_and(|it| is_same(it, address))
    }
}

/// Mail systems change the case of an address on its way.
fn is_same(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

impl<'a> Assigned<'a> {
    fn put(&mut self, ordinal: u32, reported: &'a RecipientFeedback) {
        let kept = self.recipients.entry(ordinal).or_insert(reported);
        if kept.outcome.weight() < reported.outcome.weight() {
            *kept = reported;
        }
    }

    /// What is recorded of no recipient, in one line.
    pub(crate) fn summary(&self) -> Option<String> {
        let each = self.others.iter().map(|it| {
            let address = it
                .final_recipient
                .as_ref()
                .or(it.original_recipient.as_ref());
            let facts = [address, it.enhanced.as_ref(), it.text.as_ref()];
            let facts: Vec<_> = facts.into_iter().flatten().map(String::as_str).collect();
            format!("{}: {}", it.outcome, facts.join(" "))
        });
        let all: Vec<_> = each.collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}

/// The end of an attempt's key in text that has its random half.
pub(crate) fn end_of_key(random_half: u64) -> String {
    format!(
        "{:04x}-{:012x}",
        random_half >> 48,
        random_half & 0xffff_ffff_ffff
    )
}

/// Why a report matches nothing, where its transaction has no row.
pub(crate) fn unknown_transaction(proof: FeedbackProof) -> String {
    match proof {
        FeedbackProof::ReturnPath { alert, .. } => format!(
            "its return path is of a transaction of alert {alert} that the database does not have: the alert was purged, \
             or another database sent the message with the same key"
        ),
        FeedbackProof::Mailbox(id) => format!(
            "the original message is of the alert with the PublicId {id}, which the database does not have, or which was not \
             submitted"
        ),
    }
}

#[cfg(test)]
mod tests {
    use sendport_core::domain::{AttemptKey, FeedbackKind, ReportedOutcome};

    use super::*;

    fn reported(original: Option<&str>, last: Option<&str>) -> RecipientFeedback {
        RecipientFeedback {
            original_recipient: original.map(str::to_owned),
            final_recipient: last.map(str::to_owned),
            outcome: ReportedOutcome::Bounced,
            at: None,
            reported_by: None,
            reply_code: None,
            enhanced: Some("5.1.1".to_owned()),
            text: None,
            class: None,
            explanation: None,
        }
    }

    fn feedback(recipient: Option<u32>, recipients: Vec<RecipientFeedback>) -> Feedback {
        Feedback {
            key: "1".to_owned(),
            source: "bounces".to_owned(),
            kind: FeedbackKind::DeliveryStatus,
            proof: Ok(FeedbackProof::ReturnPath {
                alert: AlertId(1),
                attempt: 1,
                recipient,
            }),
            from: None,
            subject: None,
            message_id: None,
            size_bytes: 1,
            recipients,
        }
    }

    fn transaction(addresses: &[&str], redirect_to: Option<&str>) -> ReportedTransaction {
        let numbered = (0..).zip(addresses);
        ReportedTransaction {
            alert: AlertId(1),
            attempt: 1,
            redirect_to: redirect_to.map(str::to_owned),
            recipients: numbered.map(|(at, it)| (at, (*it).to_owned())).collect(),
        }
    }

    fn ordinals(transaction: &ReportedTransaction, feedback: &Feedback) -> Vec<u32> {
        let assigned = transaction.assign(feedback);
        assigned.recipients.into_keys().collect()
    }

    #[test]
    fn the_end_of_a_key_is_its_text() {
        let key = AttemptKey::fresh();
        assert!(key.0.to_string().ends_with(&end_of_key(key.random_half())));
        assert_eq!(end_of_key(1), "0000-000000000001");
    }

    #[test]
    fn the_original_recipient_goes_before_the_final_one() {
        let two = transaction(&["a@contoso.com", "b@contoso.com"], None);
        let forwarded = reported(Some("B@Contoso.com"), Some("a@contoso.com"));
        assert_eq!(ordinals(&two, &feedback(None, vec![forwarded])), [1]);
    }

    #[test]
    fn the_only_recipient_is_meant_whatever_its_address() {
        let one = transaction(&["a@contoso.com"], None);
        let forwarded = feedback(None, vec![reported(None, Some("x@fabrikam.com"))]);
        assert_eq!(ordinals(&one, &forwarded), [0]);
    }

    #[test]
    fn a_stranger_among_several_is_of_none_and_in_the_summary() {
        let two = transaction(&["a@contoso.com", "b@contoso.com"], None);
        let stranger = feedback(None, vec![reported(None, Some("x@fabrikam.com"))]);
        let assigned = two.assign(&stranger);
        assert!(assigned.recipients.is_empty());
        assert_eq!(
            assigned.summary().as_deref(),
            Some("bounced: x@fabrikam.com 5.1.1")
        );
    }

    #[test]
    fn a_return_path_of_one_recipient_reports_of_no_other() {
        let two = transaction(&["a@contoso.com", "b@contoso.com"], None);
        let other = reported(None, Some("a@contoso.com"));
        assert_eq!(
            ordinals(&two, &feedback(Some(1), vec![other])),
            [] as [u32; 0]
        );
        let unnamed = reported(None, Some("x@fabrikam.com"));
        assert_eq!(ordinals(&two, &feedback(Some(1), vec![unnamed])), [1]);
    }

    #[test]
    fn the_address_of_a_redirect_stands_for_all_recipients() {
        let two = transaction(
            &["a@contoso.com", "b@contoso.com"],
            Some("test@contoso.com"),
        );
        let redirected = reported(None, Some("test@contoso.com"));
        assert_eq!(ordinals(&two, &feedback(None, vec![redirected])), [0, 1]);
    }
}
