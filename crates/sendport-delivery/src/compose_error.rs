//! Why an alert has no message, or none yet.

use std::time::Duration;

use sendport_store::StoreError;

use super::protection::ProtectionError;
use super::send_port::Refusal;

/// Why there is no message.
#[derive(Debug)]
pub enum ComposeError {
    /// The alert fails.
    Never(Refusal),
    /// The database does not return at the moment what the message is made of.
    NotNow {
        /// Such as "its template".
        what: &'static str,
        /// Why.
        error: StoreError,
    },
    /// The alert is due again after this time, and why; it has no error.
    Deferred(Duration, Option<String>),
    /// An operator has to correct its protection first.
    Unprotected {
        /// In a sentence.
        why: String,
        /// When to look again, where no operator has to act.
        retry_in: Option<Duration>,
    },
}

impl From<ProtectionError> for ComposeError {
    fn from(error: ProtectionError) -> Self {
        match error {
            ProtectionError::Never(refusal) => Self::Never(refusal),
            ProtectionError::NotNow { why, retry_in } => Self::Unprotected { why, retry_in },
        }
    }
}

impl From<Refusal> for ComposeError {
    fn from(refusal: Refusal) -> Self {
        Self::Never(refusal)
    }
}

impl ComposeError {
    /// `what` could not be read: a fault of the row fails the alert, any other is waited for.
    pub(crate) fn unread(what: &'static str, error: StoreError) -> Self {
        if error.is_about_data() {
            return Refusal::new("unreadable-row", error.to_string()).into();
        }
        Self::NotNow { what, error }
    }
}
