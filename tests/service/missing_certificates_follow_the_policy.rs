//! To one with a certificate, one without and a hidden one, under each policy.

use std::time::Duration;

use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::maildir::DeliveredMessage;
use crate::support::people::{People, Person};
use crate::support::postfix::{Postfix, PostfixOptions};

/// All people with a key.
const READERS: [&str; 3] = ["rsa", "hidden", "alerts"];

fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    for name in READERS {
        people.add(&Person::new(name, &format!("{name}@example.test")));
    }
    people.publish("rsa", &people.path("certificates"));
    people.publish("hidden", &people.path("certificates"));
    people
}

/// A send port for each policy, named by it.
fn send_ports(people: &People) -> String {
    let file = |name: &str| people.path(name).display().to_string();
    let port = |name: &str, more: &str| {
        format!(
            "[send_port.{name}]\nfrom = 'alerts@example.test'\nrelays = ['main']\n\
             protection = 'sign+encrypt'\n\
             [send_port.{name}.header_protection]\nhide = 'none'\n\
             [send_port.{name}.signing]\ncertificate_file = '{}'\nkey_file = '{}'\n\
             [send_port.{name}.encryption]\ncertificates_folder = '{}'\n{more}\n",
            file("alerts.pem"),
            file("alerts.key"),
            file("certificates"),
        )
    };
    let own = format!(
        "when_missing = 'split'\nown_certificate_file = '{}'",
        file("alerts.own.pem")
    );
    [
        port("fail", ""),
        port("split", &own),
        port("plaintext", "when_missing = 'plaintext'"),
    ]
    .concat()
}

/// The last one asks for encryption itself.
fn insert(site: &Site) {
    for (reference, port, protection) in [
        ("fail", "fail", "NULL"),
        ("split", "split", "NULL"),
        ("plaintext", "plaintext", "NULL"),
        ("asked", "plaintext", "'encrypt'"),
    ] {
        let sql = format!(
            "INSERT INTO Alert (Reference, SendPort, Protection, ToRecipients, BccRecipients, Subject, Body)
             VALUES ('{reference}', '{port}', {protection}, 'rsa@example.test; bare@example.test',
                     'hidden@example.test', '{reference}', 'Order 4711')"
        );
        site.database().execute_batch(&sql).expect("insert");
    }
}

/// The recipients of each message of an alert.
fn received(messages: &[DeliveredMessage], subject: &str) -> Vec<(String, Vec<u8>)> {
    let wanted = format!("Subject: {subject}\r\n");
    let all = messages
        .iter()
        .map(|it| (it.recipient.clone(), it.as_submitted()));
    let mut found: Vec<_> = all
        .filter(|(_, bytes)| String::from_utf8_lossy(bytes).contains(&wanted))
        .collect();
    found.sort();
    found
}

fn message_id(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(message);
    let (_, rest) = text.split_once("Message-ID: <").expect("a Message-ID");
    rest.split('@').next().expect("its left side").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_the_send_port_says() {
    if !Postfix::available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&(plain_relay(postfix.plain()) + &send_ports(&people)));
    insert(&site);
    preview_reports_missing_certificates(&site, &people);
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let messages = postfix.wait_for_messages(7, Duration::from_secs(60)).await;
    assert_eq!(messages.len(), 7, "and no other message");

    assert!(received(&messages, "fail").is_empty());
    all_recipients_failed_with_a_reason(&site);
    for subject in ["split", "asked"] {
        let both = received(&messages, subject);
        let recipients: Vec<_> = both.iter().map(|(recipient, _)| &**recipient).collect();
        assert_eq!(recipients, ["hidden@example.test", "rsa@example.test"]);
        encrypted(&people, &both, subject == "split");
        recipients_without_certificate_failed_alone(&site, subject);
    }
    let three = received(&messages, "plaintext");
    let recipients: Vec<_> = three.iter().map(|(recipient, _)| &**recipient).collect();
    let all = [
        "bare@example.test",
        "hidden@example.test",
        "rsa@example.test",
    ];
    assert_eq!(recipients, all);
    encrypted(&people, &three[1..], false);
    signed_and_unencrypted(&site, &people, &three[0].1);
    each_message_has_an_id_of_its_own(&site, &three);
    attempts_record_their_protection(&site, &people, &received(&messages, "split"));
}

/// `check` names the price, `preview` what would be sent to whom; neither changes anything.
fn preview_reports_missing_certificates(site: &Site, people: &People) {
    let checked = text(&site.sendport(&["check"]));
    let note = "note  send_port.plaintext.encryption: when_missing = \"plaintext\": ";
    assert!(checked.contains(note), "{checked}");
    assert!(!checked.contains("is not signed"), "{checked}");
    let output = text(&site.sendport(&["preview", "3"]));
    let id = site.value("SELECT PublicId FROM Alert WHERE AlertId = 3");
    let (rsa, signer) = (people.thumbprint("rsa"), people.thumbprint("alerts"));
    for line in [
        format!(
            "Message 1     <{id}@example.test>, sign+encrypt, aes-256-cbc rsa-pkcs1\n  for         rsa@example.test: {rsa} in "
        ),
        format!(
            "Message 2     <{id}.plain@example.test>, sign\n  for         bare@example.test: sent without encryption: there is no certificate for bare@example.test\n"
        ),
        format!("Message 3     <{id}."),
        format!(", {signer}, rsa-pkcs1 sha256 clear\n"),
    ] {
        assert!(output.contains(&line), "{line} is missing in\n{output}");
    }
    let failing = text(&site.sendport(&["preview", "1"]));
    assert!(
        failing.contains("Not now       no recipient is left"),
        "{failing}"
    );
    assert!(
        failing.contains("Skipped       bare@example.test, failed: 550 5.7.5 "),
        "{failing}"
    );
    let own = text(&site.sendport(&["preview", "2"]));
    assert!(
        own.contains(&format!("  and for     {signer}, our own certificate\n")),
        "{own}"
    );
}

fn all_recipients_failed_with_a_reason(site: &Site) {
    let of = |what: &str| {
        site.value(&format!(
            "SELECT {what} FROM Delivery WHERE Reference = 'fail'"
        ))
    };
    assert_eq!(
        of("group_concat(DISTINCT Status || ' ' || EnhancedStatusCode)"),
        "failed 5.7.5"
    );
    assert_eq!(of("count(*)"), "3");
    assert_eq!(
        of("group_concat(DISTINCT ReplyText)"),
        "no recipient gets it, because 1 of 3 recipients have no usable certificate and when_missing = \"fail\": bare@example.test: there is no certificate for bare@example.test"
    );
    let keys = "SELECT group_concat(Address || ' ' || ExplanationKey, ', ') FROM
                (SELECT r.* FROM Recipient r JOIN Alert a ON a.AlertId = r.AlertId WHERE a.Reference = 'fail' ORDER BY Ordinal)";
    assert_eq!(
        site.value(keys),
        "rsa@example.test other-recipients-without-certificate, bare@example.test recipient-certificate-missing, hidden@example.test other-recipients-without-certificate"
    );
    let attempts = "SELECT count(*) FROM Attempt t JOIN Alert a ON a.AlertId = t.AlertId WHERE a.Reference = 'fail'";
    assert_eq!(site.value(attempts), "0", "no relay was asked");
    assert!(of("DISTINCT Cause || Advice").contains("no recipient gets it"));
}

fn recipients_without_certificate_failed_alone(site: &Site, reference: &str) {
    let row = site.value(&format!(
        "SELECT Status || ' ' || ReplyText FROM Delivery WHERE Reference = '{reference}' AND Address = 'bare@example.test'"
    ));
    let why = "failed there is no certificate for bare@example.test";
    match reference {
        "asked" => assert!(
            row.starts_with(why) && row.ends_with("that itself asks for encryption"),
            "{row}"
        ),
        _ => assert_eq!(row, why),
    }
    let status = format!("SELECT Status FROM AlertStatus WHERE Reference = '{reference}'");
    assert_eq!(site.value(&status), "partial");
}

/// Only its recipients (and the sender's own key) decrypt a message, and its envelope names no
/// other.
fn encrypted(people: &People, messages: &[(String, Vec<u8>)], ourselves: bool) {
    for (recipient, message) in messages {
        let text = String::from_utf8_lossy(message);
        assert!(!text.contains("Order 4711"), "{text}");
        let printed = people.print(message).to_lowercase();
        for reader in READERS {
            let is_for =
                *recipient == format!("{reader}@example.test") || (ourselves && reader == "alerts");
            let opened = people.decrypt(message, reader);
            assert_eq!(
                opened.is_some(),
                is_for,
                "{reader} opens that of {recipient}"
            );
            let named = printed.contains(&people.serial(reader));
            assert_eq!(named, is_for, "{reader} is named to {recipient}");
            if let Some(signed) = opened {
                let content = people.verify(&signed).expect("a right signature inside");
                assert!(String::from_utf8_lossy(&content).contains("Order 4711"));
            }
        }
    }
}

fn signed_and_unencrypted(site: &Site, people: &People, message: &[u8]) {
    let content = people.verify(message).expect("a right signature");
    assert!(String::from_utf8_lossy(&content).contains("Order 4711"));
    let row = "SELECT Status || ', ' || Protection || ', ' || Remark FROM Delivery WHERE Reference = 'plaintext' AND Address = 'bare@example.test'";
    assert_eq!(
        site.value(row),
        "relayed, sign, sent without encryption: there is no certificate for bare@example.test"
    );
    let others = "SELECT count(*) FROM Delivery WHERE Reference = 'plaintext' AND Protection = 'sign+encrypt' AND Remark IS NULL";
    assert_eq!(site.value(others), "2");
}

fn each_message_has_an_id_of_its_own(site: &Site, messages: &[(String, Vec<u8>)]) {
    let id = site.value("SELECT PublicId FROM Alert WHERE Reference = 'plaintext'");
    let ids: Vec<_> = messages.iter().map(|(_, it)| message_id(it)).collect();
    assert_eq!(ids[0], format!("{id}.plain"));
    assert_eq!(ids[2], id);
    let word = ids[1].strip_prefix(&format!("{id}.")).expect("a word");
    assert!(
        word.len() == 16 && word.bytes().all(|b| b.is_ascii_hexdigit()),
        "{word}"
    );
    for ((recipient, _), id) in messages.iter().zip(&ids) {
        let shown = format!(
            "SELECT MessageId FROM Delivery WHERE Reference = 'plaintext' AND Address = '{recipient}'"
        );
        assert_eq!(site.value(&shown), format!("<{id}@example.test>"));
    }
}

/// The signer, and all recipients of the envelope, in its order.
fn attempts_record_their_protection(site: &Site, people: &People, messages: &[(String, Vec<u8>)]) {
    for (recipient, message) in messages {
        let of = |column: &str| {
            site.value(&format!(
                "SELECT t.{column} FROM Attempt t JOIN Delivery d ON d.MessageId = t.MessageId
                 WHERE d.Reference = 'split' AND d.Address = '{recipient}'"
            ))
        };
        assert_eq!(of("SignedBy"), people.thumbprint("alerts"));
        assert_eq!(of("SignatureAlgorithm"), "rsa-pkcs1 sha256 clear");
        assert_eq!(of("EncryptionAlgorithm"), "aes-256-cbc rsa-pkcs1");
        assert_eq!(of("HeaderProtection"), "cipher");
        let printed = people.print(message).to_lowercase();
        let mut named: Vec<_> = READERS
            .into_iter()
            .filter_map(|name| Some((printed.find(&people.serial(name))?, people.thumbprint(name))))
            .collect();
        named.sort();
        let named: Vec<_> = named
            .into_iter()
            .map(|(_, thumbprint)| thumbprint)
            .collect();
        assert_eq!(named.len(), 2, "the recipient and ourselves");
        assert_eq!(of("EncryptedTo"), named.join(" "));
    }
}
