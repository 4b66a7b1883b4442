//! `sendport adopt`

use sendport_store::{AdoptMode, Store, StoreError};
use serde::Serialize;

use super::{Failure, open, print_json, progress, say};
use crate::config::{Config, checked_environment};

/// A restored or copied database knows which environment it came from, and the service
/// refuses to send from it. This assigns it to this environment.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("mode").required(true).args(["expire", "hold"])))]
#[command(after_help = "Examples:
  sendport adopt --environment test --expire    waiting alerts are never sent
  sendport adopt --environment test --hold      waiting alerts stay until `sendport release`")]
pub(super) struct Args {
    /// New environment of the database [default: the configured one]
    #[arg(long, value_name = "NAME", value_parser = checked_environment)]
    environment: Option<String>,
    /// Expire every waiting alert
    #[arg(long)]
    expire: bool,
    /// Hold every waiting alert
    #[arg(long)]
    hold: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AdoptOutput<'a> {
    database: String,
    previous_environment: Option<&'a str>,
    environment: &'a str,
    /// The new status of the alerts that waited.
    status: &'a str,
    alerts: u64,
    /// Names of the instances that were running.
    were_running: Vec<String>,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let environment = args
        .environment
        .unwrap_or_else(|| config.environment.clone());
    let mode = if args.hold {
        AdoptMode::Hold
    } else {
        AdoptMode::Expire
    };
    let store = open(&config).await?;
    let were_running = running(&*store).await?;
    let report = store.adopt(&environment, mode).await?;
    let adopted = AdoptOutput {
        database: store.describe(),
        previous_environment: report.previous_environment.as_deref(),
        environment: &environment,
        status: if args.hold { "held" } else { "expired" },
        alerts: report.alerts,
        were_running,
    };
    if args.json {
        return print_json(&adopted);
    }
    show(&adopted);
    if environment != config.environment {
        say(format_args!(
            "set environment = \"{environment}\" in the configuration of the service"
        ));
    }
    Ok(())
}

async fn running(store: &dyn Store) -> Result<Vec<String>, StoreError> {
    let instances = store.instances(u32::MAX).await?;
    let alive = instances.into_iter().filter(|it| it.alive);
    Ok(alive.map(|it| it.name).collect())
}

fn show(adopted: &AdoptOutput<'_>) {
    say(format_args!(
        "{}: environment {} -> {}, {} alerts {}{}",
        adopted.database,
        adopted.previous_environment.unwrap_or("none"),
        adopted.environment,
        adopted.alerts,
        adopted.status,
        progress::took()
    ));
    if !adopted.were_running.is_empty() {
        say(format_args!(
            "these instances were running on it: {}; stop those that do not belong to the environment {}",
            adopted.were_running.join(", "),
            adopted.environment
        ));
    }
}
