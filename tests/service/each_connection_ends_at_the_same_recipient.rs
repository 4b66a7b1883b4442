//! A server that says 421 to the recipient behind the hundredth, and closes, each time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::site::Site;
use crate::{plain_relay, send_port_over};

const TAKEN: usize = 100;
const LIST: usize = 250;
const LONG: Duration = Duration::from_secs(60);

/// What the server saw.
#[derive(Default)]
struct Seen {
    /// Connections that it ended.
    ended: usize,
    /// How often each recipient got a message.
    messages: BTreeMap<String, u32>,
}

/// It says `goodbye` to the recipient behind the hundredth.
async fn server(goodbye: &'static str) -> (SocketAddr, Arc<Mutex<Seen>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = seen.clone();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let seen = shared.clone();
            tokio::spawn(async move { serve(tcp, goodbye, &seen).await });
        }
    });
    (address, seen)
}

/// Ends where the client goes, or with 421.
async fn serve(tcp: TcpStream, goodbye: &str, seen: &Mutex<Seen>) -> Option<()> {
    let (read, mut write) = tcp.into_split();
    let mut lines = BufReader::new(read).lines();
    let (mut recipients, mut content) = (Vec::new(), false);
    write.write_all(b"220 peer.example.test\r\n").await.ok()?;
    loop {
        let line = lines.next_line().await.ok()??;
        let reply = match line.get(..4).unwrap_or(&line) {
            "." if content => {
                content = false;
                let mut seen = seen.lock();
                for recipient in recipients.drain(..) {
                    *seen.messages.entry(recipient).or_default() += 1;
                }
                "250 2.0.0 accepted"
            }
            _ if content => continue,
            "EHLO" => "250-peer.example.test\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING",
            "MAIL" => {
                recipients.clear();
                "250 2.1.0 ok"
            }
            "RCPT" if recipients.len() == TAKEN => break,
            "RCPT" => {
                recipients.push(line);
                "250 2.1.5 ok"
            }
            "DATA" => {
                content = true;
                "354 go"
            }
            _ => "250 2.0.0 ok",
        };
        let reply = format!("{reply}\r\n");
        write.write_all(reply.as_bytes()).await.ok()?;
    }
    seen.lock().ended += 1;
    let goodbye = format!("{goodbye}\r\n");
    write.write_all(goodbye.as_bytes()).await.ok()?;
    write.shutdown().await.ok()?;
    // What is unread when a socket is closed would take the replies away from the client.
    let rest = &mut Vec::new();
    lines.into_inner().read_to_end(rest).await.map(|_| ()).ok()
}

/// An alert to a list of its own.
fn insert(site: &Site, list: &str) {
    let people: Vec<_> = (0..LIST)
        .map(|n| format!("{list}{n}@example.test"))
        .collect();
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES (?1, 's', 'b')";
    let inserted = site.database().execute(sql, [people.join(";")]);
    assert_eq!(inserted.expect("insert"), 1);
}

#[tokio::test]
async fn all_are_relayed_once_where_it_says_too_many() {
    all_are_relayed_once("421 4.5.3 too many recipients", 1).await;
}

#[tokio::test]
async fn all_are_relayed_once_where_it_does_not_say_why() {
    all_are_relayed_once("421 4.3.0 closing", 2).await;
}

/// The server ends so many connections; then an instance knows why, and the next one learns it too.
async fn all_are_relayed_once(goodbye: &'static str, ends: usize) {
    let (address, seen) = server(goodbye).await;
    let site = Site::new(&send_port_over(&plain_relay(address)));
    let ended = || seen.lock().ended;
    insert(&site, "first");
    let service = site.run();
    site.wait_until_all_final(LONG).await;
    assert_eq!(ended(), ends, "then it was known");
    let shown = "SELECT MaxRecipients FROM Relay WHERE Relay = 'main'";
    site.wait_until(shown, "100", LONG).await;
    assert_eq!(service.stop(), Some(0));

    insert(&site, "second");
    let service = site.run();
    site.wait_until_all_final(LONG).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(ended(), 2 * ends, "each instance learns it");
    let relayed = "SELECT count(*) FROM Delivery WHERE Status = 'relayed'";
    assert_eq!(
        site.value(relayed),
        (2 * LIST).to_string(),
        "no recipient failed"
    );
    let seen = seen.lock();
    assert_eq!(seen.messages.len(), 2 * LIST);
    assert!(seen.messages.values().all(|times| *times == 1), "once each");
}
