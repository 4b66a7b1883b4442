//! `sendport resolve`

use sendport_core::domain::{Resolution, shown_name};
use sendport_store::InDoubtLine;
use sendport_store::operator_requests::ResolveRequest;

use super::filter_check::comment;
use super::one_alert::OneAlert;
use super::table::Table;
use super::terminal::short_time;
use super::{Failure, open, print_json, say};
use crate::app;
use crate::config::Config;

/// Most that are listed; the view `InDoubt` has all.
const MOST: u32 = 1000;

/// If the end of a submission was not seen, the relay may have taken the message. Without
/// arguments: the view InDoubt. With an alert: what you found out at the relay.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("resolution").requires("alert"),
    after_help = "Examples:
  sendport resolve                     list the alerts in doubt; --json for programs
  sendport resolve 4711 --relayed      the relay accepted it: waiting recipients become relayed
  sendport resolve 4711 --resend       it did not, or a duplicate does no harm: send it again
  sendport resolve 4711 --cancel       send nothing more

Search the relay's log for the Message-ID or, if the alert has none, for the PublicId."
)]
pub(super) struct Args {
    /// Number, PublicId, Message-ID or Reference of an alert
    #[arg(requires = "resolution")]
    alert: Option<String>,
    /// The relay accepted it
    #[arg(long, group = "resolution")]
    relayed: bool,
    /// Send it again at once, with the same Message-ID
    #[arg(long, group = "resolution")]
    resend: bool,
    /// Do not send it again
    #[arg(long, group = "resolution")]
    cancel: bool,
    /// Why; the audit shows it
    #[arg(long, value_name = "TEXT", value_parser = comment, requires = "resolution")]
    comment: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn resolution(&self) -> Resolution {
        if self.relayed {
            Resolution::Relayed
        } else if self.resend {
            Resolution::Resend
        } else {
            Resolution::Cancel
        }
    }
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let Some(name) = &args.alert else {
        return list(&store.in_doubt(MOST).await?, args.json);
    };
    let id = app::find_alert(&*store, name).await?.alert_id;
    let request = ResolveRequest {
        resolution: args.resolution(),
        comment: args.comment,
        requested_by: app::user_name(),
        host_name: Some(app::host_name()),
    };
    let Some(request) = store.resolve(id, &request).await? else {
        return Err(Failure::Other(format!(
            "alert {id} is not in doubt, or is being sent again right now; `sendport status {id}` shows its status"
        )));
    };
    let alert = store.alerts(Some(id), 1).await?.into_iter().next();
    let alert = alert.ok_or_else(|| Failure::Other(format!("alert {id} is gone")))?;
    let status = alert.status;
    if args.json {
        return print_json(&OneAlert::of(&*store, alert).await?);
    }
    say(format_args!(
        "alert {id} is {status} now, by request {request}"
    ));
    Ok(())
}

fn list(lines: &[InDoubtLine], json: bool) -> Result<(), Failure> {
    if json {
        return print_json(&lines);
    }
    say("InDoubt");
    say(table(lines));
    Ok(())
}

fn table(lines: &[InDoubtLine]) -> Table {
    let mut table = Table::new([
        "AlertId",
        "SendPort",
        "Subject",
        "Status",
        "NextAttemptAt",
        "EndedAt",
        "Relay",
        "Message-ID or PublicId",
    ]);
    for line in lines {
        table.row([
            line.alert_id.to_string(),
            shown_name(&line.send_port).into_owned(),
            line.subject.clone().unwrap_or_default(),
            line.status.to_string(),
            line.next_attempt_at.map(short_time).unwrap_or_default(),
            short_time(line.ended_at),
            line.relay.clone().unwrap_or_default(),
            line.message_id.as_ref().unwrap_or(&line.public_id).clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &str) -> Result<Args, clap::Error> {
        let words = std::iter::once("resolve").chain(words.split_whitespace());
        Only::try_parse_from(words).map(|only| only.args)
    }

    #[test]
    fn an_alert_needs_exactly_one_resolution() {
        assert_eq!(parse("").unwrap().alert, None);
        assert!(parse("--json").unwrap().json);
        for (words, resolution) in [
            ("4711 --relayed", Resolution::Relayed),
            ("4711 --resend", Resolution::Resend),
            ("--cancel 4711", Resolution::Cancel),
        ] {
            let args = parse(words).unwrap();
            assert_eq!(
                (args.alert.clone(), args.resolution()),
                (Some("4711".to_owned()), resolution)
            );
        }
        for words in ["4711", "--cancel", "4711 --relayed --resend"] {
            assert!(parse(words).is_err(), "{words}");
        }
    }
}
