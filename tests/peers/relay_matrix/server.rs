//! The servers of the table, all running at the same time.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::certificates::TestAuthority;
use crate::support::dovecot::Dovecot;
use crate::support::exim::{Authenticator, Exim};
use crate::support::kdc::Kdc;
use crate::support::peer;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::python_peer::{Kind, PythonPeer};

/// Where one of them is.
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) ca_file: PathBuf,
    plain: SocketAddr,
    implicit_tls: SocketAddr,
    /// It checks NTLM of the first version only.
    pub(super) ntlmv1: bool,
}

impl Server {
    fn new(name: &'static str, [plain, implicit_tls]: [SocketAddr; 2], ca_file: PathBuf) -> Self {
        Self {
            name,
            ca_file,
            plain,
            implicit_tls,
            ntlmv1: false,
        }
    }

    /// Where a relay with this `tls` connects to.
    pub(super) fn address(&self, tls: &str) -> SocketAddr {
        match tls {
            "implicit" => self.implicit_tls,
            _ => self.plain,
        }
    }
}

/// All of them; they run as long as this lives.
pub(super) struct Servers {
    postfix_cyrus: Postfix,
    postfix_dovecot: Postfix,
    exim_spa: Exim,
    exim_dovecot: Exim,
    aiosmtpd: PythonPeer,
    pyspnego: PythonPeer,
    // After the servers that query them. One for each: Dovecot has one ntlm_auth for all, which
    // mixes up two authentications at the same time.
    dovecot: Dovecot,
    _of_postfix: Dovecot,
    _of_exim: Dovecot,
    pub(super) kdc: Kdc,
    pub(super) authority: TestAuthority,
    folder: TempDir,
    all: Vec<Server>,
}

impl Servers {
    pub(super) fn available() -> bool {
        peer::available("Postfix, Exim, Dovecot, a KDC, aiosmtpd and pyspnego")
    }

    /// The KDC is the one of this process's `krb5_conf`.
    pub(super) async fn start(krb5_conf: &Path) -> Self {
        let authority = TestAuthority::new();
        let kdc = Kdc::start().await;
        kdc.serve(krb5_conf);
        let postfix_cyrus = Postfix::start(cyrus(&kdc)).await;
        let kerberos = kdc.service();
        let start = || Dovecot::start(&authority, postfix_cyrus.plain(), Some(&kerberos));
        let (dovecot, of_postfix, of_exim) = tokio::join!(start(), start(), start());
        let for_postfix = PostfixOptions::dovecot(&of_postfix.auth_socket());
        let for_exim = Authenticator::Dovecot(of_exim.auth_socket());
        let mut servers = Self {
            postfix_dovecot: Postfix::start(for_postfix).await,
            exim_spa: Exim::start(&authority, Authenticator::Spa).await,
            exim_dovecot: Exim::start(&authority, for_exim).await,
            aiosmtpd: PythonPeer::start(Kind::Aiosmtpd, &authority).await,
            pyspnego: PythonPeer::start(Kind::Pyspnego, &authority).await,
            postfix_cyrus,
            dovecot,
            _of_postfix: of_postfix,
            _of_exim: of_exim,
            kdc,
            authority,
            folder: peer::folder("matrix"),
            all: Vec::new(),
        };
        servers.all = servers.list();
        servers
    }

    pub(super) fn all(&self) -> &[Server] {
        &self.all
    }

    /// A folder for files of clients.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn list(&self) -> Vec<Server> {
        let ca_file = self.folder.path().join("ca.pem");
        peer::write(&ca_file, self.authority.pem());
        let of_us = |name, ports| Server::new(name, ports, ca_file.clone());
        let of_postfix = |name, postfix: &Postfix| {
            let ports = [postfix.plain(), postfix.implicit_tls()];
            Server::new(name, ports, postfix.ca_file().to_owned())
        };
        let of_exim = |name, exim: &Exim| of_us(name, [exim.plain(), exim.implicit_tls()]);
        let of_python =
            |name, python: &PythonPeer| of_us(name, [python.plain(), python.implicit_tls()]);
        let dovecot = [self.dovecot.plain(), self.dovecot.implicit_tls()];
        vec![
            of_postfix("Postfix + Cyrus SASL", &self.postfix_cyrus),
            of_postfix("Postfix + Dovecot + Samba", &self.postfix_dovecot),
            Server {
                ntlmv1: true,
                ..of_exim("Exim, `spa` for NTLM", &self.exim_spa)
            },
            of_exim("Exim + Dovecot + Samba", &self.exim_dovecot),
            of_us("Dovecot submission", dovecot),
            of_python("aiosmtpd", &self.aiosmtpd),
            of_python("pyspnego", &self.pyspnego),
        ]
    }
}

fn cyrus(kdc: &Kdc) -> PostfixOptions {
    PostfixOptions {
        mechanisms: "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 NTLM GSSAPI".to_owned(),
        kerberos: Some(kdc.service()),
        ..PostfixOptions::default()
    }
}
