//! From an alert to its message.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{
    Address, Alert, AlertOrigin, Attachment, AttachmentId, Envelope, Lease, Message,
};
use sendport_message::mime::{self, LegacyDisplay, MessageSettings};
use sendport_smime::{Hide, Protection, SecuredMessage};
use sendport_store::LoadResult;
use sendport_store::attachments::AttachmentSource;
use sendport_store::received::ReceivedSource;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::memory_budget::MemoryPermit;
use super::preparation::Preparation;
use super::template_cache::TemplateTurn;
use super::{CertificateCache, Dispatcher, ReadyMessage, TemplateCache, attempts_left};
use crate::ComposeError;
use crate::protection::encryption_group::Variant;
use crate::protection::securing::{Certificates, protection_plan, secured};
use crate::send_port::{Refusal, SendPort};

/// Work on more bytes than this would delay other tasks.
const LARGE: usize = 256 * 1024;

/// Bytes of a content that are read at a time.
const PIECE: u32 = 256 * 1024;

/// Longest wait for other large messages.
const PATIENCE: Duration = Duration::from_secs(60);

/// After that.
const AGAIN: Duration = Duration::from_secs(1);

/// A message before its protection.
#[derive(Debug)]
pub struct Draft {
    /// The same bytes in every attempt.
    pub message: Message,
    /// The protection that it needs.
    pub protection: Protection,
    /// The address in From.
    pub from: Address,
    /// Who made the message may use it.
    pub from_allowed: bool,
    /// The version of its template.
    pub template_version: Option<String>,
}

/// The sources of a message, beside the alert.
pub struct Sources<'a> {
    /// The templates.
    pub templates: &'a TemplateCache,
    /// Attachments, read while a message is made.
    pub contents: &'a dyn AttachmentSource,
    /// Messages that clients submitted whole.
    pub received: &'a dyn ReceivedSource,
    /// The recipients' certificates.
    pub certificates: &'a Arc<CertificateCache>,
}

impl<'a> Sources<'a> {
    /// The same with other attachments.
    pub(super) fn with<'b>(&self, contents: &'b dyn AttachmentSource) -> Sources<'b>
    where
        'a: 'b,
    {
        Sources { contents, ..*self }
    }

    /// The attachments of the alert, all of them allowed. They are looked at only where there are
    /// any, and their contents are not read yet.
    pub(super) async fn attachments(
        &self,
        alert: &Alert,
        port: &SendPort,
    ) -> Result<Vec<Attachment>, ComposeError> {
        port.check_principal(alert)?;
        if alert.attachment_count == 0 && alert.named_files().next().is_none() {
            return Ok(Vec::new());
        }
        let read = self.contents.attachments(alert.id).await;
        let attachments = read.map_err(|error| ComposeError::unread("its attachments", error))?;
        if !alert.origin.is_received() {
            port.check_attachments(&attachments)?;
        }
        Ok(attachments)
    }

    /// Makes the message of an alert whose template may be rendered now, in one of its variants.
    pub(super) async fn draft(
        &self,
        alert: &Alert,
        port: &SendPort,
        variant: &Variant,
        attachments: &[Attachment],
        turn: TemplateTurn<'_>,
    ) -> Result<Draft, ComposeError> {
        let settings = settings(alert, port, variant)?;
        let protection = protection(alert, port, variant)?;
        let offset = port.wall_clock(alert);
        let rendered = self.templates.render(turn, alert, offset).await?;
        let draft = aside(rendered.bytes(), || {
            mime::draft_message(&rendered, &settings, attachments)
                .map_err(|error| Refusal::new(error.explanation(), error.to_string()))
        })?;
        let template_version = rendered.template_version;
        Ok(Draft {
            message: self.filled(alert, draft).await?,
            protection,
            from: settings.from.address,
            from_allowed: true,
            template_version,
        })
    }

    /// The message with all contents, of which one piece at a time is in memory.
    async fn filled(&self, alert: &Alert, mut draft: mime::Draft) -> Result<Message, ComposeError> {
        while let Some(id) = draft.wanted() {
            let first = self.piece(alert, id, 0).await?;
            if draft.examines_first() {
                self.pass(alert, id, &first, |piece| draft.examine(piece))
                    .await?;
            }
            self.pass(alert, id, &first, |piece| draft.append(piece))
                .await?;
            draft.close();
        }
        Ok(draft.finish())
    }

    /// Passes every piece of a content to `take`; other tasks run in between.
    async fn pass(
        &self,
        alert: &Alert,
        id: AttachmentId,
        first: &[u8],
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<(), ComposeError> {
        take(first);
        let (mut from, mut last) = (first.len() as u64, first.len());
        while last == PIECE as usize {
            let piece = self.piece(alert, id, from).await?;
            take(&piece);
            (from, last) = (from + piece.len() as u64, piece.len());
        }
        Ok(())
    }

    async fn piece(
        &self,
        alert: &Alert,
        id: AttachmentId,
        from: u64,
    ) -> Result<Vec<u8>, ComposeError> {
        let read = self.contents.attachment_content(alert.id, id, from, PIECE);
        let content = read
            .await
            .map_err(|error| ComposeError::unread("its attachments", error))?;
        let gone = || {
            Refusal::new(
                "attachment-missing",
                format!(
                    "attachment {} was deleted while the alert was being sent",
                    id.0
                ),
            )
        };
        Ok(content.ok_or_else(gone)?)
    }
}

impl Dispatcher {
    /// An alert with the texts that were left out, and the memory for its message.
    pub(super) async fn whole(
        &self,
        lease: &Lease<Alert>,
        bytes: u64,
    ) -> Result<(MemoryPermit, Alert), ComposeError> {
        let alert = &lease.value;
        // A text is in memory several times while its message is made.
        let copies = self.copies(&alert.send_port);
        let memory_permit = self.reserve_memory(bytes.saturating_mul(3), copies).await?;
        // These bytes may be too many for this process.
        let _preparing =
            Preparation::begin(&*self.parts.submit_guard, &self.preparing, lease).await;
        match self.parts.contents.whole_alert(alert.id).await {
            Ok(Some(LoadResult::Alert(alert) | LoadResult::Large { alert, .. })) => {
                Ok((memory_permit, *alert))
            }
            Ok(Some(LoadResult::Unreadable { reason, .. })) => {
                Err(Refusal::new("unreadable-row", reason).into())
            }
            Ok(None) => Err(ComposeError::Deferred(AGAIN, None)),
            Err(error) => Err(ComposeError::unread("its texts", error)),
        }
    }

    /// The message for the recipients of `envelope`, made secure for them.
    pub(super) async fn compose(
        &self,
        memory_permit: Option<MemoryPermit>,
        lease: &Lease<Alert>,
        port: &SendPort,
        envelope: &Envelope,
        certificates: &Certificates,
        sources: &Sources<'_>,
    ) -> Result<ReadyMessage, ComposeError> {
        let alert = &lease.value;
        attempts_left(alert, port)?;
        let attachments = sources.attachments(alert, port).await?;
        let memory_permit = match memory_permit {
            Some(memory_permit) => memory_permit,
            None => {
                let bytes = text_bytes(alert) as u64 + mime::expected_bytes(&attachments);
                self.reserve_memory(bytes, self.copies(&port.name)).await?
            }
        };
        let variant = certificates.variant(alert, &envelope.forward_paths);
        // Waiting here blocks no other alert, and a crash meanwhile is not charged to this one.
        let turn = sources.templates.turn(alert).await?;
        let submit_guard = &*self.parts.submit_guard;
        let _preparing = Preparation::begin(submit_guard, &self.preparing, lease).await;
        let draft = sources.draft(alert, port, &variant, &attachments, turn);
        let draft = draft.await?;
        self.protected(draft, (alert, port), &variant, memory_permit)
            .await
    }

    /// The message with its protection.
    pub(super) async fn protected(
        &self,
        draft: Draft,
        (alert, port): (&Alert, &SendPort),
        variant: &Variant,
        memory_permit: MemoryPermit,
    ) -> Result<ReadyMessage, ComposeError> {
        let now = self.parts.clock.now();
        let context = variant.message_context(&draft.from, alert, now);
        let plan = protection_plan(port, draft.protection, &context)?;
        let bytes_before = self.bytes_before(&draft.message, port, draft.protection);
        let message = secured(draft.message, plan).await?;
        Ok(ReadyMessage {
            message: match draft.from_allowed {
                true => signed_by_dkim(port, message)?,
                false => message,
            },
            bytes_before,
            template_version: draft.template_version,
            _memory: memory_permit,
        })
    }

    /// Where the dispatcher takes its messages from.
    pub(super) fn sources(&self) -> Sources<'_> {
        Sources {
            templates: &self.parts.templates,
            contents: &*self.parts.contents,
            received: &*self.parts.received,
            certificates: &self.parts.certificates,
        }
    }

    /// How often a message of the send port is in memory: an audit holds copies, protection makes
    /// others, and a signature by DKIM moves it.
    pub(super) fn copies(&self, send_port: &str) -> u64 {
        let port = self.parts.send_ports.get(send_port);
        let protects = port.is_some_and(|port| port.protector.is_able());
        let audits = self.parts.auditors.contains_key(send_port);
        let signs = port.is_some_and(|port| !port.dkim.is_empty());
        1 + u64::from(audits) + 2 * u64::from(protects) + u64::from(signs)
    }

    pub(super) async fn reserve_memory(
        &self,
        bytes: u64,
        copies: u64,
    ) -> Result<MemoryPermit, ComposeError> {
        let memory_permit = tokio::select! {
            biased;
            memory_permit = self.memory.acquire(bytes.saturating_mul(copies), PATIENCE) => memory_permit,
            () = self.parts.stop.cancelled() => return Err(ComposeError::Deferred(Duration::ZERO, None)),
        };
        let why = || Some("waits for other large messages to be sent".to_owned());
        memory_permit.ok_or_else(|| ComposeError::Deferred(AGAIN, why()))
    }
}

/// The last step: nothing changes the message afterwards.
pub(super) fn signed_by_dkim(
    port: &SendPort,
    message: SecuredMessage,
) -> Result<SecuredMessage, ComposeError> {
    let signed = aside(message.bytes().len(), || port.signed_by_dkim(message));
    signed.map_err(|error| ComposeError::Unprotected {
        why: error.to_string(),
        retry_in: None,
    })
}

/// The text of an encrypted message repeats its hidden fields, for mail readers that do not show them.
fn legacy_display(hidden: Hide) -> LegacyDisplay {
    match hidden {
        Hide::None => LegacyDisplay::None,
        Hide::Baseline => LegacyDisplay::Subject,
        Hide::Names => LegacyDisplay::Names,
    }
}

/// The settings of the send port and the variant for the message.
pub(super) fn settings(
    alert: &Alert,
    port: &SendPort,
    variant: &Variant,
) -> Result<MessageSettings, Refusal> {
    let headers = port.protector.headers;
    Ok(MessageSettings {
        from: port.decide_from(alert)?,
        message_id_domain: port.message_id_domain.clone(),
        headers: port.headers.clone(),
        auto_submitted: port.auto_submitted || alert.origin == AlertOrigin::Digest,
        charset: port.charset,
        html_charset: port.html_charset,
        international: variant.international,
        legacy_display: legacy_display(headers.to_display(protection(alert, port, variant)?)),
        variant: variant.word.clone(),
    })
}

/// The protection that the message needs.
pub(super) fn protection(
    alert: &Alert,
    port: &SendPort,
    variant: &Variant,
) -> Result<Protection, Refusal> {
    Ok(variant.protection(port.decide_protection(alert)?))
}

/// The source of the texts.
fn text_bytes(alert: &Alert) -> usize {
    let columns = [&alert.body, &alert.payload];
    columns.into_iter().flatten().map(String::len).sum()
}

/// Runs `work`; long work runs where it delays no other task.
pub(super) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let has_others = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if bytes > LARGE && has_others {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
