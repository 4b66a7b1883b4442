//! Envelope and octets: what a mail transaction carries.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::DsnRequest;

/// `MAIL FROM` (RFC 5321 section 4.1.1.2): an address, or the null reverse-path `<>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReversePath(pub Option<String>);

/// One `RCPT TO` (RFC 5321 section 4.1.1.3) and the recipient that it stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardPath {
    /// [`super::Recipient::ordinal`].
    pub ordinal: u32,
    /// `local-part@domain`.
    pub address: String,
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
            .any(|path| !path.address.is_ascii())
    }

    /// The same with the first of its forward-paths, as many as fit into one transaction;
    /// `None`: all of them.
    pub fn with_at_most(&self, recipients: Option<usize>) -> Cow<'_, Self> {
        match recipients {
            Some(limit) if limit < self.forward_paths.len() => Cow::Owned(Self {
                reverse_path: self.reverse_path.clone(),
                forward_paths: self.forward_paths[..limit].to_vec(),
                dsn: self.dsn.clone(),
            }),
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
    pub octets: Vec<u8>,
}
