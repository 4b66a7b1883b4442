//! The message of an alert without sending it: the dispatcher's own steps up to the relay.

use std::borrow::Cow;

use chrono::TimeDelta;
use sendport_core::clock::Clock;
use sendport_core::domain::{
    Alert, Attachment, Envelope, ForwardPath, OutcomeKind, ProtectionFacts, Recipient,
    RecipientStatus, Reply, StoredMessage, Timestamp,
};
use sendport_core::replies::ReplyTable;
use sendport_message::mime;
use sendport_message::received::texts;
use sendport_message::template::RenderedAlert;
use sendport_smime::SecuredMessage;
use sendport_smime::{HeaderProtected, Protection};

use super::compose::{Sources, settings};
use super::files::WithFiles;
use super::received::{self, AsFile};
use super::{
    ComposeError, Draft, ProtectionError, attempts_left, envelope, expiry, few_enough, window,
};
use crate::digest;
use crate::protection::encryption_group::Variant;
use crate::protection::securing::{Certificates, protection_plan, secured};
use crate::recipients::recipient_set::{RecipientSet, Rules};
use crate::send_port::{Refusal, SendPort};

/// An alert as it would be submitted.
#[derive(Debug)]
pub struct Preview {
    /// The alert, with BizTalk's macros replaced if its send port does that.
    pub alert: Alert,
    /// The texts as mail readers show them.
    pub texts: PreviewTexts,
    /// The message before protection.
    pub draft: Draft,
    /// The message after protection, or why it cannot be protected.
    pub secured: Result<SecuredMessage, ProtectionError>,
    /// How protection changes the header.
    pub headers: HeaderProtected,
    /// The signer, if the send port has one: addresses, key and expiry.
    pub signer: Option<String>,
    /// Each message that would be made for the waiting recipients.
    pub copies: Vec<PreviewCopy>,
    /// Reverse-path, and the forward-paths that are due.
    pub envelope: Envelope,
    /// The relays in the order in which they would be tried.
    pub relays: Vec<String>,
    /// All recipients; for those without the message, the reply that explains it.
    pub recipients: Vec<(Recipient, Option<Reply>)>,
    /// Why waiting recipients would never get it: it has expired, or will expire before it may be sent.
    pub never: Option<String>,
    /// Why it would not be submitted now, although there are recipients.
    pub not_now: Option<String>,
}

impl Preview {
    /// Why some or all recipients would be rejected locally, before any relay is connected.
    pub fn refused(&self) -> Option<String> {
        if let Err(ProtectionError::Never(refusal)) = &self.secured {
            return Some(refusal.reason.clone());
        }
        let answer = self
            .recipients
            .iter()
            .find_map(|(_, answer)| answer.as_ref());
        answer.map(ToString::to_string)
    }

    /// Why no recipient would get it, or has got it.
    pub fn would_fail(&self) -> Option<String> {
        let any_waits = !self.copies.is_empty();
        if let Some(never) = self.never.clone().filter(|_| any_waits) {
            return Some(never);
        }
        let relayed = |(it, _): &(Recipient, _)| it.status == RecipientStatus::Relayed;
        let any_reached = any_waits || self.recipients.iter().any(relayed);
        let unsecured = self.secured.as_ref().is_err_and(ProtectionError::is_final);
        self.refused().filter(|_| unsecured || !any_reached)
    }
}

/// The texts of a message as mail readers show them.
#[derive(Debug, Clone, Default)]
pub struct PreviewTexts {
    /// One line.
    pub subject: String,
    /// The text without HTML.
    pub text: String,
    /// The HTML, if there is any.
    pub html: Option<String>,
    /// The attachments.
    pub attachments: Vec<Attachment>,
}

impl PreviewTexts {
    /// Those of a message that a client submitted.
    fn received(message: &[u8]) -> Self {
        let (subject, text, html) = texts(message);
        Self {
            subject,
            text,
            html,
            attachments: Vec::new(),
        }
    }

    /// Those of a rendered template, without attachments.
    pub fn of(rendered: &RenderedAlert<'_>) -> Self {
        Self {
            subject: rendered.subject.clone(),
            text: mime::plain_text(rendered).into_owned(),
            html: mime::html(rendered).map(Cow::into_owned),
            attachments: Vec::new(),
        }
    }
}

/// One of the messages of an alert.
#[derive(Debug)]
pub struct PreviewCopy {
    /// Header `Message-ID`.
    pub message_id: String,
    /// Its protection.
    pub protection: Protection,
    /// Its recipients.
    pub recipients: Vec<PreviewReader>,
    /// Signer, recipients and algorithms of its protection, or why it cannot be protected.
    pub facts: Result<ProtectionFacts, ProtectionError>,
}

/// A recipient of a message.
#[derive(Debug)]
pub struct PreviewReader {
    /// The address.
    pub address: String,
    /// The certificate that the message is encrypted to: its thumbprint and source.
    pub certificate: Option<String>,
    /// Why the message is not encrypted for them although encryption was requested.
    pub unencrypted_remark: Option<String>,
}

/// The message of an alert that is rendered, and its texts.
async fn rendered(
    alert: &Alert,
    port: &SendPort,
    variant: &Variant,
    sources: &Sources<'_>,
) -> Result<(Draft, PreviewTexts), ComposeError> {
    let attachments = sources.attachments(alert, port).await?;
    let turn = sources.templates.turn(alert).await?;
    let draft = sources.draft(alert, port, variant, &attachments, turn);
    let draft = draft.await?;
    let turn = sources.templates.turn(alert).await?;
    let offset = port.wall_clock(alert);
    let rendered = sources.templates.render(turn, alert, offset).await?;
    let texts = PreviewTexts {
        attachments,
        ..PreviewTexts::of(&rendered)
    };
    Ok((draft, texts))
}

/// The message of a redirected alert that a client submitted, which is a file of it.
async fn redirected(
    alert: &mut Alert,
    port: &SendPort,
    variant: &Variant,
    stored: &StoredMessage,
    sources: &Sources<'_>,
) -> Result<(Draft, PreviewTexts), ComposeError> {
    *alert = received::without_from(alert.clone());
    let contents = AsFile::read(alert, stored, sources).await?;
    rendered(alert, port, variant, &sources.with(&contents)).await
}

/// Follows the steps of a dispatcher up to the relay. Changes nothing.
///
/// # Errors
/// [`ComposeError`]: the alert would fail, or wait for its template.
pub async fn preview(
    mut alert: Alert,
    port: &SendPort,
    sources: &Sources<'_>,
    replies: &ReplyTable,
    clock: &dyn Clock,
) -> Result<Preview, ComposeError> {
    port.resolve_macros(&mut alert);
    few_enough(&alert)?;
    let now = clock.now();
    let rules = Rules {
        port,
        replies,
        age: (now - alert.queued_since()).to_std().unwrap_or_default(),
        chance: 0.0,
        throttled_for: None,
        of_one_domain: false,
    };
    let mut recipients = RecipientSet::load(&alert, &rules);
    recipients.redirect(&alert, port)?;
    let stored = received::stored(&alert, sources.received).await?;
    let passed_on = stored.as_ref().filter(|_| alert.redirect.is_none());
    let received = match passed_on {
        Some(stored) => Some(sources.received_draft(&alert, port, stored).await?),
        None => None,
    };
    let wanted = received::protection_of(&alert, port, received.as_ref());
    let cache = sources.certificates;
    let certificates =
        Certificates::of_those_waiting(&alert, (port, wanted), cache, &mut recipients, now).await?;
    let forward_paths = certificates.together(recipients.forward_paths());
    let envelope = envelope(&alert, port, passed_on, forward_paths);
    let variant = certificates.variant(&alert, &envelope.forward_paths);
    let (draft, texts) = match (&stored, received) {
        (_, Some(mut draft)) => {
            draft.protection = variant.protection(wanted);
            let texts = PreviewTexts::received(&draft.message.bytes);
            (draft, texts)
        }
        (Some(stored), None) => redirected(&mut alert, port, &variant, stored, sources).await?,
        (None, None) => {
            let contents = WithFiles::read(&alert, port, sources.contents).await?;
            rendered(&alert, port, &variant, &sources.with(&contents)).await?
        }
    };
    let never = never(&alert, &rules, now);
    let not_now = never
        .clone()
        .or_else(|| waits(window::wait_for(&alert, port, now)?));
    let context = variant.message_context(&draft.from, &alert, now);
    let secured = match protection_plan(port, draft.protection, &context) {
        Ok(plan) => secured(draft.message.clone(), plan).await,
        Err(why) => Err(why),
    };
    let waiting = Waiting {
        recipients: &recipients,
        received: passed_on.map(|_| &draft),
        wanted,
    };
    let copies = copies(&alert, port, &certificates, &waiting, now)?;
    let signer = port.protector.signer.as_ref().map(|it| it.identity());
    Ok(Preview {
        headers: port.protector.headers.of(draft.protection),
        signer: signer.map(|it| it.to_string()),
        copies,
        secured,
        texts,
        draft,
        envelope,
        relays: relays(&alert, port),
        recipients: recipients.recipients(),
        never,
        not_now,
        alert,
    })
}

/// The relays in their order for this alert.
fn relays(alert: &Alert, port: &SendPort) -> Vec<String> {
    let relays = digest::relay_order(alert, &port.relays);
    relays.into_iter().map(str::to_owned).collect()
}

/// Why waiting recipients will not get it in time, now or when the delivery window opens.
fn never(alert: &Alert, rules: &Rules<'_>, now: Timestamp) -> Option<String> {
    let spent = || attempts_left(alert, rules.port).err().map(|why| why.reason);
    let shut = || {
        let shut = rules.port.opens_in(alert, now)?;
        let later = Rules {
            age: rules.age + shut,
            ..*rules
        };
        let opens = now.checked_add_signed(TimeDelta::from_std(shut).ok()?)?;
        let expired = expiry(alert, &later, opens)?;
        let waits = waits(window::wait_for(alert, rules.port, now)?)?;
        Some(format!("{waits}; by then it has {expired}"))
    };
    expiry(alert, rules, now).or_else(spent).or_else(shut)
}

/// Who waits for messages.
struct Waiting<'a> {
    recipients: &'a RecipientSet,
    /// A message that a client submitted.
    received: Option<&'a Draft>,
    /// The protection for recipients with a certificate.
    wanted: Protection,
}

/// All messages that would be made for the waiting recipients, in their order.
fn copies(
    alert: &Alert,
    port: &SendPort,
    certificates: &Certificates,
    waiting: &Waiting<'_>,
    now: Timestamp,
) -> Result<Vec<PreviewCopy>, ComposeError> {
    let mut left = waiting.recipients.waiting_paths();
    let mut copies = Vec::new();
    while !left.is_empty() {
        let ascii = left.iter().any(|path| path.address.is_ascii());
        let next = left.iter().filter(|path| path.address.is_ascii() == ascii);
        let paths = certificates.together(next.cloned().collect());
        left.retain(|path| !paths.contains(path));
        copies.push(copy(alert, port, certificates, (waiting, &paths), now)?);
    }
    Ok(copies)
}

fn copy(
    alert: &Alert,
    port: &SendPort,
    certificates: &Certificates,
    (waiting, paths): (&Waiting<'_>, &[ForwardPath]),
    now: Timestamp,
) -> Result<PreviewCopy, ComposeError> {
    let variant = certificates.variant(alert, paths);
    let protection = variant.protection(waiting.wanted);
    let (message_id, from) = match &waiting.received {
        Some(draft) => (draft.message.message_id.clone(), draft.from.clone()),
        None => {
            let settings = settings(alert, port, &variant)?;
            let message_id = mime::message_id(alert, &settings)
                .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
            (message_id, settings.from.address)
        }
    };
    let context = variant.message_context(&from, alert, now);
    let facts = protection_plan(port, protection, &context).and_then(|it| Ok(it.facts()?));
    let reader = |path: &ForwardPath| PreviewReader {
        address: path.address.to_string(),
        certificate: certificates.shown(path),
        unencrypted_remark: waiting
            .recipients
            .unencrypted_remark(path.ordinal)
            .map(str::to_owned),
    };
    Ok(PreviewCopy {
        message_id,
        protection,
        recipients: paths.iter().map(reader).collect(),
        facts,
    })
}

fn waits(kind: OutcomeKind) -> Option<String> {
    match kind {
        OutcomeKind::Released { reason, .. } => reason,
        OutcomeKind::Decided(decision) => decision.reason,
    }
}
