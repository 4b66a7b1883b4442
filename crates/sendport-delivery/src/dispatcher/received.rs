//! The message of an alert that a client submitted whole: its octets, and the envelope that came with it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sendport_core::domain::{
    Alert, AlertId, Attachment, AttachmentId, ContentDisposition, DsnRequest, Envelope,
    ForwardPath, Lease, Message, RecipientDsn, StoredMessage, TransferEncoding,
};
use sendport_message::received::passed_on;
use sendport_smime::{Protection, ProtectionPlan};
use sendport_store::attachments::AttachmentSource;
use sendport_store::received::{PIECE, ReceivedSource};
use sendport_store::{LoadResult, StoreError};

use super::compose::Sources;
use super::preparation::Preparation;
use super::{Dispatcher, Draft, ReadyMessage, attempts_left};
use crate::ComposeError;
use crate::protection::securing::secured;
use crate::recipients::receipt;
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
    let why = "the octets of the received message were deleted while the alert was being sent";
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
    /// The message as it came. Its protection is its own: a send port that signs or encrypts refuses it.
    pub(super) async fn received_draft(
        &self,
        alert: &Alert,
        port: &SendPort,
        stored: &StoredMessage,
    ) -> Result<Draft, ComposeError> {
        let wanted = port.decide_protection(alert)?;
        if wanted != Protection::None {
            let why = format!(
                "the send port '{}' asks for the protection {}, and a message that a client submitted is passed on as it came; use a send port without protection",
                port.name,
                wanted.as_str()
            );
            return Err(Refusal::new("received-unprotected", why).into());
        }
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
        Ok(Draft {
            message: Message {
                message_id: stored.message_id.clone(),
                bytes: passed_on(bytes),
            },
            protection: wanted,
            from: port.from.address.clone(),
            template_version: None,
        })
    }
}

impl Dispatcher {
    /// The message to pass on.
    pub(super) async fn compose_received(
        &self,
        lease: &Lease<Alert>,
        port: &SendPort,
        stored: &StoredMessage,
    ) -> Result<ReadyMessage, ComposeError> {
        let alert = &lease.value;
        attempts_left(alert, port)?;
        let memory_permit = self
            .reserve_memory(stored.size_bytes, self.copies(&port.name))
            .await?;
        let submit_guard = &*self.parts.submit_guard;
        let _preparing = Preparation::begin(submit_guard, &self.preparing, lease).await;
        let draft = self.sources().received_draft(alert, port, stored).await?;
        Ok(ReadyMessage {
            bytes_before: self.bytes_before(&draft.message, port, draft.protection),
            message: secured(draft.message, ProtectionPlan::Unprotected).await?,
            template_version: None,
            is_passed_on: true,
            _memory: memory_permit,
        })
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

/// A received message as that attachment.
pub(super) struct AsFile<'a> {
    pub(super) stored: &'a StoredMessage,
    pub(super) received: &'a dyn ReceivedSource,
}

#[async_trait]
impl AttachmentSource for AsFile<'_> {
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
            size_bytes: self.stored.size_bytes,
        }])
    }

    async fn attachment_content(
        &self,
        alert: AlertId,
        _attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let piece = PIECE as u64;
        let ordinal = u32::try_from(from / piece).unwrap_or(u32::MAX);
        let found = self.received.received_piece(alert, ordinal).await?;
        let rest = |found: Vec<u8>| {
            let start = usize::try_from(from % piece).unwrap_or(0);
            let rest = found.get(start..).unwrap_or_default();
            rest[..rest.len().min(at_most as usize)].to_vec()
        };
        Ok(found
            .map(rest)
            .or_else(|| (from == self.stored.size_bytes).then(Vec::new)))
    }
}
