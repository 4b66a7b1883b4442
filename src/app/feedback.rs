//! The return paths that prove reports, and the readers of the reports.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::ReversePath;
use sendport_core::replies::ReplyTable;
use sendport_delivery::send_port::{ReturnPathTokens, with_detail};
use sendport_delivery::settings::SendPortConfig;
use sendport_feedback::TokenKeys;
use sendport_smtp::settings::relay::RelayConfig;
use sendport_store::Store;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{AppError, system_clock};
use crate::config::{Config, section};
use crate::feedback::{FeedbackReader, FeedbackReaderDependencies, Proofs};
use crate::observability::metrics::Metrics;

/// The keys of return paths; `None`: there are none.
///
/// # Errors
/// [`AppError::Config`] naming the key of the configuration.
pub(super) fn return_path_keys(config: &Config) -> Result<Option<Arc<TokenKeys>>, AppError> {
    let keys = config.feedback.keys();
    keys.map_err(|problem| AppError::config_at(problem.key, problem.what))
}

/// What gives the transactions of a send port a return path of their own; `None` where it does not ask for that.
///
/// # Errors
/// [`AppError::Config`] naming the key.
pub(super) fn return_path_tokens(
    config: &Config,
    (name, port): (&str, &SendPortConfig),
    keys: Option<&Arc<TokenKeys>>,
) -> Result<Option<ReturnPathTokens>, AppError> {
    let (true, Some(ReversePath(Some(address))), Some(keys)) =
        (port.return_path_token, &port.return_path, keys)
    else {
        return Ok(None);
    };
    let without = config.relay.iter().filter_map(|(name, relay)| match relay {
        RelayConfig::Smtp(smtp) if !smtp.return_path_token => Some(name.clone()),
        // Microsoft Graph has no MAIL FROM.
        RelayConfig::Graph(_) => Some(name.clone()),
        _ => None,
    });
    let valid_for = config.feedback.return_path_valid_for;
    let tokens = ReturnPathTokens::new(address, keys.clone(), valid_for, without.collect());
    let key = format!("{}.return_path", section("send_port", name));
    tokens
        .map(Some)
        .map_err(|error| AppError::config_at(key, error))
}

/// The readers of reports that run. Dropping it ends them at once.
pub(super) struct FeedbackReaders {
    tasks: JoinSet<()>,
}

impl FeedbackReaders {
    /// Reads every source of the configuration until `stop`.
    ///
    /// # Errors
    /// [`AppError::Config`]: a key cannot be read.
    pub(super) fn start(
        config: &Config,
        store: &Arc<dyn Store>,
        metrics: &Metrics,
        stop: &CancellationToken,
    ) -> Result<Self, AppError> {
        let ports = config.send_port.values();
        let addresses = ports.filter_map(|port| port.return_path.as_ref()?.0.as_ref());
        let parts = FeedbackReaderDependencies {
            proofs: Proofs {
                return_paths: addresses.filter_map(|it| with_detail(it).ok()).collect(),
                keys: return_path_keys(config)?,
            },
            bounces: Arc::new(ReplyTable::of_bounces()),
            store: store.clone(),
            metrics: metrics.feedback.clone(),
            clock: system_clock(),
        };
        let mut tasks = JoinSet::new();
        for (name, source) in &config.feedback.source {
            let reader = FeedbackReader::new(name, source, parts.clone());
            tasks.spawn(reader.run(stop.clone()));
        }
        Ok(Self { tasks })
    }

    /// Waits after a stop until the reports that are being recorded are, at most so long. One that is not is read again.
    pub(super) async fn end(mut self, at_most: Duration) {
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(at_most, ended).await;
    }
}
