//! `sendport hash-password`

use std::io::IsTerminal as _;

use sendport_intake::PasswordHash;

use super::secret_prompt::{ask, from_input};
use super::{Failure, say};

/// Prints the hash of a password, for `password_hash` of a user of an intake.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport hash-password\n  sendport hash-password < password.txt"
)]
pub(super) struct Args {}

/// Asks at a terminal, or reads a line.
pub(super) async fn run(_args: Args) -> Result<(), Failure> {
    let password = match std::io::stdin().is_terminal() {
        true => ask("Password: ".to_owned()).await?,
        false => from_input().await?,
    };
    if password.expose().is_empty() {
        return Err(Failure::Usage(
            "expected a password in the first line of standard input, found an empty line"
                .to_owned(),
        ));
    }
    let hash = PasswordHash::new(password.expose()).map_err(Failure::other)?;
    say(hash);
    Ok(())
}
