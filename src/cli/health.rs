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
    match (&answer, args.json) {
        (Ok(text), true) => print_json(&Document { ok: true, text })?,
        (Err(error), true) => {
            let text = &error.to_string();
            print_json(&Document { ok: false, text })?;
        }
        (Ok(text), false) => say(text),
        (Err(_), false) => {}
    }
    answer.map(drop).map_err(Failure::other)
}

/// Why the service is not healthy, or its health is unknown.
#[derive(Debug, thiserror::Error)]
enum HealthError {
    #[error("http://{address}{path} does not answer: {error}; is the service running?")]
    NoResponse {
        address: SocketAddr,
        path: &'static str,
        error: std::io::Error,
    },
    /// The text of a response 503.
    #[error("{0}")]
    Unavailable(String),
    #[error(
        "expected the service at {address}, found something that answers '{status_line}'; see http.listen"
    )]
    OtherProgram {
        address: SocketAddr,
        status_line: String,
    },
}

/// The text of the page.
async fn ask(address: SocketAddr, path: &'static str) -> Result<String, HealthError> {
    let response = app::ask_health(address, path).await;
    let response = response.map_err(|error| HealthError::NoResponse {
        address,
        path,
        error,
    })?;
    let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(body.trim_end().to_owned()),
        Some("503") => Err(HealthError::Unavailable(body.trim_end().to_owned())),
        _ => Err(HealthError::OtherProgram {
            address,
            status_line: head.lines().next().unwrap_or_default().to_owned(),
        }),
    }
}
