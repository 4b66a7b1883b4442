//! Why a message was not signed or encrypted.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use openssl::error::ErrorStack;

use super::Protection;
use super::folder::FolderError;
use super::identity::NotValid;

/// An error that a caller's function returned.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The requested protection cannot be applied, so nothing may be sent.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SmimeError {
    /// The send port lacks a section.
    #[error(
        "protection '{}' is asked for, but the send port has no section [{section}]; nothing was sent",
        .wanted.as_str()
    )]
    MissingSection {
        /// What was asked for.
        wanted: Protection,
        /// `signing` or `encryption`.
        section: &'static str,
    },
    /// The signing certificate is not for the address in From (RFC 8550 section 3).
    #[error(
        "From is {from}, but the signing certificate is for {addresses}: readers would show the signature as a stranger's"
    )]
    FromMismatch {
        /// The address in From.
        from: String,
        /// Those of the certificate.
        addresses: String,
    },
    /// The signing certificate is not valid now.
    #[error("{error}{}", .rejected.as_ref().map(|why| format!("; what the files hold now cannot be used: {why}")).unwrap_or_default())]
    IdentityNotValid {
        /// Which certificate, and since when.
        #[source]
        error: NotValid,
        /// Why its replacement cannot be used, where there is one.
        rejected: Option<String>,
    },
    /// `certificates_folder` cannot be read.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database does not return the recipients' certificates.
    #[error("its recipients' certificates cannot be read: {0}")]
    CertificateStore(#[source] Arc<dyn Error + Send + Sync>),
    /// Whether a recipient's certificate was revoked is still being checked.
    #[error("{why}")]
    RevocationPending {
        /// What is missing, in a sentence.
        why: String,
        /// When to try again.
        retry_in: Duration,
    },
    /// An envelope without recipients.
    #[error("there is no recipient to encrypt to")]
    NoRecipients,
    /// A recipient's certificate cannot be used.
    #[error(transparent)]
    Recipient(#[from] RecipientCertificateError),
    /// The message does not have the form that the module `mime` gives it.
    #[error("the message cannot be secured: {0}")]
    Malformed(&'static str),
    /// OpenSSL failed.
    #[error("the message could not be secured: {0}")]
    OpenSsl(#[from] ErrorStack),
}

impl SmimeError {
    /// Key into the table of reply explanations.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::MissingSection { .. }
            | Self::IdentityNotValid { .. }
            | Self::Folder(_)
            | Self::CertificateStore(_) => "protection-not-available",
            Self::RevocationPending { .. } => "recipient-certificate-revocation-unknown",
            Self::FromMismatch { .. } => "signing-address-differs",
            Self::Recipient(why) => why.explanation(),
            Self::NoRecipients | Self::Malformed(_) | Self::OpenSsl(_) => "protection-failed",
        }
    }

    /// When to try the same alert again, where something is under way.
    pub fn retry_in(&self) -> Option<Duration> {
        match self {
            Self::RevocationPending { retry_in, .. } => Some(*retry_in),
            _ => None,
        }
    }

    /// The same alert can be protected later, without a change to it: an operator or a server has
    /// to act first.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::IdentityNotValid { .. }
                | Self::Folder(_)
                | Self::CertificateStore(_)
                | Self::RevocationPending { .. }
        )
    }
}

/// Why there is no certificate to encrypt to. Each text is a sentence that names the certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientCertificateError {
    /// The address has none.
    #[error("{0}")]
    Missing(String),
    /// It is expired.
    #[error("{0}")]
    Expired(String),
    /// It is not valid yet.
    #[error("{0}")]
    NotYetValid(String),
    /// It cannot be read.
    #[error("{0}")]
    Malformed(String),
    /// It is stored for an address that it does not contain.
    #[error("{0}")]
    WrongAddress(String),
    /// Its key does not fit.
    #[error("{0}")]
    Unusable(String),
    /// Its chain does not end at an authority of `ca_file`.
    #[error("{0}")]
    Untrusted(String),
    /// An operator revoked it, or an authority revoked it or a certificate above it.
    #[error("{0}")]
    Revoked(String),
    /// Its revocation cannot be checked, and time does not change that.
    #[error("{0}")]
    RevocationUnknown(String),
    /// Its revocation is still being checked.
    #[error("{why}")]
    RevocationPending {
        /// What is missing, in a sentence.
        why: String,
        /// When something may have changed.
        retry_in: Duration,
    },
}

impl RecipientCertificateError {
    /// Of two for one address, the one to report: `RevocationPending`, because that certificate
    /// may become usable, else the first.
    pub(super) fn more_relevant(first: Option<Self>, second: Self) -> Option<Self> {
        match (&first, &second) {
            (Some(Self::RevocationPending { .. }), _) => first,
            (_, Self::RevocationPending { .. }) | (None, _) => Some(second),
            _ => first,
        }
    }

    /// Key into the table of reply explanations.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::Missing(_) => "recipient-certificate-missing",
            Self::Expired(_) => "recipient-certificate-expired",
            Self::NotYetValid(_) => "recipient-certificate-not-yet-valid",
            Self::Revoked(_) => "recipient-certificate-revoked",
            Self::Malformed(_) => "recipient-certificate-malformed",
            Self::WrongAddress(_) => "recipient-certificate-wrong-address",
            Self::Unusable(_) => "recipient-certificate-unusable",
            Self::Untrusted(_) => "recipient-certificate-untrusted",
            Self::RevocationUnknown(_) | Self::RevocationPending { .. } => {
                "recipient-certificate-revocation-unknown"
            }
        }
    }
}

/// A word of the configuration or the database that is none of the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not a {kind}; write one of {}", .known.join(", "))]
pub struct UnknownWord {
    kind: &'static str,
    given: String,
    known: Vec<&'static str>,
}

impl UnknownWord {
    /// Finds the value whose word is `given`.
    pub(super) fn find<T: Copy>(
        kind: &'static str,
        given: &str,
        known: &[T],
        word: impl Fn(T) -> &'static str,
    ) -> Result<T, Self> {
        let matching = known.iter().copied().find(|it| word(*it) == given);
        matching.ok_or_else(|| Self {
            kind,
            given: given.to_owned(),
            known: known.iter().copied().map(word).collect(),
        })
    }
}

/// A path, and why its file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {error}", .path.display())]
pub(super) struct FileError<E: Error + 'static> {
    /// The file.
    pub(super) path: std::path::PathBuf,
    /// Why.
    #[source]
    pub(super) error: E,
}

/// Why the key of a certificate cannot be used for what it is configured for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyError {
    /// Below the limit.
    #[error("its RSA key has {bits} bits, at least {least} are needed")]
    ShortRsaKey {
        /// Of the key.
        bits: u32,
        /// The limit.
        least: u32,
    },
    /// Such as Ed25519 or DSA.
    #[error("its key is neither RSA nor EC")]
    UnsupportedKey,
    /// RFC 5280 section 4.2.1.3.
    #[error("its keyUsage lacks {0}")]
    KeyUsage(&'static str),
    /// RFC 5280 section 4.2.1.12.
    #[error("its extendedKeyUsage lacks emailProtection")]
    ExtendedKeyUsage,
    /// The certificate is malformed.
    #[error("it is not in DER")]
    NotDer,
    /// OpenSSL cannot read it.
    #[error("its key cannot be read: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// A list of names for messages; "no address at all" where it is empty.
pub(super) struct Addresses<'a>(pub(super) &'a [String]);

impl fmt::Display for Addresses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.is_empty() {
            true => f.write_str("no address at all"),
            false => f.write_str(&self.0.join(", ")),
        }
    }
}
