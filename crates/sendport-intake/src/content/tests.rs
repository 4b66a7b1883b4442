use std::sync::Arc;

use proptest::prelude::*;
use sendport_core::domain::{AlertOrigin, ReceivedContent, Timestamp, TransactionId};

use super::dot::DotReader;
use super::header::HeaderSection;
use super::incoming::{Accepted, ContentLimits, Defect, IncomingContent};
use super::line_ends::LineEnds;
use super::memory::MemoryBudget;
use super::preface::{Preface, Protocol, Source, Trace};

const PROTOCOL: Protocol = Protocol {
    is_extended: true,
    is_encrypted: false,
    is_authenticated: false,
    is_international: false,
};

fn trace() -> Trace<'static> {
    from_client("client.test", PROTOCOL)
}

fn from_client(helo: &'static str, protocol: Protocol) -> Trace<'static> {
    Trace {
        source: Source::Smtp {
            helo: Some(helo),
            client: [192, 0, 2, 1].into(),
            protocol,
            tls: None,
        },
        hostname: "mail.test",
        transaction: TransactionId(Default::default()),
        recipient: None,
        at: Timestamp::UNIX_EPOCH,
    }
}

fn limits(size: u64, memory: usize) -> ContentLimits {
    ContentLimits {
        size,
        hops: 3,
        memory: MemoryBudget::new(memory),
        folder: Arc::from(std::env::temp_dir()),
    }
}

fn octets(content: &ReceivedContent) -> Vec<u8> {
    let mut all = Vec::new();
    let take = |piece: &[u8]| {
        all.extend_from_slice(piece);
        Ok::<_, std::io::Error>(())
    };
    content.pieces(1000, take).unwrap();
    all
}

async fn accepted(pieces: &[&[u8]], limits: ContentLimits) -> Result<Accepted, Defect> {
    let mut content = IncomingContent::new(limits, Preface::new(&trace()));
    for piece in pieces {
        content.take(piece);
        content.spill().await;
    }
    content.finish().await
}

/// What is stored of content, behind the fields that are added.
async fn stored(content: &[u8]) -> Result<(String, HeaderSection), Defect> {
    let accepted = accepted(&[content], limits(1 << 20, 1 << 20)).await?;
    let text = String::from_utf8(octets(&accepted.content)).unwrap();
    let received = text.strip_prefix(
        "Received: from client.test ([192.0.2.1])\r\n\tby mail.test with ESMTP\r\n\t\
         id 00000000000000000000000000000000;\r\n\tThu, 01 Jan 1970 00:00:00 +0000\r\n",
    );
    Ok((received.unwrap().to_owned(), accepted.header))
}

const DATE: &str = "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n";
const ID: &str = "Message-ID: <00000000-0000-0000-0000-000000000000@mail.test>\r\n";

#[tokio::test]
async fn only_missing_fields_are_added_and_the_rest_is_unchanged() {
    for (content, added, separator) in [
        ("date: x\r\nMessage-Id: <a@b>\r\n\r\nbody\r\n", "", ""),
        ("Message-ID : <a@b>\r\n\r\n", DATE, ""),
        ("Date:\r\n x\r\n\r\nMessage-ID: <in@body>\r\n", ID, ""),
        ("Subject: x\r\n\r\n", "both", ""),
        ("Subject: x\r\n", "both", ""),
        ("Subject: x", "both", ""),
        ("", "both", ""),
        ("\r\nDate: x\r\n", "both", ""),
        (
            "X-Empty:\r\n folded\r\n\tfolded\r\n \r\n\r\n\r\n",
            "both",
            "",
        ),
        // No header section: an empty line keeps the text out of it.
        ("Hello\r\n", "both", "\r\n"),
        ("Hello", "both", "\r\n"),
        (" Subject: x\r\n", "both", "\r\n"),
        ("Two words: x\r\n", "both", "\r\n"),
        (": x\r\n", "both", "\r\n"),
    ] {
        let (text, header) = stored(content.as_bytes()).await.unwrap();
        let added = if added == "both" {
            format!("{DATE}{ID}")
        } else {
            added.to_owned()
        };
        assert_eq!(text, format!("{added}{separator}{content}"), "{content:?}");
        assert!(header.message_id.unwrap().ends_with('>'), "{content:?}");
    }
    let (text, _) = stored(b"Subject: x\r\nThis is a test.\r\n").await.unwrap();
    assert_eq!(
        text,
        format!("{DATE}{ID}Subject: x\r\n\r\nThis is a test.\r\n")
    );
}

#[tokio::test]
async fn a_loop_is_found_by_its_received_fields() {
    let with = |hops: usize| {
        format!(
            "{}Subject: x\r\n\r\nReceived: x\r\n",
            "RECEIVED: x\r\n y\r\n".repeat(hops)
        )
    };
    assert!(stored(with(3).as_bytes()).await.is_ok());
    assert_eq!(stored(with(4).as_bytes()).await.unwrap_err(), Defect::Loop);
}

#[tokio::test]
async fn people_read_names_and_subjects_decoded() {
    let content = "From: =?utf-8?q?J=C3=BCrgen=2C_evil=40x=2Etest?= <j@x.test>, (c) k@x.test\r\n\
                   To: Group: A <a@x.test>, b@x.test;\r\nCc: C <c@x.test>, not an address\r\n\
                   Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe=0D=0ABcc:_x?=\r\n  and more\r\nMessage-ID: <1@x.test> \r\n\r\n";
    let (_, header) = stored(content.as_bytes()).await.unwrap();
    assert_eq!(
        header.from.as_deref(),
        Some("\"Jürgen, evil@x.test\" <j@x.test>, c <k@x.test>")
    );
    assert_eq!(header.subject.as_deref(), Some("Grüße  Bcc: x and more"));
    assert_eq!(header.message_id.as_deref(), Some("<1@x.test>"));
    let text = |addresses: &[sendport_core::domain::Address]| -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    };
    assert_eq!(text(&header.to), ["a@x.test", "b@x.test"]);
    assert_eq!(text(&header.cc), ["c@x.test"]);
    let long = format!("Subject: {}\r\n\r\n", "x".repeat(5000));
    assert_eq!(
        stored(long.as_bytes())
            .await
            .unwrap()
            .1
            .subject
            .unwrap()
            .len(),
        998
    );
}

#[tokio::test]
async fn content_is_stored_whole_in_memory_or_in_a_file() {
    let head = b"Subject: x\r\n\r\n".to_vec();
    let body = b"0123456789abcdef0123456789abcd\r\n".repeat(100_000);
    let content = [head, body].concat();
    for (memory, length, in_file) in [
        (1 << 21, 900_000, false),
        (1 << 21, 1_100_000, true),
        (100_000, 900_000, true),
        (0, 60_000, false),
        (0, content.len(), true),
    ] {
        let content = &content[..length];
        let limits = limits(1 << 30, memory);
        let pieces: Vec<_> = content.chunks(10_000).collect();
        let accepted = accepted(&pieces, limits.clone()).await.unwrap();
        let is_file = matches!(accepted.content, ReceivedContent::File { .. });
        assert_eq!(is_file, in_file, "{memory} {length}");
        let stored = octets(&accepted.content);
        assert!(stored.starts_with(b"Received: ") && stored.ends_with(content));
        assert_eq!(stored.len() as u64, accepted.content.size());
        drop(accepted);
        assert!(
            limits.memory.reservation().grow_to(memory),
            "everything is released"
        );
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_a_transient_refusal() {
    let mut limits = limits(1 << 30, 0);
    limits.folder = Arc::from(std::path::Path::new("/no/such/folder"));
    let content = b"Subject: x\r\n\r\n".repeat(10_000);
    let refused = accepted(&[&content, b"more"], limits).await.unwrap_err();
    assert_eq!((refused, refused.reply().code), (Defect::NotStored, 451));
}

#[tokio::test]
async fn a_header_section_has_a_limit() {
    let endless = b"X-Field: value of thirty octets.\r\n".repeat(10_000);
    assert_eq!(
        accepted(&[&endless], limits(1 << 30, 1 << 20))
            .await
            .unwrap_err(),
        Defect::HeaderTooLarge
    );
    let body = vec![b'x'; 300_000];
    let text = accepted(&[b"\r\n", &body], limits(1 << 30, 1 << 20)).await;
    assert!(text.is_ok());
}

#[test]
fn a_helo_name_cannot_add_anything() {
    let received = |helo: &'static str| format!("{:?}", Preface::new(&from_client(helo, PROTOCOL)));
    for (helo, from) in [
        ("client.test", "from client.test ([192.0.2.1])"),
        ("[10.0.0.1]", "from [10.0.0.1] ([192.0.2.1])"),
        ("", "from [192.0.2.1]\\r"),
        ("a b) (c", "from [192.0.2.1] (HELO a?b???c)"),
        ("x;\u{fc}<y>", "from [192.0.2.1] (HELO x???y?)"),
    ] {
        assert!(received(helo).contains(from), "{}", received(helo));
    }
}

#[test]
fn a_file_is_received_from_its_owner() {
    let received = |user| {
        let source = Source::File {
            origin: AlertOrigin::Pickup,
            user,
        };
        format!("{:?}", Preface::new(&Trace { source, ..trace() }))
    };
    for (user, by) in [
        (None, "Received: by mail.test (sendport pickup)\\r"),
        (
            Some("www-data"),
            "by mail.test (sendport pickup, user www-data)\\r",
        ),
        (
            Some("a) b;\r\nc"),
            "by mail.test (sendport pickup, user a??b???c)\\r",
        ),
    ] {
        assert!(received(user).contains(by), "{}", received(user));
    }
}

#[test]
fn the_protocol_has_its_registered_name() {
    let name = |is_extended, is_encrypted, is_authenticated, is_international| {
        let protocol = Protocol {
            is_extended,
            is_encrypted,
            is_authenticated,
            is_international,
        };
        let preface = Preface::new(&from_client("client.test", protocol));
        let text = format!("{preface:?}");
        let after = text.split_once(" with ").unwrap().1;
        after.split_once("\\r").unwrap().0.to_owned()
    };
    assert_eq!(name(false, false, false, false), "SMTP");
    assert_eq!(name(true, false, false, false), "ESMTP");
    assert_eq!(name(true, true, false, false), "ESMTPS");
    assert_eq!(name(true, false, true, false), "ESMTPA");
    assert_eq!(name(true, true, true, false), "ESMTPSA");
    assert_eq!(name(true, true, true, true), "UTF8SMTPSA");
}

/// What a reader gets from a wire that is cut at these places: the content, what is left behind it, and the defect.
fn read(wire: &[u8], cuts: &[usize]) -> (Vec<u8>, Option<Vec<u8>>, Option<Defect>) {
    let mut reader = DotReader::default();
    let mut line_ends = LineEnds::default();
    let mut content = Vec::new();
    let mut defect = None;
    let mut start = 0;
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    ends.push(wire.len());
    ends.sort_unstable();
    for end in ends {
        let progress = reader.feed(&wire[start..end], |octets| {
            content.extend_from_slice(octets);
            let found = line_ends.check(octets);
            defect = defect.or(found.err());
        });
        start += progress.consumed;
        if progress.is_complete {
            let left = wire[start..].to_vec();
            return (content, Some(left), defect.or(line_ends.finish().err()));
        }
        assert_eq!(start, end, "all of a piece is read before the end");
    }
    (content, None, defect)
}

/// By the standard, slowly: the content is in front of the first CRLF.CRLF, without the first dot of each line.
fn expected(wire: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let framed = [b"\r\n", wire].concat();
    let end = framed.windows(5).position(|window| window == b"\r\n.\r\n");
    let inner = end.map_or(&framed[..], |end| &framed[..end + 2]);
    let mut content = Vec::new();
    let mut at = 2;
    while at < inner.len() {
        if !(inner[at] == b'.' && inner[..at].ends_with(b"\r\n")) {
            content.push(inner[at]);
        }
        at += 1;
    }
    (content, end.map(|end| framed[end + 5..].to_vec()))
}

/// Octets that matter to a reader, in any order.
fn wire() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::sample::select(vec![
        "\r\n",
        ".",
        "\r",
        "\n",
        "\r\n.\r\n",
        "\n.\n",
        "a",
        "QUIT\r\n",
        "\0",
    ]);
    prop::collection::vec(parts, 0..24).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn content_is_the_same_however_it_is_cut(wire in wire(), cuts in prop::collection::vec(0..100usize, 0..10)) {
        let whole = read(&wire, &[]);
        let (content, left) = expected(&wire);
        prop_assert_eq!(&whole.1, &left, "only CRLF.CRLF ends content");
        if left.is_some() {
            prop_assert_eq!(&whole.0, &content);
        }
        let every: Vec<_> = (0..wire.len()).collect();
        for cuts in [cuts, every] {
            let (content, left, defect) = read(&wire, &cuts);
            // The CR behind a dot is passed on when the next octet is known.
            prop_assert!(whole.0.starts_with(&content));
            prop_assert_eq!((&left, &defect), (&whole.1, &whole.2));
        }
    }

    #[test]
    fn every_bare_line_end_is_found(wire in wire()) {
        let (content, left, defect) = read(&wire, &[]);
        if left.is_some() {
            let is_bare = |at: usize| match content[at] {
                b'\r' => content.get(at + 1) != Some(&b'\n'),
                b'\n' => at == 0 || content[at - 1] != b'\r',
                byte => byte == 0,
            };
            prop_assert_eq!(defect.is_some(), (0..content.len()).any(is_bare), "{:?}", content);
        }
    }

    #[test]
    fn stuffed_content_is_read_back(lines in prop::collection::vec("[.]{0,3}[a-z.]{0,4}", 0..20), behind in "[A-Z\r\n.]{0,20}") {
        let content: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let stuffed: String = lines
            .iter()
            .map(|line| if line.starts_with('.') { format!(".{line}\r\n") } else { format!("{line}\r\n") })
            .collect();
        let wire = format!("{stuffed}.\r\n{behind}");
        let (read, left, defect) = read(wire.as_bytes(), &[]);
        prop_assert_eq!(read, content.into_bytes());
        prop_assert_eq!(left, Some(behind.into_bytes()));
        prop_assert_eq!(defect, None);
    }
}

/// Fields whose parts are repeated to the longest header section.
#[test]
fn what_a_hostile_header_section_says_is_bounded() {
    let parts = [
        "(",
        "<",
        "\"",
        "\\",
        "=?a?q?",
        "=?utf-8?q?x?= ",
        "a@b,",
        ":",
        ";",
        "a:;",
        "@",
        "\r\n ",
        "\u{fc}",
        "<a@b>",
        "=?utf-8?b?",
        "\u{1}",
    ];
    for (part, name) in parts
        .iter()
        .flat_map(|part| ["From", "To", "Subject", "Message-ID"].map(|name| (part, name)))
    {
        let text = part.repeat(200_000 / part.len());
        let header = HeaderSection::read(format!("{name}: {text}\r\n").as_bytes());
        for (shown, longest) in [
            (header.from, 1000),
            (header.subject, 998),
            (header.message_id, 998),
        ] {
            let shown = shown.unwrap_or_default();
            assert!(shown.chars().count() <= longest, "{name}: {part:?}");
            assert!(!shown.contains(char::is_control), "{name}: {part:?}");
        }
    }
}
