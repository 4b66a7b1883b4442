//! Media types of attachments: `type/subtype` with parameters (RFC 2045 section 5.1).
//!
//! Why not lettre 0.11: its `ContentType` refuses quoted-pairs and a final `;`, and accepts
//! `multipart/mixed` and `charset=` without a value.

use super::file_name::extension;
use super::parameter::{self, is_token};

/// The default (RFC 2046 section 4.5.1).
const BYTES: &str = "application/octet-stream";
/// Parameters that sendport writes.
const OWN: &[&str] = &["name", "boundary"];

/// By the file's extension, for an empty column.
const KNOWN: &[(&str, &str)] = &[
    ("bmp", "image/bmp"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    (
        "docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ),
    ("eml", "message/rfc822"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("md", "text/markdown"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("ppt", "application/vnd.ms-powerpoint"),
    (
        "pptx",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("txt", "text/plain"),
    ("webp", "image/webp"),
    ("xls", "application/vnd.ms-excel"),
    (
        "xlsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

/// A media type that is safe in a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    /// `type/subtype` in lower case.
    essence: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Parses the column. The error says what was expected.
    pub(super) fn parse(written: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str =
            "expected a media type such as text/csv or text/plain; charset=iso-8859-1";
        let (essence, mut rest) = written.split_at(written.find(';').unwrap_or(written.len()));
        let essence = essence.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/').ok_or(EXPECTED)?;
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(is_token);
        if !is_name(kind) || !is_name(subtype) {
            return Err(EXPECTED);
        }
        if kind == "multipart" {
            return Err("a file cannot be a multipart; write application/octet-stream");
        }
        let mut parameters = Vec::new();
        while let Some(after) = rest.trim_start().strip_prefix(';') {
            if after.trim().is_empty() {
                rest = "";
                break;
            }
            let (name, value, left) = parameter(after).ok_or(EXPECTED)?;
            if !OWN.contains(&name.as_str()) {
                parameters.push((name, value));
            }
            rest = left;
        }
        if !rest.trim().is_empty() {
            return Err(EXPECTED);
        }
        Ok(Self {
            essence,
            parameters,
        })
    }

    /// The usual type of a file with this name.
    pub(super) fn of_file(file_name: Option<&str>) -> Self {
        let extension = file_name.and_then(extension).unwrap_or_default();
        let known = KNOWN.iter().find(|(known, _)| *known == extension);
        Self::bare(known.map_or(BYTES, |(_, essence)| essence))
    }

    /// The type of any octets.
    pub(super) fn bytes() -> Self {
        Self::bare(BYTES)
    }

    fn bare(essence: &str) -> Self {
        Self {
            essence: essence.to_owned(),
            parameters: Vec::new(),
        }
    }

    /// RFC 2046 section 5.2: only 7bit, 8bit and binary are allowed.
    pub(super) fn is_message(&self) -> bool {
        self.essence.starts_with("message/")
    }

    /// RFC 2046 section 4.1.
    pub(super) fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
    }

    /// A text without the parameter charset.
    pub(super) fn lacks_charset(&self) -> bool {
        self.is_text() && !self.has("charset")
    }

    /// A calendar with a method (RFC 6047 section 2.4).
    pub(super) fn is_invitation(&self) -> bool {
        self.essence == "text/calendar" && self.has("method")
    }

    fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|(name, _)| name == parameter)
    }

    /// Value of `Content-Type`.
    pub(super) fn header_value(&self) -> String {
        let mut value = self.essence.clone();
        for (name, text) in &self.parameters {
            parameter::ascii(&mut value, name, text);
        }
        value
    }
}

/// Name in lower case, value, and the rest.
fn parameter(text: &str) -> Option<(String, String, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let (value, rest) = match rest.trim_start().strip_prefix('"') {
        Some(quoted) => unquoted(quoted)?,
        None => {
            let (value, rest) = rest.split_at(rest.find(';').unwrap_or(rest.len()));
            let value = value.trim();
            (value.bytes().all(is_token).then(|| value.to_owned())?, rest)
        }
    };
    let is_good = !name.is_empty()
        && name.bytes().all(|b| is_token(b) && b != b'*')
        && !value.is_empty()
        && value.bytes().all(|b| (b' '..=b'~').contains(&b));
    is_good.then_some((name, value, rest))
}

/// The text up to the closing quote (RFC 5322 section 3.2.4), and the rest.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_type_and_parameters_in_order() {
        for (written, value) in [
            ("text/CSV", "text/csv"),
            (
                "text/plain;charset=iso-8859-1",
                "text/plain;\r\n charset=iso-8859-1",
            ),
            (
                "a/b; x=\"1; 2\\\"\"; y=z;",
                "a/b;\r\n x=\"1; 2\\\"\";\r\n y=z",
            ),
            ("image/png; name=\"other.exe\"", "image/png"),
        ] {
            assert_eq!(MediaType::parse(written).unwrap().header_value(), value);
        }
    }

    #[test]
    fn refuses_malformed_media_types() {
        for written in [
            "",
            "text",
            "text/",
            "/plain",
            "text/pl ain",
            "text/plain x",
            "text/plain; charset",
            "text/plain; charset=",
            "text/plain; x=\"",
            "text/plain; x=ü",
            "multipart/mixed",
            "text/plain\r\nX: y/z",
            "text/plain; x=\"a\r\nBcc: b\"",
            "text/plain; n*=utf-8''x",
        ] {
            assert!(MediaType::parse(written).is_err(), "{written:?}");
        }
    }

    #[test]
    fn derives_the_type_from_the_extension() {
        let of = |name| MediaType::of_file(Some(name)).essence;
        assert_eq!(of("a.PDF"), "application/pdf");
        assert_eq!(of("a"), BYTES);
        assert_eq!(MediaType::of_file(None).essence, BYTES);
    }
}
