//! `sendport why`

use sendport_core::domain::AlertId;
use sendport_store::ExplanationLine;
use serde::Serialize;

use super::one_alert::one_line;
use super::terminal::when;
use super::{Failure, open, print_json, say};
use crate::app;
use crate::config::Config;

/// The view AlertExplanation of one alert: what happened, by which relay and reply, the status and its cause, what
/// happens next and when, and what a person can do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sendport why 4711\n  sendport why order-4711")]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of an alert
    alert: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For programs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Output<'a> {
    alert_id: AlertId,
    lines: &'a [ExplanationLine],
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let alert_id = app::find_alert(&*store, &args.alert).await?.alert_id;
    let lines = store.explanation(alert_id).await?;
    if args.json {
        let lines = &lines;
        return print_json(&Output { alert_id, lines });
    }
    say(format_args!("Alert {alert_id}"));
    let mut before = "";
    for line in &lines {
        if line.kind != before {
            say(format_args!("\n{}", heading(&line.kind)));
            before = &line.kind;
        }
        let at = line.at.map(|at| format!("{}: ", when(at, app::now())));
        let sentence = one_line(&line.sentence);
        say(format_args!("  {}{sentence}", at.unwrap_or_default()));
    }
    Ok(())
}

fn heading(kind: &str) -> &str {
    match kind {
        "history" => "What happened",
        "status" => "Status",
        "cause" => "Cause",
        "next" => "What happens next",
        "advice" => "What you can do",
        _ => kind,
    }
}
