//! Requests to the health listener, and whether its address is free.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::AppError;
use super::health_server::ListenerError;
use crate::config::{Config, Listen};
use crate::observability::health_server::NAME;

/// The service answers at once, and a container's check must not hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// Larger than any response.
const MAX_BYTES: u64 = 64 * 1024;

/// The configuration names no address to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HealthAddressError {
    /// There is no listener.
    #[error("http.listen is \"\", so there is no listener to ask; set it")]
    NoListener,
    /// The port is not known.
    #[error("http.listen has port 0, which means any free port; set one")]
    AnyPort,
}

/// The address to connect to: loopback, if the service listens on every address.
///
/// # Errors
/// [`HealthAddressError`].
pub fn health_address(listen: Listen) -> Result<SocketAddr, HealthAddressError> {
    let (Listen::IfFree(mut address) | Listen::Must(mut address)) = listen else {
        return Err(HealthAddressError::NoListener);
    };
    if address.port() == 0 {
        return Err(HealthAddressError::AnyPort);
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

/// The whole response to a GET, head and body.
///
/// # Errors
/// That of the system, or that the response took too long.
pub async fn ask_health(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let asked = tokio::time::timeout(PATIENCE, ask(address, path)).await;
    asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_BYTES).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Checks whether a service could listen for health requests now. Returns a note if another
/// program has the address and the service would start anyway.
///
/// # Errors
/// [`AppError::Http`] if the service would not start.
pub async fn try_listen(config: &Config) -> Result<Option<String>, AppError> {
    // The configuration's check has reported it.
    let Ok(listen) = config.http.listen() else {
        return Ok(None);
    };
    let (Listen::IfFree(address) | Listen::Must(address)) = listen else {
        return Ok(None);
    };
    let Err(error) = TcpListener::bind(address) else {
        return Ok(None);
    };
    if error.kind() == std::io::ErrorKind::AddrInUse && is_sendport(listen).await {
        return Ok(Some(format!(
            "a sendport answers at {address} already; where that is not the service of this configuration, \
             give this one another port"
        )));
    }
    let reason = ListenerError::new(address, error);
    match listen {
        Listen::Must(_) => Err(AppError::Http(reason)),
        _ => Ok(Some(format!(
            "{reason}; until then the service runs without"
        ))),
    }
}

async fn is_sendport(listen: Listen) -> bool {
    let Ok(address) = health_address(listen) else {
        return false;
    };
    let answer = ask_health(address, "/").await.unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|it| it.1);
    body.is_some_and(|body| body.lines().next() == Some(NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connects_to_loopback_if_the_service_listens_on_every_address() {
        let asked = |text: &str| health_address(Listen::Must(text.parse().unwrap()));
        assert_eq!(asked("0.0.0.0:9587"), Ok("127.0.0.1:9587".parse().unwrap()));
        assert_eq!(asked("[::]:9587"), Ok("[::1]:9587".parse().unwrap()));
        assert_eq!(asked("192.0.2.7:80"), Ok("192.0.2.7:80".parse().unwrap()));
        assert_eq!(asked("127.0.0.1:0"), Err(HealthAddressError::AnyPort));
        let off = health_address(Listen::Off);
        assert_eq!(off, Err(HealthAddressError::NoListener));
    }
}
