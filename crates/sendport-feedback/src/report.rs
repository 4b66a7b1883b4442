//! What a report says.

use sendport_core::domain::{
    BounceClass, EnhancedStatusCode, PublicId, ReportedOutcome, Timestamp,
};
use uuid::Uuid;

/// What kind of message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReportKind {
    /// A delivery status notification (RFC 3464, RFC 6533).
    DeliveryStatus,
    /// A message disposition notification (RFC 8098): what the recipient's mail program did.
    Disposition {
        /// Nobody decided it: `automatic-action`.
        is_automatic: bool,
    },
    /// A report about delivery in a form of its own, read from its text.
    Text,
    /// A recipient marked the message as spam (RFC 5965).
    Complaint,
    /// An automatic answer (RFC 3834), an acknowledgement or a challenge. The message arrived.
    AutoReply,
    /// Anything else.
    #[default]
    NotAReport,
}

impl ReportKind {
    /// The word for logs and columns.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeliveryStatus => "delivery-status",
            Self::Disposition { .. } => "disposition",
            Self::Text => "text",
            Self::Complaint => "complaint",
            Self::AutoReply => "auto-reply",
            Self::NotAReport => "not-a-report",
        }
    }
}

/// What one message says about others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What kind of message it is.
    pub kind: ReportKind,
    /// `Original-Envelope-Id` (RFC 3464 section 2.2.1): the ENVID of our transaction.
    pub envelope_id: Option<String>,
    /// `Message-ID` of the message that it is about, with its angle brackets.
    pub message_id: Option<String>,
    /// `In-Reply-To` and `References` of the report, with angle brackets: a weak hint.
    pub references: Vec<String>,
    /// The server that reports, without the type of its name.
    pub reporting_mta: Option<String>,
    /// Each recipient that it is about, in its order; at most [`Report::MOST_RECIPIENTS`].
    pub recipients: Vec<Reported>,
    /// The key of the table of bounces for an automatic answer; recipients have their own.
    pub explanation_key: Option<String>,
    /// `From` of the report itself, decoded, in one line.
    pub from: Option<String>,
    /// `Subject` of the report itself, decoded, in one line.
    pub subject: Option<String>,
    /// `Message-ID` of the report itself, with its angle brackets.
    pub own_id: Option<String>,
    /// Each address that the report was sent to, as far as its header knows, at most 50: what the mail system wrote when it
    /// delivered it (`Delivered-To`, `X-Original-To` and the like), then `To` and `Cc`.
    pub sent_to: Vec<String>,
    /// `Date` of the report.
    pub date: Option<Timestamp>,
    /// The message is longer than [`crate::READ_BYTES`], and only its beginning was read.
    pub is_truncated: bool,
}

impl Report {
    /// Recipients of a report that are read.
    pub const MOST_RECIPIENTS: usize = 1000;

    /// The alert that ENVID or Message-ID name, because sendport makes both of its id. Recipients see both: this finds
    /// an alert and proves nothing.
    pub fn named_alert(&self) -> Option<PublicId> {
        let envelope_id = self.envelope_id.as_deref();
        let message_ids = self.message_id.iter().chain(&self.references);
        let message_ids = message_ids.map(|it| it.trim_start_matches('<'));
        let mut names = envelope_id.into_iter().chain(message_ids);
        names.find_map(alert_id)
    }
}

/// `<PublicId>`, `<PublicId>@domain` or `<PublicId>.words@domain`.
fn alert_id(name: &str) -> Option<PublicId> {
    let id = name.split(['.', '@', '>']).next().unwrap_or_default();
    let is_written_so = id.len() == 36;
    let id = is_written_so.then(|| Uuid::try_parse(id).ok())?;
    id.map(PublicId)
}

/// What a report says about one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// `Original-Recipient`: the address that the relay was given (RFC 3461 section 4.2).
    pub original_recipient: Option<String>,
    /// `Final-Recipient`, or the address that the text names; an alias or a forwarding may have changed it.
    pub final_recipient: Option<String>,
    /// What became of the message.
    pub outcome: ReportedOutcome,
    /// Why, for `bounced`, `delayed` and `expired`.
    pub class: Option<BounceClass>,
    /// The key of the table of bounces that gives cause and advice, for the same outcomes.
    pub explanation_key: Option<String>,
    /// Enhanced status code (RFC 3463).
    pub status: Option<EnhancedStatusCode>,
    /// Reply code of the server that refused, 200 to 599.
    pub smtp_code: Option<u16>,
    /// What was said: one line, at most [`Reported::LONGEST_TEXT`] characters, without control characters.
    pub text: String,
    /// The server that said it.
    pub remote_mta: Option<String>,
    /// When it was tried last.
    pub at: Option<Timestamp>,
    /// Until when it is tried again (`Will-Retry-Until`).
    pub retry_until: Option<Timestamp>,
}

impl Reported {
    /// Characters of [`Reported::text`].
    pub const LONGEST_TEXT: usize = 1000;

    /// The address that the message was sent to, as far as the report knows.
    pub fn address(&self) -> Option<&str> {
        let original = self.original_recipient.as_deref();
        original.or(self.final_recipient.as_deref())
    }

    /// Whether it is about this address: the original or the final recipient, in any case, also where a server left the
    /// encoding of RFC 3461 in it (`+2B` for `+`).
    pub fn is_about(&self, address: &str) -> bool {
        let wanted = address.to_lowercase();
        let named = [&self.original_recipient, &self.final_recipient];
        let mut named = named.into_iter().flatten().map(|it| it.to_lowercase());
        named.any(|it| it == wanted || without_xtext(&it) == wanted)
    }
}

/// `+XX` (RFC 3461 section 4) decoded; anything else as it is.
fn without_xtext(text: &str) -> String {
    let mut pieces = text.split('+');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece
            .get(..2)
            .and_then(|it| u8::from_str_radix(it, 16).ok());
        match digits {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&piece.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'+');
                bytes.extend_from_slice(piece.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::ReportedOutcome;

    fn reported(original: Option<&str>, last: &str) -> Reported {
        Reported {
            original_recipient: original.map(str::to_owned),
            final_recipient: Some(last.to_owned()),
            outcome: ReportedOutcome::Bounced,
            class: None,
            explanation_key: None,
            status: None,
            smtp_code: None,
            text: String::new(),
            remote_mta: None,
            at: None,
            retry_until: None,
        }
    }

    #[test]
    fn is_about_the_original_and_the_final_address() {
        let it = reported(
            Some("jo+2Bops@contoso.example"),
            "Jo.Berg@mail.contoso.example",
        );
        assert!(it.is_about("JO+ops@contoso.example"));
        assert!(it.is_about("jo.berg@mail.contoso.example"));
        assert!(!it.is_about("jo@contoso.example"));
        let plus = reported(None, "jo+42@contoso.example");
        assert!(plus.is_about("jo+42@contoso.example"));
        assert!(reported(None, "+\u{e9}@contoso.example").is_about("+\u{c9}@contoso.example"));
    }

    #[test]
    fn finds_the_alert_by_the_ids_that_sendport_makes() {
        const ID: &str = "0190a5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";
        let of = |envelope_id: &str, message_id: &str| {
            let report = Report {
                envelope_id: Some(envelope_id.to_owned()),
                message_id: Some(message_id.to_owned()),
                ..Report::default()
            };
            report.named_alert().map(|it| it.to_string())
        };
        let found = Some(ID.to_owned());
        assert_eq!(of(ID, ""), found);
        assert_eq!(of("QQ314159", &format!("<{ID}@contoso.example>")), found);
        assert_eq!(
            of("", &format!("<{ID}.requeue-2.utf8@contoso.example>")),
            found
        );
        assert_eq!(
            of("4711", "<0190a5f01c2d7e3f8a4b5c6d7e8f9a0b@contoso.example>"),
            None
        );
    }
}
