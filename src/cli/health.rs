//! `sendport health`

use std::net::SocketAddr;

use serde::Serialize;

use super::{Failure, print_json, say};
use crate::app;
use crate::config::Config;

/// Asks /readyz at the configured `http.listen`. Exit code 0: ready. 1: not ready, or no answer.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport health            is it ready? (/readyz)
  sendport health --alive    would a restart help? (/healthz)")]
pub(super) struct Args {
    /// Ask /healthz instead: whether the process is alive, even if the database is unavailable
    #[arg(long)]
    alive: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    ok: bool,
    text: &'a str,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let listen = config.http.listen();
    let listen = listen.map_err(|what| Failure::Config(format!("http.listen: {what}")))?;
    let address = app::health_address(listen).map_err(Failure::config)?;
    let answer = ask(address, if args.alive { "/healthz" } else { "/readyz" }).await;
    let (Ok(text) | Err(text)) = &answer;
    if args.json {
        let ok = answer.is_ok();
        print_json(&Document { ok, text })?;
    } else if answer.is_ok() {
        say(text);
    }
    answer.map(drop).map_err(Failure::Other)
}

/// What the page says; an error where it is none, or says no.
async fn ask(address: SocketAddr, path: &str) -> Result<String, String> {
    let answer = app::ask_health(address, path).await.map_err(|error| {
        format!("http://{address}{path} does not answer: {error}; is the service running?")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.trim_end().to_owned()),
        Some("503") => Err(body.trim_end().to_owned()),
        _ => Err(stranger(address, head)),
    }
}

fn stranger(address: SocketAddr, head: &str) -> String {
    let first = head.lines().next().unwrap_or_default();
    format!(
        "expected the service at {address}, found something that answers '{first}'; see http.listen"
    )
}
