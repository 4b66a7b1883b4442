//! What a report says became of a message after a relay took it.

use super::Fault;
use super::alert::word_enum;
use super::{AlertId, PublicId, Timestamp};

word_enum! {
    /// What a report says about one recipient.
    pub enum ReportedOutcome {
        /// The message is in the mailbox: `Action: delivered` (RFC 3464 section 2.3.3), or a
        /// disposition notification that says anything but `displayed`.
        Delivered = "delivered",
        /// The message is not delivered, and nothing more is tried.
        Bounced = "bounced",
        /// The message is late, and is tried again.
        Delayed = "delayed",
        /// The message went on to a server, or to a list, that sends no such reports.
        RelayedOn = "relayed-on",
        /// A server tried until its time was over, and gave up.
        Expired = "expired",
        /// The message was displayed (RFC 8098 section 3.2.6.2).
        Read = "read",
    }
}

word_enum! {
    /// Why a message came back. It decides whether it is of use to send to that address again.
    pub enum BounceClass {
        /// The address does not exist, or exists no more.
        Hard = "hard",
        /// Something that passes: a network, a server, a limit.
        Soft = "soft",
        /// The sending server, its address or its domain is refused.
        Blocked = "blocked",
        /// The mailbox, or its server, has no room.
        Quota = "quota",
        /// A rule refuses the message: permission, size, authentication, form.
        Policy = "policy",
        /// The content counts as spam or as malware.
        Spam = "spam",
        /// Not a bounce: a person's or a system's automatic answer.
        AutoReply = "auto-reply",
    }
}

impl BounceClass {
    /// The party at fault, where the entry of the table does not say another.
    pub fn fault(self) -> Fault {
        match self {
            Self::Hard | Self::Quota | Self::AutoReply => Fault::Recipient,
            Self::Policy | Self::Spam => Fault::Message,
            Self::Soft | Self::Blocked => Fault::Relay,
        }
    }
}

impl ReportedOutcome {
    /// Among several reports of one recipient the one with the greatest weight is shown, of equal ones the latest.
    pub fn weight(self) -> u32 {
        match self {
            Self::Delayed => 1,
            Self::RelayedOn => 2,
            Self::Delivered => 3,
            Self::Read => 4,
            Self::Expired => 5,
            Self::Bounced => 6,
        }
    }

    /// The recipient did not get the message.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Expired | Self::Bounced)
    }
}

word_enum! {
    /// What kind of message a report is.
    pub enum FeedbackKind {
        /// A delivery status notification, in the form of RFC 3464 or in another one.
        DeliveryStatus = "delivery-status",
        /// A message disposition notification (RFC 8098).
        Disposition = "disposition",
        /// A recipient's complaint (RFC 5965).
        Complaint = "complaint",
        /// An automatic reply: out of office, a ticket, a challenge.
        AutoReply = "auto-reply",
        /// No report.
        Other = "other",
    }
}

/// What identifies the message that a report is about, in a way that only its receiver can know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedbackProof {
    /// A return path that the service made for this transaction, not expired; and for this recipient alone, where it was
    /// made so.
    ReturnPath {
        /// Its alert.
        alert: AlertId,
        /// The random half of the transaction's key: see [`AttemptKey::random_half`](super::AttemptKey::random_half).
        attempt: u64,
        /// [`Recipient::ordinal`](super::Recipient::ordinal).
        recipient: Option<u32>,
    },
    /// The original message, in a mailbox that only the service's own mail system writes reports to.
    Mailbox(PublicId),
}

/// A report as the service read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// Identifies the report in its source, so that reading it twice records it once; at most 200 characters.
    pub key: String,
    /// The name of what it was read from.
    pub source: String,
    /// What it is.
    pub kind: FeedbackKind,
    /// What proves it, or why nothing does.
    pub proof: Result<FeedbackProof, String>,
    /// Its own header `From`, decoded.
    pub from: Option<String>,
    /// Its header `Subject`, decoded.
    pub subject: Option<String>,
    /// Its own `Message-ID`.
    pub message_id: Option<String>,
    /// Its size.
    pub size_bytes: u64,
    /// What it says of recipients; at most [`MOST_REPORTED`](Self::MOST_REPORTED).
    pub recipients: Vec<RecipientFeedback>,
}

impl Feedback {
    /// Most recipients of one record; a report with more of them is recorded in several.
    pub const MOST_REPORTED: usize = 100;
}

/// What a report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientFeedback {
    /// `Original-Recipient` (RFC 3464 section 2.3.1), without its type.
    pub original_recipient: Option<String>,
    /// `Final-Recipient` (section 2.3.2), without its type; or the address in a text.
    pub final_recipient: Option<String>,
    /// What became of the message.
    pub outcome: ReportedOutcome,
    /// When, as the report says.
    pub at: Option<Timestamp>,
    /// `Reporting-MTA`, or the recipient's program.
    pub reported_by: Option<String>,
    /// The reply code in `Diagnostic-Code`.
    pub reply_code: Option<u32>,
    /// `Status` (RFC 3463).
    pub enhanced: Option<String>,
    /// `Diagnostic-Code`, or the words of the report.
    pub text: Option<String>,
    /// Why it failed.
    pub class: Option<BounceClass>,
    /// Key of the table of replies.
    pub explanation: Option<String>,
}
