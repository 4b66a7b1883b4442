//! Counts what the monitoring views show: the alerts of each closed minute. All instances look, and one counts.

use std::sync::Arc;
use std::time::Duration;

use sendport_store::{Store, StoreError};

/// Between two looks for a closed minute.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What counts.
pub(super) struct Rollup {
    pub(super) store: Arc<dyn Store>,
}

impl Rollup {
    /// Counts until it is dropped. What could not be counted is counted the next time.
    pub(super) async fn run(self) {
        let mut is_failing = false;
        loop {
            let counted = self.count_all().await;
            if let Err(error) = &counted
                && !is_failing
            {
                tracing::warn!(%error, "counting alerts for the monitoring views failed, will be retried");
            }
            is_failing = counted.is_err();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn count_all(&self) -> Result<(), StoreError> {
        while self.store.roll_up().await?.more {}
        Ok(())
    }
}
