//! What a content is like: whether it is 7-bit or UTF-8, and how it is encoded best.

use sendport_core::domain::TransferEncoding;

use super::LONGEST_LINE;

/// Properties of a content that comes in pieces.
#[derive(Debug)]
pub(in crate::mime) struct Survey {
    seven_bit: bool,
    utf8: bool,
    /// Start of a character that continues in the next piece.
    cut: Vec<u8>,
    /// Length of the current line, and its first octets.
    line: usize,
    start: [u8; 5],
    last: u8,
    bytes: usize,
    /// The first octets.
    begin: [u8; 4],
    /// There is a NUL at an even offset, and at an odd one.
    nul: [bool; 2],
    /// There is a control octet other than white space.
    control: bool,
    /// Number of octets above 127.
    high: usize,
    /// Every line ends in CRLF, and the only control characters are tabs.
    lines: bool,
    before: u8,
}

impl Survey {
    pub(in crate::mime) fn new() -> Self {
        Self {
            seven_bit: true,
            utf8: true,
            cut: Vec::new(),
            line: 0,
            start: [0; 5],
            last: b'\n',
            bytes: 0,
            begin: [0; 4],
            nul: [false; 2],
            control: false,
            high: 0,
            lines: true,
            before: b'\n',
        }
    }

    /// Examines the next piece.
    pub(in crate::mime) fn examine(&mut self, piece: &[u8]) {
        piece.iter().for_each(|&byte| self.count(byte));
        self.seven_bit = self.seven_bit && piece.iter().all(|&byte| self.stays_untouched(byte));
        if !self.utf8 {
            return;
        }
        let mut text = std::mem::take(&mut self.cut);
        text.extend_from_slice(piece);
        if let Err(error) = std::str::from_utf8(&text) {
            self.utf8 = error.error_len().is_none();
            self.cut = text.split_off(error.valid_up_to());
        }
    }

    /// Lines of ASCII that no server has a reason to change, and none that looks like a boundary.
    pub(in crate::mime) fn fits_7bit(&self) -> bool {
        self.seven_bit && !matches!(self.last, b'\r' | b' ' | b'\t')
    }

    pub(super) fn is_utf8(&self) -> bool {
        self.utf8 && self.cut.is_empty()
    }

    /// The charset of a text without a charset parameter; `None` where it cannot be determined.
    /// UTF-16 is recognized by its byte order mark, or by the NULs of its ASCII characters.
    pub(in crate::mime) fn charset(&self) -> Option<&'static str> {
        let even = self.bytes.is_multiple_of(2);
        match (self.begin, self.nul) {
            ([0xff, 0xfe, 0, 0], _) => None,
            ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) if even => Some("utf-16"),
            (_, [false, false]) => (self.is_utf8() && !self.control).then_some("utf-8"),
            (_, [false, true]) if even => Some("utf-16le"),
            (_, [true, false]) if even => Some("utf-16be"),
            _ => None,
        }
    }

    /// The most readable encoding of a text that its lines permit.
    pub(in crate::mime) fn readable(&self) -> TransferEncoding {
        let quoted = self.lines && self.before != b'\r' && self.high <= self.bytes / 6;
        match (self.fits_7bit(), quoted) {
            (true, _) => TransferEncoding::SevenBit,
            (false, true) => TransferEncoding::QuotedPrintable,
            (false, false) => TransferEncoding::Base64,
        }
    }

    fn count(&mut self, byte: u8) {
        if let Some(place) = self.begin.get_mut(self.bytes) {
            *place = byte;
        }
        self.nul[self.bytes % 2] |= byte == 0;
        self.control |= matches!(byte, 0..=8 | 14..=31);
        self.bytes += 1;
        self.high += usize::from(byte > 127);
        self.lines &= match (self.before, byte) {
            (b'\r', byte) => byte == b'\n',
            (_, b'\t' | b'\r') => true,
            (_, byte) => !byte.is_ascii_control(),
        };
        self.before = byte;
    }

    fn stays_untouched(&mut self, byte: u8) -> bool {
        let last = std::mem::replace(&mut self.last, byte);
        match byte {
            b'\n' => {
                self.line = 0;
                last == b'\r'
            }
            _ if last == b'\r' => false,
            b'\r' => !matches!(last, b' ' | b'\t'),
            b' '..=b'~' | b'\t' => {
                if let Some(place) = self.start.get_mut(self.line) {
                    *place = byte;
                }
                self.line += 1;
                let has_start =
                    |text: &[u8]| self.line == text.len() && self.start.starts_with(text);
                self.line <= LONGEST_LINE && !has_start(b"From ") && !has_start(b"--=_")
            }
            _ => false,
        }
    }
}
