//! The MIME entity: plain text, or text and HTML as alternatives (RFC 2046 section 5.1.4).

use lettre::message::header::{ContentTransferEncoding, ContentType};
use lettre::message::{Body, MultiPart, SinglePart};

use super::alternative::html_to_text;
use crate::template::RenderedAlert;

/// Headers and octets of the entity, ending in CRLF. 7-bit, lines of at most 78.
pub(super) fn entity(rendered: &RenderedAlert<'_>, boundary: &str) -> Vec<u8> {
    let text = |text: &str| part(ContentType::TEXT_PLAIN, text, boundary);
    match (&rendered.text, &rendered.html) {
        (plain, None) => text(plain.as_deref().unwrap_or_default()).formatted(),
        (plain, Some(html)) => {
            let (first, last) = text_and_html(plain.as_deref(), html, boundary);
            MultiPart::alternative()
                .boundary(boundary)
                .singlepart(first)
                .singlepart(last)
                .formatted()
        }
    }
}

/// Text and HTML, each with its headers and ending in CRLF, for a multipart that is made elsewhere.
pub(super) fn alternatives(rendered: &RenderedAlert<'_>, boundary: &str) -> [Vec<u8>; 2] {
    let html = rendered.html.as_deref().unwrap_or_default();
    let (first, last) = text_and_html(rendered.text.as_deref(), html, boundary);
    [first.formatted(), last.formatted()]
}

/// The last part is the one that readers like best: text first.
fn text_and_html(plain: Option<&str>, html: &str, boundary: &str) -> (SinglePart, SinglePart) {
    let text = plain.map_or_else(|| html_to_text(html), str::to_owned);
    (
        part(ContentType::TEXT_PLAIN, &text, boundary),
        part(ContentType::TEXT_HTML, html, boundary),
    )
}

fn part(content_type: ContentType, text: &str, boundary: &str) -> SinglePart {
    SinglePart::builder()
        .header(content_type)
        .body(encoded(normalised(text), boundary))
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
fn encoded(text: String, boundary: &str) -> Body {
    if is_untouchable(&text) && !text.contains(boundary.trim_start_matches("=_")) {
        return Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    let escapes = text
        .bytes()
        .filter(|b| !matches!(b, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
    let encoding = if escapes.count() <= text.len() / 6 {
        ContentTransferEncoding::QuotedPrintable
    } else {
        ContentTransferEncoding::Base64
    };
    let body = with_encoding(&text, encoding);
    if has_from_line(body.as_ref()) {
        return with_encoding(&text, ContentTransferEncoding::Base64);
    }
    body
}

/// Quoted-printable and base64 take any text, so there is never a refusal to handle.
fn with_encoding(text: &str, encoding: ContentTransferEncoding) -> Body {
    Body::new_with_encoding(text.to_owned(), encoding).unwrap_or_else(Body::new)
}

/// Short ASCII lines that relays and mailbox formats pass on as they are, so that a
/// signature over them holds (RFC 8551 section 3.1.3).
fn is_untouchable(text: &str) -> bool {
    text.is_ascii()
        && !has_from_line(text.as_bytes())
        && text
            .split("\r\n")
            .all(|line| line.len() <= 78 && !line.ends_with([' ', '\t']))
}

/// Mailbox files put a `>` before such a line.
fn has_from_line(octets: &[u8]) -> bool {
    octets.starts_with(b"From ") || octets.windows(7).any(|w| w == b"\r\nFrom ")
}
