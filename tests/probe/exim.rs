//! A real Exim, whose greeting shows its version.

use crate::support::certificates::TestAuthority;
use crate::support::exim::{Authenticator, Exim};
use crate::support::probe::probe_at;

#[tokio::test]
async fn shows_its_version_and_its_refusal_to_relay() {
    if !Exim::available() {
        return;
    }
    let authority = TestAuthority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).expect("ca.pem");
    let exim = Exim::start(&authority, Authenticator::Spa).await;
    let ca_file = ca_file.display().to_string();
    let arguments = [
        "--tls",
        "implicit",
        "--ca-file",
        &ca_file,
        "--from",
        "alerts@example.test",
        "--to",
        "bob@example.test",
        "--to",
        "nouser@example.test",
        "--to",
        "bob@elsewhere.test",
    ];
    let probed = probe_at(exim.implicit_tls(), &arguments).await;
    probed.prints(
        18,
        &[
            "the greeting reveals the software and its version",
            "The mailbox does not exist.",
            "The relay does not accept mail for this domain from this",
            "would accept mail for bob@example.test",
            "TLSv1.3",
        ],
    );
}
