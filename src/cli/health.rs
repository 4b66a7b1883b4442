//! `sendport health`

use std::net::SocketAddr;

use super::{Failure, say};
use crate::app;
use crate::config::Config;

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
    let address = app::health_address(listen).map_err(Failure::Config)?;
    let path = if args.alive { "/healthz" } else { "/readyz" };
    let answer = app::ask_health(address, path).await.map_err(|error| {
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
