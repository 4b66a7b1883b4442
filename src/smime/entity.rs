//! MIME entities: what a signature covers and an envelope holds (RFC 8551 section 3.1).

use openssl::base64::encode_block;

use super::SmimeError;

/// A MIME entity: its own header fields, an empty line, its content. CRLF and 7-bit only, so
/// that no relay has a reason to change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entity(Vec<u8>);

/// Octets of a line of base64 before encoding: 76 characters (RFC 2045 section 6.8).
const OCTETS_OF_LINE: usize = 57;

impl Entity {
    /// Parts a message: the header section without the fields of the entity, and the entity.
    pub(super) fn split(message: &[u8]) -> Result<(Vec<u8>, Self), SmimeError> {
        let end = message.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or(SmimeError::Malformed("there is no end of its header"))? + 2;
        let (header, body) = message.split_at(end);
        let (mut outer, mut inner) = (Vec::new(), Vec::new());
        let mut of_entity = false;
        for line in header.split_inclusive(|octet| *octet == b'\n') {
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                of_entity = is_content_field(line);
            }
            match of_entity {
                true => inner.extend_from_slice(line),
                false => outer.extend_from_slice(line),
            }
        }
        // The empty line is the first of `body`.
        inner.extend_from_slice(body);
        Self::checked(inner).map(|entity| (outer, entity))
    }

    fn checked(octets: Vec<u8>) -> Result<Self, SmimeError> {
        if !octets.iter().all(|octet| (1..128).contains(octet)) {
            return Err(SmimeError::Malformed("its content is not 7-bit"));
        }
        let feeds = octets.iter().filter(|octet| **octet == b'\n').count();
        let returns = octets.iter().filter(|octet| **octet == b'\r').count();
        let both = octets.windows(2).filter(|two| *two == b"\r\n").count();
        if feeds != both || returns != both {
            return Err(SmimeError::Malformed("a line does not end in CRLF"));
        }
        Ok(Self(octets))
    }

    /// One that carries DER: `content_type` with its parameters, and the name of the file.
    pub(super) fn of_der(content_type: &str, file: &str, der: &[u8]) -> Self {
        let mut text = format!(
            "Content-Type: {content_type};\r\n name=\"{file}\"\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{file}\"\r\n\r\n"
        );
        for line in der.chunks(OCTETS_OF_LINE) {
            text.push_str(&encode_block(line));
            text.push_str("\r\n");
        }
        Self(text.into_bytes())
    }

    /// A multipart; `parameters` stand behind `multipart/`.
    pub(super) fn multipart(parameters: &str, boundary: &str, parts: &[&[u8]]) -> Self {
        let head = format!("Content-Type: multipart/{parameters};\r\n boundary=\"{boundary}\"\r\n");
        let mut octets = head.into_bytes();
        for part in parts {
            octets.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
            octets.extend_from_slice(part);
        }
        octets.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        Self(octets)
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

/// MIME-Version is the message's own (RFC 2045 section 4).
fn is_content_field(line: &[u8]) -> bool {
    let name = b"content-";
    line.len() > name.len() && line[..name.len()].eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_content_go_along_with_it_and_the_others_stay() {
        let message = b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nContent-Type: text/plain;\r\n charset=x\r\nX: y\r\n\r\nbody\r\n";
        let (outer, entity) = Entity::split(message).unwrap();
        assert_eq!(outer, b"Subject: a\r\n b\r\nMIME-Version: 1.0\r\nX: y\r\n");
        assert_eq!(
            entity.octets(),
            b"Content-Type: text/plain;\r\n charset=x\r\n\r\nbody\r\n"
        );
        assert_eq!(entity.as_part().last(), Some(&b'y'));
    }

    #[test]
    fn what_a_relay_might_change_is_not_secured() {
        for (content, why) in [
            (&b"A: b\r\n\r\n\xc3\xa4\r\n"[..], "7-bit"),
            (b"A: b\r\n\r\nx\ny\r\n", "CRLF"),
            (b"A: b\r\n\r\nx\ry\r\n", "CRLF"),
            (b"A: b\r\n", "header"),
        ] {
            let error = Entity::split(content).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
