//! A purge of all alerts that are final, as the service does it, without its pauses.

use std::sync::Arc;
use std::time::Duration;

use sendport_store::retention::{PurgeScope, Purged};
use sendport_store::{Store, StoreError};
use tokio::time::Instant;

/// More than the bodies of a batch have.
const BYTES: u64 = 1 << 20;

/// What a purge came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgeRun {
    /// Rows of all tables that were deleted.
    pub rows: u64,
    /// Transactions.
    pub batches: u32,
    /// The longest of them.
    pub slowest: Duration,
    /// All of them.
    pub took: Duration,
}

impl PurgeRun {
    fn add(&mut self, purged: &Purged, took: Duration) {
        self.rows += purged.rows;
        self.batches += 1;
        self.slowest = self.slowest.max(took);
        self.took += took;
    }

    /// In a sentence.
    pub fn in_words(&self) -> String {
        let per_second = u128::from(self.rows) * 1000 / self.took.as_millis().max(1);
        format!(
            "{} rows in {} transactions, {per_second} rows a second; the longest transaction took {} ms",
            self.rows,
            self.batches,
            self.slowest.as_millis()
        )
    }
}

/// Deletes bodies, then alerts with all that belongs to them.
///
/// # Errors
/// [`StoreError`].
pub async fn purge_all(store: &Arc<dyn Store>) -> Result<PurgeRun, StoreError> {
    let mut run = PurgeRun::default();
    for group in store.final_groups().await? {
        let scope = PurgeScope::old(group.status, &group.send_port, Duration::ZERO);
        let mut more = true;
        while more {
            let begun = Instant::now();
            let purged = store.purge_bodies(&scope, BYTES).await?;
            // What the database refuses is refused again.
            more = purged.more && purged.rows > 0;
            run.add(&purged, begun.elapsed());
        }
        more = true;
        while more {
            let begun = Instant::now();
            let purged = store.purge_alerts(&scope).await?;
            // What the database refuses is refused again.
            more = purged.more && purged.rows > 0;
            run.add(&purged, begun.elapsed());
        }
    }
    Ok(run)
}
