//! Line ends of files.

use memchr::memchr;

/// Writes CRLF for each LF without CR, and at the end of content whose last line has none. Takes content in any pieces.
#[derive(Debug, Default)]
pub(crate) struct CrlfConverter {
    last: Option<u8>,
}

impl CrlfConverter {
    /// Adds a piece to `output`.
    pub(crate) fn convert(&mut self, piece: &[u8], output: &mut Vec<u8>) {
        let mut rest = piece;
        while let Some(at) = memchr(b'\n', rest) {
            let before = if at == 0 {
                self.last
            } else {
                Some(rest[at - 1])
            };
            output.extend_from_slice(&rest[..at]);
            if before != Some(b'\r') {
                output.push(b'\r');
            }
            output.push(b'\n');
            self.last = Some(b'\n');
            rest = &rest[at + 1..];
        }
        output.extend_from_slice(rest);
        self.last = rest.last().copied().or(self.last);
    }

    /// Ends the last line.
    pub(crate) fn finish(&self, output: &mut Vec<u8>) {
        match self.last {
            None | Some(b'\n') => {}
            Some(b'\r') => output.push(b'\n'),
            Some(_) => output.extend_from_slice(b"\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn converted(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut converter, mut output) = (CrlfConverter::default(), Vec::new());
        for piece in pieces {
            converter.convert(piece, &mut output);
        }
        converter.finish(&mut output);
        output
    }

    #[test]
    fn every_line_ends_with_crlf() {
        for (content, expected) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\r", "a\r\n"),
            ("a\n\nb\n", "a\r\n\r\nb\r\n"),
            ("a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"),
            ("\n\r\n\n", "\r\n\r\n\r\n"),
            // A CR within a line is not an end; the intake refuses it.
            ("a\rb\n", "a\rb\r\n"),
        ] {
            assert_eq!(converted(&[content.as_bytes()]), expected.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn content_is_the_same_however_it_is_cut(content in "[a\r\n]{0,20}", cut in 0..21usize) {
            let content = content.as_bytes();
            let cut = cut.min(content.len());
            prop_assert_eq!(converted(&[&content[..cut], &content[cut..]]), converted(&[content]));
        }
    }
}
