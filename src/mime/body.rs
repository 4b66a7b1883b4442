//! The MIME entity: plain text, or text and HTML as alternatives (RFC 2046 section 5.1.4).

use std::borrow::Cow;

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, MultiPart, SinglePart};

use super::alternative::html_to_text;
use crate::domain::Charset;
use crate::template::RenderedAlert;

/// Headers and octets of the entity, ending in CRLF. 7-bit, lines of at most 78. The character
/// sets are those of plain text and of HTML.
pub(super) fn entity(
    rendered: &RenderedAlert<'_>,
    boundary: &str,
    charsets: (Charset, Charset),
) -> Vec<u8> {
    match (&rendered.text, &rendered.html) {
        (plain, None) => {
            plain_part(plain.as_deref().unwrap_or_default(), boundary, charsets.0).formatted()
        }
        (plain, Some(html)) => {
            let (first, last) = text_and_html(plain.as_deref(), html, boundary, charsets);
            MultiPart::alternative()
                .boundary(boundary)
                .singlepart(first)
                .singlepart(last)
                .formatted()
        }
    }
}

/// Text and HTML, each with its headers and ending in CRLF, for a multipart that is made elsewhere.
pub(super) fn alternatives(
    rendered: &RenderedAlert<'_>,
    boundary: &str,
    charsets: (Charset, Charset),
) -> [Vec<u8>; 2] {
    let html = rendered.html.as_deref().unwrap_or_default();
    let (first, last) = text_and_html(rendered.text.as_deref(), html, boundary, charsets);
    [first.formatted(), last.formatted()]
}

/// The last part is the one that readers like best: text first.
fn text_and_html(
    plain: Option<&str>,
    html: &str,
    boundary: &str,
    (charset, html_charset): (Charset, Charset),
) -> (SinglePart, SinglePart) {
    let text = plain.map_or_else(|| Cow::Owned(html_to_text(html)), Cow::Borrowed);
    (
        plain_part(&text, boundary, charset),
        html_part(html, boundary, html_charset),
    )
}

/// In UTF-8 where the set lacks a character: a reader that knows only the set shows some of it
/// wrongly, but nothing is lost.
fn plain_part(text: &str, boundary: &str, charset: Charset) -> SinglePart {
    let text = normalised(text);
    let other = charset.encode(&text).filter(|_| charset != Charset::UTF_8);
    match other.map(Cow::into_owned) {
        Some(octets) => part(of_set("plain", charset), octets, boundary),
        None => part(ContentType::TEXT_PLAIN, text.into_bytes(), boundary),
    }
}

/// The same; what the set lacks is mostly a character reference.
fn html_part(html: &str, boundary: &str, charset: Charset) -> SinglePart {
    let html = normalised(html);
    let other = charset
        .encode_html(&html)
        .filter(|_| charset != Charset::UTF_8);
    match other.map(Cow::into_owned) {
        Some(octets) => part(of_set("html", charset), octets, boundary),
        None => part(ContentType::TEXT_HTML, html.into_bytes(), boundary),
    }
}

fn of_set(subtype: &str, charset: Charset) -> ContentType {
    let written = format!("text/{subtype}; charset={}", charset.name());
    // Names of character sets are tokens, so this can be read.
    ContentType::parse(&written).unwrap_or(ContentType::TEXT_PLAIN)
}

fn part(content_type: ContentType, octets: Vec<u8>, boundary: &str) -> SinglePart {
    SinglePart::builder()
        .header(content_type)
        .body(encoded(octets, boundary))
}

/// CRLF for every line ending, none after the last line (lettre writes that one), and no
/// control characters but tabs: RFC 5322 section 3.5 forbids NUL, terminals obey others.
fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                chars.next_if_eq(&'\n');
                out.push_str("\r\n");
            }
            '\n' => out.push_str("\r\n"),
            '\t' => out.push('\t'),
            c if c.is_ascii_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
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
