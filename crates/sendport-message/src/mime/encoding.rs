//! Contents as 7-bit octets (RFC 2045 section 6), piece by piece straight into the message: a
//! content may be large and is never in memory as a whole.

use sendport_core::domain::TransferEncoding;

/// Octets to a line of base64, which are 76 characters.
const BASE64_LINE: usize = 57;
/// So many lines are encoded at a time.
const BASE64_LINES: usize = 512;
/// Longest line of quoted-printable, with the `=` that ends it softly.
const QUOTED_LINE: usize = 76;
/// So many octets behind one decide how it is quoted.
const LOOK_AHEAD: usize = 5;
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

/// What a content is like, found out piece by piece.
#[derive(Debug)]
pub(super) struct Survey {
    seven_bit: bool,
    utf8: bool,
    /// Beginning of a character whose end is in the next piece.
    cut: Vec<u8>,
    /// Octets of this line, and the first of them.
    line: usize,
    start: [u8; 5],
    last: u8,
    octets: usize,
    /// The first of them.
    begin: [u8; 4],
    /// A NUL stands behind an even number of octets, and behind an odd one.
    nul: [bool; 2],
    /// A control octet that is no white space.
    control: bool,
    /// Octets above 127.
    high: usize,
    /// Every line ends in CRLF, and there is no other control character but tabs.
    lines: bool,
    before: u8,
}

impl Survey {
    pub(super) fn new() -> Self {
        Self {
            seven_bit: true,
            utf8: true,
            cut: Vec::new(),
            line: 0,
            start: [0; 5],
            last: b'\n',
            octets: 0,
            begin: [0; 4],
            nul: [false; 2],
            control: false,
            high: 0,
            lines: true,
            before: b'\n',
        }
    }

    /// Takes the next piece.
    pub(super) fn look(&mut self, piece: &[u8]) {
        piece.iter().for_each(|&octet| self.count(octet));
        self.seven_bit = self.seven_bit && piece.iter().all(|&octet| self.stays_untouched(octet));
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

    /// Lines of ASCII that nothing on the way has a reason to touch, and none that looks like a
    /// boundary.
    pub(super) fn fits_7bit(&self) -> bool {
        self.seven_bit && !matches!(self.last, b'\r' | b' ' | b'\t')
    }

    fn is_utf8(&self) -> bool {
        self.utf8 && self.cut.is_empty()
    }

    /// The charset of a text that does not say which; `None` where it cannot be known. UTF-16 is
    /// known by its byte order mark, or by the zeros of what is ASCII in it.
    pub(super) fn charset(&self) -> Option<&'static str> {
        let even = self.octets.is_multiple_of(2);
        match (self.begin, self.nul) {
            ([0xff, 0xfe, 0, 0], _) => None,
            ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) if even => Some("utf-16"),
            (_, [false, false]) => (self.is_utf8() && !self.control).then_some("utf-8"),
            (_, [false, true]) if even => Some("utf-16le"),
            (_, [true, false]) if even => Some("utf-16be"),
            _ => None,
        }
    }

    /// How a text is sent so that people can read it on the way, where its lines allow that.
    pub(super) fn readable(&self) -> TransferEncoding {
        let quoted = self.lines && self.before != b'\r' && self.high <= self.octets / 6;
        match (self.fits_7bit(), quoted) {
            (true, _) => TransferEncoding::SevenBit,
            (false, true) => TransferEncoding::QuotedPrintable,
            (false, false) => TransferEncoding::Base64,
        }
    }

    fn count(&mut self, octet: u8) {
        if let Some(place) = self.begin.get_mut(self.octets) {
            *place = octet;
        }
        self.nul[self.octets % 2] |= octet == 0;
        self.control |= matches!(octet, 0..=8 | 14..=31);
        self.octets += 1;
        self.high += usize::from(octet > 127);
        self.lines &= match (self.before, octet) {
            (b'\r', octet) => octet == b'\n',
            (_, b'\t' | b'\r') => true,
            (_, octet) => !octet.is_ascii_control(),
        };
        self.before = octet;
    }

    fn stays_untouched(&mut self, octet: u8) -> bool {
        let last = std::mem::replace(&mut self.last, octet);
        match octet {
            b'\n' => {
                self.line = 0;
                last == b'\r'
            }
            _ if last == b'\r' => false,
            b'\r' => !matches!(last, b' ' | b'\t'),
            b' '..=b'~' | b'\t' => {
                if let Some(place) = self.start.get_mut(self.line) {
                    *place = octet;
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

/// Encodes a content piece by piece.
#[derive(Debug)]
pub(super) struct Encoder {
    encoding: TransferEncoding,
    /// What the next piece decides about.
    kept: Vec<u8>,
    /// Of the line of quoted-printable.
    column: usize,
    begun: bool,
}

impl Encoder {
    pub(super) fn new(encoding: TransferEncoding) -> Self {
        Self {
            encoding,
            kept: Vec::new(),
            column: 0,
            begun: false,
        }
    }

    /// Appends the next piece.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, piece: &[u8]) {
        if self.kept.is_empty() {
            self.encode(out, piece, false);
        } else {
            let mut joined = std::mem::take(&mut self.kept);
            joined.extend_from_slice(piece);
            self.encode(out, &joined, false);
        }
    }

    /// Appends what was kept back: there is no other piece.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.kept);
        self.encode(out, &rest, true);
    }

    fn encode(&mut self, out: &mut Vec<u8>, octets: &[u8], is_end: bool) {
        let ready = match self.encoding {
            _ if is_end => octets.len(),
            TransferEncoding::Base64 => octets.len() - octets.len() % BASE64_LINE,
            TransferEncoding::QuotedPrintable => octets.len().saturating_sub(LOOK_AHEAD),
            TransferEncoding::SevenBit => octets.len(),
        };
        let used = match self.encoding {
            TransferEncoding::Base64 => self.base64(out, &octets[..ready]),
            TransferEncoding::QuotedPrintable => self.quoted_printable(out, octets, ready),
            TransferEncoding::SevenBit => {
                out.extend_from_slice(&octets[..ready]);
                ready
            }
        };
        self.kept = octets[used..].to_vec();
    }

    fn base64(&mut self, out: &mut Vec<u8>, octets: &[u8]) -> usize {
        for block in octets.chunks(BASE64_LINE * BASE64_LINES) {
            let encoded = openssl::base64::encode_block(block);
            for line in encoded.as_bytes().chunks(76) {
                if std::mem::replace(&mut self.begun, true) {
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(line);
            }
        }
        octets.len()
    }

    /// Line ends stay line ends; a CR or LF alone is encoded. Up to `ready`, or one octet more;
    /// says how many it took.
    fn quoted_printable(&mut self, out: &mut Vec<u8>, content: &[u8], ready: usize) -> usize {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let mut at = 0;
        while at < ready {
            if content[at..].starts_with(b"\r\n") {
                out.extend_from_slice(b"\r\n");
                (self.column, at) = (0, at + 2);
                continue;
            }
            let octet = content[at];
            let is_plain = self.is_plain(&content[at..]);
            let width = if is_plain { 1 } else { 3 };
            if self.column + width >= QUOTED_LINE {
                out.extend_from_slice(b"=\r\n");
                self.column = 0;
            }
            if is_plain {
                out.push(octet);
            } else {
                let [high, low] = [octet >> 4, octet & 15].map(|half| HEX[usize::from(half)]);
                out.extend_from_slice(&[b'=', high, low]);
            }
            (self.column, at) = (self.column + width, at + 1);
        }
        at
    }

    /// Whether the first octet of what is left may stand as it is.
    fn is_plain(&self, rest: &[u8]) -> bool {
        // A soft line end would put a word at the start of a line.
        let starts_line = self.column == 0 || self.column + 1 >= QUOTED_LINE;
        match rest[0] {
            b'=' => false,
            b'!'..=b'~' => !(starts_line && rest.starts_with(b"From ")),
            b' ' | b'\t' => !matches!(rest.get(1), None | Some(b'\r')),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part(encoding: TransferEncoding, content: &[u8], pieces: usize) -> Vec<u8> {
        let mut message = format!(
            "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
        )
        .into_bytes();
        let mut encoder = Encoder::new(encoding);
        for piece in content.chunks(pieces) {
            encoder.append(&mut message, piece);
        }
        encoder.finish(&mut message);
        message
    }

    fn surveyed(content: &[u8], pieces: usize) -> Survey {
        let mut survey = Survey::new();
        content.chunks(pieces).for_each(|piece| survey.look(piece));
        survey
    }

    /// 7bit where it fits, else base64.
    fn chosen(content: &[u8]) -> TransferEncoding {
        let fits = surveyed(content, 1000).fits_7bit();
        if fits {
            TransferEncoding::SevenBit
        } else {
            TransferEncoding::Base64
        }
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
        fn any_octets_come_back(
            content in proptest::collection::vec(any::<u8>(), 0..400), pieces in 1_usize..200
        ) {
            for encoding in [TransferEncoding::Base64, TransferEncoding::QuotedPrintable] {
                let message = part(encoding, &content, pieces);
                prop_assert_eq!(&message, &part(encoding, &content, 1000));
                lines_hold(&message, 76);
                prop_assert_eq!(read_back(&message), content.clone());
            }
        }

        #[test]
        fn any_text_comes_back(
            content in "([a-zäß=.,\t \r\n]|From |--=_|\r\n){0,200}", pieces in 1_usize..200
        ) {
            let content = content.as_bytes();
            let (whole, cut) = (surveyed(content, 1000), surveyed(content, pieces));
            prop_assert!(whole.is_utf8() && cut.is_utf8());
            prop_assert_eq!(whole.fits_7bit(), cut.fits_7bit());
            for encoding in [TransferEncoding::QuotedPrintable, chosen(content)] {
                let message = part(encoding, content, pieces);
                lines_hold(&message, 998);
                prop_assert_eq!(read_back(&message), content);
            }
        }
    }

    #[test]
    fn many_blocks_of_base64_are_one() {
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let message = part(TransferEncoding::Base64, &content, 70_000);
        lines_hold(&message, 76);
        assert_eq!(read_back(&message), content);
        let expected = encoded_length(TransferEncoding::Base64, 100_000);
        assert!(message.len() as u64 - expected < 100);
    }

    #[test]
    fn what_does_not_fit_is_sent_as_base64() {
        for fits in ["", "a", "a\r\nb\r\n", "\r\n", ".\r\n", "a From b"] {
            assert_eq!(
                chosen(fits.as_bytes()),
                TransferEncoding::SevenBit,
                "{fits:?}"
            );
        }
        let long = "x".repeat(999);
        for not in [
            "ü",
            "a\nb",
            "a\r",
            "\0",
            "From x",
            "a \r\nb",
            "a ",
            "x\r\n--=_own",
            &long,
        ] {
            assert_eq!(chosen(not.as_bytes()), TransferEncoding::Base64, "{not:?}");
        }
    }

    #[test]
    fn what_is_no_utf8_is_noticed() {
        assert!(!surveyed(b"Gr\xf6\xdfe", 1).is_utf8());
        assert!(
            !surveyed("ü".as_bytes()[..1].as_ref(), 1).is_utf8(),
            "cut off"
        );
        assert!(surveyed("Größe 😀".as_bytes(), 1).is_utf8());
    }

    #[test]
    fn the_charset_of_a_text_is_known_by_its_octets() {
        let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            text.encode_utf16().flat_map(order).collect()
        };
        let (little, big) = (u16::to_le_bytes, u16::to_be_bytes);
        for (content, charset) in [
            (b"".to_vec(), Some("utf-8")),
            ("Größe".into(), Some("utf-8")),
            (b"Gr\xf6\xdfe".to_vec(), None),
            (utf16("order;late\r\n4711;2", little), Some("utf-16le")),
            (utf16("Größe;Ω\r\n", little), Some("utf-16le")),
            (utf16("order;late\r\n", big), Some("utf-16be")),
            (utf16("\u{feff}order;Ā", little), Some("utf-16")),
            (utf16("\u{feff}order;Ā", big), Some("utf-16")),
            (b"\xff\xfe\0\0a\0\0\0".to_vec(), None),
            (utf16("Привет", little), None),
            (b"a\tb\x0bc\x0c\r\n".to_vec(), Some("utf-8")),
            (b"a\0b".to_vec(), None),
            (b"\0\0\0a".to_vec(), None),
        ] {
            for pieces in [1, 3, 100] {
                let found = surveyed(&content, pieces).charset();
                assert_eq!(found, charset, "{content:?}");
            }
        }
    }

    #[test]
    fn a_text_is_sent_readable_where_its_lines_allow() {
        use TransferEncoding::{Base64, QuotedPrintable, SevenBit};
        let long = "x".repeat(1000);
        for (content, encoding) in [
            ("order;late\r\n4711;2", SevenBit),
            ("Bestellung;verspätet\r\n", QuotedPrintable),
            ("trailing \r\n", QuotedPrintable),
            (&long, QuotedPrintable),
            ("a\nb", Base64),
            ("a\rb", Base64),
            ("a\r", Base64),
            ("a\0\r\n", Base64),
            ("注文が遅れています\r\n", Base64),
        ] {
            let content = content.as_bytes();
            for pieces in [1, 7, 2000] {
                assert_eq!(
                    surveyed(content, pieces).readable(),
                    encoding,
                    "{content:?}"
                );
            }
        }
    }
}
