//! Dovecot's submission service, which requires authentication before anything else.

use crate::support::certificates::TestAuthority;
use crate::support::dovecot::Dovecot;
use crate::support::peer::free_ports;
use crate::support::postfix::USER;
use crate::support::probe::probe_at;

#[tokio::test]
async fn with_and_without_authentication() {
    if !Dovecot::available() {
        return;
    }
    let authority = TestAuthority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("ca.pem");
    let ca_file = ca_file.display().to_string();
    let [unused] = free_ports();
    let dovecot = Dovecot::start(&authority, unused, None).await;
    let usual = [
        "--tls",
        "starttls",
        "--ca-file",
        &ca_file,
        "--from",
        "alerts@example.test",
    ];
    let arguments = [&usual[..], &["--to", "bob@example.test"]].concat();
    let probed = probe_at(dovecot.plain(), &arguments).await;
    probed.prints(
        17,
        &[
            "failed at mail",
            "cause: The relay does not accept mail from an unauthenticated client.",
        ],
    );
    let authentication = [
        "--auth",
        "scram-sha-256",
        "--user",
        USER,
        "--password-env",
        "PROBE_PASSWORD",
    ];
    let arguments = [&usual[..], &authentication, &["--stop-after", "auth"]].concat();
    let probed = probe_at(dovecot.plain(), &arguments).await;
    // It has no relay behind it, and reports that only after the authentication.
    assert!(
        probed.output.contains("AUTH SCRAM-SHA-256 <redacted>"),
        "{probed:?}"
    );
    assert!(
        probed.output.contains("SCRAM-SHA-256 (password not sent)"),
        "{probed:?}"
    );
}
