//! Where an imported configuration is written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use sendport_core::secret::Secret;

use super::super::init::{new_file, write_new};
use super::super::one_alert::one_line;
use super::super::secret_prompt::ask;
use super::super::terminal::note;
use super::super::{Failure, put, say};
use crate::import::ImportedConfig;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Write the configuration into this file; an existing file is never overwritten
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Ask for the passwords of the relays, and write each into a file of its own beside the output
    #[arg(long, requires = "output")]
    ask_passwords: bool,
}

impl Args {
    /// Prints the configuration, or writes its file and prints what it does not contain.
    pub(super) async fn write(&self, made: &ImportedConfig) -> Result<(), Failure> {
        let text = made.to_toml();
        let Some(output) = &self.output else {
            put(text.as_bytes())?;
            note(format_args!("{}; see its comments", summary(made)));
            return Ok(());
        };
        let folder = output.parent().unwrap_or(Path::new(""));
        let passwords = match self.ask_passwords {
            true => ask_for_passwords(made, folder).await?,
            false => Vec::new(),
        };
        write_new(output, &text)?;
        for (file, password) in &passwords {
            write_secret(file, password)?;
            say(format_args!("wrote {}", file.display()));
        }
        say(format_args!(
            "wrote {}: {}",
            output.display(),
            summary(made)
        ));
        for finding in &made.findings {
            let line = format!("- {}: {}", finding.what, finding.text);
            say(one_line(&line));
        }
        for (relay, file) in made.missing_passwords() {
            let file = folder.join(file);
            if !file.exists() {
                say(format_args!(
                    "missing: {}, with the password of relay '{}'",
                    file.display(),
                    relay.name
                ));
            }
        }
        Ok(())
    }
}

fn summary(made: &ImportedConfig) -> String {
    format!(
        "{} send ports, {} relays; {} things were not carried over, or not unchanged",
        made.send_ports.len(),
        made.relays.len(),
        made.findings.len()
    )
}

/// The passwords of the files that do not exist.
async fn ask_for_passwords(
    made: &ImportedConfig,
    folder: &Path,
) -> Result<Vec<(PathBuf, Secret)>, Failure> {
    let mut passwords = Vec::new();
    for (relay, file) in made.missing_passwords() {
        let file = folder.join(file);
        if file.exists() {
            note(format_args!(
                "{} exists already and is not changed",
                file.display()
            ));
            continue;
        }
        let question = format!("Password of relay '{}' ({}): ", relay.name, relay.host);
        let password = ask(question).await?;
        match password.expose().is_empty() {
            true => note(format_args!(
                "no password; {} is not written",
                file.display()
            )),
            false => passwords.push((file, password)),
        }
    }
    Ok(passwords)
}

/// Only its owner may read it.
fn write_secret(file: &Path, password: &Secret) -> Result<(), Failure> {
    let written = new_file(0o600)
        .open(file)
        .and_then(|mut opened| opened.write_all(password.expose().as_bytes()));
    written
        .map_err(|error| Failure::Other(format!("{} cannot be written: {error}", file.display())))
}
