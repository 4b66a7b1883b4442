//! Contents as 7-bit octets (RFC 2045 section 6), straight into the message: a content may be
//! large, so there is no copy on the way.

use crate::domain::TransferEncoding;

/// Octets to a line of base64, which are 76 characters.
const BASE64_LINE: usize = 57;
/// So many lines are encoded at a time.
const BASE64_LINES: usize = 512;
/// Longest line of quoted-printable, with the `=` that ends it softly.
const QUOTED_LINE: usize = 76;
/// RFC 5322 section 2.1.1.
const LONGEST_LINE: usize = 998;

/// How long a content of this many octets may become.
pub(super) fn encoded_length(encoding: TransferEncoding, octets: u64) -> u64 {
    let base64 = octets.div_ceil(BASE64_LINE as u64) * 78;
    match encoding {
        TransferEncoding::Base64 => base64,
        // Mostly readable, or somebody would not ask for it; else it grows.
        TransferEncoding::QuotedPrintable => octets + octets / 4,
        TransferEncoding::SevenBit => base64.max(octets),
    }
}

/// What is asked for where the content comes out of it as it went in, else base64. `own` stands
/// in every boundary.
pub(super) fn choose(asked: TransferEncoding, content: &[u8], own: &str) -> TransferEncoding {
    match asked {
        TransferEncoding::SevenBit if !fits_7bit(content, own) => TransferEncoding::Base64,
        asked => asked,
    }
}

/// Appends the content.
pub(super) fn append(out: &mut Vec<u8>, encoding: TransferEncoding, content: &[u8]) {
    match encoding {
        TransferEncoding::Base64 => base64(out, content),
        TransferEncoding::QuotedPrintable => quoted_printable(out, content),
        TransferEncoding::SevenBit => out.extend_from_slice(content),
    }
}

fn base64(out: &mut Vec<u8>, content: &[u8]) {
    for (n, block) in content.chunks(BASE64_LINE * BASE64_LINES).enumerate() {
        if n > 0 {
            out.extend_from_slice(b"\r\n");
        }
        let encoded = openssl::base64::encode_block(block);
        for (n, line) in encoded.as_bytes().chunks(76).enumerate() {
            if n > 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(line);
        }
    }
}

/// Line ends stay line ends; a CR or LF alone is encoded.
fn quoted_printable(out: &mut Vec<u8>, content: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut column = 0;
    let mut at = 0;
    while at < content.len() {
        if content[at..].starts_with(b"\r\n") {
            out.extend_from_slice(b"\r\n");
            (column, at) = (0, at + 2);
            continue;
        }
        let octet = content[at];
        let ends_line = matches!(content.get(at + 1), None | Some(b'\r'));
        let is_plain = match octet {
            b'=' => false,
            b'!'..=b'~' => column > 0 || !content[at..].starts_with(b"From "),
            b' ' | b'\t' => !ends_line,
            _ => false,
        };
        let width = if is_plain { 1 } else { 3 };
        if column + width >= QUOTED_LINE {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if is_plain {
            out.push(octet);
        } else {
            let [high, low] = [octet >> 4, octet & 15].map(|half| HEX[usize::from(half)]);
            out.extend_from_slice(&[b'=', high, low]);
        }
        (column, at) = (column + width, at + 1);
    }
}

/// Lines of ASCII that nothing on the way has a reason to touch.
fn fits_7bit(content: &[u8], own: &str) -> bool {
    let is_untouched = |line: &[u8]| {
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        text.len() <= LONGEST_LINE
            && !text.starts_with(b"From ")
            && !text.ends_with(b" ")
            && !text.ends_with(b"\t")
            && text.iter().all(|b| matches!(b, b' '..=b'~' | b'\t'))
    };
    let mut lines = content.split(|&b| b == b'\n').peekable();
    while let Some(line) = lines.next() {
        if line.ends_with(b"\r") != lines.peek().is_some() || !is_untouched(line) {
            return false;
        }
    }
    !content
        .windows(own.len())
        .any(|window| window == own.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(encoding: TransferEncoding, content: &[u8]) -> Vec<u8> {
        let mut message = format!(
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        )
        .into_bytes();
        append(&mut message, encoding, content);
        message
    }

    fn read_back(message: &[u8]) -> Vec<u8> {
        let read = mail_parser::MessageParser::default()
            .parse(message)
            .unwrap();
        read.parts[0].contents().to_vec()
    }

    fn lines_hold(message: &[u8], longest: usize) {
        for line in std::str::from_utf8(message).unwrap().split("\r\n") {
            assert!(
                line.len() <= longest && !line.contains(['\r', '\n']),
                "{line:?}"
            );
            assert!(
                !line.ends_with(' ') && !line.starts_with("From "),
                "{line:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_octets_come_back(content in proptest::collection::vec(any::<u8>(), 0..400)) {
            for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                let message = part(encoding, &content);
                lines_hold(&message, 76);
                prop_assert_eq!(read_back(&message), content.clone());
            }
        }

        #[test]
        fn any_text_comes_back(content in "([a-zäß=.,\t \r\n]|From |\r\n){0,200}") {
            let asked = [TransferEncoding::QuotedPrintable, TransferEncoding::SevenBit];
            for encoding in asked.map(|asked| choose(asked, content.as_bytes(), "own")) {
                let message = part(encoding, content.as_bytes());
                lines_hold(&message, 998);
                prop_assert_eq!(read_back(&message), content.as_bytes());
            }
        }
    }

    #[test]
    fn many_blocks_of_base64_are_one() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let message = part(TransferEncoding::Base64, &content);
        lines_hold(&message, 76);
        assert_eq!(read_back(&message), content);
        let expected = encoded_length(TransferEncoding::Base64, 100_000);
        assert!(message.len() as u64 - expected < 100);
    }

    #[test]
    fn what_does_not_fit_is_sent_as_base64() {
        let chosen = |content: &str| choose(TransferEncoding::SevenBit, content.as_bytes(), "own");
        for fits in ["", "a", "a\r\nb\r\n", "\r\n", ".\r\n"] {
            assert_eq!(chosen(fits), TransferEncoding::SevenBit, "{fits:?}");
        }
        let long = "x".repeat(999);
        for not in [
            "ü", "a\nb", "a\r", "\0", "From x", "a \r\nb", "--=_own", &long,
        ] {
            assert_eq!(chosen(not), TransferEncoding::Base64, "{not:?}");
        }
    }
}
