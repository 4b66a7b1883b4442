//! Base64, quoted-printable and 7bit, piece by piece.

use sendport_core::domain::TransferEncoding;

use super::{BASE64_LINE, QUOTED_LINE};

/// Number of lines of base64 that are encoded at a time.
const BASE64_LINES: usize = 512;
/// The encoding of an octet depends on so many that follow it.
const LOOK_AHEAD: usize = 5;

/// Encodes a content that comes in pieces.
#[derive(Debug)]
pub(crate) struct Encoder {
    encoding: TransferEncoding,
    /// Octets that wait for the next piece.
    pending: Vec<u8>,
    /// Column in a line of quoted-printable.
    column: usize,
    begun: bool,
}

impl Encoder {
    pub(crate) fn new(encoding: TransferEncoding) -> Self {
        Self {
            encoding,
            pending: Vec::new(),
            column: 0,
            begun: false,
        }
    }

    /// Appends the next piece.
    pub(crate) fn append(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        if self.pending.is_empty() {
            self.encode(out, piece, false);
        } else {
            let mut joined = std::mem::take(&mut self.pending);
            joined.extend_from_slice(piece);
            self.encode(out, &joined, false);
        }
    }

    /// Appends the pending octets: there is no other piece.
    pub(crate) fn finish(mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.pending);
        self.encode(out, &rest, true);
    }

    fn encode(&mut self, out: &mut Vec<u8>, bytes: &[u8], is_end: bool) {
        let ready = match self.encoding {
            _ if is_end => bytes.len(),
            TransferEncoding::Base64 => bytes.len() - bytes.len() % BASE64_LINE,
            TransferEncoding::QuotedPrintable => bytes.len().saturating_sub(LOOK_AHEAD),
            TransferEncoding::SevenBit => bytes.len(),
        };
        let used = match self.encoding {
            TransferEncoding::Base64 => self.base64(out, &bytes[..ready]),
            TransferEncoding::QuotedPrintable => self.quoted_printable(out, bytes, ready),
            TransferEncoding::SevenBit => {
                out.extend_from_slice(&bytes[..ready]);
                ready
            }
        };
        self.pending = bytes[used..].to_vec();
    }

    fn base64(&mut self, out: &mut Vec<u8>, bytes: &[u8]) -> usize {
        for block in bytes.chunks(BASE64_LINE * BASE64_LINES) {
            let encoded = openssl::base64::encode_block(block);
            for line in encoded.as_bytes().chunks(76) {
                if std::mem::replace(&mut self.begun, true) {
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(line);
            }
        }
        bytes.len()
    }

    /// Keeps CRLF and encodes a single CR or LF. Encodes up to `ready` octets, or one more; returns
    /// how many.
    fn quoted_printable(&mut self, out: &mut Vec<u8>, content: &[u8], ready: usize) -> usize {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let mut at = 0;
        while at < ready {
            if content[at..].starts_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
                (self.column, at) = (0, at + 2);
                continue;
            }
            let byte = content[at];
            let is_plain = self.is_plain(&content[at..]);
            let width = if is_plain { 1 } else { 3 };
            if self.column + width >= QUOTED_LINE {
                out.extend_from_slice(b"=\r\n");
                self.column = 0;
            }
            if is_plain {
                out.push(byte);
            } else {
                let [high, low] = [byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]);
                out.extend_from_slice(&[b'=', high, low]);
            }
            (self.column, at) = (self.column + width, at + 1);
        }
        at
    }

    /// Whether the first octet of `rest` needs no escape.
    fn is_plain(&self, rest: &[u8]) -> bool {
        // A soft line break would put a word at the start of a line.
        let starts_line = self.column == 0 || self.column + 1 >= QUOTED_LINE;
        match rest[0] {
            b'=' => false,
            // Mailbox files change the first, and the second may become the line of a boundary.
            b'!'..=b'~' => {
                !(starts_line && (rest.starts_with(b"From ") || rest.starts_with(b"--")))
            }
            b' ' | b'\t' => !matches!(rest.get(1), None | Some(b'\r')),
            _ => false,
        }
    }
}
