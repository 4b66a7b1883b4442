//! Background work for certificates: fetches CRLs before they expire, reads changed files again, and
//! reports certificates that expire or cannot be used.
//!
//! Input: the send ports' protectors. Output: CRLs in their cache, events and metrics. No alert waits
//! for this module.

mod crl_fetcher;
mod expiry_monitor;
mod notice_log;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

use crl_fetcher::CrlFetcher;
pub use crl_fetcher::fetch;
use sendport_core::clock::Clock;
use sendport_smime::{CrlCache, Protector};
use sendport_store::Event;

use crate::observability::metrics::Metrics;
use expiry_monitor::ExpiryMonitor;
use notice_log::NoticeLog;

/// How often due CRLs are fetched.
const FETCH_EVERY: Duration = Duration::from_secs(1);

/// How often certificates and files are checked.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// What the background work needs.
pub struct CertificateMonitor {
    /// By the names of their send ports.
    pub protectors: Vec<(String, Protector)>,
    /// Their CRLs.
    pub crl_cache: Arc<CrlCache>,
    /// With the send ports' gauges.
    pub metrics: Arc<Metrics>,
    /// Written to `EventLog`.
    pub events: mpsc::UnboundedSender<Event>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
}

impl CertificateMonitor {
    /// Starts the background work, which ends when the guard is dropped. `folder` stores which
    /// notices were published.
    pub fn begin(self, folder: &Path) -> DropGuard {
        let stop = CancellationToken::new();
        let fetcher = CrlFetcher::new(self.crl_cache.clone(), self.clock.clone());
        let expiry_monitor = ExpiryMonitor::new(self, NoticeLog::in_folder(folder));
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(keep_fetching(fetcher)),
        );
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(keep_checking(expiry_monitor)),
        );
        stop.drop_guard()
    }
}

async fn keep_fetching(fetcher: CrlFetcher) {
    let mut ticks = tokio::time::interval(FETCH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        fetcher.start_due();
    }
}

async fn keep_checking(mut expiry_monitor: ExpiryMonitor) {
    let mut ticks = tokio::time::interval(CHECK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let checked = tokio::task::spawn_blocking(move || {
            expiry_monitor.check();
            expiry_monitor
        });
        // Fails only at shutdown.
        let Ok(again) = checked.await else { return };
        expiry_monitor = again;
    }
}
