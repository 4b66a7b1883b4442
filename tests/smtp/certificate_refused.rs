//! A certificate that does not check ends the session, and the report says which and why.

use sendport_core::domain::{Command, Fault, SubmissionReport};

use crate::support::certificates::{AUTHORITY_NAME, ServerCertificate, TestAuthority};
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

struct World {
    folder: tempfile::TempDir,
    server: ServerCertificate,
}

fn world(names: &[&str]) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = TestAuthority::new();
    std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("ca.pem");
    let server = authority.issue(names);
    World { folder, server }
}

impl World {
    async fn submit(&self, script: Vec<Step>, settings: &str) -> SubmissionReport {
        let peer = Peer::start_with(vec![script], Some(self.server.acceptor())).await;
        let settings = settings.replace(
            "$CA",
            &self.folder.path().join("ca.pem").display().to_string(),
        );
        let report = submit(&relay(peer.address, &settings), &["a@example.test"]).await;
        peer.finish().await;
        report
    }

    async fn refused(&self, settings: &str) -> String {
        let report = self.submit(then(starttls(), [Something]), settings).await;
        let (reply, fault) = not_begun(&report);
        assert_eq!(
            (reply.command, fault),
            (Command::StartTls, Some(Fault::Configuration))
        );
        reply.text.clone()
    }
}

#[tokio::test]
async fn refuses_an_unknown_authority() {
    let text = world(&["127.0.0.1"]).refused("tls = \"starttls\"").await;
    assert!(text.contains("local issuer certificate"), "{text}");
    let issuer = format!("issued by '{AUTHORITY_NAME}'");
    assert!(text.contains(&issuer), "{text}");
}

#[tokio::test]
async fn refuses_another_name() {
    let world = world(&["mail.example.test"]);
    let text = world.refused("tls = \"starttls\"\nca_file = \"$CA\"").await;
    assert!(text.contains("is not valid for '127.0.0.1'"), "{text}");
    assert!(
        text.contains("mismatch") && text.contains("'mail.example.test'"),
        "{text}"
    );
}

#[tokio::test]
async fn accepts_a_valid_certificate_or_none_required() {
    let world = world(&["mail.example.test"]);
    for settings in [
        "tls = \"starttls\"\nca_file = \"$CA\"\nca_file_only = true\nverify_name = \"mail.example.test\"",
        "tls = \"starttls\"\nverify_certificate = false\nmin_tls_version = \"1.3\"",
        "tls = \"opportunistic\"",
    ] {
        let script = then(then(starttls(), hello_again(&[])), good_transaction());
        let report = world.submit(script, settings).await;
        assert!(report.is_accepted(), "{settings}: {report:?}");
        assert_eq!(report.facts.tls_version.as_deref(), Some("TLSv1.3"));
        let digest = world
            .server
            .certificate
            .digest(openssl::hash::MessageDigest::sha256());
        let digest = digest
            .expect("digest")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(report.facts.peer_fingerprint, Some(digest));
    }
}
