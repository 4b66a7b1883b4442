//! The content after `DATA` or `BDAT`: transparency (RFC 5321 section 4.5.2), chunks (RFC 3030), and
//! bare line ends.

use memchr::{memchr_iter, memchr2_iter};

/// Ends the content.
pub const FINAL_DOT: &[u8] = b".\r\n";

/// The offset of a CR without LF or an LF without CR. A server that accepts one as a line end could
/// read a second transaction from the content.
pub fn bare_line_end(bytes: &[u8]) -> Option<usize> {
    memchr2_iter(b'\r', b'\n', bytes).find(|&at| match bytes[at] {
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => at == 0 || bytes[at - 1] != b'\r',
    })
}

/// The command that transfers the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `DATA`, sent before: dots at the start of lines are doubled, and the final dot follows.
    Data,
    /// `BDAT` with all of the content as the last chunk (RFC 3030 section 2).
    Bdat,
}

/// The content as it is written, in blocks of about `length` bytes, its last line ended. The last
/// block has the end of the content, and is the final dot alone only without content.
pub fn blocks(form: Form, bytes: &[u8], length: usize) -> impl Iterator<Item = Vec<u8>> {
    let count = bytes.len().div_ceil(length).max(1);
    let chunk = bdat(bytes);
    (0..count).map(move |n| {
        let start = n * length;
        let block = &bytes[start..bytes.len().min(start + length)];
        let starts_line = start == 0 || bytes[start - 1] == b'\n';
        let mut wire = match form {
            Form::Data => stuffed(block, starts_line),
            Form::Bdat if n == 0 => [chunk.as_bytes(), b"\r\n", block].concat(),
            Form::Bdat => block.to_vec(),
        };
        if n + 1 == count {
            wire.extend_from_slice(missing_end(bytes));
            if form == Form::Data {
                wire.extend_from_slice(FINAL_DOT);
            }
        }
        wire
    })
}

/// The command line of [`Form::Bdat`], without its end.
pub fn bdat(bytes: &[u8]) -> String {
    format!("BDAT {} LAST", bytes.len() + missing_end(bytes).len())
}

fn missing_end(bytes: &[u8]) -> &'static [u8] {
    match bytes.is_empty() || bytes.ends_with(b"\r\n") {
        true => b"",
        false => b"\r\n",
    }
}

fn stuffed(block: &[u8], starts_line: bool) -> Vec<u8> {
    let mut wire = Vec::with_capacity(block.len() + block.len() / 50 + 8);
    let mut copied = 0;
    for dot in memchr_iter(b'.', block) {
        let begins = match dot {
            0 => starts_line,
            _ => block[dot - 1] == b'\n',
        };
        if begins {
            wire.extend_from_slice(&block[copied..dot]);
            wire.push(b'.');
            copied = dot;
        }
    }
    wire.extend_from_slice(&block[copied..]);
    wire
}

/// A received line, without its line end, as it was before dot-stuffing.
pub fn unstuffed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b".").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on_the_wire(bytes: &[u8]) -> Vec<u8> {
        blocks(Form::Data, bytes, 1 << 16).flatten().collect()
    }

    /// A receiver by the standard: only CRLF.CRLF ends, one dot is removed.
    fn received(wire: &[u8]) -> (Vec<u8>, usize) {
        let mut content = Vec::new();
        let mut used = 0;
        let mut rest = wire;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let line = &rest[..at];
            used += at + 2;
            rest = &rest[at + 2..];
            if line == b"." {
                break;
            }
            content.extend_from_slice(unstuffed(line));
            content.extend_from_slice(b"\r\n");
        }
        (content, used)
    }

    #[test]
    fn doubles_a_leading_dot() {
        assert_eq!(
            on_the_wire(b".\r\n..a\r\nb.\r\n"),
            b"..\r\n...a\r\nb.\r\n.\r\n"
        );
        assert_eq!(on_the_wire(b"no end"), b"no end\r\n.\r\n");
        assert_eq!(on_the_wire(b""), b".\r\n");
    }

    #[test]
    fn a_chunk_has_the_announced_size() {
        let chunk = |bytes: &[u8], length| -> Vec<u8> {
            blocks(Form::Bdat, bytes, length).flatten().collect()
        };
        for length in [3, 4, 1 << 16] {
            assert_eq!(chunk(b".a\r\n.\r\n", length), b"BDAT 7 LAST\r\n.a\r\n.\r\n");
            assert_eq!(chunk(b"no end", length), b"BDAT 8 LAST\r\nno end\r\n");
        }
        assert_eq!(chunk(b"", 9), b"BDAT 0 LAST\r\n");
    }

    #[test]
    fn finds_bare_line_ends() {
        assert_eq!(bare_line_end(b"a\r\nb\r\n"), None);
        for (bytes, at) in [
            (&b"a\n"[..], 1),
            (b"a\r\n.\r.\r\n", 4),
            (b"a\r", 1),
            (b"\r\r\n", 0),
        ] {
            assert_eq!(bare_line_end(bytes), Some(at), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_receiver_reads_the_same_content(
            lines in proptest::collection::vec("[.]{0,3}[a-z.]{0,4}", 0..20)
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
            let wire = on_the_wire(&content);
            for length in 1..9 {
                let blocks: Vec<_> = blocks(Form::Data, &content, length).collect();
                prop_assert!(blocks.len() == 1 || blocks.last().is_some_and(|last| last.len() > FINAL_DOT.len()));
                prop_assert_eq!(&blocks.concat(), &wire);
            }
            let (back, used) = received(&wire);
            prop_assert_eq!(back, content);
            prop_assert_eq!(used, wire.len());
        }
    }
}
