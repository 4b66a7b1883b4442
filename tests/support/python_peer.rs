//! SMTP servers in Python on loopback, gone when they are dropped: `tests/peers/smtp_server.py`.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use super::certificates::TestAuthority;
use super::peer::{self, Server};
use super::postfix::{PASSWORD, USER};

/// The module that checks credentials.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// PLAIN and LOGIN of aiosmtpd.
    Aiosmtpd,
    /// NTLM of pyspnego, with the channel binding where the connection is encrypted.
    Pyspnego,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Aiosmtpd => "aiosmtpd",
            Self::Pyspnego => "pyspnego",
        }
    }
}

/// A running server. It accepts every message and keeps none.
pub(crate) struct PythonPeer {
    server: Server,
    plain: SocketAddr,
    implicit_tls: SocketAddr,
}

impl PythonPeer {
    pub(crate) fn available() -> bool {
        peer::available("Python's aiosmtpd and pyspnego")
    }

    /// Starts one and waits until it listens. `authority` signs its certificate.
    ///
    /// # Panics
    /// When the packages are not there, and when it does not come up.
    pub(crate) async fn start(kind: Kind, authority: &TestAuthority) -> Self {
        let python = peer::unpacked("python", "bin/python").join("bin/python");
        let folder = peer::folder(kind.name());
        authority.write_server(folder.path(), &["localhost", "127.0.0.1"]);
        let mut command = Command::new(python);
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/peers/smtp_server.py"
            ))
            .arg(kind.name())
            .arg(folder.path())
            .env("SMTP_USER", USER)
            .env("SMTP_PASSWORD", PASSWORD);
        let mut server = Server::spawn(kind.name(), folder, command);
        let output = server.path("output");
        let ports = || std::fs::read_to_string(&output).is_ok_and(|text| ports(&text).is_some());
        let up = server.comes_up(async || ports()).await;
        up.expect("the server to come up");
        let [plain, implicit_tls] = self::ports(&server.log()).expect("the ports, seen above");
        Self {
            server,
            plain,
            implicit_tls,
        }
    }

    /// Port without TLS at first: offers STARTTLS, and AUTH with and without it.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Port with TLS from the first byte.
    pub(crate) fn implicit_tls(&self) -> SocketAddr {
        self.implicit_tls
    }

    /// What it printed.
    pub(crate) fn log(&self) -> String {
        self.server.log()
    }
}

/// The two ports of the line `ports 12345 12346`.
fn ports(output: &str) -> Option<[SocketAddr; 2]> {
    let line = output.lines().find_map(|line| line.strip_prefix("ports "));
    let (plain, implicit_tls) = line?.split_once(' ')?;
    let address = |port: &str| Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    Some([address(plain)?, address(implicit_tls)?])
}
