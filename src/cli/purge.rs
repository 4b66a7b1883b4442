//! `sendport purge`

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use humantime_serde::re::humantime;
use sendport_core::domain::{AlertStatus, OperatorVerb, RequestId, Timestamp};
use sendport_store::operator_requests::{NewRequest, RequestFilter};
use sendport_store::retention::{Purged, YOUNGEST};
use sendport_store::{Store, nothing_refused};
use serde::Serialize;

use super::filter_check::{check_times, comment, filled, note_unknown_names};
use super::one_alert_check::check_one_alert;
use super::operator_verb::{moment, row};
use super::table::Table;
use super::terminal::note;
use super::{Failure, open, print_json, progress, say};
use crate::app::{self, PurgeSelection, Purger};
use crate::config::Config;

/// Without --older-than: deletes what [retention] no longer keeps. With it, or of one alert: deletes what became final so long
/// ago, as a request of the verb purge, which a running service carries out too. Bodies and attachments go first, then
/// alerts with all that belongs to them. Alerts that are not final and audit copies stay.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("which").multiple(true),
    after_help = "Examples:
  sendport purge --dry-run
  sendport purge --older-than 90d --status relayed
  sendport purge --older-than 7d --send-port reports --bodies-only
  sendport purge --older-than 1d --alert-name order-late --comment 'runaway job'
  sendport purge 4711"
)]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of one alert
    #[arg(group = "which", value_parser = filled)]
    alert: Option<String>,
    /// Purge what became final longer ago, such as 90d [default: as [retention] says; of one alert: 1h]
    #[arg(long, value_name = "AGE", value_parser = age, group = "which")]
    older_than: Option<Duration>,
    /// Only alerts with this final status; can be repeated
    #[arg(long, value_name = "STATUS", value_parser = final_status)]
    status: Vec<AlertStatus>,
    /// Only alerts of this send port; can be repeated
    #[arg(long, value_name = "NAME", value_parser = filled)]
    send_port: Vec<String>,
    /// Only alerts with this AlertName
    #[arg(long, value_name = "NAME", requires = "which", value_parser = filled)]
    alert_name: Option<String>,
    /// Only alerts with this Reference
    #[arg(long, value_name = "TEXT", requires = "which", value_parser = filled)]
    reference: Option<String>,
    /// Only alerts that this login inserted
    #[arg(long, value_name = "LOGIN", requires = "which", value_parser = filled)]
    created_by: Option<String>,
    /// Only alerts inserted since then: a time in UTC, or 30d for thirty days ago
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "which")]
    since: Option<Timestamp>,
    /// Only alerts inserted until then
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "which")]
    until: Option<Timestamp>,
    /// Only bodies and attachments: the alerts and their statuses stay
    #[arg(long)]
    bodies_only: bool,
    /// Why; the audit shows it
    #[arg(long, value_name = "TEXT", requires = "which", value_parser = comment)]
    comment: Option<String>,
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
    groups: &'a [GroupOutput],
    rows: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    request_ids: &'a [RequestId],
}

/// What was old of one status and send port.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupOutput {
    status: &'static str,
    send_port: String,
    bodies: u64,
    alerts: u64,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    match args.alert.is_some() || args.older_than.is_some() {
        true => purge_requested(&args, &config, &store).await,
        false => purge_configured(&args, &config, &store).await,
    }
}

/// What [retention] no longer keeps.
async fn purge_configured(
    args: &Args,
    config: &Config,
    store: &Arc<dyn Store>,
) -> Result<(), Failure> {
    let selection = PurgeSelection {
        statuses: args.status.clone(),
        send_ports: args.send_port.clone(),
        bodies_only: args.bodies_only,
    };
    progress::at("counting old alerts");
    let groups = app::old_alerts(&**store, config, &selection).await?;
    let shown = groups.iter().map(|group| GroupOutput {
        status: group.status.as_str(),
        send_port: group.send_port.clone(),
        bodies: group.bodies,
        alerts: group.alerts,
    });
    let shown: Vec<_> = shown.collect();
    let mut purger = Purger::new(store, config, show_progress(&shown));
    if !args.dry_run {
        let who = app::user_name();
        purger.purge_groups(&groups, &who).await?;
    }
    show_result(args, &shown, &purger.all, &[])
}

/// What a person names, by requests that the audit keeps.
async fn purge_requested(
    args: &Args,
    config: &Config,
    store: &Arc<dyn Store>,
) -> Result<(), Failure> {
    progress::at("counting old alerts");
    let requests = new_requests(args, &**store).await?;
    for request in &requests {
        check_one_alert(&**store, request, false).await?;
    }
    let groups = count(&**store, &requests).await?;
    if let (true, [request]) = (groups.is_empty(), &requests[..]) {
        note_unknown_names(&request.filter, config)?;
    }
    let mut purger = Purger::new(store, config, show_progress(&groups));
    let mut ids = Vec::new();
    if !args.dry_run {
        for request in &requests {
            ids.push(store.add_request(request).await?);
        }
        for id in &ids {
            let carried_out = purger.carry_out(&row(&**store, *id).await?).await;
            carried_out.inspect_err(|_| {
                note(format_args!(
                    "request {id} is stored: a running instance carries it out"
                ));
            })?;
        }
    }
    show_result(args, &groups, &purger.all, &ids)
}

/// One for each status and send port that is given.
async fn new_requests(args: &Args, store: &dyn Store) -> Result<Vec<NewRequest>, Failure> {
    let alert_id = match &args.alert {
        Some(name) => Some(app::find_alert(store, name).await?.alert_id),
        None => None,
    };
    let age = TimeDelta::from_std(args.older_than.unwrap_or(YOUNGEST)).ok();
    let final_before = age.and_then(|age| app::now().checked_sub_signed(age));
    let final_before = final_before
        .ok_or_else(|| Failure::Other("--older-than is before the first day".to_owned()))?;
    let or_any = |given: Vec<_>| if given.is_empty() { vec![None] } else { given };
    let statuses = or_any(args.status.iter().copied().map(Some).collect());
    let ports = args.send_port.iter().cloned().map(Some).collect::<Vec<_>>();
    let ports = if ports.is_empty() { vec![None] } else { ports };
    let mut requests = Vec::new();
    for status in statuses {
        for send_port in ports.clone() {
            let filter = RequestFilter {
                alert_id,
                send_port,
                alert_name: args.alert_name.clone(),
                reference: args.reference.clone(),
                created_by: args.created_by.clone(),
                status,
                created_from: args.since,
                created_until: args.until,
                final_before: Some(final_before),
                ..RequestFilter::default()
            };
            check_times(&filter)?;
            requests.push(NewRequest {
                verb: OperatorVerb::Purge,
                filter,
                recipients: None,
                new_message_id: false,
                redirect_to: None,
                bodies_only: args.bodies_only,
                comment: args.comment.clone(),
                requested_by: app::user_name(),
                host_name: Some(app::host_name()),
            });
        }
    }
    Ok(requests)
}

/// Bodies, and alerts, that match now.
async fn count(store: &dyn Store, requests: &[NewRequest]) -> Result<Vec<GroupOutput>, Failure> {
    let mut groups = BTreeMap::<_, (u64, u64)>::new();
    for request in requests {
        for bodies_only in [true, false] {
            if request.bodies_only && !bodies_only {
                continue;
            }
            let request = NewRequest {
                bodies_only,
                ..request.clone()
            };
            for found in store.count_matching(&request).await? {
                let key = (found.status.as_str(), found.send_port);
                let (bodies, alerts) = groups.entry(key).or_default();
                *(if bodies_only { bodies } else { alerts }) += found.alerts;
            }
        }
    }
    let group = |((status, send_port), (bodies, alerts))| GroupOutput {
        status,
        send_port,
        bodies,
        alerts,
    };
    Ok(groups.into_iter().map(group).collect())
}

fn show_progress(groups: &[GroupOutput]) -> impl FnMut(&Purged) + Send + Sync + use<> {
    let total = groups.iter().map(|group| group.bodies + group.alerts).sum();
    move |all| progress::at(bar(all.alerts, total))
}

fn show_result(
    args: &Args,
    groups: &[GroupOutput],
    purged: &Purged,
    requests: &[RequestId],
) -> Result<(), Failure> {
    if args.json {
        print_json(&PurgeOutput {
            dry_run: args.dry_run,
            groups,
            rows: purged.rows,
            bytes: purged.bytes,
            request_ids: requests,
        })?;
        return Ok(nothing_refused("purge old alerts", &purged.refused)?);
    }
    show(groups);
    if groups.is_empty() {
        say("no alert matches");
    }
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
    for request in requests {
        say(format_args!("`sendport requests` shows request {request}"));
    }
    Ok(nothing_refused("purge old alerts", &purged.refused)?)
}

fn show(groups: &[GroupOutput]) {
    let mut table = Table::new(["Status", "SendPort", "Bodies", "Alerts"]);
    for group in groups {
        table.row([
            group.status.to_owned(),
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
