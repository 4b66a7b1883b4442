//! What an operator asks for: a row of `OperatorRequest`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{RecipientAddress, alert::word_enum, parse_mailbox};

/// The key of a row in `OperatorRequest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestId(pub i64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

word_enum! {
    /// What is to be done with the alerts that match a request.
    pub enum OperatorVerb {
        /// They are not sent any more.
        Cancel = "cancel",
        /// They wait until a release.
        Hold = "hold",
        /// A hold ends.
        Release = "release",
        /// They are sent again.
        Requeue = "requeue",
        /// They are sent to one address, until a release.
        Redirect = "redirect",
        /// Those that are final and old are deleted.
        Purge = "purge",
        /// It is decided what became of one that may have been sent.
        Resolve = "resolve",
    }
}

word_enum! {
    /// The recipients that a requeue sends to.
    pub enum RequeueRecipients {
        /// Those that failed, expired or were cancelled.
        Failed = "failed",
        /// Those that have it already, too.
        All = "all",
        /// Those whose message went to the address of a redirect instead.
        Redirected = "redirected",
    }
}

word_enum! {
    /// How an operator resolves an alert that may have been sent.
    pub enum Resolution {
        /// The relay has it: recipients that wait become `relayed`, except those that the relay refused in that very
        /// attempt, which are tried again at once.
        Relayed = "relayed",
        /// It is sent again at once.
        Resend = "resend",
        /// It is not sent again: recipients that wait become `cancelled`.
        Cancel = "cancel",
    }
}

/// The redirect in force that an alert matches: the message goes to one address, and to no recipient of the alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The request of the operator.
    pub request: RequestId,
    /// The one address. A row that was written by hand may contain anything: while it is malformed, the alert waits.
    pub to: RecipientAddress,
}

impl Redirect {
    /// From the columns `RequestId` and `RedirectTo`.
    pub fn from_row(request: i64, to: Option<&str>) -> Self {
        Self {
            request: RequestId(request),
            to: parse_mailbox(to.unwrap_or_default()).into(),
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "redirected to {} by request {}",
            self.to.text(),
            self.request
        )
    }
}
