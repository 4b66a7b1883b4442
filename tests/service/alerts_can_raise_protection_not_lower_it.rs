use std::time::Duration;

use crate::site::{Site, text};
use crate::support::people::{People, Person};
use crate::support::received::received;
use crate::{any_port, plain_relay, sink_at};

fn send_ports(people: &People) -> String {
    let file = |name: &str| people.path(name).display().to_string();
    let port = |name: &str| {
        format!(
            "[send_port.{name}]\nfrom = 'alerts@example.test'\nrelays = ['main']\n\
             protection = '{name}'\n\
             [send_port.{name}.header_protection]\nhide = 'none'\n\
             [send_port.{name}.signing]\ncertificate_file = '{}'\nkey_file = '{}'\n\
             [send_port.{name}.encryption]\ncertificates_folder = '{}'\n",
            file("alerts.pem"),
            file("alerts.key"),
            file("certificates"),
        )
    };
    ["none", "sign", "encrypt"].map(port).concat()
}

/// What is done is both what the send port and what the alert wants, as the bytes at the relay
/// show.
#[tokio::test(flavor = "multi_thread")]
async fn than_their_send_port() {
    let (folder, mails) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let people = People::new(folder.path());
    people.add(&Person::new("alerts", "alerts@example.test"));
    people.add(&Person::new("rsa", "rsa@example.test"));
    people.publish("rsa", &people.path("certificates"));
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&(plain_relay(sink.local_addr()) + &send_ports(&people)));
    let checked = text(&site.sendport(&["check"]));
    let note = "note  send_port.encrypt.encryption: encrypted messages are not signed: ";
    assert!(checked.contains(note), "{checked}");
    assert_eq!(checked.matches("are not signed").count(), 1, "{checked}");
    let cases = [
        ("none", "encrypt", "encrypt"),
        ("sign", "sign+encrypt", "sign+encrypt"),
        ("sign", "encrypt", "sign+encrypt"),
        ("sign", "none", "sign"),
        ("encrypt", "none", "encrypt"),
        ("encrypt", "sign", "sign+encrypt"),
    ];
    for (port, asked, _) in cases {
        let sql = "INSERT INTO Alert (SendPort, Protection, Reference, ToRecipients, Subject, Body)
                   VALUES (?1, ?2, ?1 || ' ' || ?2, 'rsa@example.test', ?1 || ' ' || ?2, 'Order 4711')";
        site.database().execute(sql, [port, asked]).expect("insert");
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let messages = received(mails.path());
    assert_eq!(messages.len(), cases.len());
    for (port, asked, done) in cases {
        let recorded =
            format!("SELECT Protection FROM Delivery WHERE Reference = '{port} {asked}'");
        assert_eq!(site.value(&recorded), done, "{port} and {asked}");
        let subject = format!("Subject: {port} {asked}\r\n");
        let fits = |bytes: &&Vec<u8>| String::from_utf8_lossy(bytes).contains(&subject);
        let message = messages.iter().find(fits).expect(&subject);
        assert_eq!(protection_of(&people, message), done, "{port} and {asked}");
    }
}

/// By what openssl finds.
fn protection_of(people: &People, message: &[u8]) -> &'static str {
    let opened = people.decrypt(message, "rsa");
    let is_clear = String::from_utf8_lossy(message).contains("4711");
    assert_eq!(is_clear, opened.is_none());
    let signed = people
        .verify(opened.as_deref().unwrap_or(message))
        .is_some();
    match (signed, opened.is_some()) {
        (false, false) => "none",
        (true, false) => "sign",
        (false, true) => "encrypt",
        (true, true) => "sign+encrypt",
    }
}
