//! The octets after `DATA`: transparency (RFC 5321 section 4.5.2) and what is refused.

use memchr::{memchr_iter, memchr2_iter};

/// Ends the content.
pub const FINAL_DOT: &[u8] = b".\r\n";

/// The offset of a CR without LF or an LF without CR. Servers that take one of them for a
/// line end would read a second transaction out of the content.
pub fn bare_line_end(octets: &[u8]) -> Option<usize> {
    memchr2_iter(b'\r', b'\n', octets).find(|&at| match octets[at] {
        b'\r' => octets.get(at + 1) != Some(&b'\n'),
        _ => at == 0 || octets[at - 1] != b'\r',
    })
}

/// The content as it goes over the wire, in blocks of about `length`: dots doubled at the start of
/// lines, the last line ended. The final dot is in the last block, which never is the dot alone
/// unless there is no content.
pub fn blocks(octets: &[u8], length: usize) -> impl Iterator<Item = Vec<u8>> {
    let count = octets.len().div_ceil(length).max(1);
    (0..count).map(move |n| {
        let start = n * length;
        let block = &octets[start..octets.len().min(start + length)];
        let starts_line = start == 0 || octets[start - 1] == b'\n';
        let mut wire = stuffed(block, starts_line);
        if n + 1 == count {
            if !octets.is_empty() && !octets.ends_with(b"\r\n") {
                wire.extend_from_slice(b"\r\n");
            }
            wire.extend_from_slice(FINAL_DOT);
        }
        wire
    })
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

/// Takes a received line, without its line end, back to what was sent.
pub fn unstuffed(line: &[u8]) -> &[u8] {
    line.strip_prefix(b".").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn on_the_wire(octets: &[u8]) -> Vec<u8> {
        blocks(octets, 1 << 16).flatten().collect()
    }

    /// A receiver by the book: only CRLF.CRLF ends, one dot is taken away.
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
    fn a_line_that_begins_with_a_dot_gets_another() {
        assert_eq!(
            on_the_wire(b".\r\n..a\r\nb.\r\n"),
            b"..\r\n...a\r\nb.\r\n.\r\n"
        );
        assert_eq!(on_the_wire(b"no end"), b"no end\r\n.\r\n");
        assert_eq!(on_the_wire(b""), b".\r\n");
    }

    #[test]
    fn bare_line_ends_are_found() {
        assert_eq!(bare_line_end(b"a\r\nb\r\n"), None);
        for (octets, at) in [
            (&b"a\n"[..], 1),
            (b"a\r\n.\r.\r\n", 4),
            (b"a\r", 1),
            (b"\r\r\n", 0),
        ] {
            assert_eq!(bare_line_end(octets), Some(at), "{octets:?}");
        }
    }

    proptest! {
        #[test]
        fn the_receiver_reads_what_was_sent(
            lines in proptest::collection::vec("[.]{0,3}[a-z.]{0,4}", 0..20)
        ) {
            let content: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\r\n").into_bytes()).collect();
            let wire = on_the_wire(&content);
            for length in 1..9 {
                let blocks: Vec<_> = blocks(&content, length).collect();
                prop_assert!(blocks.len() == 1 || blocks.last().is_some_and(|last| last.len() > FINAL_DOT.len()));
                prop_assert_eq!(&blocks.concat(), &wire);
            }
            let (back, used) = received(&wire);
            prop_assert_eq!(back, content);
            prop_assert_eq!(used, wire.len());
        }
    }
}
