//! What a report says became of a message after a relay took it.

use super::Fault;
use super::alert::word_enum;

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
