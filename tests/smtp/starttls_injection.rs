//! What is sent in clear behind the 220 to STARTTLS is not taken for the server's word.

use sendport_core::domain::Command;

use crate::support::certificates::TestAuthority;
use crate::support::client::{not_begun, relay, submit};
use crate::support::scripted_peer::{Expect, Peer, Step, hello, send, then};

#[tokio::test]
async fn the_connection_is_closed() {
    let injected = b"220 go\r\n250-peer\r\n250 AUTH PLAIN\r\n".to_vec();
    let script = then(
        hello(&["STARTTLS"]),
        [Expect("STARTTLS"), Step::Send(injected), Step::ClientGoes],
    );
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let peer = Peer::start_with(vec![script], Some(server.acceptor())).await;
    let relay = relay(
        peer.address,
        "tls = \"starttls\"\nverify_certificate = false",
    );
    let report = submit(&relay, &["a@example.test"]).await;
    let (reply, _) = not_begun(&report);
    assert_eq!((reply.command, reply.code), (Command::StartTls, 0));
    assert!(reply.text.contains("injected"), "{reply}");
    peer.finish().await;
}

#[tokio::test]
async fn sends_nothing_to_a_server_without_starttls() {
    let script = then(hello(&["AUTH PLAIN"]), [Step::ClientGoes]);
    let peer = Peer::start(vec![script]).await;
    let report = submit(
        &relay(peer.address, "tls = \"starttls\""),
        &["a@example.test"],
    )
    .await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(fault, Some(sendport_core::domain::Fault::Configuration));
    assert!(
        reply.text.contains("expected the server to offer STARTTLS"),
        "{reply}"
    );
    peer.finish().await;
}

#[tokio::test]
async fn opportunistic_continues_unencrypted_where_starttls_is_refused() {
    let refused = [Expect("STARTTLS"), send("454 4.7.0 not now")];
    let script = then(hello(&["STARTTLS"]), refused);
    let script = then(script, crate::support::scripted_peer::good_transaction());
    let peer = Peer::start(vec![script]).await;
    let report = submit(
        &relay(peer.address, "tls = \"opportunistic\""),
        &["a@example.test"],
    )
    .await;
    assert!(report.is_accepted());
    assert_eq!(report.facts.tls_version, None);
    peer.finish().await;
}
