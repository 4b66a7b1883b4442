//! Addresses, headers and bodies beyond ASCII.

use super::*;

fn to(list: &str) -> Alert {
    Alert {
        to_recipients: Some(list.to_owned()),
        ..fixture::alert()
    }
}

fn built_for(alert: &Alert, settings: &MessageSettings) -> Vec<u8> {
    let templates = TemplateSet::empty();
    let rendered = templates.render(alert).expect("renders");
    build_message(&rendered, settings).expect("is built").bytes
}

/// For the recipients whose addresses are not ASCII.
fn international() -> MessageSettings {
    MessageSettings {
        international: true,
        ..settings()
    }
}

#[test]
fn a_message_with_another_spelling_has_its_own_id() {
    let own = |to: &str, reply_to: Option<&str>, settings: &MessageSettings| {
        let alert = Alert {
            to_recipients: Some(to.to_owned()),
            bcc_recipients: Some("büro@x.example".to_owned()),
            reply_to: reply_to.map(str::to_owned),
            ..crate::fixture::alert()
        };
        let id = crate::mime::message_id(&alert, settings).expect("a Message-ID");
        let (id, _) = id.split_once('@').expect("its right side");
        id.trim_start_matches(&format!("<{}", alert.public_id))
            .to_owned()
    };
    let word = MessageSettings {
        variant: Some("ec".to_owned()),
        ..international()
    };
    assert_eq!(own("jürgen@x.example", None, &international()), ".utf8");
    assert_eq!(own("jürgen@x.example", None, &word), ".utf8.ec");
    assert_eq!(own("jürgen@x.example", None, &settings()), "");
    assert_eq!(
        own("ops@x.example", None, &word),
        ".ec",
        "all recipients get the same"
    );
    let reply_to = Some("büro@x.example");
    let same = own("jürgen@x.example", reply_to, &international());
    assert_eq!(same, "", "it names everybody alike");
}

fn in_charset(name: &str) -> MessageSettings {
    let charset = Charset::try_from(name.to_owned()).expect("is one");
    MessageSettings {
        charset,
        html_charset: charset,
        ..settings()
    }
}

#[test]
fn header_lists_the_other_recipients_by_name() {
    let alert = to("ops@x.example; \"Groß, Jürgen\" <jürgen@MÜNCHEN.example>; дмитрий@почта.рф");
    let text = text_of(&alert);
    let parsed = MessageParser::default().parse(text.as_bytes());
    let to = parsed.expect("parses").to().expect("has it").clone();
    let to = to.into_list();
    let nobody = "invalid@internationalized-address.invalid";
    let found: Vec<_> = to.iter().map(|it| (it.name(), it.address())).collect();
    assert_eq!(
        found,
        [
            (None, Some("ops@x.example")),
            (
                Some("Groß, Jürgen <jürgen@xn--mnchen-3ya.example>"),
                Some(nobody)
            ),
            (Some("дмитрий@xn--80a1acny.xn--p1ai"), Some(nobody)),
        ]
    );
}

#[test]
fn they_themselves_see_the_addresses() {
    let alert = to("ops@x.example; \"Groß, Jürgen\" <jürgen@münchen.example>");
    let bytes = built_for(&alert, &international());
    let text = String::from_utf8(bytes.clone()).expect("is UTF-8");
    assert_eq!(
        header(&text, "To"),
        Some(
            "ops@x.example,\r\n =?utf-8?q?Gro=C3=9F=2C_J=C3=BCrgen?= <jürgen@xn--mnchen-3ya.example>"
        )
    );
    let body = text.split_once("\r\n\r\n").expect("has one").1;
    assert!(body.is_ascii());
    let parsed = MessageParser::default().parse(&bytes).expect("parses");
    let to = parsed.to().expect("has it");
    let last = to.last().expect("two");
    assert_eq!(last.address(), Some("jürgen@xn--mnchen-3ya.example"));
}

#[test]
fn a_message_without_such_addresses_is_the_same_for_all() {
    let alert = Alert {
        bcc_recipients: Some("jürgen@x.example".to_owned()),
        ..to("ops@x.example")
    };
    let bytes = built_for(&alert, &international());
    assert_eq!(bytes, built_for(&alert, &settings()));
    assert!(bytes.is_ascii());
}

#[test]
fn an_international_sender_or_reply_to_is_kept() {
    let reply_to = Alert {
        reply_to: Some("Büro <büro@x.example>".to_owned()),
        read_receipt: true,
        ..to("jürgen@x.example")
    };
    let text = String::from_utf8(built_for(&reply_to, &settings())).expect("is UTF-8");
    assert_eq!(
        header(&text, "Reply-To"),
        Some("=?utf-8?q?B=C3=BCro?= <büro@x.example>")
    );
    assert_eq!(header(&text, "To"), Some("jürgen@x.example"));
    let from = MessageSettings {
        from: "Büro <büro@x.example>".parse().expect("is one"),
        ..settings()
    };
    let text = String::from_utf8(built_for(&reply_to, &from)).expect("is UTF-8");
    assert_eq!(
        header(&text, "From"),
        Some("=?utf-8?q?B=C3=BCro?= <büro@x.example>")
    );
    assert_eq!(
        header(&text, "Disposition-Notification-To"),
        Some("büro@x.example")
    );
}

#[test]
fn a_legacy_charset_is_kept_to_where_it_has_every_character() {
    let alert = Alert {
        subject: Some("Größe geändert".to_owned()),
        body: Some("Größe: 5 mm, nicht mehr\n".to_owned()),
        headers: Some(r#"{"X-Wert": "5 €", "X-Ort": "Süd"}"#.to_owned()),
        ..to("Jürgen <j@x.example>")
    };
    let bytes = built_for(&alert, &in_charset("iso-8859-1"));
    assert_well_formed(&bytes);
    let text = String::from_utf8(bytes).expect("is ASCII");
    for (name, value) in [
        ("Subject", "=?iso-8859-1?q?Gr=F6=DFe_ge=E4ndert?="),
        ("To", "=?iso-8859-1?q?J=FCrgen?= <j@x.example>"),
        ("X-Ort", "=?iso-8859-1?q?S=FCd?="),
        ("X-Wert", "=?utf-8?b?NSDigqw=?="),
        ("Content-Type", "text/plain; charset=iso-8859-1"),
        ("Content-Transfer-Encoding", "quoted-printable"),
    ] {
        assert_eq!(header(&text, name), Some(value), "{name}");
    }
    assert!(
        text.ends_with("\r\n\r\nGr=F6=DFe: 5 mm, nicht mehr\r\n"),
        "{text}"
    );
}

#[test]
fn characters_outside_a_legacy_charset_are_kept() {
    let body = "<p>Größe: 5 € für 注文</p>";
    for name in ["iso-8859-1", "windows-1252", "us-ascii", "koi8-r"] {
        let bytes = built_for(&html(body), &in_charset(name));
        let parsed = MessageParser::default().parse(&bytes).expect("parses");
        let html = parsed.body_html(0).expect("has it").into_owned();
        let text = parsed.body_text(0).expect("has it").into_owned();
        let html = ["€", "注", "文", "ö", "ß", "ü"]
            .iter()
            .fold(html, |html, c| {
                let number = u32::from(c.chars().next().expect("one"));
                html.replace(&format!("&#{number};"), c)
            });
        assert_eq!(html.trim_end(), body, "{name}");
        assert_eq!(text.trim_end(), "Größe: 5 € für 注文", "{name}");
    }
}

#[test]
fn html_may_have_a_charset_of_its_own() {
    let settings = MessageSettings {
        html_charset: Charset::UTF_8,
        ..in_charset("windows-1252")
    };
    let text = String::from_utf8(built_for(&html("<p>5 €</p>"), &settings)).expect("is ASCII");
    let sets: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("Content-Type: text/"))
        .collect();
    assert_eq!(
        sets,
        [
            "Content-Type: text/plain; charset=windows-1252",
            "Content-Type: text/html; charset=utf-8"
        ]
    );
}

proptest::proptest! {
    #[test]
    fn any_message_keeps_to_the_form(
        to_list in "([a-zü;,<>\"@:. \u{301}\u{202e}\u{5d0}中]|@x\\.example;){0,40}",
        subject in "x\\PC{0,80}",
        which in 0_usize..4,
        international: bool,
    ) {
        let name = ["utf-8", "iso-8859-1", "iso-2022-jp", "gbk"][which];
        let settings = MessageSettings { international, ..in_charset(name) };
        let alert = Alert {
            subject: Some(subject.clone()),
            body: Some(subject.clone()),
            ..to(&format!("{to_list};a@x.example"))
        };
        let bytes = built_for(&alert, &settings);
        let parsed = MessageParser::default().parse(&bytes).expect("parses");
        let read = parsed.subject().unwrap_or_default();
        let plain = subject.trim().replace('\t', " ");
        if !plain.contains("=?") && name != "iso-2022-jp" {
            // mail-parser takes GBK octets that are valid UTF-8 for UTF-8.
            let bytes = settings.charset.encode(&plain).filter(|_| name == "gbk");
            let misread = bytes.and_then(|it| String::from_utf8(it.into_owned()).ok());
            proptest::prop_assert!(read == plain || misread.as_deref() == Some(read), "{read}");
        }
        if international {
            proptest::prop_assert!(String::from_utf8(bytes).is_ok());
        } else {
            assert_well_formed(&bytes);
        }
    }
}
