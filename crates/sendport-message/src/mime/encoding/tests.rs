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
    content
        .chunks(pieces)
        .for_each(|piece| survey.examine(piece));
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
    fn round_trips_any_bytes(
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
    fn round_trips_any_text(
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
fn joins_blocks_of_base64() {
    let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let message = part(TransferEncoding::Base64, &content, 70_000);
    lines_hold(&message, 76);
    assert_eq!(read_back(&message), content);
    let expected = encoded_length(TransferEncoding::Base64, 100_000);
    assert!(message.len() as u64 - expected < 100);
}

#[test]
fn chooses_base64_for_content_that_is_not_7bit() {
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
fn recognizes_utf8() {
    assert!(!surveyed(b"Gr\xf6\xdfe", 1).is_utf8());
    assert!(
        !surveyed("ü".as_bytes()[..1].as_ref(), 1).is_utf8(),
        "cut off"
    );
    assert!(surveyed("Größe 😀".as_bytes(), 1).is_utf8());
}

#[test]
fn recognizes_the_charset_of_a_text() {
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
