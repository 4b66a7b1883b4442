//! What certificates need while nobody asks: lists of revoked ones fetched before they end, files
//! read again when they change, and words about what ends or cannot be used.
//!
//! In come the send ports' protectors; out go lists onto their shelf, events and metrics. No alert
//! waits for anything here.

mod announced;
mod expiry_monitor;
mod fetch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

use announced::Announced;
use expiry_monitor::ExpiryMonitor;
use fetch::Fetcher;
pub use fetch::fetch;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::smime::{CrlCache, Protector};
use crate::store::Event;

/// How often it is looked what is to be fetched.
const FETCH_EVERY: Duration = Duration::from_secs(1);

/// And whether files changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What a certificate_monitor is made of.
pub struct CertificateMonitor {
    /// By the names of their send ports.
    pub protectors: Vec<(String, Protector)>,
    /// Where their lists of revoked certificates stand.
    pub shelf: Arc<CrlCache>,
    /// Knows the send ports.
    pub metrics: Arc<Metrics>,
    /// For `EventLog`.
    pub events: mpsc::UnboundedSender<Event>,
    /// Wall-clock time.
    pub clock: Arc<dyn Clock>,
}

impl CertificateMonitor {
    /// Works until what is returned is dropped. `folder` remembers what was announced.
    pub fn begin(self, folder: &Path) -> DropGuard {
        let stop = CancellationToken::new();
        let fetcher = Fetcher::new(self.shelf.clone(), self.clock.clone());
        let expiry_monitor = ExpiryMonitor::new(self, Announced::in_folder(folder));
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(keep_fetching(fetcher)),
        );
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(keep_looking(expiry_monitor)),
        );
        stop.drop_guard()
    }
}

async fn keep_fetching(fetcher: Fetcher) {
    let mut ticks = tokio::time::interval(FETCH_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        fetcher.begin_what_is_due();
    }
}

async fn keep_looking(mut expiry_monitor: ExpiryMonitor) {
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = tokio::task::spawn_blocking(move || {
            expiry_monitor.look();
            expiry_monitor
        });
        // Only fails when the service ends.
        let Ok(again) = looked.await else { return };
        expiry_monitor = again;
    }
}
