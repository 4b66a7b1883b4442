//! `sendport run`

use super::terminal::Color;
use super::{Failure, refuse_another_user, stop_signal};
use crate::app::{self, Service, open_store};
use crate::config::{Config, ConfigError};
use crate::telemetry;

/// The service. SIGTERM or Ctrl-C drains: what was submitted is recorded, the rest released.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sendport run --config /etc/sendport/sendport.toml")]
pub(super) struct Args {
    /// Make or update the tables first
    #[arg(long)]
    migrate: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems).into());
    }
    let owner = app::owner_of_database(&config).filter(|_| args.migrate);
    refuse_another_user(owner.or_else(|| app::owner_of_state_folder(&config)), "run")?;
    telemetry::init(&config.log, Color::on(&std::io::stderr())).map_err(Failure::Config)?;
    for warning in config.warnings() {
        tracing::warn!(key = warning.key, "{}", warning.what);
    }
    let stop = stop_signal();
    let store = open_store(&config)?;
    let mut service = Service::new(config, store).await?;
    if args.migrate {
        service = service.migrating();
    }
    match service.run(stop).await? {
        None => {
            tracing::info!("stopped, everything under way is recorded");
            Ok(())
        }
        Some(kept) => Err(kept.into()),
    }
}
