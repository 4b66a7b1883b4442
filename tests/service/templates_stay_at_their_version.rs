use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::site::Site;
use crate::support::received::received;
use crate::{any_port, import, plain_relay, send_port_over, sink_at};

const WITHIN: Duration = Duration::from_secs(60);

const FIRST: &[(&str, &str)] = &[
    ("_sign.txt.j2", "-- first signature"),
    ("late.subject.j2", "Order {{ order }} is late"),
    ("late.txt.j2", "first text\n{% include '_sign.txt.j2' %}"),
    (
        "late.de.txt.j2",
        "erster Text\n{% include '_sign.txt.j2' %}",
    ),
    ("late.sample.json", r#"{"order": 1}"#),
];

const SECOND: &[(&str, &str)] = &[
    ("_sign.txt.j2", "-- second signature"),
    ("late.txt.j2", "second text\n{% include '_sign.txt.j2' %}"),
    (
        "late.de.txt.j2",
        "zweiter Text\n{% include '_sign.txt.j2' %}",
    ),
];

fn insert(site: &Site, to: &str, language: &str) {
    let sql = "INSERT INTO Alert (ToRecipients, Template, Language, Payload) VALUES (?1, 'late', ?2, '{\"order\": 4711}')";
    let inserted = site.database().execute(sql, [to, language]);
    assert_eq!(inserted.expect("insert"), 1);
}

/// The bodies of what arrived, as one text each.
fn texts(folder: &std::path::Path) -> Vec<String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("ASCII");
    received(folder).into_iter().map(text).collect()
}

/// The first attempt decides about the version, shared files included: neither a new version nor
/// a restart changes a word. What is inserted after an import has the new version at once.
#[tokio::test(flavor = "multi_thread")]
async fn later_attempts_use_the_version_of_the_first() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[("busy", 4)]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    import(&site, FIRST);
    let service = site.run();
    insert(&site, "busy@example.test", "de-AT");
    let pinned = "SELECT group_concat(TemplateVersion) FROM AlertState";
    site.wait_until(pinned, "1", WITHIN).await;
    service.kill();
    assert_eq!(sink.received(), 0);

    import(&site, SECOND);
    let service = site.run();
    insert(&site, "prompt@example.test", "de-AT");
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value(pinned), "1,2");
    let arrived = texts(mails.path());
    assert_eq!(arrived.len(), 2);
    for (to, text) in [("busy", "erster Text"), ("prompt", "zweiter Text")] {
        let to = format!("To: {to}@example.test\r\n");
        let mail = arrived
            .iter()
            .find(|mail| mail.contains(&to))
            .expect("it arrived");
        assert!(mail.contains(text), "{mail}");
        assert!(mail.contains("Subject: Order 4711 is late\r\n"), "{mail}");
    }
    let mixed =
        |mail: &String| mail.contains("first signature") == mail.contains("second signature");
    assert!(!arrived.iter().any(mixed), "{arrived:?}");
    sink.stop().await;
}

/// The reply to the final dot was lost and nothing was recorded: an alert that may have been sent
/// is sent again with the same text.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_in_doubt_is_sent_again_in_the_same_version() {
    let listener = TcpListener::bind(any_port()).await.expect("listen");
    let address = listener.local_addr().expect("an address");
    let (dots, mut dot) = mpsc::unbounded_channel();
    let hung = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a connection");
        hang_at_the_final_dot(stream, dots).await;
    });
    let site = Site::new(&send_port_over(&plain_relay(address)));
    import(&site, FIRST);
    insert(&site, "ops@example.test", "en");
    let service = site.run();
    let first = dot.recv().await.expect("a message");
    service.kill();
    hung.await.expect("the client went");
    assert_eq!(
        site.value("SELECT coalesce(TemplateVersion, 'none') FROM AlertState"),
        "none"
    );

    import(&site, SECOND);
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(address, mails.path(), &[]).await;
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    let arrived = texts(mails.path());
    assert_eq!(arrived, [first]);
    assert!(
        arrived[0].contains("first text\r\n-- first signature"),
        "{}",
        arrived[0]
    );
    assert_eq!(
        site.value("SELECT count(*) FROM Attempt WHERE Outcome = 'unknown'"),
        "1"
    );
    sink.stop().await;
}

/// Says yes to everything, and nothing after the final dot.
async fn hang_at_the_final_dot(stream: TcpStream, dots: mpsc::UnboundedSender<String>) {
    let mut stream = BufReader::new(stream);
    let _ = stream.write_all(b"220 hung.test ESMTP\r\n").await;
    let mut content: Option<String> = None;
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        match &mut content {
            Some(content) if line == ".\r\n" => {
                let _ = dots.send(std::mem::take(content));
            }
            Some(content) => content.push_str(line.strip_prefix('.').unwrap_or(&line)),
            None if line.starts_with("DATA") => {
                content = Some(String::new());
                let _ = stream.write_all(b"354 go\r\n").await;
            }
            None => {
                let _ = stream.write_all(b"250 ok\r\n").await;
            }
        }
        line.clear();
    }
}
