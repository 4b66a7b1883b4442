//! A message that is being put together: contents come in pieces, one after the other.

use std::collections::VecDeque;

use super::attachment::Part;
use super::body::Texts;
use super::encoding::{Encoder, Survey};
use super::{Boundaries, MimeError};
use sendport_core::domain::{Attachment, AttachmentId, Message};

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
    /// Header section and texts; the structure of RFC 2046 section 5.1, RFC 2387 and RFC 6047
    /// section 2.4: `mixed(alternative(text, related(html, inline...), invitation), attachments...)`,
    /// of which only what is needed is there.
    pub(super) fn new(
        message_id: String,
        headers: Vec<u8>,
        texts: &Texts<'_>,
        attachments: &[Attachment],
        boundaries: &Boundaries,
    ) -> Result<Self, MimeError> {
        let parts: Result<Vec<_>, _> = attachments.iter().map(Part::new).collect();
        let (mut parts, html) = (parts?, texts.rendered.html.as_deref());
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
        layout.body(texts, related, invitation, boundaries);
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
    /// What readers choose from: the last that they know is the one that they show.
    fn body(
        &mut self,
        texts: &Texts<'_>,
        related: Vec<Part>,
        invitation: Option<Part>,
        boundaries: &Boundaries,
    ) {
        let boundary = &boundaries.alternative;
        let (text, html) = texts.parts(boundary);
        if html.is_none() && invitation.is_none() {
            return self.octets(text);
        }
        self.open("alternative", "", boundary);
        self.octets(text);
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

    /// The HTML, with what it shows.
    fn html(&mut self, html: Vec<u8>, related: Vec<Part>, boundary: &str) {
        if related.is_empty() {
            return self.octets(html);
        }
        self.open("related", "\r\n type=\"text/html\";", boundary);
        self.octets(html);
        for part in related {
            self.next(boundary);
            self.attachment(part);
        }
        self.close(boundary);
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

    /// With an empty line behind: GMime takes a signature for bad, and Python writes something else
    /// than it read, where the delimiter of another multipart, such as a signed one, follows at once.
    fn close(&mut self, boundary: &str) {
        self.octets(format!("--{boundary}--\r\n\r\n").into_bytes());
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
