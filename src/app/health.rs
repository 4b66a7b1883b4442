//! Who has the address of health and metrics.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::AppError;
use super::http::cannot_be_shown;
use crate::config::{Config, Listen};
use crate::http::NAME;

/// The service answers at once; a container's check must not hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any answer has.
const OCTETS: u64 = 64 * 1024;

/// Where to ask: what listens on every address does so on loopback.
///
/// # Errors
/// Nobody can be asked, in a sentence.
pub fn health_address(listen: Listen) -> Result<SocketAddr, String> {
    let (Listen::IfFree(mut address) | Listen::Must(mut address)) = listen else {
        return Err("http.listen is \"\", so nobody can be asked; set it".to_owned());
    };
    if address.port() == 0 {
        return Err("http.listen has port 0, which any port may become; set one".to_owned());
    }
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

/// The whole answer to a GET, head and body.
///
/// # Errors
/// What the system says, or that the answer took too long.
pub async fn ask_health(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let asked = tokio::time::timeout(PATIENCE, ask(address, path)).await;
    asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(OCTETS).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether a service could show health and metrics now; what there is to say of it, where it could
/// or goes on without.
///
/// # Errors
/// [`AppError::Http`] where it would not start: nothing can listen there, or a program that is no sendport does.
pub async fn try_listen(config: &Config) -> Result<Option<String>, AppError> {
    // What is wrong with it was said already.
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
    let words = cannot_be_shown(address, &error);
    match listen {
        Listen::Must(_) => Err(AppError::Http(format!("http.listen: {words}"))),
        _ => Ok(Some(format!(
            "{words}; until then the service goes on without"
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
    fn asked_on_loopback_where_every_address_is_listened_on() {
        let asked = |text: &str| health_address(Listen::Must(text.parse().unwrap()));
        assert_eq!(asked("0.0.0.0:9587"), Ok("127.0.0.1:9587".parse().unwrap()));
        assert_eq!(asked("[::]:9587"), Ok("[::1]:9587".parse().unwrap()));
        assert_eq!(asked("192.0.2.7:80"), Ok("192.0.2.7:80".parse().unwrap()));
        assert!(asked("127.0.0.1:0").unwrap_err().contains("port 0"));
        assert!(
            health_address(Listen::Off)
                .unwrap_err()
                .contains("http.listen")
        );
    }
}
