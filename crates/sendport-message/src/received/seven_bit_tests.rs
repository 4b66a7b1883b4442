use mail_parser::MessageParser;
use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use proptest::prelude::*;

use super::*;

fn relayed(message: &str) -> String {
    let bytes = for_seven_bits(message.as_bytes()).expect("can be encoded");
    String::from_utf8(bytes).expect("ASCII")
}

#[test]
fn a_text_becomes_quoted_printable_and_says_so() {
    for (message, expected) in [
        (
            "Received: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\nSubject: 1\r\n\r\nZähler 4711 is late.\r\n.\r\n",
            "Received: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: quoted-printable\r\nSubject: 1\r\n\r\nZ=C3=A4hler 4711 is late.\r\n.\r\n",
        ),
        (
            "Received: x\r\nSubject: 1\r\n\r\nno MIME, but the Größe of it\r\n",
            "Received: x\r\nSubject: 1\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\
             \r\nno MIME, but the Gr=C3=B6=C3=9Fe of it\r\n",
        ),
    ] {
        assert_eq!(relayed(message), expected);
    }
}

const MIXED: &str = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a\"\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\nprä\r\n--a\r\nContent-Type: text/plain\r\n\r\n\
    only ASCII, trailing space \r\n--a  \r\nContent-Type: text/html\r\n\
    Content-Transfer-Encoding : 8BIT\r\nContent-ID: <1>\r\n\r\n<p>Größe and much more text</p>\r\n\
    --a\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: binary\r\n\r\nü\r\n\r\n\
    --a\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
    Subject: inner\r\n\r\n--b\r\nMaß\r\n--a--\r\nende ß\r\n";

#[test]
fn every_other_octet_stays() {
    let expected = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a\"\r\n\
        Content-Transfer-Encoding: 7bit\r\n\r\npr=C3=A4\r\n--a\r\nContent-Type: text/plain\r\n\r\n\
        only ASCII, trailing space \r\n--a  \r\nContent-Type: text/html\r\n\
        Content-Transfer-Encoding: quoted-printable\r\nContent-ID: <1>\r\n\r\n\
        <p>Gr=C3=B6=C3=9Fe and much more text</p>\r\n\
        --a\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\nw7wNCg==\r\n\
        --a\r\nContent-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n\
        Subject: inner\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nLS1iDQpNYcOf\r\n\
        --a--\r\nende =C3=9F\r\n";
    assert_eq!(relayed(MIXED), expected);
    let plain = "Subject: 1\r\n\r\nonly ASCII \r\n";
    assert_eq!(relayed(plain), plain);
}

#[test]
fn the_header_section_of_the_message_is_left_to_the_relay() {
    let message = "Subject: Zähler\r\n\r\nASCII\r\n";
    assert_eq!(
        for_seven_bits(message.as_bytes()).unwrap(),
        message.as_bytes()
    );
}

#[test]
fn refuses_what_an_encoding_would_break() {
    let in_type = |value: &str, content: &str| {
        format!("MIME-Version: 1.0\r\nContent-Type: {value}\r\n\r\n{content}\r\n")
    };
    let deep = "Content-Type: message/rfc822\r\n\r\n".repeat(60) + "\r\nü";
    for (value, content, why) in [
        (
            "multipart/signed; boundary=a",
            "--a\r\n\r\nü\r\n--a--",
            NotChanged::Sealed,
        ),
        ("multipart/encrypted; boundary=a", "ü", NotChanged::Sealed),
        ("application/pkcs7-mime", "ü", NotChanged::Sealed),
        (
            "multipart/mixed; boundary=a",
            "--a\r\nContent-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nü\r\n--b--\r\n--a--",
            NotChanged::Sealed,
        ),
        ("multipart/mixed; boundary=a", "ü", NotChanged::Boundary),
        ("multipart/mixed", "--a\r\n\r\nü", NotChanged::Boundary),
        (
            "multipart/mixed; boundary=a",
            "--a\r\nContent-Disposition: attachment; filename=ü\r\n\r\nx",
            NotChanged::Header,
        ),
        ("message/rfc822", "Subject: ü\r\n\r\nx", NotChanged::Header),
        ("message/partial", "ü", NotChanged::Encoding),
        (
            "text/plain\r\nContent-Transfer-Encoding: x-uuencode",
            "ü",
            NotChanged::Encoding,
        ),
        (
            "text/plain\r\nContent-Type: text/html",
            "ü",
            NotChanged::Twice,
        ),
        ("message/rfc822", &deep, NotChanged::Depth),
    ] {
        let message = in_type(value, content);
        assert_eq!(for_seven_bits(message.as_bytes()), Err(why), "{message}");
    }
}

#[test]
fn no_encoded_line_becomes_a_boundary() {
    let message = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x=C3=A4\"\r\n\r\n--xä\r\n\
        --x=C3=A4\r\n\r\nmuch text\r\n--xä\r\nand more of it\r\n--x=C3=A4--\r\n";
    let sent = relayed(message);
    assert!(sent.contains("\r\n=2D-x=C3=A4\r\n--x=C3=A4\r\n"), "{sent}");
    assert!(
        sent.contains("much text\r\n=2D-x=C3=A4\r\nand more"),
        "{sent}"
    );
}

#[test]
fn what_is_encoded_already_keeps_its_encoding() {
    let in_encoding = |word: &str, content: &str| {
        format!("MIME-Version: 1.0\r\nContent-Transfer-Encoding: {word}\r\n\r\n{content}")
    };
    for (word, content, expected) in [
        (
            "quoted-printable",
            "a=3D=\r\n ä\r\n",
            "a=3D=\r\n =C3=A4\r\n",
        ),
        ("base64", "w7w=\r\n--ä\r\n", "w7w=\r\n\r\n"),
    ] {
        let sent = relayed(&in_encoding(word, content));
        assert_eq!(sent, in_encoding(word, expected));
    }
}

#[test]
fn for_a_signature_nothing_is_left_that_a_relay_changes() {
    let long = "x".repeat(999);
    for content in ["a \r\n", "From here\r\n", "a\0\r\n", "a\t", &long, "ä"] {
        let message = format!("Received: x\r\n\r\n{content}");
        let bytes = for_a_signature(message.as_bytes()).expect("can be encoded");
        assert!(!may_change(&bytes), "{content:?}");
        let header = b"Received: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: ";
        assert!(bytes.starts_with(header), "{content:?}");
        assert_eq!(leaves(&bytes), [content.as_bytes()]);
    }
    let kept = "MIME-Version: 1.0\r\nSubject: \r\n\r\nASCII\r\n";
    assert_eq!(for_a_signature(kept.as_bytes()).unwrap(), kept.as_bytes());
    for (incomplete, whole) in [
        ("Subject: 1", "Subject: 1\r\nMIME-Version: 1.0\r\n\r\n"),
        ("Subject: 1\r\n", "Subject: 1\r\nMIME-Version: 1.0\r\n\r\n"),
        ("\r\nx", "MIME-Version: 1.0\r\n\r\nx"),
    ] {
        let bytes = for_a_signature(incomplete.as_bytes()).unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), whole);
    }
    for no_field in [
        "From x\r\n\r\n",
        "Subject: 1\r\ntext\r\n\r\n",
        " x\r\n\r\n",
        "a b: c\r\n\r\n",
    ] {
        assert_eq!(
            for_a_signature(no_field.as_bytes()),
            Err(NotChanged::NoField)
        );
    }
}

/// The decoded contents of all parts without parts of their own.
fn leaves(message: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    collect(message, false, &mut found, 0);
    found
}

fn collect(octets: &[u8], in_digest: bool, found: &mut Vec<Vec<u8>>, depth: usize) {
    let part = Part::read(octets);
    let (Ok(content_type), Ok(written)) = (part.content_type(in_digest), part.written()) else {
        return found.push(b"unreadable".to_vec());
    };
    let is_digest = content_type.essence == "multipart/digest";
    let decoded = match written {
        Written::Plain if content_type.is_multipart() && depth < DEEPEST => {
            let boundary = content_type.boundary.unwrap_or_default();
            let _ = each_piece(part.content, &boundary, |piece| {
                if let Piece::Part(octets) = piece {
                    collect(octets, is_digest, found, depth + 1);
                }
                Ok(())
            });
            return;
        }
        Written::Plain if content_type.essence == "message/rfc822" && depth < DEEPEST => {
            return collect(part.content, false, found, depth + 1);
        }
        Written::QuotedPrintable => quoted_printable_decode(part.content),
        Written::Base64 => {
            let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            let known: Vec<u8> = part.content.iter().copied().filter(known).collect();
            base64_decode(&known)
        }
        Written::Plain | Written::Unknown => Some(part.content.to_vec()),
    };
    found.push(decoded.unwrap_or_else(|| b"no encoding".to_vec()));
}

/// The parts as another implementation reads them.
fn as_mail_parser_reads(message: &[u8]) -> Vec<Vec<u8>> {
    let parsed = MessageParser::default().parse(message).expect("a message");
    let contents = parsed
        .parts
        .iter()
        .filter(|part| part.sub_parts().is_none());
    contents.map(|part| part.contents().to_vec()).collect()
}

/// Lines of a message that is malformed in any way.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        Just(b"".to_vec()),
        Just(b"--a".to_vec()),
        Just(b"--a--".to_vec()),
        Just(b"--=C3=A4".to_vec()),
        Just("--ä".as_bytes().to_vec()),
        Just(b"Content-Type: multipart/mixed; boundary=a".to_vec()),
        Just(b"Content-Type: multipart/digest; boundary=\"=C3=A4\"".to_vec()),
        Just(b"Content-Type: message/rfc822".to_vec()),
        Just(b"Content-Type: text/html; charset=\"".to_vec()),
        Just(b"Content-Type: image/png".to_vec()),
        Just(b"Content-Type: multipart/signed; boundary=a".to_vec()),
        Just(b"Content-Transfer-Encoding: 8bit".to_vec()),
        Just(b"Content-Transfer-Encoding: quoted-printable".to_vec()),
        Just(b"Content-Transfer-Encoding: base64".to_vec()),
        Just(b"Content-Transfer-Encoding: x".to_vec()),
        Just(b" folded \t".to_vec()),
        Just("Größe = \0".as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..90),
    ];
    let end = prop_oneof![9 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r")];
    let lines = proptest::collection::vec((line, end), 0..40);
    lines.prop_map(|lines| {
        let lines = lines
            .into_iter()
            .map(|(line, end)| [&line, end.as_bytes()].concat());
        lines.collect::<Vec<_>>().concat()
    })
}

/// A well-formed part: a leaf, or a multipart of some with a boundary of its own.
fn part() -> impl Strategy<Value = (Vec<u8>, u32)> {
    let text = proptest::collection::vec("[ -~äöü=.\t-]{0,100}", 0..6);
    let text = text.prop_map(|lines| {
        let head =
            "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
        ((head.to_owned() + &lines.join("\r\n")).into_bytes(), 0)
    });
    let file = proptest::collection::vec(any::<u8>(), 0..300).prop_map(|octets| {
        let head =
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n";
        ([&head[..], &octets].concat(), 0)
    });
    prop_oneof![text, file].prop_recursive(4, 20, 4, |inner| {
        proptest::collection::vec(inner, 1..4).prop_map(|parts| {
            let level = 1 + parts
                .iter()
                .map(|(_, level)| *level)
                .max()
                .unwrap_or_default();
            let boundary = format!("boundary-{level}-of-this-message");
            let mut out =
                format!("Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n").into_bytes();
            for (part, _) in &parts {
                out.extend(format!("--{boundary}\r\n").bytes());
                out.extend_from_slice(part);
                out.extend(b"\r\n");
            }
            out.extend(format!("--{boundary}--\r\n").bytes());
            (out, level)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_octets_are_encoded_or_refused(message in soup()) {
        if let Ok(sent) = for_seven_bits(&message) {
            let header = Part::read(&sent).header().len();
            prop_assert!(sent[header..].is_ascii());
            prop_assert_eq!(leaves(&sent), leaves(&message));
            prop_assert_eq!(for_seven_bits(&sent), Ok(sent));
        }
        if let Ok(sent) = for_a_signature(&message) {
            let header = Part::read(&sent).header().len();
            prop_assert!(!is_no_text(&sent[header..]));
            prop_assert_eq!(leaves(&sent), leaves(&message));
        }
    }

    #[test]
    fn readers_find_the_same_contents((part, _) in part()) {
        let message = [b"Subject: 1\r\nMIME-Version: 1.0\r\n", &part[..]].concat();
        let sent = for_seven_bits(&message).expect("well-formed");
        prop_assert!(sent.is_ascii());
        prop_assert_eq!(leaves(&sent), leaves(&message));
        prop_assert_eq!(as_mail_parser_reads(&sent), as_mail_parser_reads(&message));
        let signed = for_a_signature(&message).expect("well-formed");
        prop_assert_eq!(leaves(&signed), leaves(&message));
    }
}
