//! A pin trusts a certificate without a trusted issuer, and refuses every other.

use openssl::hash::MessageDigest;
use sendport_core::domain::{Command, Fault};

use crate::support::certificates::{ServerCertificate, TestAuthority};
use crate::support::client::{not_begun, relay, submit};
use crate::support::scripted_peer::{
    Expect, Peer, Something, Step, Tls, good_transaction, hello, hello_again, send, then,
};

fn starttls() -> Vec<Step> {
    then(
        hello(&["STARTTLS"]),
        [Expect("STARTTLS"), send("220 go"), Tls],
    )
}

fn accepted() -> Vec<Step> {
    then(then(starttls(), hello_again(&[])), good_transaction())
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Of the whole certificate, and of its public key.
fn pins(server: &ServerCertificate) -> [String; 2] {
    let whole = server.certificate.digest(MessageDigest::sha256());
    let key = server.certificate.public_key();
    let key = key.and_then(|key| key.public_key_to_der()).expect("a key");
    let key = openssl::hash::hash(MessageDigest::sha256(), &key).expect("a hash");
    [
        format!("cert:{}", hexadecimal(&whole.expect("a hash"))),
        format!("spki:{}", openssl::base64::encode_block(&key)),
    ]
}

#[tokio::test]
async fn one_matching_pin_is_enough() {
    let server = TestAuthority::new().issue(&["somewhere.else.test"]);
    for pin in pins(&server) {
        let peer = Peer::start_with(vec![accepted()], Some(server.acceptor())).await;
        let other = format!("spki:{}", "0a".repeat(32));
        let settings = format!("tls = \"starttls\"\npin_sha256 = [\"{other}\", \"{pin}\"]");
        let report = submit(&relay(peer.address, &settings), &["a@example.test"]).await;
        assert!(report.is_accepted(), "{pin}: {report:?}");
        peer.finish().await;
    }
}

async fn refused(server: &ServerCertificate, settings: &str) -> String {
    let script = then(starttls(), [Something]);
    let peer = Peer::start_with(vec![script], Some(server.acceptor())).await;
    let report = submit(&relay(peer.address, settings), &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(
        (reply.command, fault),
        (Command::StartTls, Some(Fault::Configuration))
    );
    let heard = peer.finish().await;
    assert_eq!(heard.last().map(String::as_str), Some("STARTTLS"));
    reply.text.clone()
}

#[tokio::test]
async fn refuses_another_certificate_and_names_its_pins() {
    let authority = TestAuthority::new();
    let [expected, other] = [(); 2].map(|()| authority.issue(&["127.0.0.1"]));
    let [pin, _] = pins(&expected);
    let settings = format!("tls = \"starttls\"\npin_sha256 = [\"{pin}\"]");
    let text = refused(&other, &settings).await;
    let [shown, _] = pins(&other);
    assert!(
        text.contains("pin_sha256") && text.contains(&shown),
        "{text}"
    );
}

#[tokio::test]
async fn with_an_authority_both_must_match() {
    let folder = tempfile::tempdir().expect("a folder");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, TestAuthority::new().pem()).expect("ca.pem");
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let [pin, _] = pins(&server);
    let settings = format!(
        "tls = \"starttls\"\npin_sha256 = [\"{pin}\"]\nca_file = \"{}\"",
        ca_file.display()
    );
    let text = refused(&server, &settings).await;
    assert!(text.contains("is not valid for '127.0.0.1'"), "{text}");
}
