//! Copies of an alert that differ have Message-IDs that differ, and each keeps its own.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::site::Site;
use crate::support::people::{People, Person};
use crate::{any_port, plain_relay, send_port_over, sink_at};

const WITHIN: Duration = Duration::from_secs(60);

pub(crate) fn people(folder: &std::path::Path) -> People {
    let people = People::new(folder);
    for name in ["rsa", "hidden"] {
        people.add(&Person::new(name, &format!("{name}@example.test")));
    }
    people.add(&Person::on_curve("curve", "curve@example.test", "P-256"));
    for name in ["rsa", "hidden", "curve"] {
        people.publish(name, &people.path("certificates"));
    }
    people
}

/// A send port that encrypts.
pub(crate) fn encrypting(relay: SocketAddr, people: &People) -> String {
    let port = send_port_over(&plain_relay(relay));
    let port = port.replace(
        "relays = [\"main\"]",
        "relays = [\"main\"]\nprotection = \"encrypt\"",
    );
    let folder = people.path("certificates").display().to_string();
    format!("{port}\n[send_port.default.encryption]\ncertificates_folder = '{folder}'\n")
}

/// Every recipient is deferred once: the second attempt for each has the Message-ID of the first.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_retry() {
    let (folder, mails) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let people = people(folder.path());
    let sink = sink_at(
        any_port(),
        mails.path(),
        &[("rsa", 1), ("curve", 1), ("hidden", 1)],
    )
    .await;
    let site = Site::new(&encrypting(sink.local_addr(), &people));
    site.database()
        .execute_batch(
            "INSERT INTO Alert (ToRecipients, BccRecipients, Subject, Body)
             VALUES ('rsa@example.test; curve@example.test', 'hidden@example.test', 's', 'b')",
        )
        .expect("insert");
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value("SELECT Status FROM AlertStatus"), "relayed");

    let id = site.value("SELECT PublicId FROM Alert");
    let of = |recipient: &str, outcome: &str| {
        site.value(&format!(
            "SELECT t.MessageId FROM Attempt t
             JOIN AttemptReply p ON p.AttemptId = t.AttemptId
             JOIN Recipient r ON r.AlertId = t.AlertId AND r.Ordinal = p.RecipientOrdinal
             WHERE r.Address = '{recipient}@example.test' AND t.Outcome = '{outcome}'"
        ))
    };
    let both = |recipient: &str| {
        let first = of(recipient, "delayed");
        assert_eq!(of(recipient, "relayed"), first, "{recipient}");
        first
    };
    assert_eq!(both("rsa"), format!("<{id}@example.test>"));
    assert_eq!(both("curve"), format!("<{id}.ec@example.test>"));
    let hidden = both("hidden");
    assert!(
        hidden.starts_with(&format!("<{id}.")) && hidden != both("curve"),
        "{hidden}"
    );
}

/// Killed while the relay has the message and does not answer: the message that is sent again has
/// the same Message-ID, and the attempt in doubt names the certificates that it was encrypted to.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill() {
    let (folder, mails) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let people = people(folder.path());
    let (hung, mut dots) = hung_relay().await;
    let site = Site::new(&encrypting(hung, &people));
    let sql =
        "INSERT INTO Alert (BccRecipients, Subject, Body) VALUES ('hidden@example.test', 's', 'b')";
    site.database().execute_batch(sql).expect("insert");
    let service = site.run();
    let submitted = dots.recv().await.expect("a message");
    service.kill();

    let sink = sink_at(any_port(), mails.path(), &[]).await;
    send_to(&site, hung, sink.local_addr());
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let of = |column: &str, outcome: &str| {
        site.value(&format!(
            "SELECT {column} FROM Attempt WHERE Outcome = '{outcome}'"
        ))
    };
    let id = of("MessageId", "unknown");
    assert_eq!(of("MessageId", "relayed"), id);
    assert!(
        submitted.contains(&format!("Message-ID: {id}")),
        "{submitted}"
    );
    let public_id = site.value("SELECT PublicId FROM Alert");
    assert_ne!(
        id,
        format!("<{public_id}@example.test>"),
        "it has one of its own"
    );
    for outcome in ["unknown", "relayed"] {
        assert_eq!(of("EncryptedTo", outcome), people.thumbprint("hidden"));
    }
}

/// A relay that takes each message up to its dot, says so here, and nothing more.
pub(crate) async fn hung_relay() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
    let address = listener.local_addr().expect("an address");
    let (dot, dots) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(hang_after_the_dot(stream, dot.clone()));
        }
    });
    (address, dots)
}

/// The configuration of a site has this relay instead of the other one.
pub(crate) fn send_to(site: &Site, old: SocketAddr, new: SocketAddr) {
    let config = std::fs::read_to_string(site.config()).expect("read");
    let config = config.replace(&old.port().to_string(), &new.port().to_string());
    std::fs::write(site.config(), config).expect("write");
}

async fn hang_after_the_dot(stream: TcpStream, dot: mpsc::UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    let _ = stream.write_all(b"220 hung.test ESMTP\r\n").await;
    let (mut line, mut content, mut in_content) = (String::new(), String::new(), false);
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        let reply: &[u8] = match line.as_str() {
            ".\r\n" if in_content => {
                let _ = dot.send(std::mem::take(&mut content));
                b""
            }
            more if in_content => {
                content.push_str(more);
                b""
            }
            "DATA\r\n" => {
                in_content = true;
                b"354 go\r\n"
            }
            _ => b"250 ok\r\n",
        };
        let _ = stream.write_all(reply).await;
        line.clear();
    }
}
