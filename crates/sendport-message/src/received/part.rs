//! Parts of a message as they came (RFC 2046 section 5.1). No octet is lost: what is cut out here joins to what
//! was there.

use memchr::memmem;

use super::content_type::ContentType;
use super::seven_bit::NotChanged;
use sendport_core::header_fields::{Field, fields};

/// Most parts inside one another; RFC 5321 names no limit, and mail readers open fewer.
pub(super) const DEEPEST: usize = 50;

/// One part, or a message: a header section and a content.
pub(super) struct Part<'a> {
    octets: &'a [u8],
    fields: Vec<Field>,
    /// Where its header section ends, and the content after an empty line.
    header_end: usize,
    pub(super) content: &'a [u8],
    lacks_mime_version: bool,
}

/// How the octets of a content are written (RFC 2045 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// As they are: 7bit, 8bit and binary.
    Plain,
    QuotedPrintable,
    Base64,
    Unknown,
}

/// A piece of the content of a multipart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// A part.
    Part(&'a [u8]),
    /// The line of a boundary, with the line end before it.
    Delimiter(&'a [u8]),
    /// What stands before the first boundary and after the last.
    Aside(&'a [u8]),
}

const CONTENT_TYPE: &[u8] = b"content-type";
const TRANSFER_ENCODING: &[u8] = b"content-transfer-encoding";
const MIME_VERSION: &[u8] = b"MIME-Version: 1.0\r\n";

impl<'a> Part<'a> {
    pub(super) fn read(octets: &'a [u8]) -> Self {
        let fields = fields(octets);
        let header_end = fields.last().map_or(0, |last| last.end);
        let rest = &octets[header_end..];
        Self {
            octets,
            fields,
            header_end,
            content: rest.strip_prefix(b"\r\n").unwrap_or(rest),
            lacks_mime_version: false,
        }
    }

    /// A message, which says that it is MIME once it is written (RFC 2045 section 4).
    pub(super) fn message(octets: &'a [u8]) -> Self {
        let mut message = Self::read(octets);
        let says = message.named(b"mime-version").next().is_some();
        message.lacks_mime_version = !says;
        message
    }

    pub(super) fn header(&self) -> &'a [u8] {
        &self.octets[..self.header_end]
    }

    /// The fields with this name.
    pub(super) fn named(&self, name: &'static [u8]) -> impl Iterator<Item = &Field> {
        let octets = self.octets;
        self.fields.iter().filter(move |it| it.is(octets, name))
    }

    /// The value of the only field with this name.
    pub(super) fn only(&self, name: &'static [u8]) -> Result<Option<&'a [u8]>, NotChanged> {
        let mut found = self.named(name);
        let first = found.next().map(|it| it.value(self.octets));
        match found.next() {
            Some(_) => Err(NotChanged::Twice),
            None => Ok(first),
        }
    }

    /// Whether each line of the header section belongs to a field.
    pub(super) fn has_fields_alone(&self) -> bool {
        let is_name = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        let mut names = self.fields.iter().map(|it| it.name(self.octets));
        names.all(|name| name.is_some_and(is_name))
    }

    /// Its type, of which there may be one.
    pub(super) fn content_type(&self, in_digest: bool) -> Result<ContentType, NotChanged> {
        let found = self.only(CONTENT_TYPE)?;
        Ok(found.map_or_else(|| ContentType::default_in(in_digest), ContentType::read))
    }

    /// How its content is written.
    pub(super) fn written(&self) -> Result<Written, NotChanged> {
        let Some(word) = self.only(TRANSFER_ENCODING)? else {
            return Ok(Written::Plain);
        };
        Ok(match &*word.to_ascii_lowercase() {
            b"" | b"7bit" | b"8bit" | b"binary" => Written::Plain,
            b"quoted-printable" => Written::QuotedPrintable,
            b"base64" => Written::Base64,
            _ => Written::Unknown,
        })
    }

    /// Writes its header section with this Content-Transfer-Encoding, if any, in place of its own, and the empty
    /// line.
    pub(super) fn header_with(&self, encoding: Option<&str>, out: &mut Vec<u8>) {
        let mut line = encoding.map(|word| format!("Content-Transfer-Encoding: {word}\r\n"));
        for field in &self.fields {
            let replaced = field.is(self.octets, TRANSFER_ENCODING);
            match line.take_if(|_| replaced) {
                Some(line) => out.extend_from_slice(line.as_bytes()),
                None => out.extend_from_slice(&self.octets[field.start..field.end]),
            }
        }
        if self.header_end > 0 && !self.header().ends_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
        }
        if self.lacks_mime_version {
            out.extend_from_slice(MIME_VERSION);
        }
        out.extend_from_slice(line.unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// Whether it says how its content is written.
    pub(super) fn names_encoding(&self) -> bool {
        self.named(TRANSFER_ENCODING).next().is_some()
    }
}

/// Passes the pieces of a multipart's content to `take`, in order. False: its boundary does not occur.
pub(super) fn each_piece<'a>(
    content: &'a [u8],
    boundary: &[u8],
    mut take: impl FnMut(Piece<'a>) -> Result<(), NotChanged>,
) -> Result<bool, NotChanged> {
    let needle = [b"--", boundary].concat();
    // The end of the last delimiter.
    let mut open = None;
    for at in memmem::find_iter(content, &needle) {
        let Some((end, closes)) = delimiter(content, at, needle.len()) else {
            continue;
        };
        let start = open.unwrap_or(0);
        // The line end before a delimiter belongs to it.
        let before = at.saturating_sub(2).max(start);
        match open {
            None => take(Piece::Aside(&content[..before]))?,
            Some(_) => take(Piece::Part(&content[start..before]))?,
        }
        take(Piece::Delimiter(&content[before..end]))?;
        open = Some(end);
        if closes {
            take(Piece::Aside(&content[end..]))?;
            return Ok(true);
        }
    }
    let Some(start) = open else {
        return Ok(false);
    };
    take(Piece::Part(&content[start..]))?;
    Ok(true)
}

/// Where the delimiter line ends whose text begins at `at`, and whether it is the last one.
fn delimiter(content: &[u8], at: usize, length: usize) -> Option<(usize, bool)> {
    if at > 0 && !content[..at].ends_with(b"\r\n") {
        return None;
    }
    let after = &content[at + length..];
    let (closes, rest) = match after.strip_prefix(b"--") {
        Some(rest) => (true, rest),
        None => (false, after),
    };
    let padding = rest.iter().take_while(|it| matches!(it, b' ' | b'\t'));
    let rest = &rest[padding.count()..];
    let end = content.len() - rest.len();
    match rest {
        [] => Some((end, closes)),
        [b'\r', b'\n', ..] => Some((end + 2, closes)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces<'a>(content: &'a str, boundary: &str) -> (bool, Vec<Piece<'a>>) {
        let mut found = Vec::new();
        let any = each_piece(content.as_bytes(), boundary.as_bytes(), |piece| {
            found.push(piece);
            Ok(())
        });
        (any.unwrap(), found)
    }

    #[test]
    fn cuts_a_multipart_at_its_boundary() {
        use Piece::{Aside, Delimiter, Part};
        let (any, found) = pieces(
            "pre\r\n--b\r\n\r\none\r\n--b \t\r\n--b--\r\nafter\r\n--b\r\n",
            "b",
        );
        assert!(any);
        let expected = [
            Aside(b"pre"),
            Delimiter(b"\r\n--b\r\n"),
            Part(b"\r\none"),
            Delimiter(b"\r\n--b \t\r\n"),
            Part(b""),
            Delimiter(b"--b--\r\n"),
            Aside(b"after\r\n--b\r\n"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_boundary_is_a_whole_line() {
        for content in [
            "x--b\r\n",
            "--bb\r\n",
            "--b-\r\n",
            "--b--x",
            "\n--b\r\n",
            "",
        ] {
            assert!(!pieces(content, "b").0, "{content:?}");
        }
        let (any, found) = pieces("--b\r\nx\r\n--bb\r\ny", "b");
        assert!(any);
        assert_eq!(found.last(), Some(&Piece::Part(b"x\r\n--bb\r\ny")));
    }
}
