//! A certificate that is expired, self-signed, for another name, or of an unknown issuer: the
//! output names the problem and what to do.

use crate::support::certificates::{ServerCertificate, TestAuthority};
use crate::support::probe::{ProbeOutput, probe_at};
use crate::support::scripted_peer::{Expect, Peer, Something, Tls, hello, hello_again, send, then};

struct World {
    folder: tempfile::TempDir,
    authority: TestAuthority,
}

fn world() -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = TestAuthority::new();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("ca.pem");
    World { folder, authority }
}

impl World {
    async fn probe(&self, shown: &ServerCertificate, arguments: &[&str]) -> ProbeOutput {
        let start = then(
            hello(&["STARTTLS"]),
            [Expect("STARTTLS"), send("220 go"), Tls],
        );
        let peer = Peer::start_with(vec![then(start, [Something])], Some(shown.acceptor())).await;
        let probed = probe_at(peer.address, arguments).await;
        peer.finish().await;
        probed
    }

    async fn refused(&self, shown: &ServerCertificate, name: &str) {
        let ca_file = self.folder.path().join("ca.pem").display().to_string();
        let arguments = ["--tls", "starttls", "--ca-file", ca_file.as_str()];
        self.probe(shown, &arguments).await.is_as_expected(name, 12);
    }
}

#[tokio::test]
async fn explains_an_expired_certificate() {
    let world = world();
    let shown = world.authority.issue_expired(&["127.0.0.1"]);
    world.refused(&shown, "certificate_expired").await;
}

#[tokio::test]
async fn explains_a_certificate_that_is_not_yet_valid() {
    let world = world();
    let shown = world.authority.issue_for_later(&["127.0.0.1"]);
    let ca_file = world.folder.path().join("ca.pem").display().to_string();
    let arguments = ["--tls", "starttls", "--ca-file", ca_file.as_str()];
    let probed = world.probe(&shown, &arguments).await;
    let start = "the certificate of '127.0.0.1' is valid from 2100-01-01 00:00:00Z on";
    probed.prints(12, &[start, "valid from Jan 1 00:00:00 2100 GMT until"]);
}

#[tokio::test]
async fn explains_a_self_signed_certificate() {
    let shown = ServerCertificate::self_signed_rsa("127.0.0.1");
    world().refused(&shown, "certificate_self_signed").await;
}

#[tokio::test]
async fn explains_a_certificate_for_another_name() {
    let world = world();
    let shown = world.authority.issue(&["other.example.test"]);
    world.refused(&shown, "certificate_of_another").await;
}

#[tokio::test]
async fn explains_an_unknown_authority() {
    let world = world();
    let shown = TestAuthority::new().issue(&["127.0.0.1"]);
    let probed = world.probe(&shown, &["--tls", "starttls"]).await;
    probed.is_as_expected("certificate_unknown_authority", 12);
}

#[tokio::test]
async fn shows_the_expiry_of_a_valid_certificate() {
    let world = world();
    let shown = world.authority.issue(&["127.0.0.1", "mail.example.test"]);
    let start = then(
        hello(&["STARTTLS"]),
        [Expect("STARTTLS"), send("220 go"), Tls],
    );
    let end = [Expect("QUIT"), send("221 bye")];
    let script = then(then(start, hello_again(&["SIZE 1000"])), end);
    let peer = Peer::start_with(vec![script], Some(shown.acceptor())).await;
    let ca_file = world.folder.path().join("ca.pem").display().to_string();
    let arguments = ["--tls", "starttls", "--ca-file", ca_file.as_str()];
    let probed = probe_at(peer.address, &arguments).await;
    peer.finish().await;
    probed.is_as_expected("certificate_that_checks", 0);
}
