//! NTLM's protection against a man in the middle (MS-NLMP): its MIC, and its binding to the TLS
//! channel. The servers refuse, so what we send is what they check.

use std::net::SocketAddr;

use sendport_core::domain::{Command, Fault, SubmissionReport};

use crate::man_in_the_middle::{self, Tamper};
use crate::support::certificates::TestAuthority;
use crate::support::client::{not_begun, relay_with_password, submit};
use crate::support::dovecot::Dovecot;
use crate::support::peer;
use crate::support::postfix::{PASSWORD, Postfix, PostfixOptions, USER};
use crate::support::python_peer::{Kind, PythonPeer};

/// Where the MIC of an AUTHENTICATE message is (MS-NLMP section 2.2.1.3).
const MIC: std::ops::Range<usize> = 72..88;

#[tokio::test]
async fn samba_verifies_the_mic() {
    if !Dovecot::available() {
        return;
    }
    let authority = TestAuthority::new();
    let backend = Postfix::start(PostfixOptions::default()).await;
    let dovecot = Dovecot::start(&authority, backend.plain(), None).await;
    accepts_only_the_right_mic(dovecot.plain()).await;
}

#[tokio::test]
async fn pyspnego_verifies_the_mic() {
    if !PythonPeer::available() {
        return;
    }
    let pyspnego = PythonPeer::start(Kind::Pyspnego, &TestAuthority::new()).await;
    accepts_only_the_right_mic(pyspnego.plain()).await;
    let log = pyspnego.log();
    assert!(log.contains("Invalid MIC"), "{log}");
}

#[tokio::test]
async fn pyspnego_verifies_the_channel_binding() {
    if !PythonPeer::available() {
        return;
    }
    let authority = TestAuthority::new();
    let pyspnego = PythonPeer::start(Kind::Pyspnego, &authority).await;
    let folder = peer::folder("client");
    let ca_file = folder.path().join("ca.pem");
    peer::write(&ca_file, authority.pem());
    let settings = format!("tls = \"implicit\"\nca_file = {ca_file:?}\nca_file_only = true");

    let direct = authenticate(pyspnego.implicit_tls(), &settings).await;
    assert!(direct.is_accepted(), "{direct:?}");
    // As good a certificate for the client, but not the one that the server has.
    let other = authority.issue(&["127.0.0.1"]).acceptor();
    let between = man_in_the_middle::with_another_certificate(pyspnego.implicit_tls(), other).await;
    refused(&authenticate(between, &settings).await);
    let log = pyspnego.log();
    assert!(log.contains("bindings do not match"), "{log}");
}

async fn accepts_only_the_right_mic(server: SocketAddr) {
    let leave: Tamper = |_| {};
    for tamper in [flip_bit_of_mic as Tamper, change_what_is_signed] {
        let between = man_in_the_middle::rewriting(server, tamper).await;
        refused(&authenticate(between, "tls = \"none\"").await);
    }
    let between = man_in_the_middle::rewriting(server, leave).await;
    let untouched = authenticate(between, "tls = \"none\"").await;
    assert!(untouched.is_accepted(), "{untouched:?}");
}

fn flip_bit_of_mic(message: &mut [u8]) {
    if is_authenticate(message) {
        assert!(message[MIC].iter().any(|byte| *byte != 0), "no MIC");
        message[MIC.start] ^= 1;
    }
}

/// A bit of NegotiateFlags that only the MIC protects: 56-bit encryption.
fn change_what_is_signed(message: &mut [u8]) {
    if is_authenticate(message) {
        message[63] ^= 0x80;
    }
}

fn is_authenticate(message: &[u8]) -> bool {
    message.starts_with(b"NTLMSSP\0\x03\0\0\0")
}

async fn authenticate(at: SocketAddr, wire: &str) -> SubmissionReport {
    let settings = format!("{wire}\n[auth]\nmechanism = \"ntlm\"\nusername = {USER:?}");
    let relay = relay_with_password(at, &settings, Some(PASSWORD));
    submit(&relay, &["bob@example.test"]).await
}

fn refused(report: &SubmissionReport) {
    let (reply, fault) = not_begun(report);
    assert_eq!((reply.command, reply.code), (Command::Auth, 535), "{reply}");
    assert_eq!(fault, Some(Fault::Configuration));
}
