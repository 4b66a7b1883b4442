use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::people::{People, Person};

/// A relay that takes everything and keeps every byte that it was sent.
fn keeping_relay() -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("listen");
    let address = listener.local_addr().expect("an address");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeps = kept.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let keeps = keeps.clone();
            std::thread::spawn(move || serve(&client, &keeps));
        }
    });
    (address, kept)
}

fn serve(client: &TcpStream, keeps: &Mutex<Vec<u8>>) -> Option<()> {
    let mut writer = client;
    let mut say = |reply: &str| writer.write_all(format!("{reply}\r\n").as_bytes()).ok();
    say("220 relay.example.test ESMTP")?;
    let (mut line, mut in_data) = (Vec::new(), false);
    let mut reader = BufReader::new(client);
    while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
        keeps.lock().extend(&line);
        let is_data = line.starts_with(b"DATA");
        match (in_data, &*line) {
            (true, b".\r\n") => say("250 2.0.0 accepted")?,
            (true, _) => {}
            (false, _) if is_data => say("354 go on")?,
            (false, _) => say("250 relay.example.test")?,
        }
        in_data = (in_data || is_data) && &*line != b".\r\n";
        line.clear();
    }
    Some(())
}

fn person<'a>(name: &'a str, address: &'a str) -> Person<'a> {
    Person::new(name, address)
}

const CASES: [(&str, &str); 7] = [
    ("missing", "recipient-certificate-missing"),
    ("expired", "recipient-certificate-expired"),
    ("early", "recipient-certificate-not-yet-valid"),
    ("signs", "recipient-certificate-unusable"),
    ("revoked", "recipient-certificate-revoked"),
    ("torn", "recipient-certificate-malformed"),
    ("stranger", "recipient-certificate-wrong-address"),
];

fn people(folder: &Path) -> People {
    let people = People::new(folder);
    people.add(&person("good", "good@example.test"));
    people.add(&person("revoked", "revoked@example.test"));
    people.add(&person("torn", "torn@example.test"));
    people.add(&person("stranger", "somebody@example.test"));
    people.add(&Person {
        validity: Some(("20200101000000Z", "20210101000000Z")),
        ..person("expired", "expired@example.test")
    });
    people.add(&Person {
        validity: Some(("20900101000000Z", "20910101000000Z")),
        ..person("early", "early@example.test")
    });
    people.add(&Person {
        usage: "digitalSignature",
        ..person("signs", "signs@example.test")
    });
    people
}

/// Each reason has words of its own, and the relay sees neither the body nor the recipient.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let (relay, kept) = keeping_relay();
    let site = Site::new(&format!(
        "{}[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
         protection = \"encrypt\"\n[send_port.default.encryption]\n\
         [send_port.open]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n",
        plain_relay(relay)
    ));
    for name in [
        "good", "revoked", "torn", "stranger", "expired", "early", "signs",
    ] {
        let file = people
            .path(&format!("{name}.own.pem"))
            .display()
            .to_string();
        let imported = site.sendport(&["cert", "import", &file]);
        assert!(imported.status.success(), "{}", text(&imported));
    }
    let by_hand = "UPDATE Certificate SET RevokedAt = '2026-01-31T12:00:00.000Z' WHERE Address LIKE 'revoked@%';
        UPDATE Certificate SET Pem = 'torn' WHERE Address LIKE 'torn@%';
        UPDATE Certificate SET Address = 'stranger@example.test' WHERE Address LIKE 'somebody@%';";
    site.database().execute_batch(by_hand).expect("update");
    for (name, _) in CASES {
        let sql = "INSERT INTO Alert (Reference, ToRecipients, Subject, Body)
                   VALUES (?1, ?1 || '@example.test', 'late', 'Order 4711')";
        site.database().execute(sql, [name]).expect("insert");
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    for (name, key) in CASES {
        let found = site.value(&format!(
            "SELECT d.Status || ' ' || r.ExplanationKey FROM Delivery d
             JOIN Recipient r ON r.AlertId = d.AlertId WHERE d.Reference = '{name}'"
        ));
        assert_eq!(found, format!("failed {key}"));
    }
    let explained = "SELECT count(DISTINCT Advice) FROM Delivery WHERE length(Advice) > 40";
    assert_eq!(site.value(explained), CASES.len().to_string());
    assert_eq!(kept.lock().len(), 0, "it was not even asked");

    // The relay does keep what it is sent.
    let sql = "INSERT INTO Alert (SendPort, ToRecipients, Subject, Body) VALUES
        ('default', 'good@example.test', 'late', 'Order 4711'), ('open', 'good@example.test', 'late', 'Order 4712')";
    site.database().execute(sql, []).expect("insert");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let kept = kept.lock().clone();
    let kept = String::from_utf8_lossy(&kept);
    assert!(
        kept.contains("smime-type=enveloped-data") && kept.contains("4712"),
        "{kept}"
    );
    assert!(!kept.contains("Order 4711"), "{kept}");
}
