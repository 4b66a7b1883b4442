//! `sendport release`

use super::{Failure, open, say};
use crate::config::Config;
use crate::domain::AlertId;

/// Held alerts wait until they are released.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sendport release 4711\n  sendport release --all")]
pub(super) struct Args {
    /// One alert
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    alert: Option<i64>,
    /// Every held alert
    #[arg(long)]
    all: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let released = store.release_held(args.alert.map(AlertId)).await?;
    say(format_args!("{released} released"));
    match (released, args.alert) {
        (0, Some(alert)) => Err(Failure::Other(format!("alert {alert} is not held"))),
        _ => Ok(()),
    }
}
