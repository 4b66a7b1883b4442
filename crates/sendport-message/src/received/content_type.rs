//! Content-Type as it came (RFC 2045 section 5): what its reader needs to find parts, never an error.

/// The type of a part, and the boundary of a multipart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ContentType {
    /// `type/subtype` in lower case.
    pub(super) essence: String,
    /// Of ASCII alone.
    pub(super) boundary: Option<Vec<u8>>,
}

impl ContentType {
    /// Reads the value of the field.
    pub(super) fn read(value: &[u8]) -> Self {
        let pieces = pieces(value);
        let essence = pieces.first().map(|first| first.trim_ascii());
        let parameters = pieces.iter().skip(1).filter_map(|piece| parameter(piece));
        let boundary = |(name, value): (&[u8], &[u8])| {
            let is_boundary = name.eq_ignore_ascii_case(b"boundary");
            let is_usable = !value.is_empty() && value.is_ascii();
            (is_boundary && is_usable).then(|| value.to_vec())
        };
        Self {
            essence: String::from_utf8_lossy(essence.unwrap_or_default()).to_ascii_lowercase(),
            boundary: parameters.filter_map(boundary).next(),
        }
    }

    /// The type of a part without the field (RFC 2045 section 5.2, RFC 2046 section 5.1.5).
    pub(super) fn default_in(parent_is_digest: bool) -> Self {
        let essence = match parent_is_digest {
            true => "message/rfc822",
            false => "text/plain",
        };
        Self {
            essence: essence.to_owned(),
            boundary: None,
        }
    }

    pub(super) fn is_multipart(&self) -> bool {
        self.essence.starts_with("multipart/")
    }

    pub(super) fn is_text(&self) -> bool {
        self.essence.starts_with("text/")
    }

    /// Signed (RFC 1847, RFC 8551 section 3.5).
    pub(super) fn is_signed(&self) -> bool {
        self.essence == "multipart/signed"
    }

    /// Encrypted, or signed in a form that only its readers open (RFC 1847, RFC 3156, RFC 8551).
    pub(super) fn is_opaque(&self) -> bool {
        matches!(
            &*self.essence,
            "multipart/encrypted"
                | "application/pkcs7-mime"
                | "application/x-pkcs7-mime"
                | "application/pgp-encrypted"
        )
    }
}

/// Type and parameters, without comments, quotation marks and folds.
fn pieces(value: &[u8]) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut piece = Vec::new();
    let (mut quoted, mut comments) = (false, 0_usize);
    let is_text = |byte: &u8| !matches!(byte, b'\r' | b'\n');
    let mut bytes = value.iter().copied().filter(is_text);
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if comments > 0 => drop(bytes.next()),
            b'\\' if quoted => piece.extend(bytes.next()),
            b'"' if comments == 0 => quoted = !quoted,
            b'(' if !quoted => comments += 1,
            b')' if comments > 0 => comments -= 1,
            _ if comments > 0 => {}
            b';' if !quoted => pieces.push(std::mem::take(&mut piece)),
            _ => piece.push(byte),
        }
    }
    pieces.push(piece);
    pieces
}

fn parameter(piece: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = piece.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (&piece[..equals], &piece[equals + 1..]);
    Some((name.trim_ascii(), value.trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_type_and_boundary() {
        for (value, essence, boundary) in [
            ("Text/Plain; charset=x", "text/plain", None),
            (
                "multipart/mixed; Boundary=abc",
                "multipart/mixed",
                Some("abc"),
            ),
            (
                "multipart/mixed (a; b) ;\r\n\tx=\"; boundary=no\"; boundary=\"a b\\\"; c \"",
                "multipart/mixed",
                Some("a b\"; c"),
            ),
            ("multipart/mixed; boundary=", "multipart/mixed", None),
            (
                "multipart/mixed; boundary=\"ü\"; boundary=second",
                "multipart/mixed",
                Some("second"),
            ),
            ("", "", None),
            (";\"(\\", "", None),
        ] {
            let found = ContentType::read(value.as_bytes());
            assert_eq!(found.essence, essence, "{value}");
            let boundary = boundary.map(|it| it.as_bytes().to_vec());
            assert_eq!(found.boundary, boundary, "{value}");
        }
    }
}
