//! Writes outcomes back, many in one round trip, until the database took every one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::domain::{InstanceId, Outcome, OutcomeKind, SessionFacts};
use crate::metrics::{Metrics, Operation};
use crate::store::{Event, Recorded, Store, StoreError, StoreErrorKind};

use super::failures;
use super::ledger::Ledger;
use super::tally::{Faults, Origin};
use super::tasks::UnderWay;

/// So many outcomes go into one transaction at most.
const BATCH: usize = 200;

/// Under load an outcome waits so long for others to share its commit with.
const GATHER: Duration = Duration::from_millis(50);

/// The first wait after the database refused; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An outcome, and where it came from.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) origin: Origin,
}

/// What records.
pub(super) struct Recorder {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    /// Told when permits were given back.
    pub(super) freed: Arc<Notify>,
    pub(super) under_way: UnderWay,
    pub(super) ledger: Arc<Ledger>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) faults: Faults,
}

impl Recorder {
    /// Records until the channel is closed and empty.
    pub(super) async fn run(self, mut finished: mpsc::Receiver<Finished>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut recorded_at: Option<Instant> = None;
        while finished.recv_many(&mut batch, BATCH).await > 0 {
            if recorded_at.is_some_and(|at| at.elapsed() < GATHER) {
                self.gather(&mut finished, &mut batch).await;
            }
            let (outcomes, origins): (Vec<_>, Vec<_>) = batch
                .drain(..)
                .map(|finished: Finished| (finished.outcome, finished.origin))
                .unzip();
            self.record(&outcomes, &origins).await;
            drop(origins);
            recorded_at = Some(Instant::now());
            self.freed.notify_one();
        }
    }

    /// Takes what else is finished within [`GATHER`], until a batch is full or nothing more is to
    /// come.
    async fn gather(&self, finished: &mut mpsc::Receiver<Finished>, batch: &mut Vec<Finished>) {
        let end = Instant::now() + GATHER;
        while batch.len() < BATCH && !(self.under_way.is_none() && finished.is_empty()) {
            match tokio::time::timeout_at(end, finished.recv()).await {
                Ok(Some(one)) => batch.push(one),
                Ok(None) | Err(_) => return,
            }
        }
    }

    async fn record(&self, outcomes: &[Outcome], origins: &[Origin]) {
        match self.record_when_possible(outcomes).await {
            Ok(results) => {
                announce(outcomes, &results);
                self.faults.count(outcomes, origins, &results);
                let ports = origins.iter().map(|origin| origin.port.name());
                for event in failures::events(self.instance, outcomes, ports, &results) {
                    self.log(&event).await;
                }
            }
            Err(error) if outcomes.len() > 1 => {
                tracing::warn!(count = outcomes.len(), %error, "outcomes are recorded one by one");
                for (outcome, origin) in outcomes.iter().zip(origins) {
                    let (outcome, origin) =
                        (std::slice::from_ref(outcome), std::slice::from_ref(origin));
                    Box::pin(self.record(outcome, origin)).await;
                }
            }
            Err(error) => self.record_bare(&outcomes[0], origins, &error).await,
        }
    }

    async fn log(&self, event: &Event) {
        let service = &self.metrics.service;
        service.event(event.event_type, event.severity.as_str());
        if let Err(error) = self.store.log_event(event).await {
            tracing::warn!(%error, event = %event.message, "event cannot be written");
        }
    }

    /// The database refuses the outcome as it is: its status at least has to stand, or the
    /// alert would be sent again.
    async fn record_bare(&self, outcome: &Outcome, origins: &[Origin], refused: &StoreError) {
        tracing::error!(alert = outcome.alert.0, error = %refused, "outcome cannot be recorded in full");
        let bare = without_words(outcome);
        let one = std::slice::from_ref(&bare);
        match self.record_when_possible(one).await {
            Ok(results) => {
                announce(one, &results);
                self.faults.count(one, origins, &results);
            }
            Err(error) => {
                tracing::error!(alert = outcome.alert.0, %error, "outcome cannot be recorded");
            }
        }
    }

    /// Tries until it is recorded, or the database refuses the values themselves: everything
    /// else, a revoked permission included, somebody heals in time. Says once that
    /// it waits, and once that it went on.
    async fn record_when_possible(
        &self,
        outcomes: &[Outcome],
    ) -> Result<Vec<Recorded>, StoreError> {
        let mut wait = FIRST_WAIT;
        loop {
            let begun = Instant::now();
            let recorded = self.store.record(self.instance, outcomes).await;
            let service = &self.metrics.service;
            service.asked(Operation::Record, begun.elapsed(), &recorded);
            match recorded {
                Err(error) if error.kind() != StoreErrorKind::Rejected => {
                    if wait == FIRST_WAIT {
                        self.ledger.wait_for_database();
                        tracing::warn!(count = outcomes.len(), %error, "outcomes wait for the database");
                    }
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                result => {
                    if wait > FIRST_WAIT {
                        tracing::info!(count = outcomes.len(), "outcomes no longer wait");
                    }
                    if result.is_ok() {
                        self.ledger.forget(outcomes);
                    }
                    return result;
                }
            }
        }
    }
}

/// The outcome without anything that a server or a person worded.
fn without_words(outcome: &Outcome) -> Outcome {
    let mut bare = outcome.clone();
    if let OutcomeKind::Decided(decision) = &mut bare.kind {
        decision.reason = None;
        if let Some(attempt) = &mut decision.attempt {
            attempt.replies.clear();
            attempt.facts = SessionFacts::default();
        }
        for recipient in &mut decision.recipients {
            recipient.mailbox.display_name = None;
            recipient
                .reply
                .iter_mut()
                .for_each(|reply| reply.text.clear());
        }
    }
    bare
}

fn announce(outcomes: &[Outcome], results: &[Recorded]) {
    for (outcome, recorded) in outcomes.iter().zip(results) {
        let alert = outcome.alert.0;
        match (&outcome.kind, recorded) {
            (_, Recorded::Gone) => tracing::warn!(alert, "alert is gone"),
            (_, Recorded::FactsOnly) => tracing::warn!(alert, "lease was lost, facts recorded"),
            (OutcomeKind::Released { .. }, _) => tracing::debug!(alert, "alert released"),
            (OutcomeKind::Decided(decision), _) => {
                let status = decision.status.as_str();
                let recipients = decision.recipients.len();
                let reason = decision.reason.as_deref();
                tracing::info!(alert, status, recipients, reason, "alert recorded");
            }
        }
    }
}
