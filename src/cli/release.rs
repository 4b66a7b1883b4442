//! `sendport release`

use super::{Failure, open, say};
use crate::app;
use crate::config::Config;
use crate::store::nothing_refused;

/// Held alerts wait until they are released.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sendport release 4711\n  sendport release --all")]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of an alert
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    alert: Option<String>,
    /// Every held alert
    #[arg(long)]
    all: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let only = match &args.alert {
        Some(name) => Some(app::alert_called(&*store, name).await?.alert_id),
        None => None,
    };
    let swept = store.release_held(only).await?;
    say(format_args!("{} released", swept.count));
    nothing_refused("release held alerts", &swept.refused)?;
    match (swept.count, only) {
        (0, Some(alert)) => Err(Failure::Other(format!("alert {alert} is not held"))),
        _ => Ok(()),
    }
}
