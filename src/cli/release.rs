//! `sendport release`

use sendport_core::domain::AlertId;
use sendport_store::{SweepResult, nothing_refused};
use serde::Serialize;

use super::{Failure, open, print_json, progress, say};
use crate::app;
use crate::config::Config;

/// Held alerts wait until they are released.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sendport release 4711\n  sendport release --all")]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of an alert
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    alert: Option<String>,
    /// Release every held alert
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ReleasedOutput<'a> {
    released: u32,
    refused: Vec<RefusedOutput<'a>>,
}

/// What the database refuses to change.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RefusedOutput<'a> {
    alert_id: AlertId,
    reason: &'a str,
}

fn say_what_was_done(swept: &SweepResult, json: bool) -> Result<(), Failure> {
    if !json {
        say(format_args!("{} released{}", swept.count, progress::took()));
        return Ok(());
    }
    let refused = swept.refused.iter().map(|it| RefusedOutput {
        alert_id: it.alert,
        reason: &it.why,
    });
    print_json(&ReleasedOutput {
        released: swept.count,
        refused: refused.collect(),
    })
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let only = match &args.alert {
        Some(name) => Some(app::find_alert(&*store, name).await?.alert_id),
        None => None,
    };
    let swept = store.release_held(only).await?;
    say_what_was_done(&swept, args.json)?;
    nothing_refused("release held alerts", &swept.refused)?;
    match (swept.count, only) {
        (0, Some(alert)) => Err(Failure::Other(format!("alert {alert} is not held"))),
        _ => Ok(()),
    }
}
