//! `sendport run`

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::terminal::Color;
use super::{Failure, refuse_another_user, stop_signal, wait_for_signal};
use crate::app::{self, RunningTransactions, Service, open_store};
use crate::config::{Config, ConfigError};
use crate::observability::log;

/// A stop that takes no longer is not reported.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Most messages in doubt that are listed.
const SHOWN: usize = 20;

/// The service. SIGTERM or Ctrl-C drains: what was submitted is recorded, the rest released. A second one ends it
/// at once, and says what is in doubt.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sendport run --config /etc/sendport/sendport.toml")]
pub(super) struct Args {
    /// Create or update the tables first
    #[arg(long)]
    migrate: bool,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(ConfigError::Problems(problems).into());
    }
    let owner = app::owner_of_database(&config).filter(|_| args.migrate);
    refuse_another_user(owner.or_else(|| app::owner_of_state_folder(&config)), "run")?;
    log::init(&config.log, Color::on(&std::io::stderr())).map_err(Failure::config)?;
    for warning in config.warnings() {
        tracing::warn!(
            key = warning.key,
            what = warning.what,
            "configuration warning"
        );
    }
    let (longest, folder) = (
        config.service.drain_timeout,
        config.service.state_folder.clone(),
    );
    let stop = stop_signal();
    let store = open_store(&config)?;
    let mut service = Service::new(config, store).await?;
    if args.migrate {
        service = service.migrating();
    }
    let running_transactions = service.running_transactions();
    tokio::select! {
        ended = service.run(stop.clone()) => match ended? {
            None => {
                tracing::info!("service stopped, all outcomes recorded");
                Ok(())
            }
            Some(kept) => Err(kept.into()),
        },
        () = second_signal(&stop, &running_transactions, longest) => Err(at_once(&running_transactions, &folder)),
    }
}

/// Returns on a second signal while the service stops.
async fn second_signal(
    stop: &CancellationToken,
    running_transactions: &RunningTransactions,
    longest: Duration,
) {
    stop.cancelled().await;
    let mut second = std::pin::pin!(wait_for_signal());
    if tokio::time::timeout(AT_ONCE, &mut second).await.is_ok() {
        return;
    }
    let at_the_final_dot = running_transactions.in_doubt().len();
    let longest_s = longest.as_secs();
    tracing::warn!(
        at_the_final_dot,
        longest_s,
        "shutdown is waiting for running transactions, a second signal aborts them"
    );
    second.await;
}

/// The messages whose outcome stays unknown.
fn at_once(running_transactions: &RunningTransactions, folder: &Path) -> Failure {
    let notes = running_transactions.in_doubt();
    let shown = notes.iter().take(SHOWN).map(|note| {
        let (alert, relay, id) = (note.alert, &note.relay, &note.message_id);
        format!("\n  alert {alert}, relay {relay}, Message-ID {id}")
    });
    let mut text = "ended at once by a second signal".to_owned();
    text += &match notes.len() {
        0 => "; nothing is in doubt".to_owned(),
        count => format!(
            "; in doubt, may have been sent: {count}{}",
            shown.collect::<String>()
        ),
    };
    if notes.len() > SHOWN {
        text += "\n  ...";
    }
    let unrecorded = running_transactions.unrecorded();
    if unrecorded > 0 {
        text += &format!("\nNot in the database yet: {unrecorded} outcomes of other messages.");
    }
    if unrecorded > 0 || !notes.is_empty() {
        text += &format!(
            "\nThe folder {} keeps all this for the next start of the service. Start it before the lease runs out: \
             then no other instance sends these messages again.",
            folder.display()
        );
    }
    if !notes.is_empty() {
        text += "\nWhat is in doubt is sent again, or held: see in_doubt of its send port.";
    }
    Failure::ImmediateStop(text)
}
