//! What may be submitted.

use sendport_core::domain::ProtectionFacts;

use crate::Protection;

/// RFC 5322 bytes with the protection of a [`ProtectionPlan`](crate::ProtectionPlan): the only thing that a
/// relay accepts. [`secure`](crate::secure) alone makes one, so code that leaves this step out does not compile.
/// Whether the plan is what the send port and the alert demand is decided by its maker:
/// [`Protector::plan`](crate::Protector::plan).
///
/// ```
/// use sendport_core::domain::Message;
/// use sendport_smime::{ProtectionPlan, secure};
///
/// let message = Message {
///     message_id: "<1@example.com>".to_owned(),
///     bytes: b"Subject: late\r\n\r\nCall the carrier.\r\n".to_vec(),
/// };
/// let secured = secure(message, &ProtectionPlan::Unprotected)?;
/// assert_eq!(secured.protection(), "none");
/// # Ok::<(), sendport_smime::SmimeError>(())
/// ```
///
/// ```compile_fail,E0624
/// use sendport_core::domain::ProtectionFacts;
/// use sendport_smime::{Protection, SecuredMessage};
///
/// let bytes = b"Subject: late\r\n\r\nCall the carrier.\r\n".to_vec();
/// let facts = ProtectionFacts::default();
/// SecuredMessage::new("<1@example.com>".to_owned(), bytes, Protection::Sign, facts);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecuredMessage {
    message_id: String,
    bytes: Vec<u8>,
    /// Length of the fields in front of what was protected.
    front: usize,
    protection: &'static str,
    protected: ProtectionFacts,
}

impl SecuredMessage {
    /// Only [`secure`](crate::secure) calls it.
    pub(crate) fn new(
        message_id: String,
        bytes: Vec<u8>,
        protection: Protection,
        facts: ProtectionFacts,
    ) -> Self {
        Self {
            message_id,
            bytes,
            front: 0,
            protection: protection.as_str(),
            protected: facts,
        }
    }

    /// Puts header fields in front, each with its line end, such as signatures by DKIM. What is protected stays as it is.
    #[must_use]
    pub fn with_fields_in_front(mut self, fields: &str) -> Self {
        self.bytes.splice(..0, fields.bytes());
        self.front += fields.len();
        self
    }

    /// The same content under other header fields, which have to keep those of its MIME type. `header`: each field with
    /// its line end, without the empty line behind them. No fields are in front of it.
    #[must_use]
    pub fn with_header(&self, mut header: Vec<u8>) -> Self {
        let bytes = self.without_fields_in_front();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        header.extend_from_slice(end.map_or(b"\r\n", |end| &bytes[end + 2..]));
        Self {
            bytes: header,
            front: 0,
            ..self.clone()
        }
    }

    /// A signature covers fields of the header (RFC 9788): a reader notices that others replaced them.
    pub fn has_protected_header(&self) -> bool {
        self.protected.header_protection.is_some()
    }

    /// Fields were put in front.
    pub fn has_fields_in_front(&self) -> bool {
        self.front > 0
    }

    /// The message without the fields that were put in front of it.
    pub fn without_fields_in_front(&self) -> &[u8] {
        &self.bytes[self.front..]
    }

    /// The value of the `Message-ID` header with its angle brackets.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// What is submitted, before dot-stuffing.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// `none`, `sign`, `encrypt` or `sign+encrypt`.
    pub fn protection(&self) -> &'static str {
        self.protection
    }

    /// Signer, recipients and algorithms of the protection.
    pub fn protected(&self) -> &ProtectionFacts {
        &self.protected
    }

    /// Octets above 127 occur: the relay has to offer 8BITMIME (RFC 6152).
    pub fn is_8bit(&self) -> bool {
        !self.bytes.is_ascii()
    }

    /// Octets above 127 occur in the header section (RFC 6532): the relay has to offer SMTPUTF8.
    pub fn is_international(&self) -> bool {
        if self.bytes.is_ascii() {
            return false;
        }
        let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
        !self.bytes[..end.unwrap_or(self.bytes.len())].is_ascii()
    }
}
