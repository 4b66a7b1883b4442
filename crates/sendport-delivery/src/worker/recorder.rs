//! Records outcomes, many in one transaction, until the database has each of them.
//!
//! An outcome stays in the spool until it is recorded. An outcome that the database refuses is set aside,
//! and the others are recorded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::Clock;
use sendport_core::domain::{AlertId, InstanceId, Outcome, OutcomeKind};
use sendport_store::{Event, EventSeverity, RecordResult, Store, StoreError, StoreErrorKind};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::batches::{Batch, PATIENCE, PATIENCE_WITH_ONE, RetryPause, all_but_locked};
use super::failures;
use super::guarded_spool::{GuardedSpool, MOST_ASIDE};
use super::log_event;
use super::rejected_outcomes::{
    LockedOutcomes, RejectedOutcome, RejectedOutcomes, bare, not_recorded, recorded_in_part,
    recorded_late,
};
use super::tally::{Faults, Origin};
use super::tasks::WorkCounter;
use crate::observer::{Operation, WorkerObserver};

/// Maximum number of outcomes of one transaction.
pub(super) const BATCH: usize = 200;

/// Under load an outcome waits so long for others, to share a commit with them.
const GATHER: Duration = Duration::from_millis(50);

/// An outcome and its origin.
pub(super) struct FinishedAlert {
    pub(super) outcome: Outcome,
    pub(super) origin: Origin,
}

/// Records outcomes.
pub(super) struct Recorder {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    /// Notified when permits were released.
    pub(super) freed: Arc<Notify>,
    pub(super) under_way: WorkCounter,
    pub(super) spool: Arc<GuardedSpool>,
    pub(super) observer: Arc<dyn WorkerObserver>,
    pub(super) faults: Faults,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rejected: RejectedOutcomes,
    /// Other outcomes were recorded since the last one was set aside.
    pub(super) recorded_others: bool,
    pub(super) locked: LockedOutcomes,
}

impl Recorder {
    /// Outcomes that an earlier instance could not record.
    pub(super) fn add_recovered(&mut self, outcomes: Vec<Outcome>) {
        let now = self.clock.now();
        for outcome in outcomes {
            let why = "not recorded by the instance before this one".to_owned();
            self.rejected.add(outcome, None, now, why);
        }
        self.rejected.hurry();
        self.spool.set_aside(self.rejected.summary());
    }

    /// Records until the channel is closed and empty and no outcome waits for a lock. Outcomes that are set
    /// aside are tried once more.
    pub(super) async fn run(mut self, mut finished: mpsc::Receiver<FinishedAlert>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut recorded_at: Option<Instant> = None;
        loop {
            tokio::select! {
                received = finished.recv_many(&mut batch, BATCH) => if received == 0 { break },
                () = self.locked.wait() => batch = self.locked.take(BATCH),
                () = self.rejected.wait() => {
                    self.retry_aside().await;
                    continue;
                }
            }
            if recorded_at.is_some_and(|at| at.elapsed() < GATHER) {
                self.gather(&mut finished, &mut batch).await;
            }
            self.record(batch.drain(..).collect(), &mut finished).await;
            recorded_at = Some(Instant::now());
            self.freed.notify_one();
        }
        while !self.locked.is_empty() {
            self.locked.wait().await;
            let again = self.locked.take(BATCH).into_iter().collect();
            self.record(again, &mut finished).await;
        }
        self.rejected.hurry();
        self.retry_aside().await;
    }

    /// Adds outcomes that finish within [`GATHER`], until the batch is full or no more are expected.
    async fn gather(
        &self,
        finished: &mut mpsc::Receiver<FinishedAlert>,
        batch: &mut Vec<FinishedAlert>,
    ) {
        let end = Instant::now() + GATHER;
        while batch.len() < BATCH && !(self.under_way.is_none() && finished.is_empty()) {
            match tokio::time::timeout_at(end, finished.recv()).await {
                Ok(Some(one)) => batch.push(one),
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// A batch that fails is tried again in halves: a load that is too large for the engine becomes
    /// smaller, and an error of one outcome does not prevent the others.
    async fn record(&mut self, batch: Batch, behind: &mut mpsc::Receiver<FinishedAlert>) {
        let mut wait = RetryPause::default();
        let mut parts = VecDeque::from([batch]);
        while let Some(mut part) = parts.pop_front() {
            let error = match self.ask(&part.outcomes).await {
                Ok(results) => {
                    wait.is_over();
                    self.recorded_others = true;
                    self.caught_up(parts.is_empty()).await;
                    self.settle(&part.outcomes, &part.origins, &results).await;
                    self.keep_locked(part.locked(&results));
                    continue;
                }
                Err(error) => error,
            };
            let count = parts.iter().chain([&part]).map(|part| part.outcomes.len());
            let count = count.sum::<usize>() + behind.len();
            if part.outcomes.len() == 1 {
                let again = self.alone(part, &error, &mut wait, count).await;
                if again.is_some() && parts.is_empty() {
                    parts.extend(Batch::of_those_that_wait(behind));
                }
                parts.extend(again);
                continue;
            }
            if !error.is_about_data() {
                self.wait(&mut wait, count, &error).await;
            }
            parts.push_front(part.split());
            parts.push_front(part);
        }
        self.caught_up(true).await;
    }

    /// An outcome that failed alone. One that is to be tried again is returned, and is tried after the others.
    async fn alone(
        &mut self,
        mut part: Batch,
        error: &StoreError,
        wait: &mut RetryPause,
        count: usize,
    ) -> Option<Batch> {
        if error.is_about_data() {
            self.record_bare(part, error).await;
            return None;
        }
        if self.is_its_own(&part, wait, count, error) {
            self.set_aside(part, error).await;
            return None;
        }
        self.wait(wait, count, error).await;
        part.failed = true;
        Some(part)
    }

    fn keep_locked(&mut self, locked: Vec<FinishedAlert>) {
        let now = self.clock.now();
        self.locked.add(locked, now);
        self.spool.set_locked(self.locked.summary(now));
    }

    /// One transaction. Recorded outcomes leave the spool.
    async fn ask(&self, outcomes: &[Outcome]) -> Result<Vec<RecordResult>, StoreError> {
        let begun = Instant::now();
        let recorded = self.store.record(self.instance, outcomes).await;
        self.observer
            .database_operation(Operation::Record, begun.elapsed(), &recorded);
        if let Ok(results) = &recorded {
            self.spool.forget(&all_but_locked(outcomes, results));
        }
        recorded
    }

    /// Logs once that outcomes wait.
    async fn wait(&self, wait: &mut RetryPause, count: usize, error: &StoreError) {
        if wait.began.is_none() {
            tracing::warn!(count, %error, "outcomes are waiting for the database");
        }
        self.spool.wait_for_database(count, error);
        wait.pause().await;
    }

    /// An unknown error is an error of this outcome if the database has recorded others since, and may
    /// be if it persists: the next outcomes show that. Nothing more is sent until then, so the first outcome
    /// does not wait long for others.
    fn is_its_own(
        &self,
        part: &Batch,
        wait: &RetryPause,
        count: usize,
        error: &StoreError,
    ) -> bool {
        let unknown = error.kind() == StoreErrorKind::Unknown && self.rejected.len() < MOST_ASIDE;
        let patience = match (count, self.recorded_others) {
            (1, true) => PATIENCE_WITH_ONE,
            _ => PATIENCE,
        };
        unknown && part.failed && (wait.took_others || wait.is_longer_than(patience))
    }

    /// Logs once that outcomes wait no longer.
    async fn caught_up(&self, all: bool) {
        if !all {
            return;
        }
        let Some(waited) = self.spool.caught_up() else {
            return;
        };
        let seconds = (self.clock.now() - waited.since).num_seconds();
        tracing::info!(seconds, "outcomes are recorded again");
        let message = format!(
            "outcomes waited {seconds} s for the database: {}",
            waited.why
        );
        self.log(&Event {
            severity: EventSeverity::Warning,
            event_type: "outcomes-recorded-late",
            instance: Some(self.instance),
            alert: None,
            send_port: None,
            relay: None,
            message,
        })
        .await;
    }

    async fn settle(&self, outcomes: &[Outcome], origins: &[Origin], results: &[RecordResult]) {
        announce(outcomes, origins, results);
        self.faults.count(outcomes, origins, results);
        let ports = origins.iter().map(|origin| origin.port.name());
        for event in failures::events(self.instance, outcomes, ports, results) {
            self.log(&event).await;
        }
    }

    /// The database refuses a value of this outcome. At least its status has to be recorded, or the
    /// alert would be sent again.
    async fn record_bare(&mut self, part: Batch, refused: &StoreError) {
        let outcome = [bare(&part.outcomes[0])];
        match self.ask(&outcome).await {
            Ok(results) => {
                if !results.contains(&RecordResult::NotNow) {
                    self.report_partial_record(outcome[0].alert, refused).await;
                }
                self.settle(&outcome, &part.origins, &results).await;
                self.keep_locked(part.locked(&results));
            }
            Err(error) => self.set_aside(part, &error).await,
        }
    }

    async fn report_partial_record(&self, alert: AlertId, refused: &StoreError) {
        tracing::error!(alert = alert.0, error = %refused, "outcome recorded in part");
        self.log(&recorded_in_part(self.instance, alert, refused))
            .await;
    }

    /// The outcome stays in the spool, and this instance keeps the lease of its alert.
    async fn set_aside(&mut self, part: Batch, error: &StoreError) {
        self.recorded_others = false;
        for (outcome, origin) in part.outcomes.into_iter().zip(part.origins) {
            let alert = outcome.alert;
            tracing::error!(alert = alert.0, %error, "outcome not recorded, kept in the spool");
            self.rejected
                .add(outcome, Some(origin), self.clock.now(), error.to_string());
            self.spool.set_aside(self.rejected.summary());
            self.log(&not_recorded(self.instance, alert, error)).await;
        }
    }

    /// Records the outcomes that are due for another try, one by one.
    async fn retry_aside(&mut self) {
        let mut tried = Vec::new();
        while let Some(refused) = self.rejected.take_due() {
            tried.push(refused);
        }
        for refused in tried {
            match self.record_refused(&refused).await {
                Ok(()) => {}
                Err(error) => self.rejected.put_back(refused, error.to_string()),
            }
        }
        self.spool.set_aside(self.rejected.summary());
    }

    async fn record_refused(&self, refused: &RejectedOutcome) -> Result<(), StoreError> {
        let mut outcome = [refused.outcome.clone()];
        let mut recorded = self.ask(&outcome).await;
        if let Err(error) = &recorded
            && error.is_about_data()
        {
            let refusal = recorded;
            outcome = [bare(&refused.outcome)];
            recorded = self.ask(&outcome).await;
            if let (Ok(_), Err(error)) = (&recorded, &refusal) {
                self.report_partial_record(outcome[0].alert, error).await;
            }
        }
        let results = recorded?;
        if results.contains(&RecordResult::NotNow) {
            let why = "another transaction has the alert locked";
            return Err(StoreError::new(
                StoreErrorKind::Unavailable,
                "record outcomes",
                why,
            ));
        }
        let alert = outcome[0].alert;
        tracing::info!(alert = alert.0, "outcome recorded from the spool");
        self.settle(&outcome, refused.origin.as_slice(), &results)
            .await;
        self.log(&recorded_late(self.instance, alert)).await;
        Ok(())
    }

    async fn log(&self, event: &Event) {
        log_event(&*self.store, &*self.observer, event).await;
    }
}

/// Each line in the span of its alert, which names it; an outcome that another instance left has none.
fn announce(outcomes: &[Outcome], origins: &[Origin], results: &[RecordResult]) {
    for (index, (outcome, recorded)) in outcomes.iter().zip(results).enumerate() {
        let span = origins.get(index).map_or_else(
            || tracing::error_span!("alert", alert = outcome.alert.0),
            |origin| origin.span.clone(),
        );
        span.in_scope(|| announce_one(&outcome.kind, *recorded));
    }
}

fn announce_one(kind: &OutcomeKind, recorded: RecordResult) {
    match (kind, recorded) {
        (_, RecordResult::Gone) => tracing::warn!("outcome not recorded, alert no longer exists"),
        (_, RecordResult::NotNow) => tracing::debug!("outcome deferred, alert is locked"),
        (_, RecordResult::FactsOnly) => tracing::warn!("lease lost, delivery facts recorded"),
        (OutcomeKind::Released { .. }, _) => tracing::debug!("alert released"),
        (OutcomeKind::Decided(decision), _) => {
            let status = decision.status.as_str();
            let recipients = decision.recipients.len();
            match failures::of(decision) {
                None => {
                    let reason = decision.reason.as_deref();
                    tracing::info!(status, recipients, reason, "alert recorded");
                }
                Some(reason) => tracing::warn!(status, recipients, reason, "alert failed"),
            }
        }
    }
}
