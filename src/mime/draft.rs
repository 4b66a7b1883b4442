//! A message that is being put together: contents come in pieces, one after the other.

use std::collections::VecDeque;

use super::attachment::Part;
use super::body::Texts;
use super::encoding::{Encoder, Survey};
use super::{Boundaries, MimeError};
use crate::domain::{Attachment, AttachmentId, Message};

/// A message up to its next attachment.
#[derive(Debug)]
pub struct Draft {
    message_id: String,
    octets: Vec<u8>,
    to_come: VecDeque<Piece>,
    survey: Survey,
    encoder: Option<Encoder>,
}

/// What is still to be appended.
#[derive(Debug)]
enum Piece {
    Octets(Vec<u8>),
    Attachment(Box<Part>),
}

impl Draft {
    /// Header section and texts; the structure of RFC 2046 section 5.1 and RFC 2387:
    /// `mixed(alternative(text, related(html, inline...)), attachments...)`, of which only what is
    /// needed is there.
    pub(super) fn new(
        message_id: String,
        headers: Vec<u8>,
        texts: &Texts<'_>,
        attachments: &[Attachment],
        boundaries: &Boundaries,
    ) -> Result<Self, MimeError> {
        let parts: Result<Vec<_>, _> = attachments.iter().map(Part::new).collect();
        let is_html = texts.rendered.html.is_some();
        let (related, mixed): (Vec<_>, Vec<_>) = parts?
            .into_iter()
            .partition(|part| is_html && part.belongs_to_html());
        let mut layout = Layout::default();
        let opened = !mixed.is_empty();
        if opened {
            layout.open("mixed", "", &boundaries.mixed);
        }
        if related.is_empty() {
            layout.octets(texts.entity(&boundaries.alternative));
        } else {
            layout.alternative_with_related(texts, related, boundaries);
        }
        for part in mixed {
            layout.next(&boundaries.mixed);
            layout.attachment(part);
        }
        if opened {
            layout.close(&boundaries.mixed);
        }
        let mut octets = headers;
        octets.reserve_exact(layout.expected_octets());
        let mut draft = Self {
            message_id,
            octets,
            to_come: layout.pieces,
            survey: Survey::new(),
            encoder: None,
        };
        draft.advance();
        Ok(draft)
    }

    /// The attachment whose content is to come next; `None`: the message is whole.
    pub fn wanted(&self) -> Option<AttachmentId> {
        match self.to_come.front() {
            Some(Piece::Attachment(part)) => Some(part.id),
            _ => None,
        }
    }

    /// True where the whole content of the wanted attachment has to be shown to [`Draft::look`]
    /// before any of it is appended.
    pub fn looks_first(&self) -> bool {
        matches!(self.to_come.front(), Some(Piece::Attachment(part)) if part.looks_first())
    }

    /// Shows the next piece of the wanted attachment's content.
    pub fn look(&mut self, piece: &[u8]) {
        self.survey.look(piece);
    }

    /// Appends the next piece of the wanted attachment's content.
    pub fn append(&mut self, piece: &[u8]) {
        self.open();
        if let Some(encoder) = &mut self.encoder {
            encoder.append(&mut self.octets, piece);
        }
    }

    /// The content of the wanted attachment is whole; from here on another one is wanted.
    pub fn close(&mut self) {
        self.open();
        if let Some(encoder) = self.encoder.take() {
            encoder.finish(&mut self.octets);
            self.octets.extend_from_slice(b"\r\n");
            self.to_come.pop_front();
        }
        self.survey = Survey::new();
        self.advance();
    }

    fn open(&mut self) {
        if let (None, Some(Piece::Attachment(part))) = (&self.encoder, self.to_come.front()) {
            self.encoder = Some(part.open(&mut self.octets, &self.survey));
        }
    }

    /// The message. Nothing is wanted any more.
    pub fn finish(self) -> Message {
        debug_assert!(self.to_come.is_empty());
        Message {
            message_id: self.message_id,
            octets: self.octets,
        }
    }

    fn advance(&mut self) {
        while let Some(Piece::Octets(octets)) = self.to_come.front() {
            self.octets.extend_from_slice(octets);
            self.to_come.pop_front();
        }
    }
}

/// The pieces of a message in order.
#[derive(Default)]
struct Layout {
    pieces: VecDeque<Piece>,
}

impl Layout {
    fn alternative_with_related(
        &mut self,
        texts: &Texts<'_>,
        related: Vec<Part>,
        boundaries: &Boundaries,
    ) {
        let [text, html] = texts.alternatives(&boundaries.alternative);
        self.open("alternative", "", &boundaries.alternative);
        self.octets(text);
        self.next(&boundaries.alternative);
        self.open("related", "\r\n type=\"text/html\";", &boundaries.related);
        self.octets(html);
        for part in related {
            self.next(&boundaries.related);
            self.attachment(part);
        }
        self.close(&boundaries.related);
        self.close(&boundaries.alternative);
    }

    /// The header of a multipart and the delimiter of its first part.
    fn open(&mut self, subtype: &str, parameters: &str, boundary: &str) {
        self.octets(
            format!(
                "Content-Type: multipart/{subtype};{parameters}\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
            )
            .into_bytes(),
        );
    }

    fn next(&mut self, boundary: &str) {
        self.octets(format!("--{boundary}\r\n").into_bytes());
    }

    fn close(&mut self, boundary: &str) {
        self.octets(format!("--{boundary}--\r\n").into_bytes());
    }

    fn octets(&mut self, octets: Vec<u8>) {
        self.pieces.push_back(Piece::Octets(octets));
    }

    fn attachment(&mut self, part: Part) {
        self.pieces.push_back(Piece::Attachment(Box::new(part)));
    }

    /// Enough in most cases; where it is not, the message grows.
    fn expected_octets(&self) -> usize {
        const HEADERS: u64 = 2048;
        let length = |piece: &Piece| match piece {
            Piece::Octets(octets) => octets.len() as u64,
            Piece::Attachment(part) => part.expected_octets + HEADERS,
        };
        let sum: u64 = self.pieces.iter().map(length).sum();
        usize::try_from(sum).unwrap_or(0)
    }
}
