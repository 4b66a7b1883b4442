//! Python's aiosmtpd, which takes everything.

use crate::support::certificates::TestAuthority;
use crate::support::postfix::USER;
use crate::support::probe::probe_at;
use crate::support::python_peer::{Kind, PythonPeer};

#[tokio::test]
async fn warns_of_a_password_on_an_unencrypted_connection() {
    if !PythonPeer::available() {
        return;
    }
    let authority = TestAuthority::new();
    let server = PythonPeer::start(Kind::Aiosmtpd, &authority).await;
    let arguments = [
        "--tls",
        "none",
        "--auth",
        "login",
        "--user",
        USER,
        "--password-env",
        "PROBE_PASSWORD",
        "--allow-cleartext-auth",
        "--from",
        "alerts@example.test",
        "--to",
        "bob@example.test",
        "--send",
    ];
    let probed = probe_at(server.plain(), &arguments).await;
    probed.is_as_expected("aiosmtpd", 0);
}

#[tokio::test]
async fn warns_of_an_unverified_certificate() {
    if !PythonPeer::available() {
        return;
    }
    let authority = TestAuthority::new();
    let server = PythonPeer::start(Kind::Aiosmtpd, &authority).await;
    let probed = probe_at(server.plain(), &["--stop-after", "auth"]).await;
    probed.prints(
        0,
        &[
            "the server's certificate was not verified",
            "went well up to auth",
        ],
    );
}
