//! `sendport migrate`

use super::{Failure, refuse_another_user, say};
use crate::app::{self, open_store};
use crate::config::{Config, checked_environment};

/// Safe to run twice and from two machines at once.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport migrate --create-database --environment test
  sendport migrate --print > sendport.sql    for sqlcmd or sqlite3, by hand")]
pub(super) struct Args {
    /// Create the database itself where it does not exist
    #[arg(long)]
    create_database: bool,
    /// Store this environment's name, unless one is stored already
    #[arg(long, value_name = "NAME", value_parser = checked_environment)]
    environment: Option<String>,
    /// Print the script instead of running it
    #[arg(long)]
    print: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    if args.print {
        return print(&config);
    }
    refuse_another_user(app::owner_of_database(&config), "migrate")?;
    let store = open_store(&config)?;
    if args.create_database && store.create_database().await? {
        say(format_args!("created  {}", store.describe()));
    }
    let applied = store.migrate().await?;
    for step in &applied {
        say(format_args!("applied  {:04} {}", step.version, step.name));
    }
    let state = if applied.is_empty() {
        "current"
    } else {
        "migrated"
    };
    say(format_args!("{state}  {}", store.describe()));
    let wanted = args.environment.unwrap_or(config.environment);
    let found = store.name_environment(&wanted).await?;
    say(format_args!("environment  {found}"));
    if found != wanted {
        return Err(Failure::Database(format!(
            "the database belongs to the environment '{found}', not '{wanted}'; if it is a copy, run `sendport adopt`"
        )));
    }
    Ok(())
}

fn print(config: &Config) -> Result<(), Failure> {
    let connection = config.database.resolve().map_err(Failure::Config)?;
    say(app::migration_script(connection.expose()).trim_end());
    Ok(())
}
