//! The transactions that a service has not recorded yet.

use std::sync::{Arc, OnceLock};

use sendport_core::domain::SubmissionIntent;
use sendport_store::spool::OutcomeSpool;

/// Reads the spool of a running service.
#[derive(Debug, Clone, Default)]
pub struct RunningTransactions(Arc<OnceLock<Arc<OutcomeSpool>>>);

impl RunningTransactions {
    pub(super) fn journaled_in(&self, spool: &Arc<OutcomeSpool>) {
        // It is set once.
        let _ = self.0.set(spool.clone());
    }

    /// Messages whose final dot was sent or about to be sent, without a reply yet.
    pub fn in_doubt(&self) -> Vec<SubmissionIntent> {
        let left = self.0.get().and_then(|spool| spool.left_over().ok());
        left.map(|left| left.in_doubt).unwrap_or_default()
    }

    /// Outcomes that may not be recorded yet.
    pub fn unrecorded(&self) -> usize {
        let left = self.0.get().and_then(|spool| spool.left_over().ok());
        left.map_or(0, |left| left.outcomes.len())
    }
}
