//! A rendered alert as an Internet message (RFC 5322, RFC 2045 to 2049).
//!
//! In goes a [`RenderedAlert`], out comes a [`Message`]: octets with CRLF line endings,
//! the same in every attempt (Message-ID, Date and boundary are made from the alert's own
//! columns, nothing from a clock or a random number). This is the only place that knows
//! lettre, which makes the MIME parts. The header section is ours, because lettre takes no
//! address such as `a..b@x`, no second header of one name, and leaves long words unfolded.
//!
//! The guard comes first: a line break or another control character inside of a column that
//! stands in a header fails the alert. Nothing in any column can add a header, a recipient or
//! a command. After the guard, all header text is encoded so that only printable ASCII is
//! left, so the guard is not what safety hangs on alone.
//!
//! An address whose local part is not ASCII stands in the header section only where the message
//! is made for a relay that offers SMTPUTF8 (RFC 6531); elsewhere it is the name of an address that
//! nobody has. In From and Reply-To it cannot be replaced: such a message always needs SMTPUTF8. All else
//! is ASCII in either form.

mod alternative;
mod attachment;
mod body;
mod draft;
mod encoded_word;
mod encoding;
mod error;
mod extra;
mod file_name;
mod guard;
mod header;
mod legacy_display;
mod media_type;
mod parameter;

use crate::template::RenderedAlert;
use sendport_core::domain::{
    Alert, Attachment, Charset, Importance, Mailbox, Message, Recipient, RecipientKind,
    Sensitivity, Timestamp, expand_recipients, parse_address_list, parse_mailbox,
};

pub use attachment::expected_octets;
use body::Texts;
pub use draft::Draft;
pub use error::MimeError;
pub use extra::HeaderPolicy;
pub use file_name::{extension, safe_file_name};
use header::{HeaderSection, Script};
pub use legacy_display::Displayed;

/// What a send port says about its messages.
#[derive(Debug, Clone)]
pub struct MessageSettings {
    /// `From` (RFC 5322 section 3.6.2): the send port's, or the alert's where the send port
    /// accepts it. Decided before.
    pub from: Mailbox,
    /// Right side of the Message-ID (RFC 5322 section 3.6.4): a domain that is ours.
    pub message_id_domain: String,
    /// Which headers the column Headers may add.
    pub headers: HeaderPolicy,
    /// `Auto-Submitted` and `X-Auto-Response-Suppress`.
    pub auto_submitted: bool,
    /// Of headers and of plain text; what it lacks is written in UTF-8.
    pub charset: Charset,
    /// Of HTML; what it lacks is written as character references.
    pub html_charset: Charset,
    /// The message is for recipients whose addresses are not ASCII: theirs may stand in it.
    pub international: bool,
    /// What the texts begin with, because the header of the message will not show it.
    pub displayed: Displayed,
    /// What sets the message apart from others of the same alert whose content differs: a word in
    /// its Message-ID.
    pub variant: Option<String>,
}

/// Makes the message of an alert without attachments.
///
/// # Errors
/// [`MimeError`] names the column that cannot be sent. It is permanent: the same row fails
/// again.
pub fn build_message(
    rendered: &RenderedAlert<'_>,
    settings: &MessageSettings,
) -> Result<Message, MimeError> {
    Ok(draft_message(rendered, settings, &[])?.finish())
}

/// Begins the message of an alert; the contents of `attachments` are asked for one by one.
///
/// # Errors
/// As [`build_message`].
pub fn draft_message(
    rendered: &RenderedAlert<'_>,
    settings: &MessageSettings,
    attachments: &[Attachment],
) -> Result<Draft, MimeError> {
    let alert = rendered.alert;
    guard::check_columns(alert, &rendered.subject)?;
    let recipients = expand_recipients(alert);
    if recipients.is_empty() {
        return Err(MimeError::NoRecipients);
    }
    let from = checked_from(&settings.from)?;
    let message_id = message_id(alert, settings)?;
    let reply_to = match alert.reply_to.as_deref() {
        Some(column) => checked_reply_to(column)?,
        None => Vec::new(),
    };

    let mut headers = HeaderSection::new(Script {
        charset: settings.charset,
        international: settings.international
            || from.is_international()
            || reply_to.iter().any(Mailbox::is_international),
    });
    headers.literal("Date", &date_time(alert.created_at));
    headers.mailboxes("From", &[from]);
    headers.mailboxes("Reply-To", &reply_to);
    destination(&mut headers, &recipients);
    match rendered.subject.trim().is_empty() {
        true => headers.literal("Subject", ""),
        false => headers.text("Subject", &rendered.subject),
    }
    headers.literal("Message-ID", &message_id);
    if settings.auto_submitted {
        // RFC 3834 section 5; Exchange and Outlook obey the second one only.
        headers.literal("Auto-Submitted", "auto-generated");
        headers.literal("X-Auto-Response-Suppress", "All");
    }
    about_the_alert(&mut headers, alert, from);
    extra::add(&mut headers, alert.headers.as_deref(), &settings.headers)?;
    // From here on the headers belong to the MIME entity: signing takes them along.
    headers.literal("MIME-Version", "1.0");
    if let Some(language) = alert.language.as_deref().filter(|l| is_language_tag(l)) {
        headers.literal("Content-Language", language.trim());
    }
    let texts = Texts {
        rendered,
        charset: settings.charset,
        html_charset: settings.html_charset,
        displayed: settings
            .displayed
            .lines(&rendered.subject, from, &recipients),
    };
    let boundaries = Boundaries::of(alert);
    Draft::new(
        message_id,
        headers.into_octets(),
        &texts,
        attachments,
        &boundaries,
    )
}

/// `To` and `Cc` (RFC 5322 section 3.6.3): the readable addresses. Without any, an empty
/// group, because some relays refuse a message without a destination. `Bcc` is envelope only.
fn destination(headers: &mut HeaderSection, recipients: &[Recipient]) {
    let of = |kind| -> Vec<&Mailbox> {
        recipients
            .iter()
            .filter(|r| r.kind == kind && r.refusal.is_none())
            .map(|r| &r.mailbox)
            .collect()
    };
    let (to, cc) = (of(RecipientKind::To), of(RecipientKind::Cc));
    if to.is_empty() && cc.is_empty() {
        headers.literal("To", "undisclosed-recipients:;");
    }
    headers.mailboxes("To", &to);
    headers.mailboxes("Cc", &cc);
}

/// What follows from the alert's columns, besides addresses and subject.
fn about_the_alert(headers: &mut HeaderSection, alert: &Alert, from: &Mailbox) {
    // RFC 2156 sections 5.3.6 and 5.3.9; X-Priority for the clients that know only that.
    let importance = match alert.importance {
        Importance::High => Some(("high", "1", "urgent")),
        Importance::Low => Some(("low", "5", "non-urgent")),
        Importance::Normal => None,
    };
    if let Some((importance, x_priority, priority)) = importance {
        headers.literal("Importance", importance);
        headers.literal("X-Priority", x_priority);
        headers.literal("Priority", priority);
    }
    let sensitivity = match alert.sensitivity {
        Sensitivity::Personal => Some("Personal"),
        Sensitivity::Private => Some("Private"),
        Sensitivity::Confidential => Some("Company-Confidential"),
        Sensitivity::Normal => None,
    };
    if let Some(sensitivity) = sensitivity {
        headers.literal("Sensitivity", sensitivity);
    }
    if let Some(reply_by) = alert.reply_by {
        headers.literal("Reply-By", &date_time(reply_by));
    }
    if alert.read_receipt {
        // RFC 8098 section 2.1. The address alone: readers ask before they answer.
        headers.mailboxes(
            "Disposition-Notification-To",
            &[&Mailbox::bare(&*from.address)],
        );
    }
    headers.text(
        "X-Alert-Name",
        alert.alert_name.as_deref().unwrap_or_default(),
    );
}

fn checked_from(from: &Mailbox) -> Result<&Mailbox, MimeError> {
    let bad = |problem| MimeError::BadFrom {
        written: from.address.escape_debug().take(320).collect(),
        problem,
    };
    match parse_mailbox(&from.address) {
        Err(error) => Err(bad(error.problem)),
        Ok(read) if read.address != from.address => Err(bad("it holds more than an address")),
        Ok(_) => Ok(from),
    }
}

fn checked_reply_to(column: &str) -> Result<Vec<Mailbox>, MimeError> {
    let checked = |entry: Result<Mailbox, sendport_core::domain::AddressError>| {
        entry.map_err(|error| MimeError::BadReplyTo {
            written: error.written,
            problem: error.problem,
        })
    };
    parse_address_list(column)
        .into_iter()
        .map(checked)
        .collect()
}

/// What readers without HTML see of an alert: its text, or one made of its HTML.
pub fn plain_text<'a>(rendered: &'a RenderedAlert<'_>) -> std::borrow::Cow<'a, str> {
    body::plain_text(rendered)
}

/// `msg-id` (RFC 5322 section 3.6.4): the alert's public id, and words for what sets the message
/// apart from others of the alert. The same in every attempt.
///
/// # Errors
/// [`MimeError::BadMessageIdDomain`].
pub fn message_id(alert: &Alert, settings: &MessageSettings) -> Result<String, MimeError> {
    let domain = &settings.message_id_domain;
    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    if domain.len() > 255 || !domain.split('.').all(label) {
        return Err(MimeError::BadMessageIdDomain {
            written: domain.escape_debug().take(320).collect(),
        });
    }
    let mut left = alert.public_id.to_string();
    let utf8 = names_differ(alert, settings).then_some("utf8");
    for word in utf8.into_iter().chain(settings.variant.as_deref()) {
        left.push('.');
        left.push_str(word);
    }
    Ok(format!("<{left}@{domain}>"))
}

/// The header names somebody by an address that it would not hold for everybody else.
fn names_differ(alert: &Alert, settings: &MessageSettings) -> bool {
    let replies = || parse_address_list(alert.reply_to.as_deref().unwrap_or_default());
    let everywhere = || {
        settings.from.is_international()
            || replies().iter().flatten().any(Mailbox::is_international)
    };
    let named = |it: &Recipient| {
        it.kind != RecipientKind::Bcc && it.refusal.is_none() && it.mailbox.is_international()
    };
    settings.international && expand_recipients(alert).iter().any(named) && !everywhere()
}

/// The boundaries of a message, the same in every attempt. Quoted-printable and base64 never hold
/// `=_` (RFC 2045 section 6.7). None is the beginning of another: RFC 2046 section 5.1.1 has readers
/// compare beginnings.
struct Boundaries {
    alternative: String,
    related: String,
    mixed: String,
}

impl Boundaries {
    fn of(alert: &Alert) -> Self {
        let own = alert.public_id.0.as_simple().to_string();
        Self {
            alternative: format!("=_{own}"),
            related: format!("=_r{own}"),
            mixed: format!("=_m{own}"),
        }
    }
}

/// `date-time` (RFC 5322 section 3.3).
fn date_time(moment: Timestamp) -> String {
    moment.format("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// Well-formed by RFC 5646 section 2.1, roughly.
fn is_language_tag(tag: &str) -> bool {
    let tag = tag.trim();
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    tag.len() <= 35
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests;
