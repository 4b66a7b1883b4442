//! `sendport verify`

use serde::Serialize;

use super::table::Table;
use super::terminal::{Paint, painted};
use super::{Failure, print_json, progress, say};
use crate::app::{self, VerifyPlan};
use crate::config::Config;
use crate::verify::{Finding, Grade, Rate, Report};

/// Proves on the server of the configuration that its engine, its collation and its options can carry the queue. Creates
/// a database like the one that the configuration names, and drops it at the end; sends nothing. Two simulated
/// instances compete for alerts while an application holds locks. For SQLite, a file beside the database.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport verify\n  sendport verify --database scratch --json > report.json\n\n\
    On Azure SQL Database a new database costs money: create one and name it with --database.\n\
    Plans and lock escalation need VIEW SERVER STATE (Azure: VIEW DATABASE STATE)."
)]
pub(super) struct Args {
    /// Use this database, which must have no tables, instead of creating one
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Alerts for which the instances compete
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    alerts: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// For programs, and for a report of a problem.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    verdict: String,
    version: &'static str,
    #[serde(flatten)]
    report: &'a Report,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let plan = VerifyPlan {
        database: args.database,
        alerts: args.alerts,
    };
    let at = |step: &str| progress::at(format!("verify: {step}"));
    let report = app::verify(&config, &plan, at).await?;
    let verdict = report.verdict();
    if args.json {
        print_json(&Document {
            verdict: verdict.clone(),
            version: env!("CARGO_PKG_VERSION"),
            report: &report,
        })?;
    } else {
        report.findings.iter().for_each(show);
        say("");
        say(rates(&report.rates));
        say(format_args!("\n{verdict}{}", progress::took()));
    }
    if report.has_failed() {
        return Err(Failure::Database(verdict));
    }
    Ok(())
}

fn show(finding: &Finding) {
    let grade = match finding.result {
        Grade::Ok => painted(Paint::Good, "ok") + "            ",
        Grade::Fail => painted(Paint::Bad, "FAIL") + "          ",
        Grade::NotMeasured => painted(Paint::Notice, "not measured") + "  ",
        Grade::Fact => " ".repeat(14),
    };
    let Finding { what, text, .. } = finding;
    say(format_args!("{grade}{what}: {text}"));
}

fn rates(rates: &[Rate]) -> Table {
    let mut table = Table::new(["Batch", "Claimed/s", "Recorded/s"]);
    for rate in rates {
        table.row([
            rate.batch.to_string(),
            rate.claimed_per_second.to_string(),
            rate.recorded_per_second.to_string(),
        ]);
    }
    table
}
