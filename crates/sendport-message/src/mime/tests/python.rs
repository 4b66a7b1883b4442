//! The parser of Python's standard library, where there is a Python.

use super::*;
use crate::not_run::not_run;

/// Reads one message from standard input and writes what Python's parser makes of it.
const PYTHON: &str = r#"
import email, email.policy, json, sys
octets = sys.stdin.buffer.read()
message = email.message_from_bytes(octets, policy=email.policy.default)
defects = [str(d) for p in message.walk() for d in list(p.defects) + [d for v in p.values() for d in v.defects]]
person = lambda field: [[a.display_name, a.addr_spec] for a in message[field].addresses] if message[field] else []
part = lambda kind: (lambda p: p.get_content() if p else None)(message.get_body(preferencelist=(kind,)))
print(json.dumps({"defects": defects, "names": message.keys(), "subject": message["Subject"],
  "to": person("To"), "cc": person("Cc"), "from": person("From"), "plain": part("plain"), "html": part("html"),
  "date": message["Date"].datetime.isoformat()}))
"#;

/// One encoded-word: Python 3.11 puts a space between two of them in a display name, which RFC
/// 2047 section 6.2 forbids.
const NAME: &str = "Größe & Gewicht (Süd)";

/// What the message is inside of a multipart/signed before Python reads and writes that, and behind.
const RESIGNED: &str = r#"
import email, email.policy, json, sys
octets = sys.stdin.buffer.read()
headers, rest = octets.split(b"MIME-Version: 1.0\r\n")
entity = rest.removesuffix(b"\r\n")
signature = b"Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\nMIAG\r\n"
whole = (headers + b"MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
         + entity + b"\r\n--s\r\n" + signature + b"--s--\r\n")
policy = email.policy.compat32.clone(linesep="\r\n")
written = email.message_from_bytes(whole, policy=policy).as_bytes()
inside = lambda it: it.split(b"\r\n--s\r\n")[1].decode()
print(json.dumps([inside(whole), inside(written)]))
"#;

pub(super) fn resigned(bytes: &[u8]) -> Option<(String, String)> {
    let both = asked(RESIGNED, bytes)?;
    Some(serde_json::from_value(both).expect("two texts"))
}

fn read_by_python(bytes: &[u8]) -> Option<serde_json::Value> {
    asked(PYTHON, bytes)
}

fn asked(program: &str, bytes: &[u8]) -> Option<serde_json::Value> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let child = Command::new("python3")
        .args(["-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        not_run("the parser of Python's email: python3 is not installed");
        return None;
    };
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(bytes).expect("is read");
    drop(stdin);
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).expect("is JSON"))
}

#[test]
fn python_reads_the_same_without_a_defect() {
    let alert = Alert {
        to_recipients: Some(format!(
            "\"Müller, Eve\" <eve@contoso.com>; \"{NAME}\" <long@contoso.com>"
        )),
        cc_recipients: Some("\"quoted \\\"x\\\"\" <q@contoso.com>".to_owned()),
        subject: Some(
            "Auftrag 4711 für 東京 ist überfällig, und das seit mehr als zwei Tagen".to_owned(),
        ),
        alert_name: Some("überfällig".to_owned()),
        headers: Some(
            r#"{"X-Order": ["4711", "4712"], "References": "<1@contoso.com>"}"#.to_owned(),
        ),
        importance: Importance::High,
        read_receipt: true,
        reply_by: Some(fixture::alert().created_at),
        ..html("<p>Größe &amp; <b>Gewicht</b></p>\n")
    };
    let Some(read) = read_by_python(&built(&alert).expect("is built").bytes) else {
        return;
    };
    assert_eq!(read["defects"], serde_json::json!([]));
    assert_eq!(read["subject"], alert.subject.as_deref().expect("has one"));
    assert_eq!(
        read["to"][0],
        serde_json::json!(["Müller, Eve", "eve@contoso.com"])
    );
    assert_eq!(read["to"][1][0], NAME);
    assert_eq!(
        read["cc"][0],
        serde_json::json!(["quoted \"x\"", "q@contoso.com"])
    );
    assert_eq!(
        read["from"],
        serde_json::json!([["Order Watch", "alerts@contoso.com"]])
    );
    assert_eq!(read["plain"], "Größe & Gewicht");
    assert_eq!(read["html"], "<p>Größe &amp; <b>Gewicht</b></p>");
    assert_eq!(read["date"], "2026-03-01T09:05:07+00:00");
}

#[test]
fn python_reads_every_character_whatever_the_charset() {
    let alert = Alert {
        subject: Some("Größe 5 € 注文が遅れています ¥ｱ".to_owned()),
        ..html("<p>Größe 5 € 注文 ¥ｱ</p>")
    };
    let templates = TemplateSet::empty();
    let rendered = templates.render(&alert).expect("renders");
    for name in [
        "iso-8859-15",
        "shift_jis",
        "iso-2022-jp",
        "gb18030",
        "euc-jp",
    ] {
        let charset = Charset::try_from(name.to_owned()).expect("is one");
        let settings = MessageSettings {
            charset,
            html_charset: charset,
            ..settings()
        };
        let message = build_message(&rendered, &settings).expect("is built");
        assert_well_formed(&message.bytes);
        let Some(read) = read_by_python(&message.bytes) else {
            return;
        };
        assert_eq!(read["defects"], serde_json::json!([]), "{name}");
        assert_eq!(
            read["subject"],
            alert.subject.as_deref().expect("one"),
            "{name}"
        );
        assert_eq!(read["plain"], "Größe 5 € 注文 ¥ｱ", "{name}");
        let html = read["html"].as_str().expect("text").to_owned();
        let html = "öß€注文¥ｱ".chars().fold(html, |html, c| {
            html.replace(&format!("&#{};", u32::from(c)), &c.to_string())
        });
        assert_eq!(html, "<p>Größe 5 € 注文 ¥ｱ</p>", "{name}");
    }
}

#[test]
fn python_reads_the_other_recipients() {
    let alert = Alert {
        to_recipients: Some("ops@contoso.com; Jürgen <jürgen@contoso.com>".to_owned()),
        ..fixture::alert()
    };
    let Some(read) = read_by_python(&built(&alert).expect("is built").bytes) else {
        return;
    };
    assert_eq!(read["defects"], serde_json::json!([]));
    let stand_in = [
        "Jürgen <jürgen@contoso.com>",
        "invalid@internationalized-address.invalid",
    ];
    assert_eq!(
        read["to"],
        serde_json::json!([["", "ops@contoso.com"], stand_in])
    );
}
