//! Writes outcomes back, many in one round trip, until the database took every one.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::domain::{InstanceId, Outcome, OutcomeKind, ProtectionFacts, SessionFacts};
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

/// The wait before alerts are tried again that other transactions have locked.
const LOCKED_WAIT: Duration = Duration::from_secs(1);

/// An outcome, and where it came from.
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) origin: Origin,
}

/// What waits for locks of other transactions, and when it is tried again.
struct Locked {
    waiting: Vec<Finished>,
    again_at: Instant,
}

impl Locked {
    fn is_due(&self) -> bool {
        !self.waiting.is_empty() && self.again_at <= Instant::now()
    }

    fn add(&mut self, locked: Vec<Finished>) {
        if !locked.is_empty() {
            if self.waiting.is_empty() {
                tracing::warn!(
                    count = locked.len(),
                    "outcomes wait for locks of other transactions"
                );
            }
            self.waiting.extend(locked);
            self.again_at = Instant::now() + LOCKED_WAIT;
        }
    }
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
    /// Records until the channel is closed and empty, and nothing waits for a lock.
    pub(super) async fn run(self, mut finished: mpsc::Receiver<Finished>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut locked = Locked {
            waiting: Vec::new(),
            again_at: Instant::now(),
        };
        let mut recorded_at: Option<Instant> = None;
        while receive(&mut finished, &mut batch, &locked).await {
            if !batch.is_empty() {
                if recorded_at.is_some_and(|at| at.elapsed() < GATHER) {
                    self.gather(&mut finished, &mut batch).await;
                }
                locked.add(self.record_all(batch.drain(..)).await);
            }
            // By themselves, so that an engine that has to wait for the locks lets only these wait.
            if locked.is_due() {
                let again = locked.waiting.len().min(BATCH);
                let again: Vec<_> = locked.waiting.drain(..again).collect();
                locked.add(self.record_all(again).await);
            }
            recorded_at = Some(Instant::now());
            self.freed.notify_one();
        }
    }

    /// Gives back the permits of all but those whose alerts are locked, which it returns.
    async fn record_all(&self, batch: impl IntoIterator<Item = Finished>) -> Vec<Finished> {
        let (outcomes, origins): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|finished| (finished.outcome, finished.origin))
            .unzip();
        let results = self.record(&outcomes, &origins).await;
        let finished = outcomes.into_iter().zip(origins).zip(results);
        finished
            .filter(|(_, recorded)| *recorded == Recorded::NotNow)
            .map(|((outcome, origin), _)| Finished { outcome, origin })
            .collect()
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

    async fn record(&self, outcomes: &[Outcome], origins: &[Origin]) -> Vec<Recorded> {
        match self.record_when_possible(outcomes).await {
            Ok(results) => {
                announce(outcomes, &results);
                self.faults.count(outcomes, origins, &results);
                let ports = origins.iter().map(|origin| origin.port.name());
                for event in failures::events(self.instance, outcomes, ports, &results) {
                    self.log(&event).await;
                }
                results
            }
            Err(error) if outcomes.len() > 1 => {
                tracing::warn!(count = outcomes.len(), %error, "outcomes are recorded one by one");
                let mut results = Vec::with_capacity(outcomes.len());
                for (outcome, origin) in outcomes.iter().zip(origins) {
                    let (outcome, origin) =
                        (std::slice::from_ref(outcome), std::slice::from_ref(origin));
                    results.extend(Box::pin(self.record(outcome, origin)).await);
                }
                results
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
    async fn record_bare(
        &self,
        outcome: &Outcome,
        origins: &[Origin],
        refused: &StoreError,
    ) -> Vec<Recorded> {
        tracing::error!(alert = outcome.alert.0, error = %refused, "outcome cannot be recorded in full");
        let bare = without_words(outcome);
        let one = std::slice::from_ref(&bare);
        match self.record_when_possible(one).await {
            Ok(results) => {
                announce(one, &results);
                self.faults.count(one, origins, &results);
                results
            }
            Err(error) => {
                tracing::error!(alert = outcome.alert.0, %error, "outcome cannot be recorded");
                vec![Recorded::Gone]
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
                    if let Ok(results) = &result {
                        self.ledger.forget(&all_but_locked(outcomes, results));
                    }
                    return result;
                }
            }
        }
    }
}

/// False when nothing more comes. Returns with an empty batch when what is locked is due again.
async fn receive(
    finished: &mut mpsc::Receiver<Finished>,
    batch: &mut Vec<Finished>,
    locked: &Locked,
) -> bool {
    if locked.waiting.is_empty() {
        return finished.recv_many(batch, BATCH).await > 0;
    }
    let received = finished.recv_many(batch, BATCH);
    if let Ok(0) = tokio::time::timeout_at(locked.again_at, received).await {
        tokio::time::sleep_until(locked.again_at).await;
    }
    true
}

/// Those that the database knows now.
pub(super) fn all_but_locked<'a>(
    outcomes: &'a [Outcome],
    results: &[Recorded],
) -> Cow<'a, [Outcome]> {
    if !results.contains(&Recorded::NotNow) {
        return outcomes.into();
    }
    let recorded = outcomes.iter().zip(results);
    recorded
        .filter(|(_, recorded)| **recorded != Recorded::NotNow)
        .map(|(outcome, _)| outcome.clone())
        .collect()
}

/// The outcome without anything that a server or a person worded.
fn without_words(outcome: &Outcome) -> Outcome {
    let mut bare = outcome.clone();
    if let OutcomeKind::Decided(decision) = &mut bare.kind {
        decision.reason = None;
        if let Some(attempt) = &mut decision.attempt {
            attempt.replies.clear();
            attempt.facts = SessionFacts::default();
            attempt.protected = ProtectionFacts::default();
        }
        for recipient in &mut decision.recipients {
            recipient.mailbox.display_name = None;
            recipient.remark = None;
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
            (_, Recorded::NotNow) => tracing::debug!(alert, "alert is locked, recorded later"),
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
