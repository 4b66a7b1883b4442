//! The bodies of a message as MIME parts: text, and HTML where the alert has it.

use std::borrow::Cow;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, SinglePart};
use sendport_core::domain::Charset;

use super::html_text::html_to_text;
use super::{legacy_display, redirect};
use crate::template::RenderedAlert;

/// The bodies of a message.
pub(super) struct MessageBodies<'a> {
    pub(super) rendered: &'a RenderedAlert<'a>,
    pub(super) charset: Charset,
    pub(super) html_charset: Charset,
    /// Lines at the start of each body; usually none.
    pub(super) legacy_display: String,
}

/// What mail programs without HTML show.
pub(super) fn plain_text<'a>(rendered: &'a RenderedAlert<'_>) -> Cow<'a, str> {
    let text = match (&rendered.text, &rendered.html) {
        (Some(text), _) => Cow::Borrowed(&**text),
        (None, Some(html)) => Cow::Owned(html_to_text(html)),
        (None, None) => Cow::Borrowed(""),
    };
    redirect::in_text(rendered.alert, text)
}

/// What the others show.
pub(super) fn html<'a>(rendered: &'a RenderedAlert<'_>) -> Option<Cow<'a, str>> {
    let html = rendered.html.as_deref()?;
    Some(redirect::in_html(rendered.alert, html))
}

impl MessageBodies<'_> {
    /// The text part and, if any, the HTML part, each with its headers and a final CRLF; 7-bit, lines
    /// of at most 78 characters.
    pub(super) fn parts(&self, boundary: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let html = html(self.rendered);
        let text = plain_text(self.rendered);
        let plain = self.plain_part(&text, boundary).formatted();
        (
            plain,
            html.map(|html| self.html_part(&html, boundary).formatted()),
        )
    }

    /// In UTF-8 where the charset lacks a character: a mail program that supports only the charset
    /// shows some characters wrong, but nothing is lost.
    fn plain_part(&self, text: &str, boundary: &str) -> SinglePart {
        let text = normalised(&legacy_display::in_text(&self.legacy_display, text));
        let other = other_than_utf8(self.charset, |set| set.encode(&text));
        self.part("plain", other, text, boundary)
    }

    /// The same for HTML, whose missing characters usually become character references.
    fn html_part(&self, html: &str, boundary: &str) -> SinglePart {
        let html = normalised(&legacy_display::in_html(&self.legacy_display, html));
        let other = other_than_utf8(self.html_charset, |set| set.encode_html(&html));
        self.part("html", other, html, boundary)
    }

    /// In its own charset, else in UTF-8.
    fn part(
        &self,
        subtype: &str,
        in_set: Option<(Charset, Vec<u8>)>,
        text: String,
        boundary: &str,
    ) -> SinglePart {
        let (charset, bytes) = in_set.unwrap_or((Charset::UTF_8, text.into_bytes()));
        SinglePart::builder()
            .header(self.content_type(subtype, charset))
            .body(encoded(bytes, boundary))
    }

    fn content_type(&self, subtype: &str, charset: Charset) -> ContentType {
        let parameter = match self.legacy_display.is_empty() {
            true => "",
            false => legacy_display::PARAMETER,
        };
        let written = format!("text/{subtype}; charset={}{parameter}", charset.name());
        // Names of charsets are tokens, so this parses.
        ContentType::parse(&written).unwrap_or(ContentType::TEXT_PLAIN)
    }
}

/// `None` where UTF-8 is required.
fn other_than_utf8<'a>(
    set: Charset,
    encode: impl FnOnce(Charset) -> Option<Cow<'a, [u8]>>,
) -> Option<(Charset, Vec<u8>)> {
    match set == Charset::UTF_8 {
        true => None,
        false => Some((set, encode(set)?.into_owned())),
    }
}

/// Writes every line ending as CRLF, except after the last line, where lettre writes it, and replaces
/// control characters other than tabs: RFC 5322 section 3.5 forbids NUL, terminals obey others.
fn normalised(text: &str) -> String {
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut out = String::with_capacity(rest.len() + rest.len() / 32);
    while let Some(at) = rest.bytes().position(|byte| byte.is_ascii_control()) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let (written, taken) = match from.as_bytes() {
            [b'\r', b'\n', ..] => ("\r\n", 2),
            [b'\r' | b'\n', ..] => ("\r\n", 1),
            [b'\t', ..] => ("\t", 1),
            _ => ("\u{fffd}", 1),
        };
        out.push_str(written);
        rest = &from[taken..];
    }
    out.push_str(rest);
    if out.ends_with("\r\n") {
        out.truncate(out.len() - 2);
    }
    out
}

/// 7bit where no server has a reason to change the text, else quoted-printable, else base64 (RFC 2045
/// section 6). lettre's own choice keeps `From ` lines and spaces at line ends, which mailbox files
/// and relays change, so that a signature breaks.
fn encoded(bytes: Vec<u8>, boundary: &str) -> Body {
    if is_stable_7bit(&bytes, boundary) {
        return Body::dangerous_pre_encoded(bytes, ContentTransferEncoding::SevenBit);
    }
    let escapes = bytes
        .iter()
        .filter(|b| !matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
    let encoding = if escapes.count() <= bytes.len() / 6 {
        ContentTransferEncoding::QuotedPrintable
    } else {
        ContentTransferEncoding::Base64
    };
    let body = with_encoding(&bytes, encoding);
    if has_from_line(body.as_ref()) {
        return with_encoding(&bytes, ContentTransferEncoding::Base64);
    }
    body
}

/// Quoted-printable and base64 encode any text, so there is no error to handle.
fn with_encoding(bytes: &[u8], encoding: ContentTransferEncoding) -> Body {
    Body::new_with_encoding(bytes.to_vec(), encoding).unwrap_or_else(Body::new)
}

/// Short ASCII lines that relays and mailbox formats do not change, so that a signature over them
/// stays valid (RFC 8551 section 3.1.3).
fn is_stable_7bit(bytes: &[u8], boundary: &str) -> bool {
    if !bytes.is_ascii() || has_from_line(bytes) {
        return false;
    }
    std::str::from_utf8(bytes).is_ok_and(|text| {
        // The other boundaries of the message contain this one.
        !text.contains(boundary.trim_start_matches("=_"))
            && text
                .split("\r\n")
                .all(|line| line.len() <= 78 && !line.ends_with([' ', '\t']))
    })
}

/// Mailbox files write `>` in front of such a line.
fn has_from_line(bytes: &[u8]) -> bool {
    bytes.starts_with(b"From ") || bytes.windows(7).any(|w| w == b"\r\nFrom ")
}
