//! Fetches CRLs, each on a thread of its own, so that a server that does not answer delays no
//! other.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::Clock;
use sendport_oauth2::http_client;
use sendport_smime::{BoxError, CrlCache, FetchOutcome};
use tokio::sync::Semaphore;

/// Limit for a whole CRL.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A larger CRL is refused, in bytes.
const MOST_BYTES: u64 = 20 * 1024 * 1024;

/// Most fetches at the same time.
const MOST_FETCHES: usize = 16;

/// Downloads a URL, within 30 s and 20 MiB. Blocks the thread.
///
/// # Errors
/// A sentence without the URL.
pub fn fetch(url: &str) -> Result<Vec<u8>, BoxError> {
    http_client::download(url, TIMEOUT, MOST_BYTES).map_err(Into::into)
}

/// Fetches the CRLs that a cache requests.
pub(super) struct CrlFetcher {
    cache: Arc<CrlCache>,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
}

impl CrlFetcher {
    pub(super) fn new(cache: Arc<CrlCache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            cache,
            clock,
            permits: Arc::new(Semaphore::new(MOST_FETCHES)),
        }
    }

    /// Starts the fetches that are due. Returns at once.
    pub(super) fn start_due(&self) {
        for url in self.cache.due(self.clock.now()) {
            let (cache, clock) = (self.cache.clone(), self.clock.clone());
            let permits = self.permits.clone();
            tokio::spawn(async move {
                let _permit = permits.acquire().await;
                let fetched = move || fetch_into(&cache, &*clock, &url);
                let _ends_with_the_service = tokio::task::spawn_blocking(fetched).await;
            });
        }
    }
}

fn fetch_into(cache: &CrlCache, clock: &dyn Clock, url: &str) {
    let answer = fetch(url);
    match cache.record(url, answer, clock.now()) {
        FetchOutcome::Stored => tracing::debug!(url, "CRL downloaded"),
        FetchOutcome::Failed(why) => tracing::warn!(%why, "CRL download failed"),
        FetchOutcome::FailedAgain => {}
    }
}
