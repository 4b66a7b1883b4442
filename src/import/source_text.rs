//! The text of an exported file, in the encodings that tools of Windows write.

/// The bytes are no text that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceTextError {
    /// Nothing is in it.
    #[error("it is empty")]
    Empty,
    /// Neither UTF-8 nor UTF-16.
    #[error(
        "it is neither UTF-8 nor UTF-16; save it as UTF-8, or run sqlcmd with -f o:65001 or -u"
    )]
    Encoding,
}

/// UTF-8, or UTF-16 with or without a byte order mark.
///
/// # Errors
/// [`SourceTextError`].
pub fn decode(bytes: &[u8]) -> Result<String, SourceTextError> {
    let text = match bytes {
        [] => return Err(SourceTextError::Empty),
        [0xEF, 0xBB, 0xBF, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        // Every exported file begins with ASCII.
        [_, 0, ..] => utf16(bytes, u16::from_le_bytes),
        [0, _, ..] => utf16(bytes, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(str::to_owned),
    };
    let text = text.ok_or(SourceTextError::Encoding)?;
    match text.trim().is_empty() {
        true => Err(SourceTextError::Empty),
        false => Ok(text),
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    rest.is_empty().then(|| String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_encodings_of_windows_are_read() {
        let text = "{\"größe\":1}";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = |mark: &[u8], bytes: &[u8]| [mark, bytes].concat();
        for bytes in [
            text.as_bytes().to_vec(),
            marked(b"\xEF\xBB\xBF", text.as_bytes()),
            marked(b"\xFF\xFE", &le),
            marked(b"\xFE\xFF", &be),
            le,
            be,
        ] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(decode(b""), Err(SourceTextError::Empty));
        assert_eq!(decode(b"\xEF\xBB\xBF \r\n"), Err(SourceTextError::Empty));
        assert_eq!(decode(b"{\"gr\xF6\xDFe\"}"), Err(SourceTextError::Encoding));
        assert_eq!(decode(b"\xFF\xFE{\0x"), Err(SourceTextError::Encoding));
    }
}
