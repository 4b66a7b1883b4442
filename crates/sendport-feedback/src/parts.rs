//! The parts of a message (RFC 2046), read with bounds: no report has more than a few parts, and nothing inside a
//! returned message is of interest but its header.

use std::borrow::Cow;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::charsets::map::charset_decoder;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;

use crate::header::Header;

/// Multiparts inside one another that are opened.
const DEEPEST: usize = 10;

/// Parts of a message that are read.
const MOST: usize = 100;

/// One part that is no multipart, or the message itself.
pub(crate) struct Part<'a> {
    pub(crate) header: Header<'a>,
    /// `type/subtype` in lower case.
    pub(crate) essence: String,
    content: &'a [u8],
}

impl<'a> Part<'a> {
    fn read(bytes: &'a [u8]) -> Self {
        let (section, content) = split_header(bytes);
        let header = Header::read(section);
        let essence = header.content_type().map_or_else(
            || "text/plain".to_owned(),
            |it| match it.subtype() {
                Some(subtype) => format!("{}/{subtype}", it.ctype()).to_ascii_lowercase(),
                None => "text/plain".to_owned(),
            },
        );
        Self {
            header,
            essence,
            content,
        }
    }

    fn boundary(&self) -> Option<&str> {
        let content_type = self.header.content_type()?;
        let boundary = content_type.attribute("boundary");
        boundary.filter(|it| self.essence.starts_with("multipart/") && !it.is_empty())
    }

    /// The content without its transfer encoding.
    pub(crate) fn bytes(&self) -> Cow<'a, [u8]> {
        let encoding = self.header.text("Content-Transfer-Encoding");
        let decoded = match &*encoding.unwrap_or_default().to_ascii_lowercase() {
            "base64" => base64_decode(self.content),
            "quoted-printable" => quoted_printable_decode(self.content),
            _ => None,
        };
        decoded.map_or(Cow::Borrowed(self.content), Cow::Owned)
    }

    /// The content as text.
    pub(crate) fn text(&self) -> String {
        let bytes = self.bytes();
        let charset = self
            .header
            .content_type()
            .and_then(|it| it.attribute("charset"));
        let decoder = charset.and_then(|it| charset_decoder(it.as_bytes()));
        match (decoder, std::str::from_utf8(&bytes)) {
            (_, Ok(text)) if !text.contains('\u{1b}') => text.to_owned(),
            (Some(decode), _) => decode(&bytes),
            // What declares no charset is most often this one.
            (None, _) => charset_decoder(b"windows-1252").map_or_else(
                || String::from_utf8_lossy(&bytes).into_owned(),
                |it| it(&bytes),
            ),
        }
    }
}

/// The message first, without the parts of a multipart, then its parts in order.
pub(crate) fn read(message: &[u8]) -> Vec<Part<'_>> {
    let mut found = Vec::new();
    let mut open = vec![(message, 0)];
    while let Some((bytes, depth)) = open.pop() {
        if found.len() >= MOST {
            break;
        }
        let part = Part::read(bytes);
        if let Some(boundary) = part.boundary().filter(|_| depth < DEEPEST) {
            let inner = pieces(part.content, boundary);
            // The first is read first.
            open.extend(inner.into_iter().rev().map(|it| (it, depth + 1)));
        }
        found.push(part);
    }
    found
}

/// What is between the lines of a boundary (RFC 2046 section 5.1.1). Without any, the whole is the only piece.
fn pieces<'a>(content: &'a [u8], boundary: &str) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut start = None;
    let mut at = 0;
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        let rest = line
            .strip_prefix(b"--")
            .and_then(|it| it.strip_prefix(boundary.as_bytes()));
        if let Some(rest) = rest.map(<[u8]>::trim_ascii_end)
            && (rest.is_empty() || rest == b"--")
        {
            found.extend(start.map(|start| &content[start..at]));
            start = (rest.is_empty() && found.len() < MOST).then_some(at + line.len());
            if start.is_none() {
                return found;
            }
        }
        at += line.len();
    }
    found.extend(start.map(|start| &content[start..]));
    match found.is_empty() {
        true => vec![content],
        false => found,
    }
}

/// The header section, and what follows the empty line after it.
pub(crate) fn split_header(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if matches!(line, b"\n" | b"\r\n") {
            return (&bytes[..at], &bytes[at + line.len()..]);
        }
        at += line.len();
    }
    (bytes, &[])
}
