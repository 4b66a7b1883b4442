//! `sendport dkim`

use super::{Failure, say};
use crate::app;
use crate::config::Config;

/// Prints the DNS record of each DKIM key, as verifiers have to find it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sendport dkim\n  dig +short TXT s2026._domainkey.contoso.com")]
pub(super) struct Args {}

/// Prints them all, or the first key that cannot be used.
pub(super) fn run(_args: &Args, config: &Config) -> Result<(), Failure> {
    let states = app::dkim_states(config);
    if states.is_empty() {
        return Err(Failure::Config(
            "no send port has a DKIM key: write a section [send_port.<name>.dkim.<key>]".to_owned(),
        ));
    }
    for state in states {
        let state = state?;
        let published = state.published;
        say(format_args!("{}: {}", state.section, published.kind));
        say(format_args!("  name   {}", published.name));
        say("  type   TXT");
        say(format_args!("  value  {}", published.record));
    }
    Ok(())
}
