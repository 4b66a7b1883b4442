//! Fetches lists of revoked certificates, each on a thread of its own: one that does not answer
//! holds up no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::http_client;
use crate::smime::{CrlCache, FetchOutcome};

/// A server has so long for a whole list.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A larger list is not taken.
const MOST_OCTETS: u64 = 20 * 1024 * 1024;

/// So many are fetched at the same time.
const AT_ONCE: usize = 16;

/// What is at a URL, within 30 s and 20 MiB. Blocks the thread.
///
/// # Errors
/// A sentence without the URL.
pub fn fetch(url: &str) -> Result<Vec<u8>, String> {
    http_client::download(url, TIMEOUT, MOST_OCTETS)
}

/// Fetches what a shelf wants.
pub(super) struct Fetcher {
    shelf: Arc<CrlCache>,
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
}

impl Fetcher {
    pub(super) fn new(shelf: Arc<CrlCache>, clock: Arc<dyn Clock>) -> Self {
        Self {
            shelf,
            clock,
            permits: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// Returns at once.
    pub(super) fn begin_what_is_due(&self) {
        for url in self.shelf.due(self.clock.now()) {
            let (shelf, clock) = (self.shelf.clone(), self.clock.clone());
            let permits = self.permits.clone();
            tokio::spawn(async move {
                let _permit = permits.acquire().await;
                let fetched = move || learn(&shelf, &*clock, &url);
                let _ends_with_the_service = tokio::task::spawn_blocking(fetched).await;
            });
        }
    }
}

fn learn(shelf: &CrlCache, clock: &dyn Clock, url: &str) {
    let came = fetch(url);
    match shelf.learned(url, came, clock.now()) {
        FetchOutcome::Good => tracing::debug!(url, "CRL downloaded"),
        FetchOutcome::Failed(why) => {
            tracing::warn!(%why, "CRL download failed");
        }
        FetchOutcome::FailedAgain => {}
    }
}
