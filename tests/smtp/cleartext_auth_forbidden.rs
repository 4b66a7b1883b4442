//! No password over an unencrypted connection, unless the operator accepts it.

use sendport_core::domain::{Command, Fault};

use crate::support::client::{not_begun, relay_with_password, submit};
use crate::support::scripted_peer::{
    ClientGoes, Expect, Peer, Step, good_transaction, hello, send, then,
};

const PLAIN: &str = "tls = \"none\"\n[auth]\nmechanism = \"plain\"\nusername = \"alice\"\n";

async fn refused(extensions: &[&str], settings: &str) -> String {
    let peer = Peer::start(vec![then(hello(extensions), [ClientGoes])]).await;
    let relay = relay_with_password(peer.address, settings, Some("Secret-1"));
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
async fn withheld_on_an_unencrypted_connection() {
    let text = refused(&["AUTH PLAIN"], PLAIN).await;
    assert!(text.contains("allow_cleartext_auth"), "{text}");
}

#[tokio::test]
async fn withheld_where_the_mechanism_is_not_offered() {
    let text = refused(&["AUTH NTLM GSSAPI"], PLAIN).await;
    assert!(
        text.contains("PLAIN") && text.contains("NTLM GSSAPI"),
        "{text}"
    );
    let text = refused(&[], PLAIN).await;
    assert!(text.contains("no authentication"), "{text}");
}

async fn signs_in(mechanism: &str, offered: &str, dialogue: Vec<Step>) {
    let settings = format!(
        "tls = \"none\"\n[auth]\nmechanism = \"{mechanism}\"\nusername = \"alice\"\n\
         allow_cleartext_auth = true\n"
    );
    let script = then(then(hello(&[offered]), dialogue), good_transaction());
    let peer = Peer::start(vec![script]).await;
    let relay = relay_with_password(peer.address, &settings, Some("Secret-1"));
    assert!(submit(&relay, &["a@example.test"]).await.is_accepted());
    peer.finish().await;
}

#[tokio::test]
async fn sent_where_the_operator_allows_it() {
    let plain = vec![
        Expect("AUTH PLAIN AGFsaWNlAFNlY3JldC0x"),
        send("235 2.7.0 in"),
    ];
    signs_in("plain", "AUTH LOGIN PLAIN", plain.clone()).await;
    signs_in("auto", "AUTH=LOGIN PLAIN", plain).await;
    let login = vec![
        Expect("AUTH LOGIN"),
        send("334 VXNlcm5hbWU6"),
        Expect("YWxpY2U="),
        send("334 not base64"),
        Expect("U2VjcmV0LTE="),
        send("235 2.7.0 in"),
    ];
    signs_in("auto", "AUTH LOGIN", login).await;
}
