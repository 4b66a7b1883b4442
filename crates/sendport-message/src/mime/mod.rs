//! A rendered alert as an Internet message (RFC 5322, RFC 2045 to 2049).
//!
//! Makes a [`Message`] of a [`RenderedAlert`]: octets with CRLF line endings, the same in every
//! attempt. Message-ID, Date and boundaries depend on the alert's columns only, not on a clock or a
//! random number.
//!
//! lettre makes the parts of the bodies. The header section and the attachments are ours:
//! lettre 0.11 refuses addresses such as `a..b@x` and local parts over 64 bytes, keeps only one header
//! of each name, and holds a whole message twice. Each module names what it found in lettre.
//!
//! The guard comes first: a line break or another control character within a column that is written
//! into a header fails the alert, so no column can add a header, a recipient or a command. As a second
//! barrier, all header text is encoded as printable ASCII.
//!
//! A non-ASCII local part is written into the header section only for a relay with SMTPUTF8 (RFC
//! 6531); for other relays it becomes the display name of an unused address. In From and Reply-To
//! nothing can replace it: such a message always needs SMTPUTF8. Everything else is ASCII.

mod attachment;
mod body;
mod custom_headers;
mod draft;
mod encoded_word;
pub(crate) mod encoding;
mod error;
mod file_name;
mod guard;
pub(crate) mod header;
mod html_text;
mod legacy_display;
mod media_type;
mod parameter;
mod redirect;

use sendport_core::domain::{
    Address, AddressError, Alert, Attachment, Charset, Importance, Mailbox, Message, Recipient,
    RecipientKind, Sensitivity, Timestamp, parse_address_list,
};

use crate::template::RenderedAlert;

pub use attachment::expected_bytes;
use body::MessageBodies;
pub use custom_headers::HeaderPolicy;
pub use draft::Draft;
pub use error::MimeError;
pub use file_name::{extension, safe_file_name};
use header::{HeaderSection, Script};
pub use legacy_display::LegacyDisplay;

/// The settings of a send port's messages.
#[derive(Debug, Clone)]
pub struct MessageSettings {
    /// `From` (RFC 5322 section 3.6.2): that of the send port, or of the alert where the send port
    /// accepts it.
    pub from: Mailbox,
    /// Right side of the Message-ID (RFC 5322 section 3.6.4): a domain of the sender.
    pub message_id_domain: String,
    /// Which headers the column Headers may add.
    pub headers: HeaderPolicy,
    /// `Auto-Submitted` and `X-Auto-Response-Suppress`.
    pub auto_submitted: bool,
    /// Charset of headers and text; UTF-8 where it lacks a character.
    pub charset: Charset,
    /// Charset of HTML; character references where it lacks a character.
    pub html_charset: Charset,
    /// The message is for recipients with non-ASCII addresses, which may be written into it.
    pub international: bool,
    /// The header fields at the start of the bodies, because encryption hides them.
    pub legacy_display: LegacyDisplay,
    /// A word in the Message-ID that distinguishes messages of one alert with different content.
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

/// Starts the message of an alert; the contents of `attachments` are appended one by one.
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
    let recipients = redirect::addressees(alert);
    if recipients.is_empty() {
        return Err(MimeError::NoRecipients);
    }
    let (from, reply_to) = (&settings.from, reply_to(alert)?);
    let message_id = message_id_of(alert, settings, (&recipients, &reply_to))?;

    let mut headers = HeaderSection::new(Script {
        charset: settings.charset,
        international: settings.international
            || from.address.is_international()
            || reply_to.iter().any(|it| it.address.is_international()),
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
    custom_headers::add(&mut headers, alert.headers.as_deref(), &settings.headers)?;
    // The following headers belong to the MIME entity, which a signature covers.
    headers.literal("MIME-Version", "1.0");
    if let Some(language) = alert.language.as_deref().filter(|l| is_language_tag(l)) {
        headers.literal("Content-Language", language.trim());
    }
    let bodies = MessageBodies {
        rendered,
        charset: settings.charset,
        html_charset: settings.html_charset,
        legacy_display: settings
            .legacy_display
            .lines(&rendered.subject, from, &recipients),
    };
    let boundaries = Boundaries::of(alert);
    Draft::new(
        message_id,
        headers.into_bytes(),
        &bodies,
        attachments,
        &boundaries,
    )
}

/// `To` and `Cc` (RFC 5322 section 3.6.3): the well-formed addresses, or an empty group, because some
/// relays refuse a message without a destination. `Bcc` is envelope only.
fn destination(headers: &mut HeaderSection, recipients: &[Recipient]) {
    let of = |kind| -> Vec<&Mailbox> {
        recipients
            .iter()
            .filter(|r| r.kind == kind)
            .filter_map(|r| r.address.mailbox())
            .collect()
    };
    let (to, cc) = (of(RecipientKind::To), of(RecipientKind::Cc));
    if to.is_empty() && cc.is_empty() {
        headers.literal("To", "undisclosed-recipients:;");
    }
    headers.mailboxes("To", &to);
    headers.mailboxes("Cc", &cc);
}

/// Headers of other columns.
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
        // RFC 8098 section 2.1; the address without a name.
        headers.mailboxes(
            "Disposition-Notification-To",
            &[Mailbox::from(from.address.clone())],
        );
    }
    headers.text(
        "X-Alert-Name",
        alert.alert_name.as_deref().unwrap_or_default(),
    );
}

/// The addresses of the column ReplyTo.
fn reply_to(alert: &Alert) -> Result<Vec<Mailbox>, MimeError> {
    parse_address_list(alert.reply_to.as_deref().unwrap_or_default())
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|AddressError { written, problem }| MimeError::BadReplyTo { written, problem })
}

/// The text body of an alert: its text, or its HTML converted to text. A redirect puts a notice in front.
pub fn plain_text<'a>(rendered: &'a RenderedAlert<'_>) -> std::borrow::Cow<'a, str> {
    body::plain_text(rendered)
}

/// The HTML body of an alert, if it has one, with the notice of a redirect.
pub fn html<'a>(rendered: &'a RenderedAlert<'_>) -> Option<std::borrow::Cow<'a, str>> {
    body::html(rendered)
}

/// `msg-id` (RFC 5322 section 3.6.4): the alert's public id, and words that distinguish messages of
/// one alert. The same in every attempt, until a requeue asks for a new one. A message that a redirect sends elsewhere
/// has its own: no server drops the one for the recipients later.
///
/// # Errors
/// [`MimeError::BadMessageIdDomain`], [`MimeError::BadReplyTo`].
pub fn message_id(alert: &Alert, settings: &MessageSettings) -> Result<String, MimeError> {
    message_id_of(
        alert,
        settings,
        (&redirect::addressees(alert), &reply_to(alert)?),
    )
}

fn message_id_of(
    alert: &Alert,
    settings: &MessageSettings,
    named: (&[Recipient], &[Mailbox]),
) -> Result<String, MimeError> {
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
    let generation = alert.message_generation;
    let requeue = (generation > 0).then(|| format!("requeue-{generation}"));
    let redirect = alert.redirect.as_ref();
    let redirect = redirect.map(|it| format!("redirect-{}", it.request));
    let utf8 = names_differ(settings, named).then_some("utf8");
    let words = requeue.as_deref().into_iter();
    let words = words.chain(redirect.as_deref()).chain(utf8);
    for word in words.chain(settings.variant.as_deref()) {
        left.push('.');
        left.push_str(word);
    }
    Ok(format!("<{left}@{domain}>"))
}

/// The header contains an address that it would not contain for other recipients.
fn names_differ(
    settings: &MessageSettings,
    (recipients, reply_to): (&[Recipient], &[Mailbox]),
) -> bool {
    let mut replies = reply_to.iter();
    let everywhere =
        settings.from.address.is_international() || replies.any(|it| it.address.is_international());
    let shown = recipients
        .iter()
        .filter(|it| it.kind != RecipientKind::Bcc)
        .filter_map(|it| it.address.mailbox());
    settings.international
        && !everywhere
        && shown.map(|it| &it.address).any(Address::is_international)
}

/// The boundaries of a message, the same in every attempt. Quoted-printable and base64 never contain
/// `=_` (RFC 2045 section 6.7). None is a prefix of another, because mail programs compare prefixes
/// (RFC 2046 section 5.1.1).
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
    sendport_core::clock::format(moment, "%a, %d %b %Y %H:%M:%S +0000")
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
