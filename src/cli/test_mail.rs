//! `sendport test-mail`

use clap::Parser;

use super::filter_check::filled;
use super::send::unknown_send_port;
use super::{Failure, send};
use crate::config::Config;

/// Inserts a test alert for a send port and waits for its outcome: the whole way of an alert, from the database over a
/// running instance to the relay. On SQL Server, the procedure TestMail inserts the same alert.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport test-mail --to me@contoso.com\n  sendport test-mail --to me@contoso.com --send-port billing"
)]
pub(super) struct Args {
    /// Recipients, separated by ; or ,
    #[arg(long, value_name = "LIST", value_parser = filled)]
    to: String,
    /// Send port
    #[arg(long, default_value = "default", value_name = "NAME")]
    send_port: String,
    /// Longest wait, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
    /// Print the alert as JSON, as `status --json` does
    #[arg(long)]
    json: bool,
}

/// The arguments of `send`, which reads them as it does from a person.
#[derive(Debug, Parser)]
#[command(name = "sendport test-mail", no_binary_name = true)]
struct Sent {
    #[command(flatten)]
    args: send::Args,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    if let Some(unknown) = unknown_send_port(&args.send_port, &config) {
        return Err(Failure::Other(format!("nothing was inserted: {unknown}")));
    }
    let subject = format!("Test of send port {}", args.send_port);
    let timeout = args.timeout.to_string();
    let body = "This is a test of the way from the database to your mailbox. You need not answer.";
    let mut words = vec![
        "--to",
        &args.to,
        "--send-port",
        &args.send_port,
        "--subject",
        &subject,
        "--body",
        body,
        "--wait",
        "--timeout",
        &timeout,
    ];
    if args.json {
        words.push("--json");
    }
    let sent = Sent::try_parse_from(words).map_err(Failure::other)?;
    send::run(sent.args, config).await
}
