//! Delivery status notifications to the sender of a submitted message: RFC 3464, and RFC 6533 where an address is not
//! ASCII.

mod machine_part;
mod returned;
mod text_part;

use sendport_core::clock::format;
use sendport_core::domain::{
    Address, BodyType, Charset, Mailbox, Message, ReportAction, Timestamp,
};
use uuid::Uuid;

pub use returned::Returned;

use crate::mime::header::{HeaderSection, Script};

/// Recipients of one report; more follow in another one.
pub const MOST_RECIPIENTS: usize = 1000;

/// A recipient in a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedRecipient {
    /// Its forward-path.
    pub address: String,
    /// `ORCPT`, decoded: `rfc822;ann@contoso.com`.
    pub original: Option<String>,
    /// `Status` (RFC 3464 section 2.3.4): `5.1.1`.
    pub status: String,
    /// The name that the relay gave itself.
    pub remote_mta: Option<String>,
    /// What the relay replied, its code first; or why no relay was asked.
    pub reply: Option<String>,
    /// A relay said `reply`, not the service.
    pub is_of_relay: bool,
    /// The end of the latest attempt.
    pub last_attempt: Option<Timestamp>,
}

/// What a report says.
#[derive(Debug)]
pub struct DeliveryReport<'a> {
    /// Its own id, for Message-ID and boundaries.
    pub id: Uuid,
    /// Right side of its Message-ID.
    pub message_id_domain: &'a str,
    /// Header `From`.
    pub from: &'a Mailbox,
    /// The reverse-path of the message.
    pub to: &'a Address,
    /// When it was written.
    pub date: Timestamp,
    /// What happened to all of its recipients.
    pub action: ReportAction,
    /// Name of the host that reports.
    pub reporting_mta: &'a str,
    /// When the message was submitted.
    pub arrival: Timestamp,
    /// Until when a delayed message is tried.
    pub retry_until: Option<Timestamp>,
    /// `ENVID`, decoded.
    pub envelope_id: Option<&'a str>,
    /// Message-ID of the message, with its angle brackets.
    pub message_id: &'a str,
    /// Subject of the message, decoded; `None` where it is confidential.
    pub subject: Option<&'a str>,
    /// At most [`MOST_RECIPIENTS`].
    pub recipients: &'a [ReportedRecipient],
    /// What it brings back of the message.
    pub returned: Returned,
}

/// A report, and what its envelope says of it.
#[derive(Debug, PartialEq, Eq)]
pub struct ComposedReport {
    /// The message.
    pub message: Message,
    /// Header field `Subject`.
    pub subject: &'static str,
    /// It has bytes above 127.
    pub body: BodyType,
    /// Its header section or its envelope has characters beyond ASCII (RFC 6531).
    pub smtp_utf8: bool,
}

impl DeliveryReport<'_> {
    /// Writes it.
    pub fn compose(&self) -> ComposedReport {
        let parts = [
            text_part::part(self),
            machine_part::part(self),
            self.returned.part(),
        ];
        let is_ascii = parts.iter().all(|part| part.is_ascii());
        let boundary = format!("report-{}", self.id.as_simple());
        let message_id = format!("<{}@{}>", self.id.as_hyphenated(), self.message_id_domain);
        let subject = subject(self.action);
        let mut bytes = self.header(subject, &message_id, &boundary, is_ascii);
        for part in &parts {
            bytes.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        ComposedReport {
            message: Message { message_id, bytes },
            subject,
            body: match is_ascii {
                true => BodyType::SevenBit,
                false => BodyType::EightBitMime,
            },
            smtp_utf8: self.to.is_international(),
        }
    }

    /// The header section, with the empty line.
    fn header(&self, subject: &str, message_id: &str, boundary: &str, is_ascii: bool) -> Vec<u8> {
        let script = Script {
            charset: Charset::default(),
            international: true,
        };
        let mut header = HeaderSection::new(script);
        header.words("Date", &date(self.date));
        header.mailboxes("From", &[self.from]);
        let to = Mailbox {
            display_name: None,
            address: self.to.clone(),
        };
        header.mailboxes("To", &[to]);
        header.literal("Subject", subject);
        header.words("Message-ID", message_id);
        if is_message_id(self.message_id) {
            header.words("In-Reply-To", self.message_id);
            header.words("References", self.message_id);
        }
        // RFC 3834 section 5; it keeps other programs from answering.
        header.literal("Auto-Submitted", "auto-replied");
        header.literal("MIME-Version", "1.0");
        let report =
            format!("multipart/report; report-type=delivery-status; boundary=\"{boundary}\"");
        header.words("Content-Type", &report);
        if !is_ascii {
            header.literal("Content-Transfer-Encoding", "8bit");
        }
        let mut bytes = header.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

fn subject(action: ReportAction) -> &'static str {
    match action {
        ReportAction::Failed => "Delivery failed",
        ReportAction::Delayed => "Delivery delayed",
        ReportAction::Relayed => "Message relayed",
    }
}

/// As RFC 5322 section 3.3 has it.
fn date(at: Timestamp) -> String {
    format(at, "%a, %d %b %Y %H:%M:%S +0000")
}

/// `msg-id` of short ASCII words (RFC 5322 section 3.6.4): one of a client may be anything.
fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|it| it.strip_suffix('>'));
    let is_word = |inner: &str| {
        inner.contains('@')
            && inner
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte))
    };
    text.len() <= 900 && inner.is_some_and(is_word)
}

/// A text from outside on one line, at most `longest` characters.
fn one_line(text: &str, longest: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    text.trim().chars().take(longest).map(clean).collect()
}

#[cfg(test)]
mod tests;
