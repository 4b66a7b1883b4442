//! From a host's name to a TCP connection: every address is tried.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;

use super::observer::{ObserverHandle, Step};
use super::stream::Wait;
use crate::domain::{Command, Fault, Reply};
use crate::relay::NotReady;

/// Looks the name up and connects to the first address that answers, all within `wait`.
pub(super) async fn connect(
    host: &str,
    port: u16,
    local: Option<IpAddr>,
    wait: Wait,
    observer: &ObserverHandle,
) -> Result<(TcpStream, SocketAddr), NotReady> {
    let end = Instant::now() + wait.limit;
    observer.notify(|| Step::Resolving(bare(host).to_owned()));
    let found = tokio::time::timeout_at(end, tokio::net::lookup_host((bare(host), port))).await;
    let addresses: Vec<SocketAddr> = match found {
        Ok(Ok(addresses)) => addresses.collect(),
        Ok(Err(cause)) => {
            return Err(unreachable(format!(
                "the name '{host}' was not found: {cause}"
            )));
        }
        Err(_) => return Err(unreachable(too_late(&format!("looking up '{host}'"), wait))),
    };
    observer.notify(|| Step::Resolved(addresses.clone()));
    let usable = usable_from(local, addresses);
    if usable.is_empty() {
        return Err(no_usable_address(host, local));
    }
    let mut failures = Vec::new();
    for (index, &address) in usable.iter().enumerate() {
        observer.notify(|| Step::Connecting(address));
        let share = Wait::new(share_of(end, usable.len() - index), wait.setting);
        match try_address(address, local, share).await {
            Ok(tcp) => return Ok((tcp, address)),
            Err(failure) => {
                observer.notify(|| Step::ConnectFailed(address, failure.clone()));
                failures.push(failure);
            }
        }
    }
    let what = format!(
        "could not connect to '{host}' port {port}: {}",
        failures.join("; ")
    );
    Err(unreachable(what))
}

async fn try_address(
    address: SocketAddr,
    local: Option<IpAddr>,
    share: Wait,
) -> Result<TcpStream, String> {
    match tokio::time::timeout(share.limit, connect_to(address, local)).await {
        Ok(connected) => connected.map_err(|cause| format!("{address}: {cause}")),
        Err(_) => Err(too_late(&address.to_string(), share)),
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

/// A dead first address must not eat the time of the others.
fn share_of(end: Instant, addresses_left: usize) -> Duration {
    let left = end.saturating_duration_since(Instant::now());
    left / u32::try_from(addresses_left).unwrap_or(u32::MAX).max(1)
}

/// `[::1]` as people write IPv6 addresses beside a port.
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

fn no_usable_address(host: &str, local: Option<IpAddr>) -> NotReady {
    let what = match local {
        Some(local) => format!("'{host}' has no address of the family of local_address {local}"),
        None => format!("the name '{host}' has no address"),
    };
    NotReady {
        reply: Reply::absent(Command::Connect, what),
        fault: local.map(|_| Fault::Configuration),
    }
}

fn too_late(what: &str, wait: Wait) -> String {
    format!(
        "{what}: no answer within {:.1?} (setting {})",
        wait.limit, wait.setting
    )
}

fn unreachable(what: String) -> NotReady {
    NotReady {
        reply: Reply::absent(Command::Connect, what),
        fault: None,
    }
}
