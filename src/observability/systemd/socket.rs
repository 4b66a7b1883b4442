//! The socket of the service manager.
//!
//! Not the crate `sd-notify`: it connects to paths alone, and its `send` blocks while the queue of the
//! socket is full, which would keep the service from stopping.

use std::io;

/// A connected datagram socket; sending never blocks.
#[cfg(unix)]
pub(super) struct NotifySocket(std::os::unix::net::UnixDatagram);

#[cfg(unix)]
impl NotifySocket {
    /// Connects to a path, or on Linux to a name in the abstract namespace, written `@name`.
    pub(super) fn connect(address: &str) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match address.strip_prefix('@') {
            Some(name) => connect_abstract(&socket, name)?,
            None if address.starts_with('/') => socket.connect(address)?,
            None => return Err(unsupported_address()),
        }
        Ok(Self(socket))
    }

    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.0.send(datagram).map(drop)
    }
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &std::os::unix::net::UnixDatagram, name: &str) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    socket.connect_addr(&address)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn connect_abstract(_: &std::os::unix::net::UnixDatagram, _: &str) -> io::Result<()> {
    Err(unsupported_address())
}

/// This system has no such sockets.
#[cfg(not(unix))]
pub(super) struct NotifySocket(std::convert::Infallible);

#[cfg(not(unix))]
impl NotifySocket {
    pub(super) fn connect(_: &str) -> io::Result<Self> {
        Err(unsupported_address())
    }

    pub(super) fn send(&self, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }
}

fn unsupported_address() -> io::Error {
    let what = "expected the path of a socket, or @ and a name of Linux' abstract namespace";
    io::Error::new(io::ErrorKind::Unsupported, what)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn connects_to_a_name_in_the_abstract_namespace() {
        let name = format!("sendport-test-{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let socket = NotifySocket::connect(&format!("@{name}")).unwrap();
        socket.send(b"READY=1").unwrap();
        let mut datagram = [0; 32];
        let length = listener.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"READY=1");
    }

    #[test]
    fn fails_without_a_listener() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("notify").display().to_string();
        assert!(NotifySocket::connect(&absent).is_err());
        assert!(NotifySocket::connect("notify").is_err());
    }

    #[test]
    fn a_full_queue_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _never_read = UnixDatagram::bind(&path).unwrap();
        let socket = NotifySocket::connect(&path.display().to_string()).unwrap();
        let full = (0..100_000).find_map(|_| socket.send(b"WATCHDOG=1").err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
    }
}
