//! A message that a client submitted whole, instead of an alert that the service renders.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::alert::word_enum;
use super::{Address, AlertOrigin, DsnReturn, Notify, RecipientKind, ReversePath};
use crate::received_content::ReceivedContent;

/// Identifies one accepted mail transaction. It is random, never the Message-ID or a digest of the content: one
/// message may come in several transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TransactionId(pub Uuid);

impl TransactionId {
    /// An id that no other transaction has.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// The inverse of its hyphenated form; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok().map(Self)?;
        (id.to_string() == text).then_some(id)
    }
}

/// With hyphens, in lower case.
impl std::fmt::Display for TransactionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

word_enum! {
    /// `BODY` of MAIL (RFC 6152).
    pub enum BodyType {
        /// No octet above 127 was announced.
        SevenBit = "7bit",
        /// Octets above 127 may occur.
        EightBitMime = "8bitmime",
    }
}

/// One accepted RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeRecipient {
    /// Its forward-path.
    pub address: Address,
    /// The header field that names it; `Bcc` where none does.
    pub kind: RecipientKind,
    /// `NOTIFY` (RFC 3461 section 4.1).
    pub notify: Option<Notify>,
    /// `ORCPT` (RFC 3461 section 4.2): address type and address, decoded: `rfc822;ann@contoso.com`.
    pub original: Option<String>,
}

/// The envelope as the client gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedEnvelope {
    /// The path of MAIL.
    pub reverse_path: ReversePath,
    /// At least one, no address twice.
    pub recipients: Vec<EnvelopeRecipient>,
    /// `BODY` of MAIL.
    pub body: BodyType,
    /// `SMTPUTF8` of MAIL (RFC 6531 section 3.4).
    pub smtp_utf8: bool,
    /// `ENVID` (RFC 3461 section 4.4), decoded.
    pub envelope_id: Option<String>,
    /// `RET` (RFC 3461 section 4.3).
    pub returns: Option<DsnReturn>,
}

/// Who submitted a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntakeClient {
    /// Its address; `None` where it came without a network.
    pub address: Option<IpAddr>,
    /// The name in HELO or EHLO.
    pub helo: Option<String>,
    /// The authenticated user.
    pub user: Option<String>,
}

/// What the header section of a received message says, for people and for the rules of a send port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReceivedHeader {
    /// `Message-ID` with its angle brackets.
    pub message_id: String,
    /// The mailboxes of `From`, as they are written, at most 1,000 characters.
    pub from: Option<String>,
    /// `Subject`, decoded, at most 998 characters.
    pub subject: Option<String>,
    /// `From` is one address that the client may use as its reverse-path, too.
    pub from_allowed: bool,
}

/// A message that an intake accepted. It becomes one alert.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReceivedMessage {
    /// Its key in the database: a repeated insert changes nothing.
    pub transaction: TransactionId,
    /// Name of the intake.
    pub intake: String,
    /// How it came.
    pub origin: AlertOrigin,
    /// Name of the send port.
    pub send_port: String,
    /// Who submitted it.
    pub client: IntakeClient,
    /// Its envelope.
    pub envelope: ReceivedEnvelope,
    /// From its header section.
    pub header: ReceivedHeader,
    /// Its octets, with the header fields that the intake added (RFC 6409 section 8, RFC 5321 section 4.4). They are
    /// not serialized.
    #[serde(skip)]
    pub content: ReceivedContent,
}

/// NOTIFY and ORCPT of one recipient (RFC 3461 section 4.1 and 4.2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecipientDsn {
    /// `NOTIFY`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// `ORCPT`, decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

impl EnvelopeRecipient {
    /// Its NOTIFY and ORCPT; `None` where the client gave neither.
    pub fn dsn(&self) -> Option<RecipientDsn> {
        let dsn = RecipientDsn {
            notify: self.notify.clone(),
            original: self.original.clone(),
        };
        (dsn != RecipientDsn::default()).then_some(dsn)
    }
}

/// A received message as the database keeps it, without its recipients, which are the alert's, and its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Name of the intake.
    pub intake: String,
    /// The path of MAIL.
    pub reverse_path: ReversePath,
    /// `Message-ID` with its angle brackets.
    pub message_id: String,
    /// `From` is one address that the client may use as its reverse-path, too: else nothing is signed for it.
    pub from_allowed: bool,
    /// The number of octets.
    pub size_bytes: u64,
    /// `BODY` of MAIL.
    pub body: BodyType,
    /// `SMTPUTF8` of MAIL.
    pub smtp_utf8: bool,
    /// `ENVID`, decoded.
    pub envelope_id: Option<String>,
    /// `RET`.
    pub returns: Option<DsnReturn>,
    /// By the address of the recipient, of those that have any.
    pub recipient_dsn: BTreeMap<String, RecipientDsn>,
}
