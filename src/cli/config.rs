//! `sendport config`

use std::path::PathBuf;

use super::config_file::find;
use super::{Failure, print_json, say};
use crate::config::Config;

/// What the file, the environment and the defaults come to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sendport config show\n  sendport config show --json")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Print every effective setting, with secrets redacted
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(args: &Args, named: Option<PathBuf>) -> Result<(), Failure> {
    let Verb::Show { json } = args.verb;
    let file = find(named)?;
    let config = Config::load(file.as_deref())?;
    if json {
        return print_json(&config);
    }
    let text = toml::to_string(&config).map_err(Failure::other)?;
    let file = file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string());
    say(format_args!(
        "# In force: {file}, variables SENDPORT__... over it, defaults below it.\n\n{}",
        text.trim_end()
    ));
    Ok(())
}
