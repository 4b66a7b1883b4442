use std::path::Path;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _};
use sendport_core::domain::AlertId;
use sendport_core::domain::RecipientKind::{Bcc, To};

use crate::plain_relay;
use crate::site::{Site, text};
use crate::support::maildir::DeliveredMessage;
use crate::support::people::{People, Person};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::submitted::{Submitted, submit};

const TEXT: &str =
    "Grüße an alle: order 4711 is late, and nobody knows why. \r\n.\r\n-- \r\nThe service";

/// What a client submits that cannot sign.
fn message(message_id: &str) -> Vec<u8> {
    let head = format!(
        "Received: from app (app [192.0.2.7])\r\n\tby gateway; Mon, 2 Nov 2026 10:00:00 +0000\r\n\
         From: =?utf-8?q?B=C3=BCro?= <app@example.test>\r\nTo: Reader <reader@example.test>\r\n\
         Subject: Order 4711\r\nDate: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: {message_id}\r\n\
         MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"cut here\"\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n--cut here\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n{TEXT}\r\n--cut here\r\n\
         Content-Type: application/octet-stream; name=all.bin\r\nContent-Disposition: attachment\r\n\
         Content-Transfer-Encoding: 8bit\r\n\r\n"
    );
    [head.as_bytes(), &file(), b"\r\n--cut here--\r\n"].concat()
}

/// Every octet that 8bit permits.
fn file() -> Vec<u8> {
    let permitted = |byte: &u8| !matches!(byte, 0 | b'\r' | b'\n');
    (0..=255).filter(permitted).collect()
}

/// Text and attachment are as the client wrote them.
fn holds_the_contents(entity: &[u8]) {
    let parsed = MessageParser::default().parse(entity).expect("a message");
    assert_eq!(parsed.body_text(0).as_deref(), Some(TEXT));
    let attachment = parsed.attachments().next().expect("an attachment");
    assert_eq!(attachment.contents(), file());
    assert_eq!(attachment.attachment_name(), Some("all.bin"));
    assert_eq!(
        parsed.subject(),
        Some("Order 4711"),
        "the header is protected"
    );
}

fn people(folder: &Path) -> People {
    let people = People::new(folder);
    for name in ["app", "reader", "hidden"] {
        people.add(&Person::new(name, &format!("{name}@example.test")));
        people.publish(name, &people.path("certificates"));
    }
    people
}

fn send_ports(people: &People) -> String {
    let file = |name: &str| people.path(name).display().to_string();
    let signing = format!(
        "certificate_file = '{}'\nkey_file = '{}'\n",
        file("app.pem"),
        file("app.key")
    );
    let port = |name: &str, protection: &str, extra: &str| {
        format!(
            "[send_port.{name}]\nfrom = 'app@example.test'\n\
             relays = ['main']\nprotection = '{protection}'\n{extra}\n[send_port.{name}.signing]\n{signing}\n"
        )
    };
    let encryption = format!("certificates_folder = '{}'\n", file("certificates"));
    [
        port("clear", "sign", "received_protected = 'pass'"),
        port("both", "sign+encrypt", ""),
        format!("[send_port.both.encryption]\n{encryption}"),
    ]
    .concat()
}

async fn commit(site: &Site, send_port: &str, message_id: &str, bytes: &[u8]) -> AlertId {
    let submitted = Submitted {
        send_port,
        recipients: &[("reader@example.test", To), ("hidden@example.test", Bcc)],
        message_id,
        bytes,
    };
    submit(&site.path("sendport.db"), submitted).await
}

/// Its recipient decrypts it, where it is encrypted, and nobody else does; openssl finds the signature good.
fn reads_as_submitted(delivered: &DeliveredMessage, people: &People) {
    let bytes = delivered.as_submitted();
    assert!(
        bytes.is_ascii()
            && bytes.starts_with(b"Received: from app (app [192.0.2.7])\r\n\tby gateway;")
    );
    let outer = MessageParser::default().parse(&bytes).expect("a message");
    let is_clear = delivered.message_id == "<clear@app>";
    assert_eq!(
        outer.subject(),
        Some(if is_clear { "Order 4711" } else { "[...]" })
    );
    assert_eq!(
        outer.date().map(|date| date.to_rfc3339()).as_deref(),
        Some("2026-11-02T10:00:00Z")
    );
    let signed = match is_clear {
        true => bytes.clone(),
        false => {
            let [name, other] = match delivered.recipient.starts_with("hidden") {
                true => ["hidden", "reader"],
                false => ["reader", "hidden"],
            };
            assert!(people.decrypt(&bytes, other).is_none(), "{other} reads it");
            people.decrypt(&bytes, name).expect("decrypted")
        }
    };
    let content = people
        .verify(&signed)
        .expect("openssl finds the signature good");
    holds_the_contents(&content);
    assert!(
        !String::from_utf8_lossy(&content).contains("192.0.2.7"),
        "trace fields stay outside"
    );
}

/// A gateway for applications that cannot sign: openssl verifies and decrypts what arrives, only the recipient of an
/// envelope reads it, and what is signed already is not wrapped.
#[tokio::test(flavor = "multi_thread")]
async fn openssl_reads_what_a_client_submitted() {
    if !Postfix::available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(folder.path());
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let site = Site::new(&(plain_relay(postfix.plain()) + &send_ports(&people)));
    let checked = text(&site.sendport(&["check"]));
    let note =
        "note  send_port.clear.received_protected: messages that a client signed or encrypted";
    assert!(checked.contains(note), "{checked}");
    commit(&site, "clear", "<clear@app>", &message("<clear@app>")).await;
    let both = commit(&site, "both", "<both@app>", &message("<both@app>")).await;
    let preview = text(&site.sendport(&["preview", &both.0.to_string()]));
    assert_eq!(preview.matches("<both@app>").count(), 2, "{preview}");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let arrived = postfix.wait_for_messages(4, Duration::from_secs(60)).await;
    let attempts = "SELECT group_concat(SendPort || ' ' || Protection || ' ' || HeaderProtection || ' ' || MessageId, ', ') \
                    FROM (SELECT a.SendPort, t.* FROM Attempt t JOIN Alert a USING (AlertId) ORDER BY AlertId)";
    let both = "both sign+encrypt cipher-baseline <both@app>";
    assert_eq!(
        site.value(attempts),
        format!("clear sign clear <clear@app>, {both}, {both}")
    );

    for delivered in &arrived {
        reads_as_submitted(delivered, &people);
    }

    let clear = arrived
        .iter()
        .find(|it| it.message_id == "<clear@app>")
        .expect("signed");
    commit(&site, "clear", "<again@app>", &clear.as_submitted()).await;
    commit(&site, "both", "<again@app>", &clear.as_submitted()).await;
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let arrived = postfix.wait_for_messages(6, Duration::from_secs(60)).await;
    let again = arrived
        .iter()
        .filter(|it| it.as_submitted() == clear.as_submitted());
    assert_eq!(
        again.count(),
        4,
        "passed on as it came, with the signature that openssl verified"
    );
    let refused = site.value("SELECT StatusReason FROM AlertStatus WHERE Status = 'failed'");
    assert!(
        refused.contains("signed already; received_protected"),
        "{refused}"
    );
}
