//! A harness that kills, freezes and cuts, and then counts at the receiving end: lost,
//! duplicated, explained. Run it by `./crash.sh`; docs/operations.md says how to read it.
//!
//! On SQLite always; on a T-SQL engine where `SENDPORT_TEST_SQLSERVER` holds a connection
//! string, in databases of its own.

mod clients;
mod count;
mod database;
mod disk;
#[path = "../../tests/support/not_run.rs"]
mod not_run;
mod proxy;
mod scenario;
#[path = "../../tests/support/tsql.rs"]
mod tsql;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use database::Engine;
use scenario::{EngineCommands, Plan, Row};

/// Kills, freezes and cuts, and counts what arrived.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often to kill
    #[arg(long, default_value_t = 200)]
    kills: u32,
    /// How often to freeze, cut and stop, each
    #[arg(long, default_value_t = 12)]
    faults: u32,
    /// Alerts inserted a second
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Alerts that wait before each fault of a drain
    #[arg(long, default_value_t = 300)]
    drain: u32,
    /// The services' lease, in seconds: longer for a slow engine
    #[arg(long, default_value_t = 4)]
    lease: u64,
    /// Seconds that a statement may take on a T-SQL engine: more for a slow one
    #[arg(long, default_value_t = 5)]
    command_timeout: u64,
    /// Shell command that restarts the T-SQL engine at once, without a shutdown in order
    #[arg(long, value_name = "COMMAND")]
    engine_restart_immediate: Option<String>,
    /// Shell command that restarts the T-SQL engine in order
    #[arg(long, value_name = "COMMAND")]
    engine_restart_fast: Option<String>,
    /// Shell command that kills the T-SQL engine, or a part of it, as a system out of memory does,
    /// and starts it again
    #[arg(long, value_name = "COMMAND")]
    engine_kill: Option<String>,
    /// Only scenarios whose name has this in it
    #[arg(long)]
    only: Option<String>,
    /// Keep the folders of the runs
    #[arg(long)]
    keep: bool,
}

#[expect(clippy::print_stdout, reason = "the table is what it is for")]
#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = Plan {
        program: program(),
        kills: arguments.kills,
        faults: arguments.faults,
        rate: arguments.rate,
        drain: arguments.drain,
        lease: Duration::from_secs(arguments.lease),
        command_timeout: arguments.command_timeout,
        engine: EngineCommands {
            restart_immediate: arguments.engine_restart_immediate,
            restart_fast: arguments.engine_restart_fast,
            kill: arguments.engine_kill,
        },
        keep: arguments.keep,
    };
    let mut engines = vec![Engine::Sqlite];
    engines.extend(tsql::server().map(Engine::TSql));
    println!("{}", Row::HEAD);
    let mut good = true;
    for engine in &engines {
        let wanted = |s: &&scenario::Scenario| {
            s.applies_to(engine)
                && arguments
                    .only
                    .as_deref()
                    .is_none_or(|only| s.name().contains(only))
        };
        for scenario in scenario::ALL.iter().filter(wanted) {
            if let Some(why) = scenario.cannot_run(engine, &plan) {
                println!(
                    "| {} | {} | not run: {why} | | | | | |",
                    engine.name(),
                    scenario.name()
                );
                continue;
            }
            let row = scenario::run(scenario, engine, &plan).await;
            println!("{row}");
            good &= row.is_good();
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The program beside this example's folder.
fn program() -> PathBuf {
    let this = std::env::current_exe().expect("the path of this program");
    let folder = this.parent().and_then(|examples| examples.parent());
    folder.expect("target/<profile>/examples").join("sendport")
}
