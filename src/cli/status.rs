//! `sendport status`

use std::time::Duration;

use serde::Serialize;

use super::table::{Table, short_time};
use super::{Failure, open, print_json, say};
use crate::config::Config;
use crate::domain::AlertId;
use crate::store::{AlertLine, DeliveryLine, InstanceLine, Overdue, QueueLine, Store};

/// The views Queue and Instance; with an alert, AlertStatus and Delivery.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport status\n  sendport status 4711\n  sendport status --json"
)]
pub(super) struct Args {
    /// One alert
    alert: Option<i64>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Overview {
    queue: Vec<QueueLine>,
    instances: Vec<InstanceLine>,
    overdue: Overdue,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OneAlert {
    alert: AlertLine,
    deliveries: Vec<DeliveryLine>,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    match args.alert {
        Some(id) => one_alert(&*store, AlertId(id), args.json).await,
        None => overview(&*store, config.service.lease, args.json).await,
    }
}

async fn overview(store: &dyn Store, lease: Duration, json: bool) -> Result<(), Failure> {
    let overview = Overview {
        queue: store.queue().await?,
        instances: store.instances(20).await?,
        overdue: store.overdue(lease).await?,
    };
    if json {
        return print_json(&overview);
    }
    say(format_args!("{}\n\nQueue", store.describe()));
    say(queue_table(&overview.queue));
    say("Instance");
    say(instance_table(&overview.instances));
    let problems = problems(&overview);
    if !problems.is_empty() {
        say(format_args!("Problem\n  {}\n", problems.join("\n  ")));
    }
    Ok(())
}

/// What a person should look at, one sentence each.
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

async fn one_alert(store: &dyn Store, id: AlertId, json: bool) -> Result<(), Failure> {
    let alert = store.alerts(Some(id), 1).await?.into_iter().next();
    let Some(alert) = alert else {
        return Err(Failure::Other(format!("there is no alert {id}")));
    };
    let deliveries = store.deliveries(Some(id), 10_000).await?;
    if json {
        return print_json(&OneAlert { alert, deliveries });
    }
    say(format_args!(
        "Alert {id} ({}): {}",
        alert.public_id, alert.status
    ));
    if let Some(reason) = &alert.status_reason {
        say(format_args!("  {reason}"));
    }
    say(delivery_table(&deliveries));
    Ok(())
}

fn queue_table(lines: &[QueueLine]) -> Table {
    let mut table = Table::new([
        "SendPort",
        "Status",
        "Depth",
        "OldestAge",
        "NextDueAt",
        "WaitingFor",
    ]);
    for line in lines {
        table.row([
            line.send_port.clone(),
            line.status.to_string(),
            line.depth.to_string(),
            format!("{} s", line.oldest_age_seconds),
            line.next_due_at.map(short_time).unwrap_or_default(),
            line.waiting_for.clone().unwrap_or_default(),
        ]);
    }
    table
}

fn instance_table(lines: &[InstanceLine]) -> Table {
    let mut table = Table::new(["Name", "Version", "StartedAt", "LeaseUntil", "State"]);
    for line in lines {
        let state = match (line.alive, line.stopped_at) {
            (true, _) => "running".to_owned(),
            (false, Some(at)) => format!("stopped at {}", short_time(at)),
            (false, None) => "lost".to_owned(),
        };
        table.row([
            line.name.clone(),
            line.version.clone(),
            short_time(line.started_at),
            short_time(line.lease_until),
            state,
        ]);
    }
    table
}

/// What was said about a recipient; empty where nothing was.
pub(super) fn recorded_reply(line: &DeliveryLine) -> String {
    let code = line
        .reply_code
        .filter(|code| *code != 0)
        .map(|code| code.to_string());
    let reply = [
        code,
        line.enhanced_status_code.clone(),
        line.reply_text.clone(),
    ];
    reply.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(super) fn delivery_table(lines: &[DeliveryLine]) -> Table {
    let mut table = Table::new(["Kind", "Address", "Status", "Reply", "Cause", "Advice"]);
    for line in lines {
        table.row([
            line.kind.clone(),
            line.address.clone(),
            line.status.clone(),
            recorded_reply(line),
            line.cause.clone().unwrap_or_default(),
            line.advice.clone().unwrap_or_default(),
        ]);
    }
    table
}
