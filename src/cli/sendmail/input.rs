//! The message on the standard input.

use std::io::{self, BufRead};

use sendport_intake::submission::without_byte_order_mark;

/// Longest header section; the intake takes a shorter one.
const LONGEST_HEADER: usize = 4 << 20;

/// Bytes of a piece; a line may have several.
const PIECE: u64 = 64 * 1024;

/// Reads a message up to its end, which may be a line with a dot alone.
pub(super) struct Input<R> {
    reader: R,
    ends_with_dot: bool,
    at_line_start: bool,
    at_end: bool,
    /// The last byte was a CR, of which nothing is written yet.
    has_cr: bool,
    /// A CR without LF: in the header a blank, so that nothing in a field begins another one.
    cr_becomes: u8,
    piece: Vec<u8>,
}

impl<R: BufRead> Input<R> {
    pub(super) fn new(reader: R, ends_with_dot: bool) -> Self {
        Self {
            reader,
            ends_with_dot,
            at_line_start: true,
            at_end: false,
            has_cr: false,
            cr_becomes: b'\n',
            piece: Vec::new(),
        }
    }

    /// All lines up to the first empty one, or the end; without the line in front that a mailbox file has.
    pub(super) fn header(&mut self) -> io::Result<Vec<u8>> {
        let mut header = Vec::new();
        let mut is_first = true;
        self.cr_becomes = b' ';
        loop {
            let begins_line = self.at_line_start;
            let Some(piece) = self.piece()? else { break };
            let piece = match is_first {
                true => without_byte_order_mark(piece)
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
                false => piece,
            };
            if std::mem::take(&mut is_first)
                && (piece.starts_with(b"From ") || piece.starts_with(b">From "))
            {
                continue;
            }
            header.extend_from_slice(piece);
            if begins_line && matches!(piece, b"\n" | b"\r\n") {
                break;
            }
            if header.len() > LONGEST_HEADER {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the header section is too long",
                ));
            }
        }
        self.cr_becomes = b'\n';
        Ok(header)
    }

    /// The next line or a part of one; `None` at the end.
    pub(super) fn piece(&mut self) -> io::Result<Option<&[u8]>> {
        if self.at_end {
            return Ok(None);
        }
        self.piece.clear();
        let mut limited = io::Read::take(&mut self.reader, PIECE);
        limited.read_until(b'\n', &mut self.piece)?;
        let is_dot = self.at_line_start && matches!(&*self.piece, b".\n" | b".\r\n" | b".");
        if self.piece.is_empty() || (self.ends_with_dot && is_dot) {
            self.at_end = true;
            return Ok(None);
        }
        self.at_line_start = self.piece.ends_with(b"\n");
        self.clean();
        Ok(Some(&self.piece))
    }

    /// SMTP has neither CR without LF nor NUL. What rewrites its last line on a terminal gets lines.
    fn clean(&mut self) {
        if !self.has_cr && !self.piece.iter().any(|byte| b"\r\0".contains(byte)) {
            return;
        }
        let mut cleaned = Vec::with_capacity(self.piece.len() + 1);
        for &byte in self.piece.iter().filter(|byte| **byte != 0) {
            if byte == b'\r' {
                self.has_cr = true;
                continue;
            }
            if std::mem::take(&mut self.has_cr) && byte != b'\n' {
                cleaned.push(self.cr_becomes);
            }
            cleaned.push(byte);
        }
        self.piece = cleaned;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, ends_with_dot: bool) -> (String, String) {
        let mut input = Input::new(text.as_bytes(), ends_with_dot);
        let header = input.header().expect("a header");
        let mut rest = Vec::new();
        while let Some(piece) = input.piece().expect("a piece") {
            rest.extend_from_slice(piece);
        }
        [header, rest]
            .map(|it| String::from_utf8(it).expect("text"))
            .into()
    }

    #[test]
    fn a_dot_ends_a_message_unless_it_is_ignored() {
        let text = "Subject: x\n\na\n.b\n.\nc\n";
        let header = "Subject: x\n\n".to_owned();
        assert_eq!(read(text, true), (header.clone(), "a\n.b\n".to_owned()));
        assert_eq!(read(text, false), (header, "a\n.b\n.\nc\n".to_owned()));
        assert_eq!(read("a\r\n.\r\nb", true).0, "a\n");
        assert_eq!(read(".", true).0, "");
        assert_eq!(read(".", false).0, ".");
        // In the middle of a line it is none, however long the line is.
        let long = format!("\n{}.\nb", "x".repeat(64 * 1024));
        assert_eq!(read(&long, true).1, long[1..]);
    }

    #[test]
    fn a_lone_cr_ends_a_line_of_the_body_and_none_of_the_header() {
        let (header, body) = read(
            "Subject: a\rBcc: b@x.test\r\n\0\n 10%\r 50%\r100%\ndone\r\r\nend\r",
            false,
        );
        assert_eq!(header, "Subject: a Bcc: b@x.test\n\n");
        assert_eq!(body, " 10%\n 50%\n100%\ndone\nend");
    }

    #[test]
    fn the_line_of_a_mailbox_file_is_left_out() {
        let text = "From root Mon Nov 30 21:00:00 2026\nSubject: x\n\nFrom here on\n";
        let (header, rest) = read(text, false);
        assert_eq!((&*header, &*rest), ("Subject: x\n\n", "From here on\n"));
        assert_eq!(read("From: a@x.test\n\n", false).0, "From: a@x.test\n\n");
    }

    #[test]
    fn a_byte_order_mark_of_utf8_is_left_out_and_utf16_is_named() {
        let (header, rest) = read("\u{feff}Subject: x\n\n\u{feff}text\n", false);
        assert_eq!((&*header, &*rest), ("Subject: x\n\n", "\u{feff}text\n"));
        assert_eq!(read("\u{feff}\n\u{feff}x", false).0, "\n");
        let utf16 = b"\xff\xfeS\0u\0b\0".as_slice();
        let error = Input::new(utf16, false).header().expect_err("refused");
        assert!(error.to_string().contains("UTF-16"), "{error}");
    }

    #[test]
    fn an_endless_header_is_refused() {
        let text = "x".repeat(5 << 20);
        let error = Input::new(text.as_bytes(), false)
            .header()
            .expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
