//! Messages without octets above 127 (RFC 6152 section 3), and messages that no relay has a reason to change.
//!
//! Parts are found by their boundaries, because their octets stay where nothing has to change. mail-parser 0.11
//! knows where parts are, too, but counts in 32 bits, and its offsets of malformed messages overlap.

use memchr::{memchr, memmem};
use sendport_core::domain::TransferEncoding;

use super::content_type::ContentType;
use super::part::{DEEPEST, Part, Piece, Written, each_piece};
use crate::mime::encoding::Encoder;

/// Longest line (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Why a message cannot be written in 7 bits without breaking it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// A change would break it.
    #[error("a part with bytes above 127 is signed or encrypted, and encoding it would break it")]
    Sealed,
    /// The header section of a part, which has no encoding.
    #[error("the header section of a part has bytes above 127")]
    Header,
    /// RFC 2045 section 6.4 and RFC 2046 section 5.2.
    #[error("a part with bytes above 127 has a type or an encoding that permits no other encoding")]
    Encoding,
    /// Where its parts are is not certain.
    #[error("a multipart has no boundary, or does not contain it")]
    Boundary,
    /// Readers would choose one of them.
    #[error("a part has two Content-Type or two Content-Transfer-Encoding fields")]
    Twice,
    /// More nested parts than any mail program makes.
    #[error("more than {DEEPEST} parts are inside one another")]
    Depth,
    /// Readers would end the header section there.
    #[error("a line of the header section is no header field")]
    NoField,
}

/// The message for a relay without 8BITMIME: parts with octets above 127 are encoded, all other octets stay. The
/// header section of the message stays as it is.
///
/// # Errors
/// [`NotChanged`].
pub fn for_seven_bits(message: &[u8]) -> Result<Vec<u8>, NotChanged> {
    let is_8bit = |octets: &[u8]| !octets.is_ascii();
    Rewriting::of(message, is_8bit, is_8bit)
}

/// The message for a signature, which has to survive any relay: parts are encoded that a relay or a mailbox file may
/// change. It has MIME-Version and the end of a header section.
///
/// # Errors
/// [`NotChanged`].
pub fn for_a_signature(message: &[u8]) -> Result<Vec<u8>, NotChanged> {
    let part = Part::message(message);
    if !part.has_fields_alone() {
        return Err(NotChanged::NoField);
    }
    if may_change(part.content) {
        return Rewriting::of(message, may_change, is_no_text);
    }
    let mut whole = Vec::with_capacity(message.len() + 32);
    part.header_with(None, &mut whole);
    whole.extend_from_slice(part.content);
    Ok(whole)
}

/// Octets that only 8bit and binary permit.
fn is_no_text(octets: &[u8]) -> bool {
    !octets.is_ascii() || memchr(0, octets).is_some()
}

/// Also lines that relays wrap and mailbox files change (RFC 8551 section 3.1.3).
fn may_change(octets: &[u8]) -> bool {
    let changes = |line: &[u8]| {
        line.len() > LONGEST_LINE
            || line.ends_with(b" ")
            || line.ends_with(b"\t")
            || line.starts_with(b"From ")
    };
    is_no_text(octets)
        || lines(octets).any(|line| changes(line.strip_suffix(b"\r\n").unwrap_or(line)))
}

/// With their ends.
fn lines(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    octets.split_inclusive(|&byte| byte == b'\n')
}

struct Rewriting {
    out: Vec<u8>,
    /// Octets that are to be encoded.
    wants: fn(&[u8]) -> bool,
    /// Octets that cannot stay.
    needs: fn(&[u8]) -> bool,
}

impl Rewriting {
    fn of(
        message: &[u8],
        wants: fn(&[u8]) -> bool,
        needs: fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, NotChanged> {
        let out = Vec::with_capacity(message.len() + message.len() / 2);
        let mut rewriting = Self { out, wants, needs };
        rewriting.message(message, 0)?;
        Ok(rewriting.out)
    }

    fn message(&mut self, octets: &[u8], depth: usize) -> Result<(), NotChanged> {
        let part = Part::message(octets);
        // A relay judges the header section of the whole message itself.
        match depth > 0 && (self.needs)(part.header()) {
            true => Err(NotChanged::Header),
            false => self.rewrite(&part, octets, false, depth),
        }
    }

    fn part(&mut self, octets: &[u8], in_digest: bool, depth: usize) -> Result<(), NotChanged> {
        let part = Part::read(octets);
        match (self.needs)(part.header()) {
            true => Err(NotChanged::Header),
            false => self.rewrite(&part, octets, in_digest, depth),
        }
    }

    fn rewrite(
        &mut self,
        part: &Part<'_>,
        octets: &[u8],
        in_digest: bool,
        depth: usize,
    ) -> Result<(), NotChanged> {
        if !(self.wants)(part.content) {
            self.out.extend_from_slice(octets);
            return Ok(());
        }
        if depth >= DEEPEST {
            return Err(NotChanged::Depth);
        }
        let content_type = part.content_type(in_digest)?;
        let written = part.written()?;
        match (&*content_type.essence, written) {
            _ if content_type.is_signed() || content_type.is_opaque() => {
                if (self.needs)(part.content) {
                    return Err(NotChanged::Sealed);
                }
                self.unchanged(part);
                Ok(())
            }
            ("message/partial" | "message/external-body", _) => Err(NotChanged::Encoding),
            (_, Written::Plain) if content_type.is_multipart() => {
                self.composite_header(part);
                self.multipart(part.content, &content_type, depth)
            }
            _ if content_type.is_multipart() => Err(NotChanged::Encoding),
            ("message/rfc822", Written::Plain) => {
                self.composite_header(part);
                self.message(part.content, depth + 1)
            }
            _ => self.leaf(part, &content_type, written),
        }
    }

    fn unchanged(&mut self, part: &Part<'_>) {
        part.header_with(None, &mut self.out);
        self.out.extend_from_slice(part.content);
    }

    /// What has parts says 7bit, if it says anything (RFC 2045 section 6.4).
    fn composite_header(&mut self, part: &Part<'_>) {
        let encoding = part.names_encoding().then_some("7bit");
        part.header_with(encoding, &mut self.out);
    }

    fn multipart(
        &mut self,
        content: &[u8],
        content_type: &ContentType,
        depth: usize,
    ) -> Result<(), NotChanged> {
        let boundary = content_type.boundary.as_ref().ok_or(NotChanged::Boundary)?;
        let is_digest = content_type.essence == "multipart/digest";
        let found = each_piece(content, boundary, |piece| match piece {
            Piece::Part(octets) => self.part(octets, is_digest, depth + 1),
            Piece::Delimiter(octets) => {
                self.out.extend_from_slice(octets);
                Ok(())
            }
            Piece::Aside(octets) => {
                self.escape(octets);
                Ok(())
            }
        })?;
        found.then_some(()).ok_or(NotChanged::Boundary)
    }

    fn leaf(
        &mut self,
        part: &Part<'_>,
        content_type: &ContentType,
        written: Written,
    ) -> Result<(), NotChanged> {
        match written {
            Written::Plain => self.encode(part, content_type),
            Written::QuotedPrintable => {
                part.header_with(None, &mut self.out);
                self.escape(part.content);
            }
            Written::Base64 => {
                part.header_with(None, &mut self.out);
                self.without_foreign_octets(part.content);
            }
            Written::Unknown if (self.needs)(part.content) => return Err(NotChanged::Encoding),
            Written::Unknown => self.unchanged(part),
        }
        Ok(())
    }

    /// A text stays readable, as far as it is ASCII; what is not is shorter in base64 (the rule of rendered alerts).
    fn encode(&mut self, part: &Part<'_>, content_type: &ContentType) {
        let content = part.content;
        let high = content.iter().filter(|byte| !byte.is_ascii()).count();
        let is_readable = content_type.is_text() && high <= content.len() / 6;
        let (word, encoding) = match is_readable {
            true => ("quoted-printable", TransferEncoding::QuotedPrintable),
            false => ("base64", TransferEncoding::Base64),
        };
        part.header_with(Some(word), &mut self.out);
        let mut encoder = Encoder::new(encoding);
        encoder.append(&mut self.out, content);
        encoder.finish(&mut self.out);
    }

    /// Writes octets that cannot stay as quoted-printable does, in a line that is none of a boundary.
    fn escape(&mut self, octets: &[u8]) {
        for line in lines(octets) {
            if !(self.needs)(line) {
                self.out.extend_from_slice(line);
                continue;
            }
            for (at, &byte) in line.iter().enumerate() {
                let starts_like_a_boundary = at == 0 && byte == b'-';
                match starts_like_a_boundary || (self.needs)(&[byte]) {
                    true => {
                        let [high, low] = [byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]);
                        self.out.extend_from_slice(&[b'=', high, low]);
                    }
                    false => self.out.push(byte),
                }
            }
        }
    }

    /// Readers of base64 ignore octets that it does not have (RFC 2045 section 6.8).
    fn without_foreign_octets(&mut self, octets: &[u8]) {
        let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
        for line in lines(octets) {
            match (self.needs)(line) {
                true => self.out.extend(line.iter().copied().filter(is_base64)),
                false => self.out.extend_from_slice(line),
            }
        }
    }
}

/// Whether `text` occurs in it at the start of a line, or after a tag.
pub(super) fn has_line(content: &[u8], text: &[u8]) -> bool {
    let starts = |at: usize| at == 0 || matches!(content[at - 1], b'\n' | b'>');
    memmem::find_iter(content, text).any(starts)
}

#[cfg(test)]
#[path = "seven_bit_tests.rs"]
mod tests;
