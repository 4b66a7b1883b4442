//! `sendport requests`

use sendport_core::domain::RequeueRecipients;
use sendport_store::operator_requests::RequestLine;

use super::table::Table;
use super::terminal::short_time;
use super::{Failure, open, print_json, say};
use crate::config::Config;

/// The latest requests of operators: who did what, when, and to how many alerts.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport requests\n  sendport requests --open      the holds and redirects in force"
)]
pub(super) struct Args {
    /// Show so many
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// Show those that are in force or not carried out yet, such as holds and redirects, the oldest first
    #[arg(long, conflicts_with = "limit")]
    open: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let lines = match args.open {
        true => store.open_requests().await?,
        false => store.requests(args.limit).await?,
    };
    if args.json {
        return print_json(&lines);
    }
    say("OperatorRequest");
    say(table(&lines));
    Ok(())
}

fn table(lines: &[RequestLine]) -> Table {
    let mut table = Table::new([
        "RequestId",
        "Verb",
        "Alerts",
        "State",
        "AppliedCount",
        "RefusedCount",
        "RequestedAt",
        "RequestedBy",
        "Comment",
        "Result",
    ]);
    for line in lines {
        table.row([
            line.request_id.to_string(),
            line.verb.clone(),
            what(line),
            line.state.clone(),
            line.applied_count.to_string(),
            line.refused_count.to_string(),
            short_time(line.requested_at),
            line.requested_by.clone(),
            line.comment.clone().unwrap_or_default(),
            line.advice().or(line.result.clone()).unwrap_or_default(),
        ]);
    }
    table
}

/// Which alerts, and how a requeue sends them: the audit tells two requeues apart.
fn what(line: &RequestLine) -> String {
    let mut words = vec![line.filter.in_words()];
    if let Some(which @ (RequeueRecipients::All | RequeueRecipients::Redirected)) = line.recipients
    {
        words.push(format!("{which} recipients"));
    }
    if let Some(to) = &line.redirect_to {
        words.push(format!("to {to}"));
    }
    if let Some(resolution) = line.resolution {
        words.push(format!("as {resolution}"));
    }
    if line.bodies_only {
        words.push("bodies only".to_owned());
    }
    if line.new_message_id {
        words.push("new Message-ID".to_owned());
    }
    words.retain(|word| !word.is_empty());
    words.join(", ")
}
