use std::path::Path;
use std::time::{Duration, Instant};

use crate::plain_relay;
use crate::site::Site;
use crate::support::crl_server::CrlServer;
use crate::support::people::{People, Person};
use crate::support::recording_peer::RecordingPeer;

const WITHIN: Duration = Duration::from_secs(60);

/// The recipients that fail at the send port `default`, by name; the key of the explanation, where
/// this scenario decides it; and a part of the reason.
const FAILING: [(&str, &str, &str); 8] = [
    (
        "ended",
        "recipient-certificate-expired",
        "expired at 2021-01-01T00:00:00Z",
    ),
    ("early", "", "2040-01-01T00:00:00Z"),
    ("signs", "recipient-certificate-unusable", "keyEncipherment"),
    (
        "revoked",
        "recipient-certificate-revoked",
        "(its key was compromised)",
    ),
    (
        "strange",
        "recipient-certificate-untrusted",
        "is not trusted: ",
    ),
    (
        "listless",
        "recipient-certificate-revocation-unknown",
        "there is no list",
    ),
    ("malformed", "", "malformed@example.test"),
    (
        "missing",
        "recipient-certificate-missing",
        "there is no certificate",
    ),
];

/// Authorities, each with its people and its own way to publish revocations.
struct World {
    sure: People,
    late: People,
    folder: tempfile::TempDir,
    lists: CrlServer,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let lists = CrlServer::start().await;
        let under = |name: &str| People::under(name, &folder.path().join(name));
        let world = Self {
            sure: under("sure"),
            late: under("late"),
            lists,
            folder,
        };
        world.people_of_sure();
        let under = |name: &str| People::under(name, &world.folder.path().join(name));
        let late = world.lists.url("/late.crl");
        world.publish(&world.late, "late", Some(&late));
        let silent = world.lists.silent_url("list.crl");
        world.publish(&under("silent"), "silent", Some(&silent));
        world.publish(&under("listless"), "listless", None);
        world.publish(&under("strange"), "strange", None);
        let garbage = world.certificates().join("malformed@example.test.pem");
        std::fs::write(garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n").expect("write");
        world.bundle();
        world
    }

    fn people_of_sure(&self) {
        let url = self.lists.url("/sure.crl");
        let on_curve = |name: &'static str, address| Person::on_curve(name, address, "P-256");
        for person in [
            on_curve("good", "good@example.test"),
            on_curve("revoked", "revoked@example.test"),
            Person {
                validity: Some(("20200101000000Z", "20210101000000Z")),
                ..on_curve("ended", "ended@example.test")
            },
            Person {
                validity: Some(("20400101000000Z", "20410101000000Z")),
                ..on_curve("early", "early@example.test")
            },
            Person {
                usage: "digitalSignature",
                ..Person::new("signs", "signs@example.test")
            },
        ] {
            let list_at = Some(url.as_str());
            self.sure.add(&Person { list_at, ..person });
            self.sure.publish(person.name, &self.certificates());
        }
        self.sure.revoke("revoked");
        self.lists.publish("/sure.crl", self.sure.list_of_revoked());
        std::fs::write(
            self.folder.path().join("sure.crl"),
            self.sure.list_of_revoked(),
        )
        .expect("write");
    }

    fn publish(&self, people: &People, name: &str, list_at: Option<&str>) {
        let address = format!("{name}@example.test");
        people.add(&Person {
            list_at,
            ..Person::on_curve(name, &address, "P-256")
        });
        people.publish(name, &self.certificates());
    }

    fn certificates(&self) -> std::path::PathBuf {
        let folder = self.folder.path().join("certificates");
        std::fs::create_dir_all(&folder).expect("a folder");
        folder
    }

    fn bundle(&self) {
        let trusted = ["sure", "late", "silent", "listless"];
        let pem = trusted.map(|name| {
            let file = self.folder.path().join(name).join("ca.pem");
            std::fs::read(file).expect("read")
        });
        std::fs::write(self.folder.path().join("bundle.pem"), pem.concat()).expect("write");
    }

    fn send_ports(&self) -> String {
        let path = |name: &str| Path::join(self.folder.path(), name).display().to_string();
        let port = |name: &str, settings: &str| {
            format!(
                "[send_port.{name}]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
                 protection = \"encrypt\"\n[send_port.{name}.encryption]\n\
                 certificates_folder = '{}'\nca_file = '{}'\n{settings}\n",
                path("certificates"),
                path("bundle.pem")
            )
        };
        let by_file = format!(
            "revocation = 'hard'\ncrl_distribution_points = false\ncrl_files = ['{}']",
            path("sure.crl")
        );
        [
            port("default", "revocation = 'hard'"),
            port("soft", ""),
            port("file", &by_file),
        ]
        .concat()
    }
}

fn insert(site: &Site, port: &str, name: &str) {
    let sql = format!(
        "INSERT INTO Alert (Reference, SendPort, ToRecipients, Subject, Body) VALUES \
         ('{port} {name}', '{port}', '{name}@example.test', 's', 'Order 4711 is late')"
    );
    site.database().execute_batch(&sql).expect("insert");
}

async fn becomes(site: &Site, reference: &str, status: &str) {
    let sql = format!("SELECT Status FROM AlertStatus WHERE Reference = '{reference}'");
    site.wait_until(&sql, status, WITHIN).await;
}

/// Each fails with its own reason, and not a byte of its message leaves; a recipient that waits for
/// a CRL waits alone.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_reason() {
    let world = World::new().await;
    let peer = RecordingPeer::start().await;
    let site = Site::new(&(plain_relay(peer.address) + &world.send_ports()));
    for name in ["silent", "late"] {
        insert(&site, "default", name);
    }
    for (name, ..) in FAILING {
        insert(&site, "default", name);
    }
    insert(&site, "file", "revoked");
    let service = site.run();
    for (name, key, output) in FAILING {
        becomes(&site, &format!("default {name}"), "failed").await;
        is_explained(&site, &format!("default {name}"), key, output);
    }
    // The list is there by now: soft asks it, too.
    insert(&site, "soft", "revoked");
    for port in ["file", "soft"] {
        let reference = format!("{port} revoked");
        becomes(&site, &reference, "failed").await;
        let (key, output) = ("recipient-certificate-revoked", "was revoked at");
        is_explained(&site, &reference, key, output);
    }
    assert_eq!(peer.lines(), [""; 0], "no session with the relay");

    let begun = Instant::now();
    for (port, name) in [("default", "good"), ("file", "good"), ("soft", "silent")] {
        insert(&site, port, name);
        becomes(&site, &format!("{port} {name}"), "relayed").await;
    }
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "a silent server delays no other recipient"
    );
    waits_unspent(&site, "default silent", "list.crl").await;
    waits_unspent(&site, "default late", "/late.crl: the server answered 404").await;

    world
        .lists
        .publish("/late.crl", world.late.list_of_revoked());
    becomes(&site, "default late", "relayed").await;
    waits_unspent(&site, "default silent", "list.crl").await;
    assert_eq!(service.stop(), Some(0));
    only_the_good_got_something(&peer);
    let noted = "certificate used with unknown revocation status";
    assert_eq!(site.log().matches(noted).count(), 1, "{}", site.log());
}

fn is_explained(site: &Site, reference: &str, key: &str, output: &str) {
    let row = site.value(&format!(
        "SELECT coalesce(ExplanationKey, '') || '|' || ReplyText FROM Recipient JOIN Alert USING \
         (AlertId) WHERE Reference = '{reference}'"
    ));
    let (found, text) = row.split_once('|').expect("two columns");
    assert!(
        found.starts_with("recipient-certificate-"),
        "{reference}: {row}"
    );
    assert!(key.is_empty() || found == key, "{reference}: {row}");
    assert!(text.contains(output), "{reference}: {row}");
    let advice = site.value(&format!(
        "SELECT coalesce(Cause || ' ' || Advice, '') FROM Delivery WHERE Reference = '{reference}'"
    ));
    assert!(advice.len() > 80, "{reference}: {advice}");
}

/// Waits for that reason: at first the list may still be on its way.
async fn waits_unspent(site: &Site, reference: &str, why: &str) {
    let sql = format!(
        "SELECT StatusReason LIKE 'waits for its protection: %{why}%' AND Status = 'queued' AND AttemptCount = 0 \
         FROM AlertStatus WHERE Reference = '{reference}'"
    );
    site.wait_until(&sql, "1", WITHIN).await;
}

fn only_the_good_got_something(peer: &RecordingPeer) {
    let lines = peer.lines();
    let mut recipients: Vec<_> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("RCPT TO:<"))
        .filter_map(|rest| rest.split('@').next())
        .collect();
    recipients.sort_unstable();
    assert_eq!(recipients, ["good", "good", "late", "silent"]);
    assert_eq!(lines.iter().filter(|line| *line == "DATA").count(), 4);
    assert!(
        lines.iter().all(|line| !line.contains("Order 4711")),
        "it is encrypted"
    );
}
