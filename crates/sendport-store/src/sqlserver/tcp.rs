//! The TCP connection to a server: by all addresses of its name.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tiberius::SqlBrowser;
use tiberius::error::Error;
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::server_name::ServerAddress;
use super::settings::Settings;
use super::unreachable;

/// An address that does not answer for so long has company (RFC 8305 section 5 names 250 ms; a
/// server across a continent needs more).
const NEXT_AFTER: Duration = Duration::from_millis(500);

/// Connects to `address`, within `Connect Timeout`.
///
/// # Errors
/// What it usually means and what to do, in words.
pub(super) async fn connect(
    settings: &Settings,
    address: &ServerAddress,
) -> Result<TcpStream, Error> {
    let connected = match address.looked_up() {
        None => timeout(settings.connect_timeout, directly(settings, address)).await,
        Some(_) => timeout(settings.connect_timeout, by_browser(settings, address)).await,
    };
    connected.unwrap_or_else(|_| Err(unreachable::silent(settings, address)))
}

async fn directly(settings: &Settings, address: &ServerAddress) -> Result<TcpStream, Error> {
    let found = addresses(address, address.port()).await?;
    let wait = match settings.multi_subnet {
        true => Duration::ZERO,
        false => NEXT_AFTER,
    };
    let stream = first_of(found, wait)
        .await
        .map_err(|error| unreachable::no_connection(address, &error))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The port of a named instance is asked of the SQL Server Browser (MC-SQLR).
async fn by_browser(settings: &Settings, address: &ServerAddress) -> Result<TcpStream, Error> {
    addresses(address, 0).await?;
    let named = TcpStream::connect_named(&settings.config_at(address)).await;
    named.map_err(|error| unreachable::no_instance(address, error))
}

async fn addresses(address: &ServerAddress, port: u16) -> Result<VecDeque<SocketAddr>, Error> {
    let found = lookup_host((&*address.host, port)).await;
    found
        .map(Iterator::collect)
        .map_err(|error| unreachable::unknown_name(address, &error))
}

/// The first connection to any of `addresses`. The next one is tried once the one before has
/// failed, or has taken longer than `wait`, beside it: a listener of an availability group has
/// addresses of which one answers.
async fn first_of(mut addresses: VecDeque<SocketAddr>, wait: Duration) -> io::Result<TcpStream> {
    let mut tried = JoinSet::new();
    let mut failure = None;
    loop {
        let ended = match addresses.pop_front() {
            Some(address) => {
                tried.spawn(TcpStream::connect(address));
                match timeout(wait, tried.join_next()).await {
                    Ok(ended) => ended,
                    Err(_) => continue,
                }
            }
            None => tried.join_next().await,
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure.get_or_insert(error),
            Some(Err(error)) => failure.get_or_insert(io::Error::other(error)),
            None => return Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into())),
        };
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpSocket};

    use super::*;

    async fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").await.expect("a port")
    }

    async fn closed() -> SocketAddr {
        listener().await.local_addr().expect("an address")
    }

    /// A port whose queue of connections is full: the next one waits for ever.
    async fn silent() -> (TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket
            .bind("127.0.0.1:0".parse().expect("an address"))
            .expect("a port");
        let listener = socket.listen(1).expect("listens");
        let address = listener.local_addr().expect("an address");
        let mut waiting = Vec::new();
        let a_moment = Duration::from_millis(300);
        while let Ok(Ok(stream)) = timeout(a_moment, TcpStream::connect(address)).await {
            waiting.push(stream);
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn an_address_that_refuses_is_passed_over_at_once() {
        let server = listener().await;
        let there = server.local_addr().expect("an address");
        let addresses = [closed().await, there].into();
        let stream = first_of(addresses, Duration::from_secs(3600)).await;
        assert_eq!(stream.expect("connected").peer_addr().expect("it"), there);
    }

    #[tokio::test]
    async fn a_silent_address_delays_no_other() {
        let (silent, _waiting) = silent().await;
        let server = listener().await;
        let there = server.local_addr().expect("an address");
        for wait in [Duration::ZERO, Duration::from_millis(20)] {
            let addresses = [silent.local_addr().expect("an address"), there];
            let stream = first_of(addresses.into(), wait).await;
            assert_eq!(stream.expect("connected").peer_addr().expect("it"), there);
        }
    }

    #[tokio::test]
    async fn reports_the_first_failure_where_no_address_answers() {
        let addresses = [closed().await, closed().await].into();
        let error = first_of(addresses, Duration::ZERO)
            .await
            .expect_err("closed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let none = first_of(VecDeque::new(), Duration::ZERO).await;
        assert_eq!(none.expect_err("none").kind(), io::ErrorKind::NotFound);
    }
}
