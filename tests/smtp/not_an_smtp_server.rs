//! The wrong port is distinguished from a relay that is down.

use sendport_core::domain::{Command, Fault};
use tokio::net::TcpListener;

use crate::support::client::{not_begun, relay, submit};
use crate::support::scripted_peer::{Peer, Something, send};

#[tokio::test]
async fn recognises_a_web_server() {
    let peer = Peer::start(vec![vec![send("HTTP/1.1 400 Bad Request\r\nServer: x")]]).await;
    let report = submit(&relay(peer.address, "tls = \"none\""), &["a@example.test"]).await;
    let (reply, _) = not_begun(&report);
    assert_eq!((reply.command, reply.code), (Command::Greeting, 0));
    assert!(reply.text.contains("HTTP/1.1 400 Bad Request"), "{reply}");
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let report = submit(&relay(address, "tls = \"none\""), &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!((reply.command, fault), (Command::Connect, None));
    assert!(reply.text.contains(&address.to_string()), "{reply}");
}

#[tokio::test]
async fn gives_up_without_a_greeting() {
    let peer = Peer::start(vec![vec![Something]]).await;
    let settings = "tls = \"none\"\n[timeout]\ngreeting = \"50ms\"";
    let report = submit(&relay(peer.address, settings), &["a@example.test"]).await;
    let (reply, _) = not_begun(&report);
    assert!(reply.text.contains("timeout.greeting"), "{reply}");
    assert!(reply.text.contains("implicit"), "{reply}");
    peer.finish().await;
}

#[tokio::test]
async fn names_the_mistake_where_tls_is_not_spoken() {
    let peer = Peer::start(vec![vec![send("220 peer ESMTP"), Something]]).await;
    let report = submit(
        &relay(peer.address, "tls = \"implicit\""),
        &["a@example.test"],
    )
    .await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(
        (reply.command, fault),
        (Command::Connect, Some(Fault::Configuration))
    );
    assert!(reply.text.contains("does not speak TLS here"), "{reply}");
}
