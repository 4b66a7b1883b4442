//! Why a message was not secured.

use std::time::Duration;

use openssl::error::ErrorStack;

use super::{Protection, RecipientCertificateError};

/// The protection that was asked for cannot be given: nothing may be sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SmimeError {
    /// The send port lacks a section.
    #[error(
        "protection '{}' is asked for, but the send port has no section [{section}]; nothing was sent",
        .wanted.as_str()
    )]
    NotAvailable {
        /// What was asked for.
        wanted: Protection,
        /// `signing` or `encryption`.
        section: &'static str,
    },
    /// Who signs is not who sends (RFC 8550 section 3).
    #[error(
        "From is {from}, but the signing certificate is for {addresses}: readers would show the signature as a stranger's"
    )]
    StrangeFrom {
        /// The address in From.
        from: String,
        /// Those of the certificate.
        addresses: String,
    },
    /// Nothing is wrong with the alert: an operator has to do something first.
    #[error("{0}")]
    NotNow(String),
    /// Nothing is wrong with the alert: something is under way.
    #[error("{why}")]
    Awaited {
        /// In a sentence.
        why: String,
        /// When to look again.
        retry_in: Duration,
    },
    /// An envelope that nobody could open.
    #[error("there is nobody to encrypt to")]
    Nobody,
    /// It cannot be encrypted to.
    #[error(transparent)]
    Recipient(#[from] RecipientCertificateError),
    /// Not what `mime` makes.
    #[error("the message cannot be secured: {0}")]
    Malformed(&'static str),
    /// What OpenSSL says.
    #[error("the message could not be secured: {0}")]
    Failed(#[from] ErrorStack),
}

impl SmimeError {
    /// Key into the table of replies.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::NotAvailable { .. } | Self::NotNow(_) => "protection-not-available",
            Self::Awaited { .. } => "recipient-certificate-revocation-unknown",
            Self::StrangeFrom { .. } => "signing-address-differs",
            Self::Recipient(why) => why.explanation(),
            Self::Nobody | Self::Malformed(_) | Self::Failed(_) => "protection-failed",
        }
    }

    /// How long to wait with the same alert, where something is under way.
    pub fn retry_in(&self) -> Option<Duration> {
        match self {
            Self::Awaited { retry_in, .. } => Some(*retry_in),
            _ => None,
        }
    }

    /// The same alert can be secured later, without a change to it.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::NotNow(_) | Self::Awaited { .. })
    }
}
