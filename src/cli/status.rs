//! `sendport status`

use std::time::Duration;

use sendport_core::domain::{OperatorVerb, Timestamp, shown_name};
use sendport_store::operator_requests::RequestLine;
use sendport_store::{
    AlertLine, FailureLine, InstanceLine, OverdueLeases, QueueLine, RelayLine, Store,
};
use serde::Serialize;

use super::one_alert::{OneAlert, show};
use super::table::Table;
use super::terminal::{age, short_time};
use super::{Failure, open, print_json, say};
use crate::app::{self, AppError};
use crate::config::Config;

/// The number of last alerts, and of last failures, that are shown.
const LAST: u32 = 8;
/// The maximum number of alerts of one Reference that are shown.
const OF_A_REFERENCE: u32 = 100;

/// Queue, relays, instances, the last alerts and failures; or one alert.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport status
  sendport status 4711
  sendport status order-4711                its Reference
  sendport status '<0190...@contoso.com>'   its Message-ID, as the relay's log has it
  sendport status --json")]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of an alert
    alert: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Overview {
    environment: Option<String>,
    queue: Vec<QueueLine>,
    relays: Vec<RelayLine>,
    alerts: Vec<AlertLine>,
    failures: Vec<FailureLine>,
    instances: Vec<InstanceLine>,
    overdue: OverdueLeases,
    redirects: Vec<RequestLine>,
}

impl Overview {
    async fn read(store: &dyn Store, lease: Duration) -> Result<Self, Failure> {
        Ok(Self {
            environment: store.environment().await?,
            queue: store.queue().await?,
            relays: store.relays().await?,
            alerts: store.alerts(None, LAST).await?,
            failures: store.failures(LAST).await?,
            instances: store.instances(20).await?,
            overdue: store.overdue(lease).await?,
            redirects: redirects(store).await?,
        })
    }
}

/// Those in force.
async fn redirects(store: &dyn Store) -> Result<Vec<RequestLine>, Failure> {
    let open = store.open_requests().await?.into_iter();
    let is_redirect = |line: &RequestLine| line.operator_verb() == Some(OperatorVerb::Redirect);
    Ok(open.filter(is_redirect).collect())
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    if let Some(name) = &args.alert {
        return show_named(&*store, name, args.json).await;
    }
    let overview = Overview::read(&*store, config.service.lease).await?;
    if args.json {
        return print_json(&overview);
    }
    let named = overview.environment.as_deref();
    say(format_args!(
        "{}, environment {}\n",
        store.describe(),
        named.unwrap_or("not named yet")
    ));
    if let Some(other) = named.filter(|named| *named != config.environment) {
        say(format_args!(
            "Note: the configuration says environment '{}', the database '{other}'\n",
            config.environment
        ));
    }
    for it in &overview.redirects {
        say(format_args!(
            "Note: alerts ({}) go to {} instead of their recipients, until `sendport release --redirect {}`\n",
            it.filter.in_words(),
            it.redirect_to.as_deref().unwrap_or_default(),
            it.request_id
        ));
    }
    tables(&overview);
    Ok(())
}

fn tables(overview: &Overview) {
    let now = app::now();
    say("Queue");
    say(queue_table(&overview.queue, now));
    say("Relay");
    say(relay_table(&overview.relays, now));
    say("Last alerts");
    say(alert_table(&overview.alerts, now));
    if !overview.failures.is_empty() {
        say("Last failures");
        say(failure_table(&overview.failures, now));
    }
    say("Instance");
    say(instance_table(&overview.instances, now));
    let problems = problems(overview);
    if !problems.is_empty() {
        say(format_args!("Problem\n  {}\n", problems.join("\n  ")));
    }
}

async fn show_named(store: &dyn Store, name: &str, json: bool) -> Result<(), Failure> {
    let mut found = app::find_alerts(store, name, OF_A_REFERENCE).await?;
    match found.len() {
        0 => return Err(AppError::NoAlert(name.to_owned()).into()),
        1 => {}
        _ if json => return print_json(&found),
        count => {
            say(format_args!("{count} alerts have the Reference '{name}'"));
            say(alert_table(&found, app::now()));
            return Ok(());
        }
    }
    let one = OneAlert::of(store, found.remove(0)).await?;
    if json {
        return print_json(&one);
    }
    show(&one);
    Ok(())
}

/// Problems that an operator should look at, one sentence each.
fn problems(overview: &Overview) -> Vec<String> {
    let alive = || overview.instances.iter().filter(|line| line.alive);
    let waits = |line: &InstanceLine| {
        let why = line.waiting_for.as_ref()?;
        Some(format!("{} sends nothing: {why}", line.name))
    };
    let unrecorded = |line: &InstanceLine| {
        let since = short_time(line.unrecorded_since?);
        let (name, count) = (&line.name, line.unrecorded_count);
        Some(format!(
            "{name} could not record {count} outcomes since {since}; see EventLog"
        ))
    };
    let unclaimed = |line: &InstanceLine| {
        let since = short_time(line.unclaimed_since?);
        let (name, count) = (&line.name, line.unclaimed_count);
        Some(format!(
            "{name} cannot claim {count} alerts since {since}; see EventLog"
        ))
    };
    let overdue = overview
        .overdue
        .in_words()
        .map(|words| format!("alerts: {words}"));
    let of_instances = alive()
        .filter_map(waits)
        .chain(alive().filter_map(unrecorded))
        .chain(alive().filter_map(unclaimed));
    of_instances.chain(overdue).collect()
}

fn ago(at: Timestamp, now: Timestamp) -> String {
    age((now - at).num_seconds())
}

fn until(at: Option<Timestamp>, now: Timestamp) -> String {
    at.map(|at| match (at - now).num_seconds() {
        ..=0 => "now".to_owned(),
        seconds => format!("in {}", age(seconds)),
    })
    .unwrap_or_default()
}

fn queue_table(lines: &[QueueLine], now: Timestamp) -> Table {
    let mut table = Table::new([
        "SendPort",
        "Status",
        "Depth",
        "Oldest",
        "NextDue",
        "WaitingFor",
    ]);
    for line in lines {
        table.row([
            shown_name(&line.send_port).into_owned(),
            line.status.to_string(),
            line.depth.to_string(),
            age(line.oldest_age_seconds),
            until(line.next_due_at, now),
            line.waiting_for.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn relay_table(lines: &[RelayLine], now: Timestamp) -> Table {
    let mut table = Table::new([
        "Relay",
        "Condition",
        "For",
        "NextTry",
        "SendPorts",
        "ThrottleReason",
        "Reply",
        "Advice",
    ]);
    for line in lines {
        let retry_at = line.retry_at.or(line.authentication_retry_at);
        table.row([
            line.relay.clone(),
            condition(&line.condition),
            ago(line.since, now),
            until(retry_at, now),
            line.send_ports.clone().unwrap_or_default(),
            line.throttle_reason.clone().unwrap_or_default(),
            line.reply.clone().unwrap_or_default(),
            line.advice.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// A closed circuit is shown as `ok`.
fn condition(circuit: &str) -> String {
    match circuit {
        "closed" => "ok".to_owned(),
        other => other.to_owned(),
    }
}

fn alert_table(lines: &[AlertLine], now: Timestamp) -> Table {
    let mut table = Table::new([
        "Alert",
        "Status",
        "Age",
        "SendPort",
        "Relayed",
        "Subject",
        "Reference",
        "Reason",
    ]);
    for line in lines {
        table.row([
            line.alert_id.to_string(),
            line.status.to_string(),
            ago(line.created_at, now),
            shown_name(&line.send_port).into_owned(),
            relayed(line),
            line.subject.clone().unwrap_or_default(),
            line.reference.clone().unwrap_or_default(),
            line.status_reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// Relayed recipients of all; empty before the first attempt, which counts the recipients.
fn relayed(line: &AlertLine) -> String {
    match line.recipient_count {
        0 => String::new(),
        all => format!("{} of {all}", line.relayed_count),
    }
}

fn failure_table(lines: &[FailureLine], now: Timestamp) -> Table {
    let mut table = Table::new([
        "Alert", "Status", "Ago", "Address", "Relay", "Reason", "Advice",
    ]);
    for line in lines {
        let code = line.reply_code.filter(|code| *code != 0);
        let reason = [
            code.map(|code| code.to_string()),
            line.enhanced_status_code.clone(),
            line.reason.clone(),
        ];
        table.row([
            line.alert_id.to_string(),
            line.status.clone(),
            ago(line.status_at, now),
            line.address.clone().unwrap_or_default(),
            line.relay.clone().unwrap_or_default(),
            reason.into_iter().flatten().collect::<Vec<_>>().join(" "),
            line.advice.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn instance_table(lines: &[InstanceLine], now: Timestamp) -> Table {
    let mut table = Table::new(["Name", "Version", "Started", "State"]);
    for line in lines {
        let state = match (line.alive, line.stopped_at) {
            (true, _) => "running".to_owned(),
            (false, Some(at)) => format!("stopped {} ago", ago(at, now)),
            (false, None) => "lost".to_owned(),
        };
        let started = format!("{} ago", ago(line.started_at, now));
        table.row([line.name.clone(), line.version.clone(), started, state]);
    }
    table
}
