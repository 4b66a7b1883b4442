use std::time::Duration;

use serde_json::Value;

use crate::site::{Site, text};
use crate::support::people::{People, Person};
use crate::support::received::{messages, received};
use crate::{any_port, plain_relay, sink_at};

/// Text that must not be readable in transit; it stays legible in encoded-words.
const SECRET: &str = "Geheimauftrag";
const SUBJECT: &str = "Überfällig: Geheimauftrag 4711";

/// Name, protection, and what its section on the header says.
const PORTS: [(&str, &str, &str); 6] = [
    ("signed", "sign", ""),
    ("opaque", "sign", ""),
    ("both", "sign+encrypt", ""),
    (
        "names",
        "encrypt",
        "hide = \"names\"\nlegacy_display = false",
    ),
    ("none", "encrypt", "hide = \"none\""),
    ("off", "sign+encrypt", "when = \"off\""),
];

fn send_ports(people: &People) -> String {
    let file = |name: &str| people.path(name).display().to_string();
    let port = |(name, protection, header): (&str, &str, &str)| {
        let form = if name == "opaque" { "opaque" } else { "clear" };
        format!(
            "[send_port.{name}]\nfrom = \"Zoë Größe <alerts@example.test>\"\nrelays = [\"main\"]\n\
             protection = \"{protection}\"\n[send_port.{name}.signing]\nform = \"{form}\"\n\
             certificate_file = '{}'\nkey_file = '{}'\n\
             [send_port.{name}.encryption]\ncertificates_folder = '{}'\n\
             [send_port.{name}.header_protection]\n{header}\n",
            file("alerts.pem"),
            file("alerts.key"),
            file("certificates")
        )
    };
    PORTS.into_iter().map(port).collect()
}

fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    people.add(&Person::new("alerts", "alerts@example.test"));
    people.add(&Person::new("reader", "reader@example.test"));
    people.publish("reader", &people.path("certificates"));
    people
}

/// What was signed or encrypted, all layers off.
fn payload(people: &People, message: &[u8], protection: &str) -> Vec<u8> {
    let opened = match protection {
        "sign" => message.to_vec(),
        _ => people.decrypt(message, "reader").expect("opened"),
    };
    match protection {
        "encrypt" => opened,
        _ => people.verify(&opened).expect("verified"),
    }
}

/// A reader that knows the standard shows Subject, names and text as they were meant, whatever
/// is outside; and outside is what the send port leaves there.
#[tokio::test(flavor = "multi_thread")]
async fn the_relay_sees_only_the_outer_header() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&(plain_relay(sink.local_addr()) + &send_ports(&people)));
    let checked = text(&site.sendport(&["check"]));
    for port in PORTS.map(|(name, ..)| name) {
        let note =
            format!("note  send_port.{port}.encryption: the Subject of what is encrypted stays");
        let is_open = ["none", "off"].contains(&port);
        assert_eq!(checked.contains(&note), is_open, "{checked}");
    }
    for (name, ..) in PORTS {
        let sql = "INSERT INTO Alert (SendPort, ToRecipients, Subject, Body, BodyFormat, AlertName, Headers)
                   VALUES (?1, 'Jörg Ärmel <reader@example.test>', ?2, '<body><p>Grüße</p></body>', 'html', 'Geheimauftrag', json_object('X-Port', ?1))";
        let inserted = site.database().execute(sql, [name, SUBJECT]);
        inserted.expect("insert");
    }
    let output = text(&site.sendport(&["preview", "3"]));
    assert!(
        output.contains("bytes; the Subject is hidden\n"),
        "{output}"
    );
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let envelopes = messages(mails.path());
    let arrived = received(mails.path());
    for (name, protection, _) in PORTS {
        let of_port = format!("\r\nX-Port: {name}\r\n");
        let fits = |bytes: &&Vec<u8>| String::from_utf8_lossy(bytes).contains(&of_port);
        let message = arrived.iter().find(fits).expect(name);
        let payload = payload(&people, message, protection);
        read_as_meant(&people, name, protection, message, &payload);
    }
    // With the envelope; the signed parts are not encrypted.
    let shows_it = envelopes.iter().filter(|file| {
        let bytes = std::fs::read(file).expect("readable");
        String::from_utf8_lossy(&bytes).contains(SECRET)
    });
    assert_eq!(shows_it.count(), 4, "signed, opaque, none and off");
    let signed = arrived.iter().find(|it| {
        let text = String::from_utf8_lossy(it);
        text.contains("X-Port: signed\r\n")
    });
    a_changed_subject_is_seen(&people, signed.expect("it arrived"));
    sink.stop().await;
}

fn read_as_meant(people: &People, name: &str, protection: &str, outer: &[u8], payload: &[u8]) {
    let done = if protection == "sign" {
        "clear"
    } else {
        "cipher"
    };
    let read = people.read_protected(outer, payload, done);
    let hidden = match name {
        "both" => vec!["Subject", "X-Alert-Name"],
        "names" => vec!["From", "Subject", "To", "X-Alert-Name"],
        _ => vec![],
    };
    assert_eq!(read["hidden"], Value::from(hidden.clone()), "{name}");
    let hp = (name != "off").then_some(done);
    assert_eq!(read["hp"], Value::from(hp), "{name}");
    assert_eq!(read["outer_as_sent"], true, "{name}: {read}");
    assert_eq!(read["defects"], Value::Array(vec![]), "{name}");
    let fields = &read["fields"];
    for (field, value) in [
        ("Subject", SUBJECT),
        ("From", "Zoë Größe <alerts@example.test>"),
        ("To", "Jörg Ärmel <reader@example.test>"),
        ("X-Port", name),
        ("X-Alert-Name", SECRET),
    ] {
        assert_eq!(fields[field], value, "{name}: {read}");
    }
    let outer = &read["outer"];
    let (subject, to) = match name {
        "both" => ("[...]", "Jörg Ärmel <reader@example.test>"),
        "names" => ("[...]", "reader@example.test"),
        _ => (SUBJECT, "Jörg Ärmel <reader@example.test>"),
    };
    assert_eq!(
        (&outer["Subject"], &outer["To"]),
        (&subject.into(), &to.into())
    );
    assert_eq!(outer["Message-ID"], fields["Message-ID"]);
    for kind in ["plain", "html"] {
        let shown = &read["texts"][kind];
        let text = shown["text"].as_str().expect("a text");
        assert!(text.contains("Grüße") && !text.contains(SECRET), "{text}");
        let element = (name == "both").then(|| format!("Subject: {SUBJECT}"));
        assert_eq!(shown["element"], Value::from(element), "{name}, {kind}");
    }
}

/// The one inside, which readers show.
fn a_changed_subject_is_seen(people: &People, message: &[u8]) {
    let text = String::from_utf8(message.to_vec()).expect("7-bit");
    assert_eq!(
        text.matches(SECRET).count(),
        4,
        "Subject and X-Alert-Name, twice"
    );
    assert!(people.verify(message).is_some());
    let (outer, inner) = text.split_once("\r\n\r\n").expect("a header");
    let changed = format!(
        "{outer}\r\n\r\n{}",
        inner.replacen(SECRET, "Geheimauftraf", 1)
    );
    assert!(people.verify(changed.as_bytes()).is_none());
}
