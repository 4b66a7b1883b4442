//! A message under construction, whose attachments come in pieces, one after the other.
//!
//! lettre's `MultiPart` holds every content and formats a second copy; see the module `encoding`.

use std::collections::VecDeque;

use sendport_core::domain::{Attachment, AttachmentId, Message};

use super::attachment::Part;
use super::body::MessageBodies;
use super::encoding::{Encoder, Survey};
use super::{Boundaries, MimeError};

/// A message up to the next attachment.
#[derive(Debug)]
pub struct Draft {
    message_id: String,
    bytes: Vec<u8>,
    remaining: VecDeque<DraftPiece>,
    survey: Survey,
    encoder: Option<Encoder>,
}

/// A piece that is still to be appended.
#[derive(Debug)]
enum DraftPiece {
    Bytes(Vec<u8>),
    Attachment(Box<Part>),
}

impl Draft {
    /// Header section and bodies, in the structure of RFC 2046 section 5.1, RFC 2387 and RFC 6047
    /// section 2.4: `mixed(alternative(text, related(html, inline...), invitation), attachments...)`,
    /// without the parts that are not needed.
    pub(super) fn new(
        message_id: String,
        headers: Vec<u8>,
        bodies: &MessageBodies<'_>,
        attachments: &[Attachment],
        boundaries: &Boundaries,
    ) -> Result<Self, MimeError> {
        let parts: Result<Vec<_>, _> = attachments.iter().map(Part::new).collect();
        let (mut parts, html) = (parts?, bodies.rendered.html.as_deref());
        let invitation = parts.iter().position(Part::is_invitation);
        let invitation = invitation.map(|at| parts.remove(at));
        if let Some(html) = html {
            parts.iter_mut().for_each(|part| part.take_name_from(html));
        }
        let (related, mixed): (Vec<_>, Vec<_>) = parts
            .into_iter()
            .partition(|part| html.is_some() && part.belongs_to_html());
        let mut layout = Layout::default();
        let opened = !mixed.is_empty();
        if opened {
            layout.open("mixed", "", &boundaries.mixed);
        }
        layout.body(bodies, related, invitation, boundaries);
        for part in mixed {
            layout.next(&boundaries.mixed);
            layout.attachment(part);
        }
        if opened {
            layout.close(&boundaries.mixed);
        }
        let mut bytes = headers;
        bytes.reserve_exact(layout.expected_bytes());
        let mut draft = Self {
            message_id,
            bytes,
            remaining: layout.pieces,
            survey: Survey::new(),
            encoder: None,
        };
        draft.advance();
        Ok(draft)
    }

    /// The attachment whose content is appended next; `None` where the message is complete.
    pub fn wanted(&self) -> Option<AttachmentId> {
        match self.remaining.front() {
            Some(DraftPiece::Attachment(part)) => Some(part.id),
            _ => None,
        }
    }

    /// The whole content of the wanted attachment has to pass [`Draft::examine`] before any of it is
    /// appended.
    pub fn examines_first(&self) -> bool {
        matches!(self.remaining.front(), Some(DraftPiece::Attachment(part)) if part.examines_first())
    }

    /// Examines the next piece of the wanted attachment's content.
    pub fn examine(&mut self, piece: &[u8]) {
        self.survey.examine(piece);
    }

    /// Appends the next piece of the wanted attachment's content.
    pub fn append(&mut self, piece: &[u8]) {
        self.open();
        if let Some(encoder) = &mut self.encoder {
            encoder.append(&mut self.bytes, piece);
        }
    }

    /// Ends the content of the wanted attachment; the next one becomes wanted.
    pub fn close(&mut self) {
        self.open();
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(&mut self.bytes);
            self.bytes.extend_from_slice(b"\r\n");
            self.remaining.pop_front();
        }
        self.survey = Survey::new();
        self.advance();
    }

    fn open(&mut self) {
        if let (None, Some(DraftPiece::Attachment(part))) = (&self.encoder, self.remaining.front())
        {
            self.encoder = Some(part.open(&mut self.bytes, &self.survey));
        }
    }

    /// The complete message.
    pub fn finish(self) -> Message {
        debug_assert!(self.remaining.is_empty());
        Message {
            message_id: self.message_id,
            bytes: self.bytes,
        }
    }

    fn advance(&mut self) {
        while let Some(DraftPiece::Bytes(bytes)) = self.remaining.front() {
            self.bytes.extend_from_slice(bytes);
            self.remaining.pop_front();
        }
    }
}

/// The pieces of a message in order.
#[derive(Default)]
struct Layout {
    pieces: VecDeque<DraftPiece>,
}

impl Layout {
    /// The alternatives, of which mail programs show the last one that they support.
    fn body(
        &mut self,
        bodies: &MessageBodies<'_>,
        related: Vec<Part>,
        invitation: Option<Part>,
        boundaries: &Boundaries,
    ) {
        let boundary = &boundaries.alternative;
        let (text, html) = bodies.parts(boundary);
        if html.is_none() && invitation.is_none() {
            return self.bytes(text);
        }
        self.open("alternative", "", boundary);
        self.bytes(text);
        if let Some(html) = html {
            self.next(boundary);
            self.html(html, related, &boundaries.related);
        }
        if let Some(invitation) = invitation {
            self.next(boundary);
            self.attachment(invitation);
        }
        self.close(boundary);
    }

    /// The HTML with its inline parts.
    fn html(&mut self, html: Vec<u8>, related: Vec<Part>, boundary: &str) {
        if related.is_empty() {
            return self.bytes(html);
        }
        self.open("related", "\r\n type=\"text/html\";", boundary);
        self.bytes(html);
        for part in related {
            self.next(boundary);
            self.attachment(part);
        }
        self.close(boundary);
    }

    /// The header of a multipart and the delimiter of its first part.
    fn open(&mut self, subtype: &str, parameters: &str, boundary: &str) {
        self.bytes(
            format!(
                "Content-Type: multipart/{subtype};{parameters}\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
            )
            .into_bytes(),
        );
    }

    fn next(&mut self, boundary: &str) {
        self.bytes(format!("--{boundary}\r\n").into_bytes());
    }

    /// Adds an empty line: where the delimiter of an outer multipart follows at once, GMime rejects a
    /// signature over it, and Python writes other octets than it read.
    fn close(&mut self, boundary: &str) {
        self.bytes(format!("--{boundary}--\r\n\r\n").into_bytes());
    }

    fn bytes(&mut self, bytes: Vec<u8>) {
        self.pieces.push_back(DraftPiece::Bytes(bytes));
    }

    fn attachment(&mut self, part: Part) {
        self.pieces
            .push_back(DraftPiece::Attachment(Box::new(part)));
    }

    /// Usually enough; the buffer grows otherwise.
    fn expected_bytes(&self) -> usize {
        const HEADERS: u64 = 2048;
        let length = |piece: &DraftPiece| match piece {
            DraftPiece::Bytes(bytes) => bytes.len() as u64,
            DraftPiece::Attachment(part) => part.expected_bytes + HEADERS,
        };
        let sum: u64 = self.pieces.iter().map(length).sum();
        usize::try_from(sum).unwrap_or(0)
    }
}
