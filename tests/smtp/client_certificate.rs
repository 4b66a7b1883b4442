//! A certificate of our own: smart hosts trust it, and `EXTERNAL` authenticates with it.

use std::path::PathBuf;

use sendport_core::domain::{Command, Fault, SubmissionReport};
use sendport_smtp::SmtpRelay;

use crate::support::certificates::{ServerCertificate, TestAuthority};
use crate::support::client::{config, not_begun, relay, submit, surroundings};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::scripted_peer::{
    ClientGoes, Expect, Peer, Something, Step, Tls, good_transaction, hello, hello_again, send,
    then,
};

const KEY_PASSWORD: &str = "Secret-1";

/// Our certificate and its encrypted key in a folder, with the authority that issued it.
struct Ours {
    folder: tempfile::TempDir,
    authority: TestAuthority,
    certificate: ServerCertificate,
}

impl Ours {
    fn new() -> Self {
        let authority = TestAuthority::new();
        let ours = Self {
            folder: tempfile::tempdir().expect("a folder"),
            certificate: authority.issue(&["alerts.example.test"]),
            authority,
        };
        let write = |name: &str, text: &[u8]| {
            std::fs::write(ours.path(name), text).expect("a file");
        };
        write("ca.pem", &ours.authority.pem());
        write("client.pem", &ours.certificate.certificate_pem());
        write(
            "client.key",
            &ours.certificate.encrypted_key_pem(KEY_PASSWORD),
        );
        write("password", KEY_PASSWORD.as_bytes());
        ours
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> String {
        let path = |name| self.path(name).display().to_string();
        format!(
            "tls = \"starttls\"\nverify_certificate = false\nclient_certificate_file = \"{}\"\n\
             client_key_file = \"{}\"\nclient_key_password_file = \"{}\"\n",
            path("client.pem"),
            path("client.key"),
            path("password"),
        )
    }

    /// Submits to a server that wants a certificate of our authority.
    async fn submit(&self, auth: &str, dialogue: Vec<Step>) -> SubmissionReport {
        let server = TestAuthority::new().issue(&["127.0.0.1"]);
        let start = then(
            hello(&["STARTTLS"]),
            [Expect("STARTTLS"), send("220 go"), Tls],
        );
        let script = then(then(start, hello_again(&["AUTH PLAIN EXTERNAL"])), dialogue);
        let acceptor = server.acceptor_for_clients_of(&self.authority);
        let peer = Peer::start_with(vec![script], Some(acceptor)).await;
        let settings = format!(
            "{}[auth]\nmechanism = \"external\"\n{auth}",
            self.settings()
        );
        let report = submit(&relay(peer.address, &settings), &["a@example.test"]).await;
        peer.finish().await;
        report
    }
}

#[tokio::test]
async fn external_authenticates_with_the_certificate() {
    let ours = Ours::new();
    for (auth, command) in [
        ("", "AUTH EXTERNAL ="),
        ("username = \"alerts\"", "AUTH EXTERNAL YWxlcnRz"),
    ] {
        let dialogue = then(
            vec![Expect(command), send("235 2.7.0 in")],
            good_transaction(),
        );
        let report = ours.submit(auth, dialogue).await;
        assert!(report.is_accepted(), "{report:?}");
        assert_eq!(report.facts.auth_mechanism.as_deref(), Some("EXTERNAL"));
    }
}

#[tokio::test]
async fn external_is_refused_for_an_unknown_certificate() {
    let refusal = vec![
        Expect("AUTH EXTERNAL ="),
        send("535 5.7.8 who?"),
        ClientGoes,
    ];
    let report = Ours::new().submit("", refusal).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!((reply.command, reply.code), (Command::Auth, 535));
    assert_eq!(fault, Some(Fault::Configuration));
}

#[tokio::test]
async fn names_a_key_that_cannot_be_used() {
    let ours = Ours::new();
    let refused = |settings: &str| {
        let address = ([127, 0, 0, 1], 25).into();
        let config = config(address, settings);
        let relay = SmtpRelay::new("main", &config, surroundings(None));
        relay.err().expect("unusable settings").to_string()
    };
    std::fs::write(ours.path("password"), "wrong").expect("a file");
    let text = refused(&ours.settings());
    assert!(text.contains("client_key_password_file"), "{text}");
    let other = ours.authority.issue(&["other.example.test"]);
    std::fs::write(ours.path("client.key"), other.key_pem()).expect("a file");
    let text = refused(&ours.settings());
    assert!(
        text.contains("expected the key of client_certificate_file"),
        "{text}"
    );
}

/// Certificates end and are replaced while the service runs.
#[tokio::test]
async fn the_next_connection_uses_a_replaced_certificate() {
    let ours = Ours::new();
    let authority = TestAuthority::new();
    let starttls = || {
        then(
            hello(&["STARTTLS"]),
            [Expect("STARTTLS"), send("220 go"), Tls],
        )
    };
    let refused = || then(starttls(), [Something]);
    let taken = then(then(starttls(), hello_again(&[])), good_transaction());
    let server = TestAuthority::new().issue(&["127.0.0.1"]);
    let acceptor = server.acceptor_for_clients_of(&authority);
    let peer = Peer::start_with(vec![refused(), refused(), taken], Some(acceptor)).await;
    let relay = relay(peer.address, &ours.settings());
    let recipients = ["a@example.test"];
    assert!(!submit(&relay, &recipients).await.is_accepted());

    let renewed = authority.issue(&["renewed.alerts.example.test"]);
    let write = |name: &str, text: &[u8]| std::fs::write(ours.path(name), text).expect("a file");
    write("client.pem", &renewed.certificate_pem());
    // Its key is not there yet: the old pair is shown.
    assert!(!submit(&relay, &recipients).await.is_accepted());

    write("client.key", &renewed.encrypted_key_pem(KEY_PASSWORD));
    let report = submit(&relay, &recipients).await;
    assert!(report.is_accepted(), "{report:?}");
    peer.finish().await;
}

#[tokio::test]
async fn postfix_relays_for_the_certificate_without_auth() {
    if !Postfix::available() {
        return;
    }
    let ours = Ours::new();
    let ca_file = ours.path("ca.pem").display().to_string();
    let main_cf = [
        ("smtpd_tls_ask_ccert", "yes"),
        ("smtpd_tls_CAfile", &ca_file),
        (
            "smtpd_relay_restrictions",
            "permit_tls_all_clientcerts reject_unauth_destination",
        ),
    ];
    let postfix = Postfix::start(PostfixOptions {
        main_cf: main_cf
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec(),
        ..PostfixOptions::default()
    })
    .await;
    let shown = relay(postfix.plain(), &ours.settings());
    let report = submit(&shown, &["bob@elsewhere.test"]).await;
    assert!(report.is_accepted(), "{report:?}");
    let without = "tls = \"starttls\"\nverify_certificate = false";
    let report = submit(&relay(postfix.plain(), without), &["bob@elsewhere.test"]).await;
    assert!(!report.is_accepted(), "{report:?}");
}
