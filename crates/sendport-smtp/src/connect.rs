//! From a host name to a TCP connection: tries every address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sendport_core::domain::{Command, LocalCause, Reply};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::observer::{ObserverHandle, Step};
use super::stream::Wait;
use crate::relay::SessionError;

/// Why no connection was opened.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("the name '{host}' was not found: {source}")]
    NameNotFound { host: String, source: io::Error },
    #[error("the name '{0}' has no address")]
    NoAddress(String),
    #[error("'{host}' has no address of the family of local_address {local}")]
    NoAddressOfFamily { host: String, local: IpAddr },
    #[error("looking up '{host}': {}", no_answer(*.wait))]
    LookupTimeout { host: String, wait: Wait },
    #[error("could not connect to '{host}' port {port}: {}", joined(.failures))]
    AllFailed {
        host: String,
        port: u16,
        failures: Vec<AddressError>,
    },
}

/// Why one address did not accept a connection.
#[derive(Debug, thiserror::Error)]
enum AddressError {
    #[error("{0}: {1}")]
    Io(SocketAddr, #[source] io::Error),
    #[error("{0}: {no_answer}", no_answer = no_answer(*.1))]
    Timeout(SocketAddr, Wait),
}

fn no_answer(Wait { limit, setting, .. }: Wait) -> String {
    format!("no answer within {limit:.1?} (setting {setting})")
}

fn joined(failures: &[AddressError]) -> String {
    let failures: Vec<_> = failures.iter().map(ToString::to_string).collect();
    failures.join("; ")
}

impl AddressError {
    fn cause(&self) -> Option<LocalCause> {
        match self {
            Self::Timeout(..) => Some(LocalCause::Timeout),
            Self::Io(_, cause) => match cause.kind() {
                io::ErrorKind::ConnectionRefused => Some(LocalCause::ConnectionRefused),
                io::ErrorKind::TimedOut => Some(LocalCause::Timeout),
                io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                    Some(LocalCause::NetworkUnreachable)
                }
                _ => None,
            },
        }
    }
}

impl ConnectError {
    /// With several addresses, the failure that says most about the host.
    fn cause(&self) -> Option<LocalCause> {
        match self {
            Self::NameNotFound { .. } | Self::NoAddress(_) | Self::LookupTimeout { .. } => {
                Some(LocalCause::NameNotFound)
            }
            Self::NoAddressOfFamily { .. } => None,
            Self::AllFailed { failures, .. } => {
                let telling = [
                    LocalCause::ConnectionRefused,
                    LocalCause::Timeout,
                    LocalCause::NetworkUnreachable,
                ];
                let is_found = |cause| failures.iter().any(|it| it.cause() == Some(cause));
                telling.into_iter().find(|cause| is_found(*cause))
            }
        }
    }
}

impl From<ConnectError> for SessionError {
    fn from(error: ConnectError) -> Self {
        let reply = Reply::absent(Command::Connect, error.to_string());
        let reply = match error.cause() {
            Some(cause) => reply.because(cause),
            None => reply,
        };
        match error {
            ConnectError::NoAddressOfFamily { .. } => Self::configuration(reply),
            _ => Self::new(reply),
        }
    }
}

/// Looks the name up and connects to the first address that answers, all within `wait`.
pub(super) async fn connect(
    host: &str,
    port: u16,
    local: Option<IpAddr>,
    wait: Wait,
    observer: &ObserverHandle,
) -> Result<(TcpStream, SocketAddr), SessionError> {
    let end = Instant::now() + wait.limit;
    let addresses = look_up(host, port, wait, observer).await?;
    let usable = usable_from(local, addresses);
    if usable.is_empty() {
        return Err(no_usable_address(host, local).into());
    }
    let mut failures = Vec::new();
    for (index, &address) in usable.iter().enumerate() {
        observer.notify(|| Step::Connecting(address));
        let share = Wait {
            limit: share_of(end, usable.len() - index),
            ..wait
        };
        match try_address(address, local, share).await {
            Ok(tcp) => return Ok((tcp, address)),
            Err(failure) => {
                observer.notify(|| Step::ConnectFailed(address, failure.to_string()));
                failures.push(failure);
            }
        }
    }
    let host = host.to_owned();
    let error = ConnectError::AllFailed {
        host,
        port,
        failures,
    };
    Err(error.into())
}

async fn look_up(
    host: &str,
    port: u16,
    wait: Wait,
    observer: &ObserverHandle,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = bare(host);
    observer.notify(|| Step::Resolving(name.to_owned()));
    let found = tokio::time::timeout(wait.limit, tokio::net::lookup_host((name, port))).await;
    let host = host.to_owned();
    let addresses: Vec<SocketAddr> = found
        .map_err(|_| ConnectError::LookupTimeout {
            host: host.clone(),
            wait,
        })?
        .map_err(|source| ConnectError::NameNotFound { host, source })?
        .collect();
    observer.notify(|| Step::Resolved(addresses.clone()));
    Ok(addresses)
}

async fn try_address(
    address: SocketAddr,
    local: Option<IpAddr>,
    share: Wait,
) -> Result<TcpStream, AddressError> {
    match tokio::time::timeout(share.limit, connect_to(address, local)).await {
        Ok(connected) => connected.map_err(|cause| AddressError::Io(address, cause)),
        Err(_) => Err(AddressError::Timeout(address, share)),
    }
}

async fn connect_to(address: SocketAddr, local: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(local) = local {
        socket.bind(SocketAddr::new(local, 0)).map_err(|cause| {
            io::Error::new(cause.kind(), format!("local_address {local}: {cause}"))
        })?;
    }
    socket.connect(address).await
}

/// A dead first address must not use up the time of the others.
fn share_of(end: Instant, addresses_left: usize) -> Duration {
    let left = end.saturating_duration_since(Instant::now());
    left / u32::try_from(addresses_left).unwrap_or(u32::MAX).max(1)
}

/// Without the brackets of `[::1]`.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn usable_from(local: Option<IpAddr>, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let same_family =
        |address: &SocketAddr| local.is_none_or(|local| local.is_ipv4() == address.is_ipv4());
    addresses.into_iter().filter(same_family).collect()
}

fn no_usable_address(host: &str, local: Option<IpAddr>) -> ConnectError {
    let host = host.to_owned();
    match local {
        Some(local) => ConnectError::NoAddressOfFamily { host, local },
        None => ConnectError::NoAddress(host),
    }
}
