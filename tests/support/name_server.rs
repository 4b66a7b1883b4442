//! A real name server on loopback: `tests/peers/name_server.py` with a zone of the test.

use std::net::SocketAddr;
use std::process::Command;

use super::peer::{self, Server};

/// The server, ended when it is dropped.
pub(crate) struct NameServer {
    _server: Server,
    pub(crate) address: SocketAddr,
}

impl NameServer {
    /// False, and says so on one line, where `SENDPORT_TEST_PEERS=none` says to do without.
    pub(crate) fn available() -> bool {
        peer::available("Python's dnslib")
    }

    /// Starts one that has the records of `zone`. Any name below `broken.test` fails; all others do not exist.
    pub(crate) async fn start(zone: &str) -> Self {
        let records = zone;
        let python = peer::unpacked("python", "bin/python").join("bin/python");
        let folder = peer::folder("name-server");
        let zone = folder.path().join("zone");
        peer::write(&zone, records);
        let mut command = Command::new(python);
        command
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/peers/name_server.py"
            ))
            .arg(zone);
        let mut server = Server::spawn("name server", folder, command);
        let output = server.path("output");
        let port = || {
            let text = std::fs::read_to_string(&output).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("port "))?;
            line.parse::<u16>().ok()
        };
        let up = server.comes_up(async || port().is_some()).await;
        up.expect("the name server to come up");
        let address = SocketAddr::from(([127, 0, 0, 1], port().expect("the port, seen above")));
        Self {
            _server: server,
            address,
        }
    }
}
