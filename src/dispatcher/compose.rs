//! From an alert to the message that is to be submitted.

use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};

use super::room::Place;
use super::{Composed, Dispatcher};
use crate::domain::{Alert, Attachment, AttachmentId, Message};
use crate::mime::{self, Draft, MessageSettings};
use crate::send_port::{Refusal, SendPort};
use crate::smime::{self, Protection};
use crate::store::StoreError;

/// Work on more octets than this would keep others from running.
const LARGE: usize = 256 * 1024;

/// Octets of a content that are read at a time.
const PIECE: u32 = 256 * 1024;

/// Longest wait for other large messages.
const PATIENCE: Duration = Duration::from_secs(60);

/// After a trouble with the database.
const AGAIN: Duration = Duration::from_secs(1);

/// Why there is no message.
pub(super) enum NotComposed {
    /// There never will be one.
    Refused(Refusal),
    /// Not now: due again after this, and why.
    NotYet(Duration, Option<String>),
}

impl From<Refusal> for NotComposed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Dispatcher {
    /// Attachments are looked at only where there are any, and their contents read only where the
    /// send port takes them all.
    pub(super) async fn compose(
        &self,
        alert: &Alert,
        port: &SendPort,
    ) -> Result<Composed, NotComposed> {
        port.check_principal(alert)?;
        let settings = MessageSettings {
            from: port.decide_from(alert)?,
            message_id_domain: port.message_id_domain.clone(),
            headers: port.headers.clone(),
        };
        let protection = port.decide_protection(alert)?;
        let attachments = self.attachments(alert, port).await?;
        let place = self.place(alert, port, &attachments).await?;
        let (draft, template_version) = aside(text_octets(alert), || {
            self.draft(alert, &settings, &attachments)
        })?;
        let message = self.filled(alert, draft).await?;
        self.secured(message, protection, port, template_version, place)
    }

    /// Those of the alert, all of them allowed.
    async fn attachments(
        &self,
        alert: &Alert,
        port: &SendPort,
    ) -> Result<Vec<Attachment>, NotComposed> {
        if alert.attachment_count == 0 {
            return Ok(Vec::new());
        }
        let read = self.parts.attachments.attachments(alert.id).await;
        let attachments = read.map_err(|error| unread(&error))?;
        port.check_attachments(&attachments)?;
        Ok(attachments)
    }

    async fn place(
        &self,
        alert: &Alert,
        port: &SendPort,
        attachments: &[Attachment],
    ) -> Result<Place, NotComposed> {
        let octets = text_octets(alert) as u64 + mime::expected_octets(attachments);
        // An audit holds copies beside it.
        let copies = if self.parts.auditors.contains_key(&port.name) {
            2
        } else {
            1
        };
        let place = tokio::select! {
            biased;
            place = self.room.take(octets.saturating_mul(copies), PATIENCE) => place,
            () = self.parts.stop.cancelled() => return Err(NotComposed::NotYet(Duration::ZERO, None)),
        };
        let why = || Some("waits for other large messages to be sent".to_owned());
        place.ok_or_else(|| NotComposed::NotYet(AGAIN, why()))
    }

    fn draft(
        &self,
        alert: &Alert,
        settings: &MessageSettings,
        attachments: &[Attachment],
    ) -> Result<(Draft, Option<String>), Refusal> {
        let rendered = self
            .parts
            .templates
            .render(alert)
            .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
        let draft = mime::draft_message(&rendered, settings, attachments)
            .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
        Ok((draft, rendered.template_version))
    }

    /// With all contents, of which one piece at a time is in memory.
    async fn filled(&self, alert: &Alert, mut draft: Draft) -> Result<Message, NotComposed> {
        while let Some(id) = draft.wanted() {
            let first = self.piece(alert, id, 0).await?;
            if draft.looks_first() {
                self.pass(alert, id, &first, |piece| draft.look(piece))
                    .await?;
            }
            self.pass(alert, id, &first, |piece| draft.append(piece))
                .await?;
            draft.close();
        }
        Ok(draft.finish())
    }

    /// Hands every piece of a content to `take`, others having their turn in between.
    async fn pass(
        &self,
        alert: &Alert,
        id: AttachmentId,
        first: &[u8],
        mut take: impl FnMut(&[u8]) + Send,
    ) -> Result<(), NotComposed> {
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
    ) -> Result<Vec<u8>, NotComposed> {
        let store = &self.parts.attachments;
        let read = store.attachment_content(alert.id, id, from, PIECE);
        let content = read.await.map_err(|error| unread(&error))?;
        let gone = || {
            Refusal::new(
                "attachment-gone",
                format!(
                    "attachment {} was deleted while the alert was being sent",
                    id.0
                ),
            )
        };
        Ok(content.ok_or_else(gone)?)
    }

    fn secured(
        &self,
        message: Message,
        protection: Protection,
        port: &SendPort,
        template_version: Option<String>,
        place: Place,
    ) -> Result<Composed, NotComposed> {
        let octets_before = self.octets_before(&message, port, protection);
        let message = smime::secure(message, protection)
            .map_err(|error| Refusal::new("protection-not-available", error.to_string()))?;
        Ok(Composed {
            message,
            octets_before,
            template_version,
            _place: place,
        })
    }
}

fn unread(error: &StoreError) -> NotComposed {
    if error.is_transient() {
        let why = format!("waits for its attachments to be read: {error}");
        return NotComposed::NotYet(AGAIN, Some(why));
    }
    Refusal::new("unreadable-row", error.to_string()).into()
}

/// What the texts come from.
fn text_octets(alert: &Alert) -> usize {
    let columns = [&alert.body, &alert.payload];
    columns.into_iter().flatten().map(String::len).sum()
}

/// Runs `work` where it keeps no other task waiting, if it is long.
fn aside<T>(octets: usize, work: impl FnOnce() -> T) -> T {
    let has_others = Handle::current().runtime_flavor() == RuntimeFlavor::MultiThread;
    if octets > LARGE && has_others {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}
