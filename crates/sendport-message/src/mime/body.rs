//! The texts of a message, as parts: the plain one, and the HTML where there is one.

use std::borrow::Cow;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, SinglePart};

use super::alternative::html_to_text;
use super::legacy_display;
use crate::template::RenderedAlert;
use sendport_core::domain::Charset;

/// What the texts of a message are made of.
pub(super) struct Texts<'a> {
    pub(super) rendered: &'a RenderedAlert<'a>,
    pub(super) charset: Charset,
    pub(super) html_charset: Charset,
    /// Lines that each text begins with; mostly none.
    pub(super) displayed: String,
}

/// What readers without HTML see.
pub(super) fn plain_text<'a>(rendered: &'a RenderedAlert<'_>) -> Cow<'a, str> {
    match (&rendered.text, &rendered.html) {
        (Some(text), _) => Cow::Borrowed(text),
        (None, Some(html)) => Cow::Owned(html_to_text(html)),
        (None, None) => Cow::Borrowed(""),
    }
}

impl Texts<'_> {
    /// The text, and the HTML where there is one: each with its headers and ending in CRLF. 7-bit,
    /// lines of at most 78.
    pub(super) fn parts(&self, boundary: &str) -> (Vec<u8>, Option<Vec<u8>>) {
        let html = self.rendered.html.as_deref();
        let text = match (self.rendered.text.as_deref(), html) {
            (Some(text), _) => Cow::Borrowed(text),
            (None, Some(html)) => Cow::Owned(html_to_text(html)),
            (None, None) => Cow::default(),
        };
        let plain = self.plain_part(&text, boundary).formatted();
        (
            plain,
            html.map(|html| self.html_part(html, boundary).formatted()),
        )
    }

    /// In UTF-8 where the set lacks a character: a reader that knows only the set shows some of it
    /// wrongly, but nothing is lost.
    fn plain_part(&self, text: &str, boundary: &str) -> SinglePart {
        let text = normalised(&legacy_display::in_text(&self.displayed, text));
        let other = other_than_utf8(self.charset, |set| set.encode(&text));
        self.part("plain", other, text, boundary)
    }

    /// The same; what the set lacks is mostly a character reference.
    fn html_part(&self, html: &str, boundary: &str) -> SinglePart {
        let html = normalised(&legacy_display::in_html(&self.displayed, html));
        let other = other_than_utf8(self.html_charset, |set| set.encode_html(&html));
        self.part("html", other, html, boundary)
    }

    /// In its own set, else in UTF-8.
    fn part(
        &self,
        subtype: &str,
        in_set: Option<(Charset, Vec<u8>)>,
        text: String,
        boundary: &str,
    ) -> SinglePart {
        let (charset, octets) = in_set.unwrap_or((Charset::UTF_8, text.into_bytes()));
        SinglePart::builder()
            .header(self.content_type(subtype, charset))
            .body(encoded(octets, boundary))
    }

    fn content_type(&self, subtype: &str, charset: Charset) -> ContentType {
        let displays = match self.displayed.is_empty() {
            true => "",
            false => legacy_display::PARAMETER,
        };
        let written = format!("text/{subtype}; charset={}{displays}", charset.name());
        // Names of character sets are tokens, so this can be read.
        ContentType::parse(&written).unwrap_or(ContentType::TEXT_PLAIN)
    }
}

/// `None` where UTF-8 has to say it.
fn other_than_utf8<'a>(
    set: Charset,
    encode: impl FnOnce(Charset) -> Option<Cow<'a, [u8]>>,
) -> Option<(Charset, Vec<u8>)> {
    match set == Charset::UTF_8 {
        true => None,
        false => Some((set, encode(set)?.into_owned())),
    }
}

/// CRLF for every line ending, none after the last line (lettre writes that one), and no
/// control characters but tabs: RFC 5322 section 3.5 forbids NUL, terminals obey others.
fn normalised(text: &str) -> String {
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut out = String::with_capacity(rest.len() + rest.len() / 32);
    while let Some(at) = rest.bytes().position(|octet| octet.is_ascii_control()) {
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

/// 7bit where nothing on the way has a reason to touch it, else quoted-printable, else
/// base64 (RFC 2045 section 6).
fn encoded(octets: Vec<u8>, boundary: &str) -> Body {
    if is_untouchable(&octets, boundary) {
        return Body::dangerous_pre_encoded(octets, ContentTransferEncoding::SevenBit);
    }
    let escapes = octets
        .iter()
        .filter(|b| !matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
    let encoding = if escapes.count() <= octets.len() / 6 {
        ContentTransferEncoding::QuotedPrintable
    } else {
        ContentTransferEncoding::Base64
    };
    let body = with_encoding(&octets, encoding);
    if has_from_line(body.as_ref()) {
        return with_encoding(&octets, ContentTransferEncoding::Base64);
    }
    body
}

/// Quoted-printable and base64 take any text, so there is never a refusal to handle.
fn with_encoding(octets: &[u8], encoding: ContentTransferEncoding) -> Body {
    Body::new_with_encoding(octets.to_vec(), encoding).unwrap_or_else(Body::new)
}

/// Short ASCII lines that relays and mailbox formats pass on as they are, so that a
/// signature over them holds (RFC 8551 section 3.1.3).
fn is_untouchable(octets: &[u8], boundary: &str) -> bool {
    if !octets.is_ascii() || has_from_line(octets) {
        return false;
    }
    std::str::from_utf8(octets).is_ok_and(|text| {
        // Other boundaries of the message hold this one's name.
        !text.contains(boundary.trim_start_matches("=_"))
            && text
                .split("\r\n")
                .all(|line| line.len() <= 78 && !line.ends_with([' ', '\t']))
    })
}

/// Mailbox files put a `>` before such a line.
fn has_from_line(octets: &[u8]) -> bool {
    octets.starts_with(b"From ") || octets.windows(7).any(|w| w == b"\r\nFrom ")
}
