//! `sendport health`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Failure, say};
use crate::config::{Config, Listen};

/// The service answers at once; a container's check must not hang.
const PATIENCE: Duration = Duration::from_secs(5);

/// More than any answer has.
const OCTETS: u64 = 64 * 1024;

/// Asks /readyz at the configured `http.listen`. 0: it can work. 1: it cannot, or nobody answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport health            can it work? (/readyz)
  sendport health --alive    would a restart help? (/healthz)")]
pub(super) struct Args {
    /// Ask /healthz instead: whether it lives. A database that is away does not make it ill
    #[arg(long)]
    alive: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let listen = config.http.listen();
    let listen = listen.map_err(|what| Failure::Config(format!("http.listen: {what}")))?;
    let address = address(listen).map_err(Failure::Config)?;
    let path = if args.alive { "/healthz" } else { "/readyz" };
    let asked = tokio::time::timeout(PATIENCE, ask(address, path)).await;
    let asked = asked.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let answer = asked.map_err(|error| {
        Failure::Other(format!(
            "http://{address}{path} does not answer: {error}; is the service running?"
        ))
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => say(body.trim_end()),
        Some("503") => return Err(Failure::Other(body.trim_end().to_owned())),
        _ => return Err(Failure::Other(stranger(address, head))),
    }
    Ok(())
}

fn stranger(address: SocketAddr, head: &str) -> String {
    let first = head.lines().next().unwrap_or_default();
    format!(
        "expected the service at {address}, found something that answers '{first}'; see http.listen"
    )
}

/// Where to ask: what listens on every address does so on loopback.
fn address(listen: Listen) -> Result<SocketAddr, String> {
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

async fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(OCTETS).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asked_on_loopback_where_every_address_is_listened_on() {
        let asked = |text: &str| address(Listen::Must(text.parse().unwrap()));
        assert_eq!(asked("0.0.0.0:9587"), Ok("127.0.0.1:9587".parse().unwrap()));
        assert_eq!(asked("[::]:9587"), Ok("[::1]:9587".parse().unwrap()));
        assert_eq!(asked("192.0.2.7:80"), Ok("192.0.2.7:80".parse().unwrap()));
        assert!(asked("127.0.0.1:0").unwrap_err().contains("port 0"));
        assert!(address(Listen::Off).unwrap_err().contains("http.listen"));
    }
}
