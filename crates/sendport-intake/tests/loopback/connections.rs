//! Many connections, long messages, the end.

use std::time::Duration;

use sendport_core::domain::ReceivedContent;
use sendport_intake::observer::IntakeActivity;

use crate::server::Server;

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_with_421() {
    let server = Server::start("max_connections = 5\nmax_connections_per_client = 3").await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = server.connect().await;
        assert!(client.reply().await.starts_with("220 "));
        clients.push(client);
    }
    let mut refused = server.connect().await;
    assert!(refused.reply().await.starts_with("421 4.7.0 "));
    assert_eq!(refused.reply().await, "");
    clients[0].ask("QUIT").await;
    assert_eq!(clients[0].reply().await, "", "it is closed");
    drop(clients.remove(0));
    // The place is free when the session has ended.
    let again = async {
        loop {
            let mut client = server.connect().await;
            if client.reply().await.starts_with("220 ") {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), again)
        .await
        .expect("a place");
}

#[tokio::test]
async fn a_long_message_goes_through_a_file_and_others_are_served_meanwhile() {
    let server = Server::start("max_message_size = '64MiB'").await;
    let mut long = server.connect().await;
    long.reply().await;
    long.ask("EHLO x").await;
    for command in ["MAIL FROM:<a@contoso.com>", "RCPT TO:<b@x.test>", "DATA"] {
        long.ask(command).await;
    }
    let block = format!("{}\r\n", "x".repeat(76)).repeat(1000);
    long.send(b"Subject: x\r\n\r\n").await;
    for n in 0..400 {
        long.send(block.as_bytes()).await;
        if n % 100 == 0 {
            let mut other = server.connect().await;
            other.reply().await;
            other.ask("HELO x").await;
            assert!(other.submit().await.starts_with("250 "));
        }
    }
    assert!(long.ask(".").await.starts_with("250 "));
    let messages = server.recorder.messages.lock();
    let ReceivedContent::File { length, .. } = &messages.last().expect("a message").content else {
        panic!("it is long");
    };
    assert!(*length > 400 * 78_000);
}

#[tokio::test]
async fn a_stop_ends_every_session() {
    let server = Server::start("").await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = server.connect().await;
        client.reply().await;
        clients.push(client);
    }
    let recorder = server.recorder.clone();
    let address = server.address;
    let stopping = tokio::spawn(server.stop());
    for client in &mut clients {
        assert!(client.reply().await.starts_with("421 4.3.2 "));
        assert_eq!(client.reply().await, "");
    }
    drop(clients);
    stopping.await.expect("it ends");
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let closed = |it: &&IntakeActivity| **it == IntakeActivity::ConnectionClosed;
    assert_eq!(recorder.activities.lock().iter().filter(closed).count(), 50);
}
