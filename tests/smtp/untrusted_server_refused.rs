//! A server that cheats or talks nonsense during authentication is named, and gets no second secret.

use sendport_core::domain::{Command, Fault};

use crate::support::client::{not_begun, relay_with_password, submit};
use crate::support::scripted_peer::{
    ClientGoes, Expect, Peer, Step, good_transaction, hello, send, then,
};

fn settings(mechanism: &str) -> String {
    format!("tls = \"none\"\n[auth]\nmechanism = \"{mechanism}\"\nusername = \"alice\"\n")
}

async fn refused(mechanism: &str, offered: &str, dialogue: Vec<Step>) -> String {
    let peer = Peer::start(vec![then(then(hello(&[offered]), dialogue), [ClientGoes])]).await;
    let relay = relay_with_password(peer.address, &settings(mechanism), Some("Secret-1"));
    let report = submit(&relay, &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(
        (reply.command, fault),
        (Command::Auth, Some(Fault::Configuration))
    );
    peer.finish().await;
    reply.text.clone()
}

#[tokio::test]
async fn refuses_a_server_without_the_password() {
    let dialogue = vec![Expect("AUTH SCRAM-SHA-256 biws"), send("235 2.7.0 in")];
    let text = refused("auto", "AUTH PLAIN SCRAM-SHA-256", dialogue).await;
    assert!(text.contains("did not prove"), "{text}");
}

#[tokio::test]
async fn refuses_a_nonce_of_another_client() {
    // r=x,s=QSXC,i=1: not our nonce.
    let dialogue = vec![
        Expect("AUTH SCRAM-SHA-1 biws"),
        send("334 cj14LHM9UVNYQyxpPTE="),
        Expect("*"),
        send("501 5.7.0 as you like"),
    ];
    let text = refused("scram-sha-1", "AUTH SCRAM-SHA-1", dialogue).await;
    assert!(text.contains("nonce does not continue ours"), "{text}");
}

#[tokio::test]
async fn refuses_an_invalid_challenge() {
    let dialogue = vec![
        Expect("AUTH NTLM TlRMTVNTUAABAAAA"),
        send("334 NTLM supported"),
        Expect("TlRMTVNTUAABAAAA"),
        send("334 aGVsbG8="),
        Expect("*"),
        send("501 5.7.0 as you like"),
    ];
    let text = refused("ntlm", "AUTH NTLM", dialogue).await;
    assert!(
        text.contains("expected a CHALLENGE_MESSAGE of NTLM"),
        "{text}"
    );
}

#[tokio::test]
async fn accepts_the_longest_challenge() {
    let challenge = openssl::base64::encode_block(&[b'x'; 9216]);
    assert_eq!(challenge.len(), 12_288);
    let dialogue = [
        Expect("AUTH CRAM-MD5"),
        send(&format!("334 {challenge}")),
        Expect("YWxpY2Ug"),
        send("235 2.7.0 in"),
    ];
    let script = then(
        then(hello(&["AUTH CRAM-MD5"]), dialogue),
        good_transaction(),
    );
    let peer = Peer::start(vec![script]).await;
    let relay = relay_with_password(peer.address, &settings("auto"), Some("Secret-1"));
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    peer.finish().await;
}
