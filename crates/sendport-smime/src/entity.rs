//! MIME entities, which signatures cover and envelopes contain (RFC 8551 section 3.1).

use base64_simd::STANDARD;
use memchr::{memchr, memchr_iter, memmem};

use super::SmimeError;

/// A MIME entity: its own header fields, an empty line, its content. CRLF and 7-bit only, so that
/// no relay has a reason to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entity(Vec<u8>);

/// The entity in a message: its own fields, and its content after an empty line.
#[derive(Debug)]
pub(super) struct EntityParts<'a> {
    own: String,
    content: &'a [u8],
}

/// Length of a line of base64 (RFC 2045 section 6.8).
const BASE64_LINE: usize = 76;

/// Longest recommended line (RFC 5322 section 2.1.1).
const LINE: usize = 78;

impl Entity {
    /// Splits a message into its header section without the entity's fields, and the entity.
    pub(super) fn split(message: &[u8]) -> Result<(Vec<u8>, EntityParts<'_>), SmimeError> {
        let end = memmem::find(message, b"\r\n\r\n");
        let end = end.ok_or(SmimeError::Malformed("there is no end of its header"))? + 2;
        // The content starts with the empty line.
        let (header, content) = message.split_at(end);
        let (mut outer, mut own) = (Vec::with_capacity(end), Vec::with_capacity(end));
        let mut of_entity = false;
        for line in header.split_inclusive(|byte| *byte == b'\n') {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                of_entity = is_content_field(line);
            }
            match of_entity {
                true => own.extend_from_slice(line),
                false => outer.extend_from_slice(line),
            }
        }
        let own = String::from_utf8(own).map_err(|_| NOT_7_BIT)?;
        check_7_bit(own.as_bytes())?;
        check_7_bit(content)?;
        check_lines(message)?;
        Ok((outer, EntityParts { own, content }))
    }

    /// An entity of DER: `content_type` with its parameters, and the name of the file.
    pub(super) fn of_der(content_type: &str, file: &str, der: &[u8]) -> Self {
        let head = [
            "Content-Type: ",
            content_type,
            ";\r\n name=\"",
            file,
            "\"\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"",
            file,
            "\"\r\n\r\n",
        ];
        let head = head.concat();
        let base64 = STANDARD.encode_to_string(der);
        let lines = base64.len() / BASE64_LINE * 2 + base64.len() + 2;
        let mut bytes = Vec::with_capacity(head.len() + lines);
        bytes.extend_from_slice(head.as_bytes());
        let (lines, rest) = base64.as_bytes().as_chunks::<BASE64_LINE>();
        lines.iter().for_each(|line| end_line(line, &mut bytes));
        if !rest.is_empty() {
            end_line(rest, &mut bytes);
        }
        Self(bytes)
    }

    /// A multipart; `parameters` follow `multipart/`.
    pub(super) fn multipart(parameters: &str, boundary: &str, parts: &[&[u8]]) -> Self {
        let delimiter = ["\r\n--", boundary].concat();
        let delimiter = delimiter.as_bytes();
        let mut pieces = vec![
            &b"Content-Type: multipart/"[..],
            parameters.as_bytes(),
            b";\r\n boundary=\"",
            boundary.as_bytes(),
            b"\"\r\n",
        ];
        for part in parts {
            pieces.extend([delimiter, b"\r\n", part]);
        }
        pieces.extend([delimiter, b"--\r\n"]);
        Self(pieces.concat())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Without its last line ending, which in a multipart belongs to the delimiter.
    pub(super) fn as_part(&self) -> &[u8] {
        self.0.strip_suffix(b"\r\n").unwrap_or(&self.0)
    }

    /// The message: the header section `outer`, then this entity.
    pub(super) fn under(&self, mut outer: Vec<u8>) -> Vec<u8> {
        outer.extend_from_slice(&self.0);
        outer
    }
}

impl EntityParts<'_> {
    pub(super) fn alone(&self) -> Entity {
        Entity([self.own.as_bytes(), self.content].concat())
    }

    /// With header fields before its own, and the parameter `hp` (RFC 9788 section 2.1.1) in its
    /// Content-Type. The fields may contain non-ASCII addresses (RFC 6532): such a message is
    /// submitted only with SMTPUTF8, to relays that do not rewrite it.
    pub(super) fn with_fields(&self, fields: &[u8], hp: &str) -> Entity {
        Entity([fields, with_hp(&self.own, hp).as_bytes(), self.content].concat())
    }
}

/// Inlined, so that a line of constant length is copied without a call.
#[inline(always)]
fn end_line(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(line);
    out.extend_from_slice(b"\r\n");
}

const NOT_7_BIT: SmimeError = SmimeError::Malformed("its content is not 7-bit");

fn check_7_bit(bytes: &[u8]) -> Result<(), SmimeError> {
    match bytes.is_ascii() && memchr(0, bytes).is_none() {
        true => Ok(()),
        false => Err(NOT_7_BIT),
    }
}

fn check_lines(bytes: &[u8]) -> Result<(), SmimeError> {
    let both = line_ends(bytes);
    let count = |byte| memchr_iter(byte, bytes).count();
    match count(b'\r') == both && count(b'\n') == both {
        true => Ok(()),
        false => Err(SmimeError::Malformed("a line does not end in CRLF")),
    }
}

/// The number of CRLF. Counted in chunks of 255, whose sum fits a byte, so that the compiler
/// vectorizes the comparison.
fn line_ends(bytes: &[u8]) -> usize {
    const CHUNK: usize = u8::MAX as usize;
    let next = bytes.get(1..).unwrap_or_default();
    let chunks = bytes.chunks(CHUNK).zip(next.chunks(CHUNK));
    let counts = chunks.map(|(first, second)| {
        let ends = first.iter().zip(second);
        let ends = ends.map(|(a, b)| u8::from((*a == b'\r') & (*b == b'\n')));
        usize::from(ends.sum::<u8>())
    });
    counts.sum()
}

/// A field of the entity. MIME-Version belongs to the message (RFC 2045 section 4).
fn is_content_field(line: &[u8]) -> bool {
    let name = b"content-";
    line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name)
}

/// The name without its colon; compare it without regard to case.
pub(super) fn field_name(field: &str) -> &str {
    let (name, _) = field.split_once(':').unwrap_or_default();
    name.trim()
}

/// For mail programs that implement the draft of RFC 9788 only, such as notmuch.
const DRAFT_PARAMETER: &str = ";\r\n protected-headers=\"v1\"";

/// The fields of an entity, with the parameter `hp` at the end of Content-Type.
fn with_hp(fields: &str, hp: &str) -> String {
    let parameter = format!("hp=\"{hp}\"");
    let begin = fields.split_inclusive('\n').scan(0, |end, line| {
        let begin = *end;
        *end += line.len();
        Some((begin, line))
    });
    let of_type =
        begin.skip_while(|(_, line)| !field_name(line).eq_ignore_ascii_case("content-type"));
    let last = of_type
        .enumerate()
        .take_while(|(n, (_, line))| *n == 0 || line.starts_with([' ', '\t']))
        .last();
    let Some((_, (begin, line))) = last else {
        // The default type is text (RFC 2045 section 5.2).
        return format!(
            "Content-Type: text/plain; charset=us-ascii; {parameter}{DRAFT_PARAMETER}\r\n{fields}"
        );
    };
    let at = begin + line.trim_end().len();
    let fits = line.trim_end().len() + 2 + parameter.len() <= LINE;
    let space = if fits { " " } else { "\r\n " };
    let (before, after) = fields.split_at(at);
    format!("{before};{space}{parameter}{DRAFT_PARAMETER}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_a_message_into_outer_fields_and_the_entity() {
        let message = b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=x\r\nX: y\r\n\r\nbody\r\n";
        let (outer, entity) = Entity::split(message).unwrap();
        assert_eq!(outer, b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nX: y\r\n");
        let entity = entity.alone();
        assert_eq!(
            entity.bytes(),
            b"Content-Type: text/plain;\r\n charset=x\r\n\r\nbody\r\n"
        );
        assert_eq!(entity.as_part().last(), Some(&b'y'));
    }

    #[test]
    fn marks_protected_fields_in_the_content_type() {
        let long = format!("multipart/mixed;\r\n boundary=\"{}\"", "b".repeat(60));
        for (own, expected) in [
            (
                "Content-ID: <1>\r\nContent-Type: text/plain\r\nContent-Language: de\r\n",
                "Content-ID: <1>\r\nContent-Type: text/plain; hp=\"clear\";\r\n protected-headers=\"v1\"\r\nContent-Language: de\r\n",
            ),
            (
                &format!("Content-Type: {long}\r\n"),
                &format!(
                    "Content-Type: {long};\r\n hp=\"clear\";\r\n protected-headers=\"v1\"\r\n"
                ),
            ),
            (
                "",
                "Content-Type: text/plain; charset=us-ascii; hp=\"clear\";\r\n protected-headers=\"v1\"\r\n",
            ),
        ] {
            let entity = EntityParts {
                own: own.to_owned(),
                content: b"\r\nbody\r\n\r\nContent-Type: x\r\n",
            };
            let joined = entity.with_fields(b"Subject: s\r\n", "clear");
            let expected = format!("Subject: s\r\n{expected}\r\nbody\r\n\r\nContent-Type: x\r\n");
            assert_eq!(String::from_utf8_lossy(joined.bytes()), expected);
        }
    }

    #[test]
    fn counts_line_endings_across_chunks() {
        for before in 250..260 {
            let bytes = [&b"\r\n".repeat(130)[..], &vec![b'x'; before], b"\r\n\r\nx"].concat();
            assert_eq!(line_ends(&bytes), 132, "{before}");
            assert_eq!(line_ends(&bytes[1..]), 131, "{before}");
        }
        assert_eq!(line_ends(b""), 0);
        assert_eq!(line_ends(b"\n\r"), 0);
    }

    #[test]
    fn refuses_content_that_a_relay_might_change() {
        for (content, why) in [
            (&b"A: b\r\n\r\n\xc3\xa4\r\n"[..], "7-bit"),
            (b"A: b\r\n\r\nx\ny\r\n", "CRLF"),
            (b"A: b\r\n\r\nx\ry\r\n", "CRLF"),
            (b"A: b\nB: c\r\n\r\nx\r\n", "CRLF"),
            (b"A: b\r\n", "header"),
        ] {
            let error = Entity::split(content).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
