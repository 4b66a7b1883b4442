//! Arbitrary text in every column, read back by an independent parser.

use mail_parser::{Address, HeaderName, HeaderValue, MessageParser};
use proptest::prelude::*;
use sendport_core::domain::expand_recipients;

use super::*;

/// One header of each name, all names known, Bcc nowhere.
fn assert_only_ours(alert: &Alert, bytes: &[u8]) {
    let parsed = MessageParser::default().parse(bytes).expect("parses");
    let mut seen = std::collections::BTreeSet::new();
    for header in parsed.headers() {
        let name = header.name.as_str().to_ascii_lowercase();
        let ours = RESERVED_NAMES.contains(&&*name) || name.starts_with("x-v");
        assert!(ours, "'{name}' came from a value");
        assert!(
            seen.insert(name.clone()) || name.starts_with("x-v"),
            "two of '{name}'"
        );
    }
    for name in ["date", "from", "message-id", "mime-version", "content-type"] {
        assert!(seen.contains(name), "no '{name}'");
    }
    assert!(seen.contains("to") || seen.contains("cc"));
    assert!(matches!(
        parsed.header(HeaderName::From),
        Some(HeaderValue::Address(Address::List(list))) if list.len() == 1
    ));
    let count = |kind, address: Option<&Address<'_>>| {
        let wanted = expand_recipients(alert)
            .iter()
            .filter(|r| r.kind == kind && r.address.mailbox().is_some())
            .count();
        let found = address.map_or(0, |a| a.clone().into_list().len());
        assert!(
            found == wanted || (wanted == 0 && found <= 1),
            "{found} of {wanted} {kind}"
        );
    };
    count(RecipientKind::To, parsed.to());
    count(RecipientKind::Cc, parsed.cc());
}

const RESERVED_NAMES: &[&str] = &[
    "date",
    "from",
    "reply-to",
    "to",
    "cc",
    "subject",
    "message-id",
    "auto-submitted",
    "x-auto-response-suppress",
    "importance",
    "x-priority",
    "priority",
    "sensitivity",
    "reply-by",
    "disposition-notification-to",
    "content-language",
    "x-alert-name",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
];

/// Text with what matters to header syntax in it more often than chance would have it.
fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ab@.:;,<>()\"\\\\ =?_ü\u{1f600}\t-]{0,80}",
        "\\PC{0,300}",
        "(Bcc: |Subject: |\\?=|=\\?utf-8\\?q\\?|--=_|\u{2028}|\u{85}|x){0,20}",
    ]
}

fn list() -> impl Strategy<Value = String> {
    let mailbox = prop_oneof![
        "[a-z.]{1,30}@[a-z]{1,20}\\.example",
        "\"[^\r\n\u{0}-\u{1f}\"\\\\\u{7f}-\u{9f}]{0,90}\" <[a-z]{1,60}@[a-z]{1,20}\\.example>",
        nasty(),
    ];
    proptest::collection::vec(mailbox, 0..8).prop_map(|entries| entries.join(";"))
}

prop_compose! {
    fn any_alert()(
        to in list(), cc in list(), reply_to in proptest::option::of("[a-z]{1,9}@x\\.example"),
        subject in nasty(), body in nasty(), is_html in any::<bool>(),
        alert_name in nasty(), language in nasty(), reference in nasty(),
        value in nasty(), read_receipt in any::<bool>(),
    ) -> Alert {
        Alert {
            to_recipients: Some(to),
            cc_recipients: Some(cc),
            bcc_recipients: Some("zzz-blind-zzz@blind.example".to_owned()),
            reply_to,
            subject: Some(subject),
            body: Some(body),
            body_format: if is_html { sendport_core::domain::BodyFormat::Html } else { sendport_core::domain::BodyFormat::Text },
            alert_name: Some(alert_name),
            language: Some(language),
            reference: Some(reference),
            headers: Some(serde_json::json!({"X-V1": value, "X-V2": [value, "b"]}).to_string()),
            read_receipt,
            ..fixture::alert()
        }
    }
}

/// The same row with what the guard refuses taken out, so that messages are built, too.
fn without_controls(alert: &Alert) -> Alert {
    let clean = |s: &Option<String>| {
        s.as_ref()
            .map(|s| s.chars().filter(|c| !c.is_control()).collect::<String>())
    };
    let headers = alert.headers.as_deref().unwrap_or_default();
    let mut value: serde_json::Value = serde_json::from_str(headers).expect("is ours");
    value["X-V1"] = clean(&value["X-V1"].as_str().map(str::to_owned)).into();
    value["X-V2"][0] = value["X-V1"].clone();
    Alert {
        to_recipients: clean(&alert.to_recipients),
        cc_recipients: clean(&alert.cc_recipients),
        subject: clean(&alert.subject).map(|s| s + "."),
        alert_name: clean(&alert.alert_name),
        language: clean(&alert.language),
        reference: clean(&alert.reference),
        headers: Some(value.to_string()),
        ..alert.clone()
    }
}

proptest! {
    #[test]
    fn no_column_can_add_a_header_or_a_recipient(alert in any_alert()) {
        let clean = without_controls(&alert);
        let first = built(&clean).expect("nothing is refused");
        assert_well_formed(&first.bytes);
        assert_only_ours(&clean, &first.bytes);
        prop_assert!(!String::from_utf8_lossy(&first.bytes).contains("zzz-blind-zzz"));
        prop_assert_eq!(built(&clean), Ok(first));
        let templates = TemplateSet::empty();
        if let Ok(rendered) = templates.render(&alert)
            && let Ok(message) = build_message(&rendered, &settings())
        {
            assert_well_formed(&message.bytes);
            assert_only_ours(&alert, &message.bytes);
        }
    }

    #[test]
    fn subject_and_display_name_come_back(text in "\\PC{1,200}") {
        let text = text.trim().to_owned();
        prop_assume!(!text.is_empty());
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let alert = Alert {
            subject: Some(text.clone()),
            to_recipients: Some(format!("\"{quoted}\" <a@x.example>")),
            ..fixture::alert()
        };
        let message = built(&alert).expect("is built");
        let parsed = MessageParser::default().parse(&message.bytes).expect("parses");
        prop_assert_eq!(parsed.subject(), Some(&*text));
        let to = parsed.to().and_then(Address::first).expect("has one");
        prop_assert_eq!(to.name(), Some(&*text));
        prop_assert_eq!(to.address(), Some("a@x.example"));
    }
}
