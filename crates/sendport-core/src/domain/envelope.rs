//! Envelope and bytes: what a mail transaction carries.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Address, AddressError, DsnRequest};

/// `MAIL FROM` (RFC 5321 section 4.1.1.2): an address, or the null reverse-path `<>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReversePath(pub Option<Address>);

impl ReversePath {
    /// The address; empty for the null reverse-path.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }
}

/// A text is no reverse-path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; write an address, or \"<>\" for the null reverse-path")]
pub struct ReversePathError(#[from] AddressError);

impl TryFrom<String> for ReversePath {
    type Error = ReversePathError;

    fn try_from(text: String) -> Result<Self, ReversePathError> {
        match &*text {
            "<>" => Ok(Self(None)),
            address => Ok(Self(Some(address.parse()?))),
        }
    }
}

impl From<ReversePath> for String {
    fn from(path: ReversePath) -> Self {
        path.0.map_or_else(|| "<>".to_owned(), Self::from)
    }
}

/// One `RCPT TO` (RFC 5321 section 4.1.1.3) and its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardPath {
    /// [`super::Recipient::ordinal`].
    pub ordinal: u32,
    /// Its address.
    pub address: Address,
}

/// Reverse-path and forward-paths (RFC 5321 section 2.3.1) of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where non-delivery reports go.
    pub reverse_path: ReversePath,
    /// The recipients that are due, in the order of their ordinals.
    pub forward_paths: Vec<ForwardPath>,
    /// What is asked of delivery status notifications; `None` asks nothing.
    pub dsn: Option<DsnRequest>,
}

impl Envelope {
    /// A forward-path is not ASCII: SMTPUTF8 (RFC 6531) is needed.
    pub fn has_international_recipients(&self) -> bool {
        self.forward_paths
            .iter()
            .any(|path| path.address.is_international())
    }

    /// The same with only these of its forward-paths.
    #[must_use]
    pub fn with_only(&self, forward_paths: Vec<ForwardPath>) -> Self {
        Self {
            reverse_path: self.reverse_path.clone(),
            forward_paths,
            dsn: self.dsn.clone(),
        }
    }

    /// The same with the first of its forward-paths, as many as fit into one transaction;
    /// `None`: all of them.
    pub fn with_at_most(&self, recipients: Option<usize>) -> Cow<'_, Self> {
        match recipients {
            Some(limit) if limit < self.forward_paths.len() => {
                Cow::Owned(self.with_only(self.forward_paths[..limit].to_vec()))
            }
            _ => Cow::Borrowed(self),
        }
    }
}

/// RFC 5322 octets before protection. CRLF line endings only, no bare CR or LF, no line
/// longer than 998 octets; no `Bcc` header; above 127 at most in addresses (RFC 6532). Not
/// dot-stuffed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The value of the `Message-ID` header with its angle brackets.
    pub message_id: String,
    /// Header section, empty line, body.
    pub bytes: Vec<u8>,
}
