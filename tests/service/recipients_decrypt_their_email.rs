use std::time::Duration;

use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::people::{People, Person, der_of};
use crate::support::postfix::{Postfix, PostfixOptions};

const READERS: [&str; 4] = ["rsa", "second", "curve", "hidden"];

fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    people.add(&Person::new("alerts", "alerts@example.test"));
    for name in ["rsa", "second", "hidden"] {
        people.add(&Person::new(name, &format!("{name}@example.test")));
    }
    people.add(&Person::on_curve("curve", "curve@example.test", "P-256"));
    people.add(&Person {
        validity: Some(("20200101000000Z", "20210101000000Z")),
        ..Person::new("old", "old@example.test")
    });
    people.add(&Person {
        usage: "digitalSignature",
        ..Person::new("signs", "signs@example.test")
    });
    let certificates = people.path("certificates");
    for name in READERS.into_iter().chain(["old", "signs"]) {
        people.publish(name, &certificates);
    }
    people
}

fn send_ports(people: &People) -> String {
    let file = |name: &str| people.path(name).display().to_string();
    let port = |name: &str, protection: &str, settings: &str| {
        format!(
            "[send_port.{name}]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
             protection = \"{protection}\"\n[send_port.{name}.encryption]\n\
             certificates_folder = '{}'\n{settings}\n",
            file("certificates")
        )
    };
    let signing = format!(
        "[send_port.both.signing]\ncertificate_file = '{}'\nkey_file = '{}'\n",
        file("alerts.pem"),
        file("alerts.key")
    );
    let own = format!("own_certificate_file = '{}'", file("alerts.own.pem"));
    [
        port("default", "encrypt", "when_missing = 'split'"),
        port("all", "encrypt", ""),
        port(
            "gcm",
            "encrypt",
            "cipher = 'aes-256-gcm'\nrsa_padding = 'oaep'",
        ),
        port("both", "sign+encrypt", &format!("{own}\n{signing}")),
    ]
    .concat()
}

const ALERTS: &str = "
    INSERT INTO Alert (Reference, ToRecipients, CcRecipients, BccRecipients, Headers, Subject, Body) VALUES
        ('mixed', 'rsa@example.test; second@example.test; nocertificate@example.test; old@example.test',
         'curve@example.test; signs@example.test', 'hidden@example.test', json_object('X-Reference', 'mixed'), 'Order 4711', 'Order 4711');
    INSERT INTO Alert (Reference, SendPort, ToRecipients, Headers, Subject, Body) VALUES
        ('all', 'all', 'rsa@example.test; nocertificate@example.test', json_object('X-Reference', 'all'), 'Order 4711', 'Order 4711'),
        ('gcm', 'gcm', 'rsa@example.test', json_object('X-Reference', 'gcm'), 'Order 4711', 'Order 4711'),
        ('both', 'both', 'second@example.test', json_object('X-Reference', 'both'), 'Order 4711', 'Order 4711');";

/// Exactly the recipients that may see each other decrypt each message; a recipient that cannot be
/// encrypted to fails alone, with a reason.
#[tokio::test(flavor = "multi_thread")]
async fn only_its_recipients_decrypt_a_message() {
    if !Postfix::available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&(plain_relay(postfix.plain()) + &send_ports(&people)));
    let checked = text(&site.sendport(&["check"]));
    assert!(
        checked.contains("ok    send_port.default.encryption: certificates for 6 addresses in the folder, beside those of the database"),
        "{checked}"
    );
    assert!(
        checked.contains("old.pem expired at 2021-01-01T00:00:00Z"),
        "{checked}"
    );
    site.database().execute_batch(ALERTS).expect("insert");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    each_failure_has_a_reason(&site);

    let messages = postfix.wait_for_messages(6, Duration::from_secs(60)).await;
    assert_eq!(messages.len(), 6, "and no other message");
    let of = |recipient: &str, reference: &str| {
        let wanted = format!("X-Reference: {reference}\r\n");
        let mut found = messages
            .iter()
            .filter(|it| it.recipient == format!("{recipient}@example.test"));
        found
            .by_ref()
            .map(|it| it.as_submitted())
            .find(|bytes| String::from_utf8_lossy(bytes).contains(&wanted))
            .unwrap_or_else(|| panic!("{reference} for {recipient}"))
    };
    for (company, message) in [
        (&["rsa", "second"][..], of("rsa", "mixed")),
        (&["rsa", "second"], of("second", "mixed")),
        (&["curve"], of("curve", "mixed")),
        (&["hidden"], of("hidden", "mixed")),
        (&["rsa"], of("rsa", "gcm")),
    ] {
        opened_by(&people, company, &message);
    }
    read_by_others(&people, &of("rsa", "mixed"));
    let gcm = people.print(&of("rsa", "gcm"));
    assert!(
        gcm.contains("authEnvelopedData") && gcm.contains("rsaesOaep"),
        "{gcm}"
    );
    let both = of("second", "both");
    opened_by(&people, &["alerts", "second"], &both);
    let signed = people.decrypt(&both, "second").expect("opened");
    let content = people.verify(&signed).expect("a right signature inside");
    assert!(String::from_utf8_lossy(&content).contains("Order 4711"));
}

fn each_failure_has_a_reason(site: &Site) {
    for (recipient, key, output) in [
        (
            "nocertificate",
            "recipient-certificate-missing",
            "there is no certificate for",
        ),
        (
            "old",
            "recipient-certificate-expired",
            "expired at 2021-01-01",
        ),
        ("signs", "recipient-certificate-unusable", "keyEncipherment"),
    ] {
        let row = site.value(&format!(
            "SELECT Status || ' ' || EnhancedStatusCode || ' ' || ReplyText || ' ' || Cause || Advice FROM Delivery WHERE Reference = 'mixed' AND Address = '{recipient}@example.test'"
        ));
        assert!(
            row.starts_with("failed 5.7.5 ") && row.contains(output),
            "{row}"
        );
        let explained = site.value(&format!(
            "SELECT count(*) FROM Recipient WHERE ExplanationKey = '{key}'"
        ));
        assert_ne!(explained, "0", "{key}");
    }
    let status = |reference: &str| {
        site.value(&format!(
            "SELECT Status FROM AlertStatus WHERE Reference = '{reference}'"
        ))
    };
    assert_eq!(
        ["mixed", "all", "gcm", "both"].map(status),
        ["partial", "failed", "relayed", "relayed"]
    );
}

/// By openssl with the key of each of `company`, and with no other key.
fn opened_by(people: &People, company: &[&str], message: &[u8]) {
    let text = String::from_utf8(message.to_vec()).expect("7-bit");
    assert!(!text.contains("Order 4711"), "{text}");
    let printed = people.print(message).to_lowercase();
    for reader in READERS.into_iter().chain(["alerts"]) {
        let opened = people.decrypt(message, reader);
        assert_eq!(
            printed.contains(&people.serial(reader)),
            company.contains(&reader),
            "{reader} is named"
        );
        match company.contains(&reader) {
            true => {
                let opened = opened.expect(reader);
                assert!(
                    String::from_utf8_lossy(&opened).contains("Order 4711"),
                    "{reader}"
                );
            }
            false => assert!(opened.is_none(), "{reader} opened it"),
        }
    }
}

/// The default is what every mail program can read.
fn read_by_others(people: &People, message: &[u8]) {
    let opened = people.decrypt_by_python(message, "rsa");
    assert!(String::from_utf8_lossy(&opened).contains("Order 4711"));
    if let Some(gpgsm) = people.gpgsm(&["second"]) {
        let text = String::from_utf8_lossy(message);
        let opened = gpgsm.decrypt(&der_of(&text));
        assert!(String::from_utf8_lossy(&opened).contains("Order 4711"));
    }
}
