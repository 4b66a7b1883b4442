//! `sendport adopt`

use super::{Failure, open, say};
use crate::config::{Config, checked_environment};
use crate::store::AdoptMode;

/// A restored or copied database knows which environment it came from, and the service
/// refuses to mail from it. This makes it this environment's own.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("mode").required(true).args(["expire", "hold"])))]
#[command(after_help = "Examples:
  sendport adopt --environment test --expire    nothing that waits is ever sent
  sendport adopt --environment test --hold      until `sendport release` says so")]
pub(super) struct Args {
    /// The environment that the database shall belong to [default: the configured one]
    #[arg(long, value_name = "NAME", value_parser = checked_environment)]
    environment: Option<String>,
    /// Everything that waits expires
    #[arg(long)]
    expire: bool,
    /// Everything that waits is held
    #[arg(long)]
    hold: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let environment = args
        .environment
        .unwrap_or_else(|| config.environment.clone());
    let mode = if args.hold {
        AdoptMode::Hold
    } else {
        AdoptMode::Expire
    };
    let store = open(&config).await?;
    let report = store.adopt(&environment, mode).await?;
    let previous = report.previous_environment.as_deref().unwrap_or("none");
    let done = if args.hold { "held" } else { "expired" };
    say(format_args!(
        "{}: environment {previous} -> {environment}, {} alerts {done}",
        store.describe(),
        report.alerts
    ));
    if environment != config.environment {
        say(format_args!(
            "set environment = \"{environment}\" in the configuration of the service"
        ));
    }
    Ok(())
}
