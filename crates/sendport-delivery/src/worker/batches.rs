//! The outcomes of one transaction, and how long the database has failed.

use std::borrow::Cow;
use std::time::Duration;

use sendport_core::domain::Outcome;
use sendport_store::RecordResult;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::recorder::{BATCH, FinishedAlert};
use super::tally::Origin;

/// The first wait after the database failed; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// After this time an unknown error may be one of a single outcome.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The same if that outcome is the only one that waits, and others were recorded before.
pub(super) const PATIENCE_WITH_ONE: Duration = Duration::from_secs(3);

/// The outcomes of one transaction, and their origins.
pub(super) struct Batch {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) origins: Vec<Origin>,
    /// A single outcome that was refused before.
    pub(super) failed: bool,
}

impl FromIterator<FinishedAlert> for Batch {
    fn from_iter<I: IntoIterator<Item = FinishedAlert>>(finished: I) -> Self {
        let pairs = finished.into_iter().map(|one| (one.outcome, one.origin));
        let (outcomes, origins) = pairs.unzip();
        let failed = false;
        Self {
            outcomes,
            origins,
            failed,
        }
    }
}

impl Batch {
    /// Outcomes that finished in the meantime, while one fails.
    pub(super) fn of_those_that_wait(finished: &mut mpsc::Receiver<FinishedAlert>) -> Option<Self> {
        let next = || finished.try_recv().ok();
        let part: Self = std::iter::from_fn(next).take(BATCH).collect();
        (!part.outcomes.is_empty()).then_some(part)
    }

    /// Outcomes whose alerts are locked by other transactions.
    pub(super) fn locked(self, results: &[RecordResult]) -> Vec<FinishedAlert> {
        let finished = self.outcomes.into_iter().zip(self.origins).zip(results);
        finished
            .filter(|(_, recorded)| **recorded == RecordResult::NotNow)
            .map(|((outcome, origin), _)| FinishedAlert { outcome, origin })
            .collect()
    }

    /// The second half of the batch.
    pub(super) fn split(&mut self) -> Self {
        let half = self.outcomes.len() / 2;
        Self {
            outcomes: self.outcomes.split_off(half),
            origins: self.origins.split_off(half),
            failed: false,
        }
    }
}

/// Outcomes that the database has recorded.
pub(super) fn all_but_locked<'a>(
    outcomes: &'a [Outcome],
    results: &[RecordResult],
) -> Cow<'a, [Outcome]> {
    if !results.contains(&RecordResult::NotNow) {
        return outcomes.into();
    }
    let recorded = outcomes.iter().zip(results);
    recorded
        .filter(|(_, recorded)| **recorded != RecordResult::NotNow)
        .map(|(outcome, _)| outcome.clone())
        .collect()
}

/// How long the database has failed.
#[derive(Default)]
pub(super) struct RetryPause {
    pub(super) began: Option<Instant>,
    next: Duration,
    /// The database has recorded an outcome since the last failure.
    pub(super) took_others: bool,
}

impl RetryPause {
    pub(super) async fn pause(&mut self) {
        self.began.get_or_insert_with(Instant::now);
        self.took_others = false;
        self.next = (self.next * 2).clamp(FIRST_WAIT, LONGEST_WAIT);
        tokio::time::sleep(self.next).await;
    }

    pub(super) fn is_over(&mut self) {
        *self = Self {
            took_others: true,
            ..Self::default()
        };
    }

    pub(super) fn is_longer_than(&self, patience: Duration) -> bool {
        self.began.is_some_and(|began| began.elapsed() >= patience)
    }
}
