//! The message of an alert that a client submitted whole: its octets, and the envelope that came with it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sendport_core::domain::{
    Alert, AlertId, AlertOrigin, Attachment, AttachmentId, BodyType, ContentDisposition,
    DsnRequest, Envelope, ForwardPath, Lease, Message, RecipientDsn, StoredMessage,
    TransferEncoding,
};
use sendport_message::received::passed_on;
use sendport_smime::Protection;
use sendport_store::attachments::AttachmentSource;
use sendport_store::received::{PIECE, ReceivedSource};
use sendport_store::{LoadResult, StoreError};

use super::compose::{Sources, aside};
use super::memory_budget::MemoryPermit;
use super::preparation::Preparation;
use super::{Dispatcher, Draft, ReadyMessage, attempts_left};
use crate::ComposeError;
use crate::protection::encryption_group::Variant;
use crate::protection::securing::Certificates;
use crate::recipients::receipt;
use crate::send_port::received::ReceivedPlan;
use crate::send_port::{Refusal, SendPort};

/// What the dispatcher waits for where the database returned no message.
const WHAT: &str = "the received message";

/// The name of the file with the message, where a redirect sends it elsewhere.
const FILE_NAME: &str = "message.eml";

/// Key of its only attachment then; no row has one below 0.
const FILE: AttachmentId = AttachmentId(-1);

/// What came with the message of the alert; `None` for one that the service renders.
pub(super) async fn stored(
    alert: &Alert,
    received: &dyn ReceivedSource,
) -> Result<Option<StoredMessage>, ComposeError> {
    if !alert.origin.is_received() {
        return Ok(None);
    }
    let read = received.received(alert.id).await;
    let stored = read.map_err(|error| ComposeError::unread(WHAT, error))?;
    stored.map(Some).ok_or_else(|| missing().into())
}

fn missing() -> Refusal {
    let why = "the bytes of the received message were deleted while the alert was being sent";
    Refusal::new("message-missing", why.to_owned())
}

/// The envelope of a message that is passed on: the reverse-path that the client gave, and the notifications that it
/// asked for, or those of the send port where it asked for none.
pub(super) fn envelope(
    alert: &Alert,
    port: &SendPort,
    stored: &StoredMessage,
    forward_paths: Vec<ForwardPath>,
) -> Envelope {
    let of_recipient = |path: &ForwardPath| {
        let asked = stored.recipient_dsn.get(path.address.as_str())?;
        Some((path.ordinal, asked.clone()))
    };
    let recipients: BTreeMap<u32, RecipientDsn> =
        forward_paths.iter().filter_map(of_recipient).collect();
    let asks = !recipients.is_empty() || stored.returns.is_some() || stored.envelope_id.is_some();
    let dsn = match asks && stored.reverse_path.0.is_some() {
        true => Some(DsnRequest {
            envelope_id: stored.envelope_id.clone().unwrap_or_default(),
            notify: None,
            returns: stored.returns,
            recipients,
        }),
        false if stored.reverse_path.0.is_some() => receipt::request(alert, port),
        // RFC 3461 section 7.1.
        false => None,
    };
    Envelope {
        reverse_path: stored.reverse_path.clone(),
        forward_paths,
        dsn,
    }
}

impl Sources<'_> {
    /// The message as it came, or in the form that is signed or encrypted. Its protection is that for recipients with a
    /// certificate.
    pub(super) async fn received_draft(
        &self,
        alert: &Alert,
        port: &SendPort,
        stored: &StoredMessage,
    ) -> Result<Draft, ComposeError> {
        let wanted = match alert.origin {
            // It has no content that the send port would protect.
            AlertOrigin::Report => Protection::None,
            _ => port.decide_protection(alert)?,
        };
        let message = passed_on(self.octets(alert, stored).await?);
        let plan = match wanted {
            Protection::None => ReceivedPlan::PassOn(message),
            _ => aside(message.len(), || {
                port.plan_for_received(message, wanted, stored.from_allowed)
            })?,
        };
        let (bytes, protection, from) = match plan {
            ReceivedPlan::PassOn(bytes) => (bytes, Protection::None, port.from.address.clone()),
            ReceivedPlan::Protect { message, from } => (message, wanted, from),
        };
        let message_id = stored.message_id.clone();
        Ok(Draft {
            message: Message { message_id, bytes },
            protection,
            from,
            from_allowed: stored.from_allowed,
            template_version: None,
        })
    }

    /// The octets that the client submitted.
    async fn octets(&self, alert: &Alert, stored: &StoredMessage) -> Result<Vec<u8>, ComposeError> {
        let size = usize::try_from(stored.size_bytes).unwrap_or(0);
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            let ordinal = u32::try_from(bytes.len() / PIECE).unwrap_or(u32::MAX);
            let read = self.received.received_piece(alert.id, ordinal).await;
            let piece = read.map_err(|error| ComposeError::unread(WHAT, error))?;
            match piece {
                Some(piece) if !piece.is_empty() => bytes.extend(piece),
                _ => return Err(missing().into()),
            }
        }
        Ok(bytes)
    }
}

/// A message that a client submitted.
pub(super) struct Received {
    stored: StoredMessage,
    /// What goes out of it; `None` where a redirect sends it elsewhere.
    passed_on: Option<PassedOn>,
}

/// A received message before its protection, and the memory for it.
struct PassedOn {
    draft: Draft,
    memory_permit: MemoryPermit,
}

impl Received {
    /// What came with a message that is not redirected.
    pub(super) fn envelope(&self) -> Option<&StoredMessage> {
        self.passed_on.as_ref().map(|_| &self.stored)
    }

    /// The message itself, where it is not redirected.
    pub(super) fn draft(&self) -> Option<&Draft> {
        self.passed_on.as_ref().map(|it| &it.draft)
    }
}

/// The protection for recipients with a certificate. One that cannot be decided fails the alert later.
pub(super) fn protection_of(
    alert: &Alert,
    port: &SendPort,
    received: Option<&Draft>,
) -> Protection {
    match received {
        Some(draft) => draft.protection,
        None => port.decide_protection(alert).unwrap_or_default(),
    }
}

impl Dispatcher {
    /// The message of an alert that came whole; `None` for one that the service renders.
    pub(super) async fn received(
        &self,
        lease: &Lease<Alert>,
        port: &SendPort,
    ) -> Result<Option<Received>, ComposeError> {
        let alert = &lease.value;
        let Some(stored) = stored(alert, &*self.parts.received).await? else {
            return Ok(None);
        };
        if alert.redirect.is_some() {
            let passed_on = None;
            return Ok(Some(Received { stored, passed_on }));
        }
        attempts_left(alert, port)?;
        // A relay may need it in 7 bits, which is another copy.
        let encoded = 2 * u64::from(stored.body == BodyType::EightBitMime);
        let copies = self.copies(&port.name) + encoded;
        let memory_permit = self.reserve_memory(stored.size_bytes, copies).await?;
        let submit_guard = &*self.parts.submit_guard;
        let _preparing = Preparation::begin(submit_guard, &self.preparing, lease).await;
        let draft = self.sources().received_draft(alert, port, &stored).await?;
        let passed_on = Some(PassedOn {
            draft,
            memory_permit,
        });
        Ok(Some(Received { stored, passed_on }))
    }

    /// The message of the alert: made, or passed on as it was received.
    pub(super) async fn composed(
        &self,
        memory_permit: Option<MemoryPermit>,
        (lease, port): (&Lease<Alert>, &SendPort),
        (envelope, received): (&Envelope, Option<Received>),
        certificates: &Certificates,
    ) -> Result<ReadyMessage, ComposeError> {
        let mut sources = self.sources();
        let Some(Received { stored, passed_on }) = received else {
            return self
                .compose(memory_permit, lease, port, envelope, certificates, &sources)
                .await;
        };
        if let Some(passed_on) = passed_on {
            let variant = certificates.variant(&lease.value, &envelope.forward_paths);
            return self
                .compose_received(lease, port, passed_on, &variant)
                .await;
        }
        let lease = Lease {
            token: lease.token,
            value: without_from(lease.value.clone()),
        };
        let memory_permit = match memory_permit {
            Some(memory_permit) => memory_permit,
            // As bytes, and as base64.
            None => {
                let bytes = stored.size_bytes.saturating_mul(3);
                self.reserve_memory(bytes, self.copies(&port.name)).await?
            }
        };
        let contents = AsFile::read(&lease.value, &stored, &sources).await?;
        sources.contents = &contents;
        self.compose(
            Some(memory_permit),
            &lease,
            port,
            envelope,
            certificates,
            &sources,
        )
        .await
    }

    /// The message to pass on, made secure for its recipients.
    async fn compose_received(
        &self,
        lease: &Lease<Alert>,
        port: &SendPort,
        passed_on: PassedOn,
        variant: &Variant,
    ) -> Result<ReadyMessage, ComposeError> {
        let PassedOn {
            mut draft,
            memory_permit,
        } = passed_on;
        draft.protection = variant.protection(draft.protection);
        let submit_guard = &*self.parts.submit_guard;
        let _preparing = Preparation::begin(submit_guard, &self.preparing, lease).await;
        self.protected(draft, (&lease.value, port), variant, memory_permit)
            .await
    }
}

/// The alert whose only attachment is its received message, for a redirect: the text names the recipients, and no From
/// of the client is used.
pub(super) fn without_from(alert: Alert) -> Alert {
    Alert {
        from_address: None,
        attachment_count: 1,
        ..alert
    }
}

/// A received message as that attachment, as it would be passed on.
pub(super) struct AsFile(Vec<u8>);

impl AsFile {
    pub(super) async fn read(
        alert: &Alert,
        stored: &StoredMessage,
        sources: &Sources<'_>,
    ) -> Result<Self, ComposeError> {
        let message = sources.octets(alert, stored).await?;
        Ok(Self(passed_on(message)))
    }
}

#[async_trait]
impl AttachmentSource for AsFile {
    /// Nothing of it is left out.
    async fn whole_alert(&self, _alert: AlertId) -> Result<Option<LoadResult>, StoreError> {
        Ok(None)
    }

    async fn attachments(&self, _alert: AlertId) -> Result<Vec<Attachment>, StoreError> {
        Ok(vec![Attachment {
            id: FILE,
            file_name: Some(FILE_NAME.to_owned()),
            media_type: None,
            disposition: ContentDisposition::Attachment,
            content_id: None,
            description: None,
            transfer_encoding: TransferEncoding::Base64,
            size_bytes: self.0.len() as u64,
        }])
    }

    async fn attachment_content(
        &self,
        _alert: AlertId,
        _attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let rest = usize::try_from(from)
            .ok()
            .and_then(|from| self.0.get(from..));
        Ok(rest.map(|rest| rest[..rest.len().min(at_most as usize)].to_vec()))
    }
}
