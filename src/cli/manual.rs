//! `sendport completions` and `sendport manual`

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use super::terminal::put;
use super::{Cli, Failure};

/// Completions for a shell, on standard output.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport completions bash > /etc/bash_completion.d/sendport
  sendport completions zsh > ~/.zfunc/_sendport")]
pub(super) struct Completions {
    /// Shell
    shell: Shell,
}

pub(super) fn complete(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "sendport", &mut script);
    put(&script)
}

/// A manual page for the program and for each verb; packages are made with them.
#[derive(Debug, clap::Args)]
pub(super) struct Manual {
    /// Made where there is none
    folder: PathBuf,
}

pub(super) fn write(args: &Manual) -> Result<(), Failure> {
    let folder = args.folder.display();
    let failed = |error| {
        Failure::Other(format!(
            "manual pages cannot be written into {folder}: {error}"
        ))
    };
    std::fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)
}
