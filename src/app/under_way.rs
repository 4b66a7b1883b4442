//! What a service has under way, for whoever ends it.

use std::sync::{Arc, OnceLock};

use crate::domain::SubmissionIntent;
use crate::spool::OutcomeSpool;

/// Knows the journal of a service once it works.
#[derive(Debug, Clone, Default)]
pub struct UnderWay(Arc<OnceLock<Arc<OutcomeSpool>>>);

impl UnderWay {
    pub(super) fn journaled_in(&self, spool: &Arc<OutcomeSpool>) {
        // It is entered once.
        let _ = self.0.set(spool.clone());
    }

    /// Messages whose final dot was, or was about to be, sent while nobody saw what became of it.
    pub fn in_doubt(&self) -> Vec<SubmissionIntent> {
        let left = self.0.get().and_then(|spool| spool.left_over().ok());
        left.map(|left| left.in_doubt).unwrap_or_default()
    }

    /// Outcomes that are perhaps not recorded.
    pub fn unrecorded(&self) -> usize {
        let left = self.0.get().and_then(|spool| spool.left_over().ok());
        left.map_or(0, |left| left.outcomes.len())
    }
}
