//! The socket that datagrams for the service manager go to.

use std::io;

/// A connected datagram socket; sending never waits.
#[cfg(unix)]
pub(super) struct Socket(std::os::unix::net::UnixDatagram);

#[cfg(unix)]
impl Socket {
    /// To a path, or on Linux to a name in the abstract namespace, which is written with `@`.
    pub(super) fn to(address: &str) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match address.strip_prefix('@') {
            Some(name) => connect_abstract(&socket, name)?,
            None if address.starts_with('/') => socket.connect(address)?,
            None => return Err(unknown_kind()),
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
    Err(unknown_kind())
}

/// There is no such socket on this system.
#[cfg(not(unix))]
pub(super) struct Socket(std::convert::Infallible);

#[cfg(not(unix))]
impl Socket {
    pub(super) fn to(_: &str) -> io::Result<Self> {
        Err(unknown_kind())
    }

    pub(super) fn send(&self, _: &[u8]) -> io::Result<()> {
        match self.0 {}
    }
}

fn unknown_kind() -> io::Error {
    let what = "expected the path of a socket, or @ and a name of Linux' abstract namespace";
    io::Error::new(io::ErrorKind::Unsupported, what)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;

    #[test]
    fn a_name_of_the_abstract_namespace_is_reached() {
        let name = format!("sendport-test-{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        let socket = Socket::to(&format!("@{name}")).unwrap();
        socket.send(b"READY=1").unwrap();
        let mut datagram = [0; 32];
        let length = listener.recv(&mut datagram).unwrap();
        assert_eq!(&datagram[..length], b"READY=1");
    }

    #[test]
    fn nobody_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("notify").display().to_string();
        assert!(Socket::to(&absent).is_err());
        assert!(Socket::to("notify").is_err());
    }
}
