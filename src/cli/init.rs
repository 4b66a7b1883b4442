//! `sendport init`

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::{Failure, say};
use crate::config::{START_TOML, USUAL_FILES};

/// The file works as it is, with `sendport sink` for a relay: no mail leaves the machine.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport init
  sendport init /etc/sendport/sendport.toml")]
pub(super) struct Args {
    /// File to write; an existing file is never overwritten
    #[arg(default_value = "sendport.toml", value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let shown = args.file.display();
    write_new(&args.file, START_TOML)?;
    let option = match USUAL_FILES
        .iter()
        .any(|file| args.file.as_os_str() == *file)
    {
        true => String::new(),
        false => format!(" --config {shown}"),
    };
    say(format_args!(
        "wrote {shown}; enter your relay and your From address in it, then run

  sendport check --offline{option}    check the file
  sendport migrate{option}            create the tables
  sendport check{option}              check the database and the relays, too
  sendport run{option}                run the service; until you have a relay, run `sendport sink` beside it"
    ));
    Ok(())
}

/// Writes a configuration into a new file, which others cannot read: it may contain a password.
pub(super) fn write_new(file: &Path, text: &str) -> Result<(), Failure> {
    let shown = file.display();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Failure::Other(format!(
            "{shown} exists already and was not changed; name another file"
        )),
        _ => Failure::Other(format!("{shown} cannot be written: {error}")),
    };
    let written = new_file(0o640).open(file);
    let mut file = written.map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}

/// Options to create a file with this mode on Unix.
pub(super) fn new_file(mode: u32) -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options
}
