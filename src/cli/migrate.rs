//! `sendport migrate`

use sendport_store::MigrationStep;
use serde::Serialize;

use super::{Failure, print_json, progress, refuse_another_user, say};
use crate::app::{self, open_store};
use crate::config::{Config, checked_environment};

/// Safe to run twice and from two machines at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport migrate --create-database --environment test
  sendport migrate --print > sendport.sql    for sqlcmd, Management Studio or sqlite3")]
pub(super) struct Args {
    /// Create the database if it does not exist
    #[arg(long)]
    create_database: bool,
    /// Store this environment name, unless one is stored already
    #[arg(long, value_name = "NAME", value_parser = checked_environment)]
    environment: Option<String>,
    /// Print the script instead of running it
    #[arg(long)]
    print: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

/// The output of --json.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct MigrateOutput {
    database: String,
    created: bool,
    applied: Vec<AppliedOutput>,
    environment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AppliedOutput {
    version: u32,
    name: String,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    if args.print {
        return print(&config);
    }
    refuse_another_user(app::owner_of_database(&config), "migrate")?;
    let wanted = args.environment.as_ref().unwrap_or(&config.environment);
    let done = migrate(&config, &args, wanted).await?;
    if args.json {
        print_json(&done)?;
    }
    let found = done.environment;
    if found != *wanted {
        return Err(Failure::Database(format!(
            "the database belongs to the environment '{found}', not '{wanted}'; if it is a copy, run `sendport adopt`"
        )));
    }
    Ok(())
}

/// Prints each step once it is complete, unless the output is JSON.
async fn migrate(
    config: &Config,
    args: &Args,
    environment: &str,
) -> Result<MigrateOutput, Failure> {
    let step = |line: std::fmt::Arguments<'_>| {
        if !args.json {
            say(line);
        }
    };
    let store = open_store(config)?;
    let database = store.describe();
    let created = args.create_database && store.create_database().await?;
    if created {
        step(format_args!("created  {database}"));
    }
    let applied: Vec<_> = store.migrate().await?.into_iter().map(applied).collect();
    for AppliedOutput { version, name } in &applied {
        step(format_args!("applied  {version:04} {name}"));
    }
    let state = if applied.is_empty() {
        "current"
    } else {
        "migrated"
    };
    step(format_args!("{state}  {database}{}", progress::took()));
    let environment = store.name_environment(environment).await?;
    step(format_args!("environment  {environment}"));
    Ok(MigrateOutput {
        database,
        created,
        applied,
        environment,
    })
}

fn applied(step: MigrationStep) -> AppliedOutput {
    let MigrationStep { version, name } = step;
    AppliedOutput { version, name }
}

fn print(config: &Config) -> Result<(), Failure> {
    let connection = config.database.resolve().map_err(Failure::config)?;
    say(app::migration_script(connection.expose()).trim_end());
    Ok(())
}
