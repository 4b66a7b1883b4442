//! Messages read back by parsers that are not ours.

use mail_parser::MessageParser;
use sendport_core::domain::expand_recipients;

use super::*;
use crate::fixture;
use crate::template::TemplateSet;

mod files;
mod hostile;
mod international;
mod legacy_display;
mod python;

fn settings() -> MessageSettings {
    MessageSettings {
        from: "Order Watch <alerts@contoso.com>".parse().expect("is one"),
        message_id_domain: "mail.contoso.com".to_owned(),
        headers: HeaderPolicy::default(),
        auto_submitted: true,
        charset: Charset::UTF_8,
        html_charset: Charset::UTF_8,
        international: false,
        legacy_display: LegacyDisplay::None,
        variant: None,
    }
}

fn built(alert: &Alert) -> Result<Message, MimeError> {
    let templates = TemplateSet::empty();
    let rendered = templates.render(alert).expect("renders");
    build_message(&rendered, &settings())
}

fn text_of(alert: &Alert) -> String {
    let message = built(alert).expect("is built");
    assert_well_formed(&message.bytes);
    String::from_utf8(message.bytes).expect("is ASCII")
}

fn html(body: &str) -> Alert {
    Alert {
        body: Some(body.to_owned()),
        body_format: sendport_core::domain::BodyFormat::Html,
        ..fixture::alert()
    }
}

fn with_headers(json: &str) -> Alert {
    Alert {
        headers: Some(json.to_owned()),
        ..fixture::alert()
    }
}

/// What holds for every message: RFC 5321 section 2.3.8, RFC 5322 section 2.1.1.
fn assert_well_formed(bytes: &[u8]) {
    assert!(bytes.is_ascii());
    assert!(bytes.ends_with(b"\r\n"));
    assert!(!bytes.contains(&0));
    let text = std::str::from_utf8(bytes).expect("is ASCII");
    for line in text.split("\r\n") {
        assert!(!line.contains(['\r', '\n']), "bare CR or LF: {line:?}");
        assert!(line.len() <= 998, "{} octets", line.len());
    }
    let section = text.split("\r\n\r\n").next().expect("headers");
    for line in section.split("\r\n") {
        assert!(!line.trim().is_empty(), "a line of white space: {section}");
        assert!(line.len() <= 76 || !line.contains("=?utf-8?"), "{line}");
    }
}

fn header<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let start = text.find(&format!("\r\n{name}: "))? + name.len() + 4;
    let mut end = start;
    loop {
        end += text[end..].find("\r\n")?;
        if !text[end + 2..].starts_with(' ') {
            return Some(&text[start..end]);
        }
        end += 2;
    }
}

#[test]
fn a_plain_alert_is_this_message() {
    assert_eq!(
        text_of(&fixture::alert()),
        "Date: Sun, 01 Mar 2026 09:05:07 +0000\r\n\
         From: Order Watch <alerts@contoso.com>\r\n\
         To: ops@contoso.com\r\n\
         Subject: Order 4711 is late\r\n\
         Message-ID: <01234567-89ab-4def-8123-456789abcdef@mail.contoso.com>\r\n\
         Auto-Submitted: auto-generated\r\n\
         X-Auto-Response-Suppress: All\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 7bit\r\n\
         \r\n\
         Call the carrier.\r\n"
    );
}

#[test]
fn a_send_port_may_go_without_auto_submitted() {
    let (alert, templates) = (fixture::alert(), TemplateSet::empty());
    let rendered = templates.render(&alert).expect("renders");
    let settings = MessageSettings {
        auto_submitted: false,
        ..settings()
    };
    let bytes = build_message(&rendered, &settings).expect("is built").bytes;
    let text = String::from_utf8(bytes).expect("is ASCII");
    assert_eq!(header(&text, "Auto-Submitted"), None);
    assert_eq!(header(&text, "X-Auto-Response-Suppress"), None);
}

#[test]
fn html_gets_a_text_before_it() {
    let text = text_of(&html(
        "<p>Call <a href=\"https://x.example/\">them</a>.</p>",
    ));
    let boundary = "=_0123456789ab4def8123456789abcdef";
    let body = text.split_once("MIME-Version: 1.0\r\n").expect("has it").1;
    assert_eq!(
        body,
        format!(
            "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\nCall them [1].\r\n\r\n[1] https://x.example/\r\n\
             --{boundary}\r\nContent-Type: text/html; charset=utf-8\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\n<p>Call <a href=\"https://x.example/\">them</a>.</p>\r\n\
             --{boundary}--\r\n\r\n"
        )
    );
}

#[test]
fn two_builds_are_the_same_bytes() {
    let alert = html("<p>Grüße</p>");
    assert_eq!(built(&alert), built(&alert));
    let later = Alert {
        attempt_count: 3,
        recipients: expand_recipients(&alert),
        ..alert.clone()
    };
    assert_eq!(built(&alert), built(&later));
}

#[test]
fn columns_become_their_headers() {
    let alert = Alert {
        reply_to: Some("Desk <desk@contoso.com>; b@contoso.com".to_owned()),
        cc_recipients: Some("\"Miller, Eve\" <eve@contoso.com>, Jürgen <j@contoso.com>".to_owned()),
        importance: Importance::High,
        sensitivity: Sensitivity::Confidential,
        read_receipt: true,
        reply_by: Some(fixture::alert().created_at),
        language: Some("de-AT".to_owned()),
        alert_name: Some("order-late".to_owned()),
        ..fixture::alert()
    };
    let text = text_of(&alert);
    for (name, value) in [
        ("Reply-To", "Desk <desk@contoso.com>, b@contoso.com"),
        (
            "Cc",
            "\"Miller, Eve\" <eve@contoso.com>,\r\n =?utf-8?q?J=C3=BCrgen?= <j@contoso.com>",
        ),
        ("Importance", "high"),
        ("X-Priority", "1"),
        ("Priority", "urgent"),
        ("Sensitivity", "Company-Confidential"),
        ("Reply-By", "Sun, 01 Mar 2026 09:05:07 +0000"),
        ("Disposition-Notification-To", "alerts@contoso.com"),
        ("Content-Language", "de-AT"),
        ("X-Alert-Name", "order-late"),
    ] {
        assert_eq!(header(&text, name), Some(value), "{name}");
    }
    let odd = Alert {
        language: Some("klingon (formal)".to_owned()),
        importance: Importance::Low,
        ..fixture::alert()
    };
    let text = text_of(&odd);
    assert_eq!(header(&text, "Content-Language"), None);
    assert_eq!(header(&text, "X-Priority"), Some("5"));
}

#[test]
fn a_line_break_in_any_column_fails_the_alert_and_names_it() {
    type Set = fn(&mut Alert, String);
    let columns: &[(&str, Set)] = &[
        ("ToRecipients", |a, v| a.to_recipients = Some(v)),
        ("CcRecipients", |a, v| a.cc_recipients = Some(v)),
        ("BccRecipients", |a, v| a.bcc_recipients = Some(v)),
        ("FromAddress", |a, v| a.from_address = Some(v)),
        ("ReplyTo", |a, v| a.reply_to = Some(v)),
        ("Subject", |a, v| a.subject = Some(v)),
        ("AlertName", |a, v| a.alert_name = Some(v)),
    ];
    for (column, set) in columns {
        for breaking in ["\r\n", "\r", "\n", "\0"] {
            let mut alert = fixture::alert();
            set(&mut alert, format!("a@x.example{breaking}Bcc: v@x.example"));
            let error = built(&alert).expect_err(column);
            assert_eq!(error.explanation(), "header-injection", "{column}");
            assert!(
                error.to_string().starts_with(&format!("column {column} ")),
                "{error}"
            );
        }
    }
}

#[test]
fn white_space_around_a_value_costs_nothing() {
    let alert = Alert {
        to_recipients: Some("\r\n a@x.example; b@x.example\n".to_owned()),
        cc_recipients: Some("c@x.example\t\r\n".to_owned()),
        from_address: Some("alerts@contoso.com\n".to_owned()),
        reply_to: Some("d@x.example\n".to_owned()),
        subject: Some(" Late\r\n".to_owned()),
        alert_name: Some("late\n".to_owned()),
        language: Some("de\n".to_owned()),
        headers: Some(r#"{"X-A": "x\n", "References": "<1@x>\r\n"}"#.to_owned()),
        ..fixture::alert()
    };
    let text = text_of(&alert);
    for (name, value) in [
        ("To", "a@x.example, b@x.example"),
        ("Cc", "c@x.example"),
        ("Reply-To", "d@x.example"),
        ("Subject", "Late"),
        ("X-Alert-Name", "late"),
        ("Content-Language", "de"),
        ("X-A", "x"),
        ("References", "<1@x>"),
    ] {
        assert_eq!(header(&text, name), Some(value), "{name}");
    }
    let alert = Alert {
        subject: Some("\n one\ntwo".to_owned()),
        ..fixture::alert()
    };
    let error = built(&alert).expect_err("two lines").to_string();
    assert!(error.contains("a line feed (LF) at character 6"), "{error}");
}

#[test]
fn columns_that_are_in_no_header_may_hold_anything() {
    let any = || Some("a\r\nBcc: v@x.example\0\u{1}".to_owned());
    let alert = Alert {
        severity: any(),
        source: any(),
        reference: any(),
        dedup_key: any(),
        language: any(),
        protection: any(),
        created_by: any().unwrap_or_default(),
        ..fixture::alert()
    };
    assert_eq!(text_of(&alert), text_of(&fixture::alert()));
}

/// A template's subject is refused or accepted like the column's.
#[test]
fn a_subject_is_treated_alike_as_column_and_as_template() {
    let folder = tempfile::tempdir().expect("a folder");
    for (file, content) in [("t.txt.j2", "text"), ("t.subject.j2", "{{ s }}")] {
        std::fs::write(folder.path().join(file), content).expect("write");
    }
    let templates = TemplateSet::load(folder.path()).expect("loads");
    for (subject, value) in [
        ("Late\r\n", Some("Late")),
        ("\n\tLate ", Some("Late")),
        ("a\nb", None),
        ("a\u{1}", None),
    ] {
        let of_column = Alert {
            subject: Some(subject.to_owned()),
            ..fixture::alert()
        };
        let of_template = Alert {
            template: Some("t".to_owned()),
            subject: None,
            payload: Some(serde_json::json!({ "s": subject }).to_string()),
            ..fixture::alert()
        };
        for alert in [of_column, of_template] {
            let rendered = templates.render(&alert).ok();
            let message = rendered.and_then(|it| build_message(&it, &settings()).ok());
            let text = message.map(|it| String::from_utf8(it.bytes).expect("is ASCII"));
            let found = text.as_deref().and_then(|text| header(text, "Subject"));
            assert_eq!(found, value, "{subject:?}");
        }
    }
}

#[test]
fn a_message_without_a_subject_has_the_field() {
    let alert = Alert {
        subject: None,
        ..fixture::alert()
    };
    assert!(text_of(&alert).contains("\r\nSubject:\r\n"));
}

#[test]
fn a_word_that_fits_on_a_line_is_not_encoded() {
    let longest = 998 - "X-Signature: ".len();
    for (bytes, is_whole) in [(850, true), (longest, true), (longest + 1, false)] {
        let value = "x".repeat(bytes);
        let json = serde_json::json!({ "X-Signature": value }).to_string();
        let text = text_of(&with_headers(&json));
        assert_eq!(
            text.contains(&format!("X-Signature: {value}\r\n")),
            is_whole,
            "{bytes}"
        );
    }
    let id = format!("<{}@x>", "x".repeat(900));
    let text = text_of(&with_headers(
        &serde_json::json!({ "References": id }).to_string(),
    ));
    assert_eq!(header(&text, "References"), Some(&*id));
}

#[test]
fn a_control_character_in_a_list_fails_only_its_entry() {
    let alert = Alert {
        to_recipients: Some("a\u{1}@x.example; b@x.example".to_owned()),
        ..fixture::alert()
    };
    assert_eq!(header(&text_of(&alert), "To"), Some("b@x.example"));
}

#[test]
fn to_and_cc_list_valid_recipients_and_bcc_is_absent() {
    let alert = Alert {
        to_recipients: Some("nobody; a..b@x.example; a@münchen.example".to_owned()),
        cc_recipients: Some("a..b@X.example".to_owned()),
        bcc_recipients: Some("Hidden Harry <hidden@x.example>".to_owned()),
        ..fixture::alert()
    };
    let text = text_of(&alert);
    assert_eq!(
        header(&text, "To"),
        Some("a..b@x.example, a@xn--mnchen-3ya.example")
    );
    assert_eq!(header(&text, "Cc"), None);
    assert!(!text.to_lowercase().contains("hidden"), "{text}");
    let blind = Alert {
        to_recipients: None,
        ..alert
    };
    let blind = Alert {
        cc_recipients: None,
        ..blind
    };
    assert_eq!(
        header(&text_of(&blind), "To"),
        Some("undisclosed-recipients:;")
    );
    let nobody = Alert {
        bcc_recipients: Some(" ; ".to_owned()),
        ..blind
    };
    assert_eq!(built(&nobody), Err(MimeError::NoRecipients));
}

#[test]
fn a_long_list_is_folded_between_mailboxes() {
    let list: Vec<_> = (0..200)
        .map(|n| format!("\"Müller, Person {n}\" <p{n}@contoso.com>"))
        .collect();
    let alert = Alert {
        to_recipients: Some(list.join(";")),
        ..fixture::alert()
    };
    let message = built(&alert).expect("is built");
    assert_well_formed(&message.bytes);
    let parsed = MessageParser::default()
        .parse(&message.bytes)
        .expect("parses");
    let to: Vec<_> = parsed
        .to()
        .expect("has it")
        .clone()
        .into_list()
        .into_iter()
        .collect();
    assert_eq!(to.len(), 200);
    assert_eq!(to[17].name(), Some("Müller, Person 17"));
    assert_eq!(to[17].address(), Some("p17@contoso.com"));
}

#[test]
fn senders_that_cannot_be_used_fail_the_alert() {
    for (reply_to, found) in [
        ("nobody", "no '@'"),
        ("a@x.example; büro@-ü.example", "IDNA"),
    ] {
        let alert = Alert {
            reply_to: Some(reply_to.to_owned()),
            ..fixture::alert()
        };
        let error = built(&alert).expect_err(reply_to);
        assert_eq!(error.explanation(), "bad-reply-to");
        assert!(error.to_string().contains(found), "{error}");
    }
    let alert = fixture::alert();
    let templates = TemplateSet::empty();
    let rendered = templates.render(&alert).expect("renders");
    for domain in ["", "a b", "x>\r\nBcc: c@d", "a..b"] {
        let settings = MessageSettings {
            message_id_domain: domain.to_owned(),
            ..settings()
        };
        let error = build_message(&rendered, &settings).expect_err(domain);
        assert_eq!(error.explanation(), "bad-message-id-domain");
    }
}

#[test]
fn extra_headers_are_added_as_the_policy_says() {
    let text = text_of(&with_headers(
        r#"{"X-Order": "4711", "X-Many": ["a", "b"], "X-Null": null, "X-Empty": " ",
            "References": "<1@contoso.com>  <2@contoso.com>", "List-Id": "<late.contoso.com>",
            "X-Grüße": null, "X-Wert": "Größter Wert"}"#,
    ));
    assert_eq!(header(&text, "X-Order"), Some("4711"));
    assert_eq!(
        header(&text, "References"),
        Some("<1@contoso.com> <2@contoso.com>")
    );
    assert_eq!(
        header(&text, "X-Wert"),
        Some("=?utf-8?q?Gr=C3=B6=C3=9Fter_Wert?=")
    );
    assert!(text.contains("X-Many: a\r\nX-Many: b\r\n"));
    let named = text_of(&with_headers(
        r#"{"List-Id": "Verspätet <late.contoso.com>"}"#,
    ));
    assert_eq!(
        header(&named, "List-Id"),
        Some("=?utf-8?q?Versp=C3=A4tet?= <late.contoso.com>")
    );
    assert_eq!(header(&text, "X-Null"), None);
    assert_eq!(header(&text, "X-Empty"), None);
    for (json, key) in [
        (r#"{"Bcc": "a@b"}"#, "header-not-allowed"),
        (r#"{"bcc": "a@b"}"#, "header-not-allowed"),
        (r#"{"Subject": "a"}"#, "header-not-allowed"),
        (r#"{"Auto-Submitted": "no"}"#, "header-not-allowed"),
        (
            r#"{"X-MS-Exchange-Organization-SCL": "-1"}"#,
            "header-not-allowed",
        ),
        (r#"{"x-sender": "a"}"#, "header-not-allowed"),
        (r#"{"X-Priority": "1"}"#, "header-not-allowed"),
        (r#"{"Content-Type": "text/html"}"#, "header-not-allowed"),
        (r#"{"Organization": "x"}"#, "header-not-allowed"),
        (r#"{"X-A\r\nBcc": "x"}"#, "header-injection"),
        (r#"{"X-A": "x\r\nBcc: y"}"#, "header-injection"),
        (r#"{"X-A": "x\u0000"}"#, "header-injection"),
        (r#"{"X-A:": "x"}"#, "bad-headers"),
        (r#"{"X-A B": "x"}"#, "bad-headers"),
        (r#"{"": "x"}"#, "bad-headers"),
        (r#"{"X-Ü": "x"}"#, "bad-headers"),
        (r#"{"X-A": 1}"#, "bad-headers"),
        (r#"["X-A"]"#, "bad-headers"),
        (r#"{"X-A": "#, "bad-headers"),
        (r#"{"References": "1"}"#, "bad-headers"),
        (r#"{"References": ["<1@x>", "<2@x>"]}"#, "bad-headers"),
        (
            r#"{"References": "<1@x>", "references": "<2@x>"}"#,
            "bad-headers",
        ),
        (r#"{"List-Id": "Grüße <a b>"}"#, "bad-headers"),
        (r#"{"List-Id": "Grüße"}"#, "bad-headers"),
        (r#"{"List-Help": "<https://grüße.example>"}"#, "bad-headers"),
    ] {
        let error = built(&with_headers(json)).expect_err(json);
        assert_eq!(error.explanation(), key, "{json}: {error}");
        assert!(!error.to_string().contains(['\r', '\n']));
    }
}

#[test]
fn a_policy_can_be_narrower_or_wider_but_never_take_ours() {
    let policy = HeaderPolicy::new(["Organization", "*"], ["X-Secret*"]);
    assert!(policy.allows("organization"));
    assert!(policy.allows("Thread-Topic"));
    assert!(!policy.allows("x-secret-1"));
    for name in [
        "From",
        "bcc",
        "MIME-Version",
        "Content-Disposition",
        "Resent-To",
        "Importance",
    ] {
        assert!(!policy.allows(name), "{name}");
    }
}

#[test]
fn subjects_are_folded_and_encoded() {
    let subject = |subject: &str| {
        let alert = Alert {
            subject: Some(subject.to_owned()),
            ..fixture::alert()
        };
        let text = text_of(&alert);
        let value = header(&text, "Subject").expect("has one").to_owned();
        assert!(value.split("\r\n").all(|line| line.len() <= 78), "{value}");
        let parsed = MessageParser::default()
            .parse(text.as_bytes())
            .expect("parses")
            .into_owned();
        (value, parsed.subject().expect("has one").to_owned())
    };
    assert_eq!(
        subject("Grüße aus Wien").0,
        "=?utf-8?q?Gr=C3=BC=C3=9Fe_aus_Wien?="
    );
    for same in [
        "word ".repeat(60).trim_end().to_owned(),
        "x".repeat(2000),
        "注文4711が遅れています".repeat(20),
        "Ünï ".repeat(50).trim_end().to_owned(),
        "=?utf-8?q?not_encoded?=".to_owned(),
        "two  spaces and \u{1f600}\u{1f600}".to_owned(),
    ] {
        assert_eq!(subject(&same).1, same);
    }
}

#[test]
fn bodies_come_back_as_they_were() {
    for body in [
        "a\nb\rc\r\nd".to_owned(),
        "From here\nFrom there".to_owned(),
        "trailing \nspaces\t".to_owned(),
        "x".repeat(5000),
        "Größe\n".repeat(500),
        "注文\n".repeat(500),
        ".\n..\n.".to_owned(),
        "--=_0123456789ab4def8123456789abcdef--".to_owned(),
        "= =3D =\n=".to_owned(),
        String::new(),
        "\n\n\n".to_owned(),
    ] {
        for alert in [
            Alert {
                body: Some(body.clone()),
                ..fixture::alert()
            },
            html(&body),
        ] {
            let text = text_of(&alert);
            assert!(!text.contains("\r\nFrom "), "{text}");
            let parsed = MessageParser::default()
                .parse(text.as_bytes())
                .expect("parses");
            let part = match alert.body_format {
                sendport_core::domain::BodyFormat::Text => parsed.body_text(0),
                sendport_core::domain::BodyFormat::Html if body.is_empty() => continue,
                sendport_core::domain::BodyFormat::Html => {
                    parsed.body_html(0).or(parsed.body_text(0))
                }
            };
            let wanted = body.replace("\r\n", "\n").replace('\r', "\n");
            let found = part.expect("has one").replace("\r\n", "\n");
            assert_eq!(found.trim_end_matches('\n'), wanted.trim_end_matches('\n'));
        }
    }
    let odd = Alert {
        body: Some("\u{feff}a\0b\u{1b}[2Jc\u{c}".to_owned()),
        ..fixture::alert()
    };
    let text = text_of(&odd);
    let parsed = MessageParser::default()
        .parse(text.as_bytes())
        .expect("parses");
    assert_eq!(
        parsed.body_text(0).expect("has one").trim_end(),
        "a\u{fffd}b\u{fffd}[2Jc\u{fffd}"
    );
}

#[test]
fn lines_stay_short_in_every_encoding() {
    for body in [
        "x".repeat(50_000),
        "ü".repeat(50_000),
        "a ".repeat(50_000),
        "ü a ".repeat(9000),
    ] {
        let text = text_of(&html(&body));
        assert!(text.split("\r\n").all(|line| line.len() <= 78));
    }
}

#[test]
fn content_headers_follow_the_mime_version() {
    let alert = Alert {
        language: Some("de".to_owned()),
        headers: Some(r#"{"X-Order": "4711"}"#.to_owned()),
        ..fixture::alert()
    };
    let text = text_of(&alert);
    let (ours, entity) = text.split_once("MIME-Version: 1.0\r\n").expect("has it");
    assert!(!ours.contains("Content-"));
    let (headers, _) = entity.split_once("\r\n\r\n").expect("has a body");
    assert!(
        headers
            .split("\r\n")
            .all(|line| line.starts_with("Content-"))
    );
}

#[test]
fn a_message_of_a_sample_template_is_whole() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let templates = TemplateSet::load(&folder).expect("loads");
    let alert = Alert {
        template: Some("order-late".to_owned()),
        payload: Some(
            r#"{"order": 4711, "customer": "Miller & Söhne", "days_late": 2, "due": "2026-02-27"}"#
                .to_owned(),
        ),
        language: Some("de-AT".to_owned()),
        subject: None,
        body: None,
        ..fixture::alert()
    };
    let rendered = templates.render(&alert).expect("renders");
    let message = build_message(&rendered, &settings()).expect("is built");
    assert_well_formed(&message.bytes);
    let parsed = MessageParser::default()
        .parse(&message.bytes)
        .expect("parses");
    assert_eq!(
        parsed.subject(),
        Some("Auftrag 4711 für Miller & Söhne ist 2 Tage überfällig")
    );
    let text = parsed.body_text(0).expect("has one");
    assert!(
        text.starts_with("Der Auftrag 4711 für Miller & Söhne"),
        "{text}"
    );
    let html = parsed.body_html(0).expect("has one");
    assert!(html.contains("Miller &amp; Söhne"), "{html}");
    let copy = html_text::html_to_text(&html);
    assert!(
        copy.contains("Kunde     Miller & Söhne\nFällig    2026-02-27\n"),
        "{copy}"
    );
}
