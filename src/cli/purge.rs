//! `sendport purge`

use std::time::Duration;

use humantime_serde::re::humantime;
use sendport_core::domain::AlertStatus;
use sendport_store::retention::Purged;
use serde::Serialize;

use super::table::Table;
use super::{Failure, open, print_json, progress, say};
use crate::app::{self, PurgeGroup, PurgeSelection};
use crate::config::Config;

/// Younger alerts are not purged: the counts of their minutes are not complete.
const YOUNGEST: Duration = Duration::from_secs(3600);

/// Deletes what [retention] no longer keeps, or what is older than an age: bodies and attachments first, then alerts
/// with all that belongs to them. Alerts that are not final and audit copies stay.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport purge --dry-run\n  sendport purge --older-than 90d --status relayed\n  sendport purge --older-than 7d --send-port reports --bodies-only"
)]
pub(super) struct Args {
    /// Purge what became final longer ago, such as 90d [default: as [retention] says]
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<Duration>,
    /// Only alerts with this final status; can be repeated
    #[arg(long, value_name = "STATUS", value_parser = final_status)]
    status: Vec<AlertStatus>,
    /// Only alerts of this send port; can be repeated
    #[arg(long, value_name = "NAME")]
    send_port: Vec<String>,
    /// Only bodies and attachments: the alerts and their statuses stay
    #[arg(long)]
    bodies_only: bool,
    /// Show what would be deleted
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A text that is no age of old alerts.
#[derive(Debug, thiserror::Error)]
enum AgeError {
    #[error("write a duration such as 90d")]
    NotADuration(#[from] humantime::DurationError),
    #[error("write at least 1h")]
    TooYoung,
}

fn age(text: &str) -> Result<Duration, AgeError> {
    let age = humantime::parse_duration(text)?;
    match age < YOUNGEST {
        true => Err(AgeError::TooYoung),
        false => Ok(age),
    }
}

/// A text that is no final status.
#[derive(Debug, thiserror::Error)]
#[error(
    "write one of relayed, partial, failed, expired, cancelled, suppressed: only final alerts are purged"
)]
struct StatusError;

fn final_status(text: &str) -> Result<AlertStatus, StatusError> {
    let status = text.parse().ok();
    status
        .filter(|status: &AlertStatus| status.is_final())
        .ok_or(StatusError)
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PurgeOutput<'a> {
    dry_run: bool,
    groups: Vec<GroupOutput<'a>>,
    rows: u64,
    bytes: u64,
}

/// What was old of one status and send port.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupOutput<'a> {
    status: &'static str,
    send_port: &'a str,
    bodies: u64,
    alerts: u64,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let selection = PurgeSelection {
        statuses: args.status,
        send_ports: args.send_port,
        older_than: args.older_than,
        bodies_only: args.bodies_only,
    };
    progress::at("counting old alerts");
    let groups = app::old_alerts(&*store, &config, &selection).await?;
    let total: u64 = groups.iter().map(|group| group.bodies + group.alerts).sum();
    let purged = match args.dry_run {
        true => Purged::default(),
        false => {
            let show = |all: Purged| progress::at(bar(all.alerts, total));
            app::purge(&store, &config, &groups, &app::user_name(), show).await?
        }
    };
    if args.json {
        return print_json(&PurgeOutput {
            dry_run: args.dry_run,
            groups: groups.iter().map(group_output).collect(),
            rows: purged.rows,
            bytes: purged.bytes,
        });
    }
    show(&groups);
    if args.dry_run {
        say("nothing was deleted (--dry-run)");
    } else {
        say(format_args!(
            "{} rows and {} bytes deleted{}",
            purged.rows,
            purged.bytes,
            progress::took()
        ));
    }
    Ok(())
}

fn group_output(group: &PurgeGroup) -> GroupOutput<'_> {
    GroupOutput {
        status: group.status.as_str(),
        send_port: &group.send_port,
        bodies: group.bodies,
        alerts: group.alerts,
    }
}

fn show(groups: &[PurgeGroup]) {
    let mut table = Table::new(["Status", "SendPort", "Bodies", "Alerts"]);
    for group in groups {
        table.row([
            group.status.to_string(),
            group.send_port.clone(),
            group.bodies.to_string(),
            group.alerts.to_string(),
        ]);
    }
    say(table.to_string().trim_end());
}

/// `[#####...............] 25 %`
fn bar(done: u64, total: u64) -> String {
    const CELLS: u64 = 20;
    let total = total.max(1);
    let (cells, percent) = (
        done.min(total) * CELLS / total,
        done.min(total) * 100 / total,
    );
    let cell = |n| if n < cells { '#' } else { '.' };
    let bar: String = (0..CELLS).map(cell).collect();
    format!("purging [{bar}] {percent} %")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_shows_the_part_that_is_done() {
        assert_eq!(bar(0, 0), "purging [....................] 0 %");
        assert_eq!(bar(50, 200), "purging [#####...............] 25 %");
        assert_eq!(bar(300, 200), "purging [####################] 100 %");
    }

    #[test]
    fn only_old_and_final_alerts_can_be_named() {
        assert_eq!(age("90d").unwrap(), Duration::from_secs(90 * 24 * 3600));
        assert_eq!(age("5m").unwrap_err().to_string(), "write at least 1h");
        assert!(final_status("queued").is_err());
        assert_eq!(final_status("failed").unwrap(), AlertStatus::Failed);
    }
}
