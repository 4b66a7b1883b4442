//! What an operator asks for: a row of `OperatorRequest`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::alert::word_enum;

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
    }
}

word_enum! {
    /// The recipients that a requeue sends to.
    pub enum RequeueRecipients {
        /// Those that failed, expired or were cancelled.
        Failed = "failed",
        /// Those that have it already, too.
        All = "all",
    }
}
