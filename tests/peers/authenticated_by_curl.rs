//! Authentication of curl: what the servers accept from others, they can accept from sendport.

use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::support::certificates::TestAuthority;
use crate::support::dovecot::Dovecot;
use crate::support::exim::{Authenticator, Exim};
use crate::support::kdc::Kdc;
use crate::support::postfix::{PASSWORD, Postfix, PostfixOptions, USER};
use crate::support::python_peer::{Kind, PythonPeer};

/// What curl ends with.
const ACCEPTED: i32 = 0;
const LOGIN_DENIED: i32 = 67;

#[tokio::test]
async fn exim_ntlm() {
    if !Exim::available() {
        return;
    }
    let exim = Exim::start(&TestAuthority::new(), Authenticator::Spa).await;
    for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5"] {
        right_and_wrong(exim.plain(), mechanism).await;
    }
    assert_eq!(exim.wait_for_messages(3, crate::WITHIN).await.len(), 3);
}

#[tokio::test]
async fn dovecot_for_exim_postfix_and_itself() {
    if !Dovecot::available() {
        return;
    }
    let authority = TestAuthority::new();
    let backend = Postfix::start(PostfixOptions::default()).await;
    let dovecot = Dovecot::start(&authority, backend.plain(), None).await;
    let authenticator = Authenticator::Dovecot(dovecot.auth_socket());
    let exim = Exim::start(&authority, authenticator).await;
    let postfix = Postfix::start(PostfixOptions::dovecot(&dovecot.auth_socket())).await;
    for server in [dovecot.plain(), postfix.plain(), exim.plain()] {
        for mechanism in ["PLAIN", "LOGIN", "CRAM-MD5", "NTLM"] {
            right_and_wrong(server, mechanism).await;
        }
    }
}

#[tokio::test]
async fn python_servers() {
    if !PythonPeer::available() {
        return;
    }
    let authority = TestAuthority::new();
    let aiosmtpd = PythonPeer::start(Kind::Aiosmtpd, &authority).await;
    for mechanism in ["PLAIN", "LOGIN"] {
        right_and_wrong(aiosmtpd.plain(), mechanism).await;
    }
    let pyspnego = PythonPeer::start(Kind::Pyspnego, &authority).await;
    right_and_wrong(pyspnego.plain(), "NTLM").await;
}

#[tokio::test]
async fn dovecot_and_postfix_accept_kerberos_tickets() {
    if !Kdc::available() {
        return;
    }
    let authority = TestAuthority::new();
    let kdc = Kdc::start().await;
    let options = PostfixOptions {
        mechanisms: "GSSAPI".to_owned(),
        kerberos: Some(kdc.service()),
        ..PostfixOptions::default()
    };
    let postfix = Postfix::start(options).await;
    let dovecot = Dovecot::start(&authority, postfix.plain(), Some(&kdc.service())).await;
    for server in [postfix.plain(), dovecot.plain()] {
        let (code, text) = curl_with_ticket(server, &kdc).await;
        assert_eq!(code, ACCEPTED, "{text}");
    }
}

async fn right_and_wrong(server: SocketAddr, mechanism: &str) {
    for (password, expected) in [(PASSWORD, ACCEPTED), ("Secret-2", LOGIN_DENIED)] {
        let (code, text) = curl(server, mechanism, password).await;
        assert_eq!(code, expected, "{mechanism} {password}: {text}");
    }
}

/// How curl ended, and what it printed.
async fn curl(server: SocketAddr, mechanism: &str, password: &str) -> (i32, String) {
    let mut command = Command::new("curl");
    command
        .args(["--url", &format!("smtp://{server}/client.test")])
        .args(["--user", &format!("{USER}:{password}")])
        .args(["--login-options", &format!("AUTH={mechanism}")]);
    submit(command).await
}

/// As [`curl`], with a ticket that the KDC gives for the user's keytab.
async fn curl_with_ticket(server: SocketAddr, kdc: &Kdc) -> (i32, String) {
    let mut command = Command::new("curl");
    command
        .args([
            "--url",
            &format!("smtp://localhost:{}/client.test", server.port()),
        ])
        .args(["--user", ":", "--login-options", "AUTH=GSSAPI"])
        .env("KRB5_CONFIG", kdc.configuration())
        .env("KRB5_CLIENT_KTNAME", kdc.user_keytab());
    submit(command).await
}

async fn submit(mut curl: Command) -> (i32, String) {
    let mut child = curl
        .args(["-v", "--mail-from", "alerts@example.test"])
        .args(["--mail-rcpt", "bob@example.test", "--upload-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl to run");
    let mut input = child.stdin.take().expect("its standard input");
    // A client that may not send has closed its end.
    let _ = input.write_all(b"Subject: A line\r\n\r\nHello\r\n").await;
    drop(input);
    let output = child.wait_with_output().await.expect("curl to end");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("an exit code"), text)
}
