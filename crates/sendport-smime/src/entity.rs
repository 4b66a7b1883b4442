//! MIME entities: what a signature covers and an envelope holds (RFC 8551 section 3.1).

use base64_simd::STANDARD;
use memchr::{memchr, memchr_iter, memmem};

use super::SmimeError;

/// A MIME entity: its own header fields, an empty line, its content. CRLF and 7-bit only, so
/// that no relay has a reason to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entity(Vec<u8>);

/// An entity as it stands in a message: its own fields, and behind an empty line its content.
#[derive(Debug)]
pub(super) struct EntityParts<'a> {
    own: String,
    content: &'a [u8],
}

/// Characters of a line of base64 (RFC 2045 section 6.8).
const BASE64_LINE: usize = 76;

/// RFC 5322 section 2.1.1: lines should not be longer.
const LINE: usize = 78;

impl Entity {
    /// Parts a message: the header section without the fields of the entity, and the entity.
    pub(super) fn split(message: &[u8]) -> Result<(Vec<u8>, EntityParts<'_>), SmimeError> {
        let end = memmem::find(message, b"\r\n\r\n");
        let end = end.ok_or(SmimeError::Malformed("there is no end of its header"))? + 2;
        // The empty line is the first of the content.
        let (header, content) = message.split_at(end);
        let (mut outer, mut own) = (Vec::with_capacity(end), Vec::with_capacity(end));
        let mut of_entity = false;
        for line in header.split_inclusive(|octet| *octet == b'\n') {
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

    /// One that carries DER: `content_type` with its parameters, and the name of the file.
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
        let mut octets = Vec::with_capacity(head.len() + lines);
        octets.extend_from_slice(head.as_bytes());
        let (lines, rest) = base64.as_bytes().as_chunks::<BASE64_LINE>();
        lines.iter().for_each(|line| end_line(line, &mut octets));
        if !rest.is_empty() {
            end_line(rest, &mut octets);
        }
        Self(octets)
    }

    /// A multipart; `parameters` stand behind `multipart/`.
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

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }

    /// Without its last line end, which in a multipart is the delimiter's.
    pub(super) fn as_part(&self) -> &[u8] {
        self.0.strip_suffix(b"\r\n").unwrap_or(&self.0)
    }

    /// The message again: the header section of the old one over this.
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
    /// Content-Type. They may hold addresses beyond ASCII (RFC 6532): such a message goes only over
    /// relays that change no octet.
    pub(super) fn with_fields(&self, fields: &[u8], hp: &str) -> Entity {
        Entity([fields, with_hp(&self.own, hp).as_bytes(), self.content].concat())
    }
}

/// Inlined, because a line of known length is copied without a call.
#[inline(always)]
fn end_line(line: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(line);
    out.extend_from_slice(b"\r\n");
}

const NOT_7_BIT: SmimeError = SmimeError::Malformed("its content is not 7-bit");

fn check_7_bit(octets: &[u8]) -> Result<(), SmimeError> {
    match octets.is_ascii() && memchr(0, octets).is_none() {
        true => Ok(()),
        false => Err(NOT_7_BIT),
    }
}

fn check_lines(octets: &[u8]) -> Result<(), SmimeError> {
    let both = line_ends(octets);
    let count = |octet| memchr_iter(octet, octets).count();
    match count(b'\r') == both && count(b'\n') == both {
        true => Ok(()),
        false => Err(SmimeError::Malformed("a line does not end in CRLF")),
    }
}

/// How many CRLF there are. In stretches that an octet can count: so many are compared at once.
fn line_ends(octets: &[u8]) -> usize {
    const STRETCH: usize = u8::MAX as usize;
    let next = octets.get(1..).unwrap_or_default();
    let stretches = octets.chunks(STRETCH).zip(next.chunks(STRETCH));
    let counts = stretches.map(|(first, second)| {
        let ends = first.iter().zip(second);
        let ends = ends.map(|(a, b)| u8::from((*a == b'\r') & (*b == b'\n')));
        usize::from(ends.sum::<u8>())
    });
    counts.sum()
}

/// MIME-Version is the message's own (RFC 2045 section 4).
fn is_content_field(line: &[u8]) -> bool {
    let name = b"content-";
    line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name)
}

/// Without its colon; case is of no account.
pub(super) fn field_name(field: &str) -> &str {
    let (name, _) = field.split_once(':').unwrap_or_default();
    name.trim()
}

/// What readers look for that know the draft before RFC 9788 and not that: notmuch, for example.
const OF_THE_DRAFT: &str = ";\r\n protected-headers=\"v1\"";

/// The fields of an entity, Content-Type with further parameters at its end.
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
        // What has no type is text (RFC 2045 section 5.2).
        return format!(
            "Content-Type: text/plain; charset=us-ascii; {parameter}{OF_THE_DRAFT}\r\n{fields}"
        );
    };
    let at = begin + line.trim_end().len();
    let fits = line.trim_end().len() + 2 + parameter.len() <= LINE;
    let space = if fits { " " } else { "\r\n " };
    let (before, after) = fields.split_at(at);
    format!("{before};{space}{parameter}{OF_THE_DRAFT}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_content_go_along_with_it_and_the_others_stay() {
        let message = b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=x\r\nX: y\r\n\r\nbody\r\n";
        let (outer, entity) = Entity::split(message).unwrap();
        assert_eq!(outer, b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nX: y\r\n");
        let entity = entity.alone();
        assert_eq!(
            entity.octets(),
            b"Content-Type: text/plain;\r\n charset=x\r\n\r\nbody\r\n"
        );
        assert_eq!(entity.as_part().last(), Some(&b'y'));
    }

    #[test]
    fn fields_that_join_it_say_so_in_its_type() {
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
            assert_eq!(String::from_utf8_lossy(joined.octets()), expected);
        }
    }

    #[test]
    fn line_ends_are_counted_wherever_they_stand() {
        for before in 250..260 {
            let octets = [&b"\r\n".repeat(130)[..], &vec![b'x'; before], b"\r\n\r\nx"].concat();
            assert_eq!(line_ends(&octets), 132, "{before}");
            assert_eq!(line_ends(&octets[1..]), 131, "{before}");
        }
        assert_eq!(line_ends(b""), 0);
        assert_eq!(line_ends(b"\n\r"), 0);
    }

    #[test]
    fn what_a_relay_might_change_is_not_secured() {
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
