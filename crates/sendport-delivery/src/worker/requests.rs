//! Applies the requests of operators that are open: what they cancel, requeue, hold or release is changed in batches,
//! beside the claims, which honour them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::domain::{AlertId, InstanceId, RequestId};
use sendport_store::operator_requests::{PassResult, RequestLine, apply_pass};
use sendport_store::{Event, EventSeverity, RefusedRow, Store, StoreError};
use tokio::sync::Notify;

use super::refused_rows::event;
use crate::observer::{Operation, WorkerActivity, WorkerObserver};

/// How often requests are looked for.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A request that stays open and changes nothing is applied again after this at the latest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What applies requests.
pub(super) struct RequestApplier {
    pub(super) store: Arc<dyn Store>,
    pub(super) instance: InstanceId,
    pub(super) interval: Duration,
    /// A claim took alerts out of the queue that a request is to end.
    pub(super) parked: Arc<Notify>,
    pub(super) observer: Arc<dyn WorkerObserver>,
    /// Requests that are open still.
    pub(super) known: BTreeMap<RequestId, KnownRequest>,
}

/// What is known of an open request.
#[derive(Default)]
pub(super) struct KnownRequest {
    again: Option<Instant>,
    wait: Duration,
    /// What the database refuses to change, and was logged.
    refused: BTreeSet<AlertId>,
}

impl KnownRequest {
    /// After a pass that left the request open.
    fn put_off(&mut self, pass: &PassResult, interval: Duration) {
        self.wait = match pass.applied {
            0 => (self.wait * 2).clamp(interval, LONGEST_WAIT),
            _ => interval,
        };
        self.again = Some(Instant::now() + self.wait);
    }

    /// Those that were not logged before.
    fn add_refused<'a>(&mut self, refused: &'a [RefusedRow]) -> Vec<&'a RefusedRow> {
        let rows = refused.iter();
        rows.filter(|row| self.refused.insert(row.alert)).collect()
    }
}

impl RequestApplier {
    /// Applies requests until it is dropped.
    pub(super) async fn run(mut self) {
        let mut failing = false;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                () = self.parked.notified() => self.known.values_mut().for_each(|it| it.again = None),
            }
            let begun = Instant::now();
            let applied = self.apply_all().await;
            self.observer
                .database_operation(Operation::Sweep, begun.elapsed(), &applied);
            match applied {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!(%error, "applying requests of operators failed, retrying");
                }
                Err(error) => {
                    tracing::debug!(%error, "applying requests of operators failed, retrying");
                }
            }
        }
    }

    /// One pass of each open request. What is wrong with one does not stop the others.
    async fn apply_all(&mut self) -> Result<(), StoreError> {
        let open = self.store.open_requests().await?;
        let is_open = |id: &RequestId| open.iter().any(|line| line.request_id == *id);
        self.known.retain(|id, _| is_open(id));
        let mut last = Ok(());
        for request in open.iter().filter(|line| line.is_applied()) {
            let known = self.known.entry(request.request_id).or_default();
            if known.again.is_none_or(|at| at <= Instant::now()) {
                last = self.apply(request).await.and(last);
            }
        }
        last
    }

    async fn apply(&mut self, request: &RequestLine) -> Result<(), StoreError> {
        let pass = apply_pass(&*self.store, request, |_| {}).await?;
        let (id, verb) = (request.request_id, request.verb.as_str());
        if pass.applied > 0 {
            tracing::info!(
                request = id.0,
                verb,
                count = pass.applied,
                "request of an operator applied"
            );
        }
        if pass.closed {
            self.known.remove(&id);
            return self.log_done(request).await;
        }
        let known = self.known.entry(id).or_default();
        known.put_off(&pass, self.interval);
        let refused = known.add_refused(&pass.refused);
        self.log_refused(request, &refused).await
    }

    /// The row has the counts of all instances.
    async fn log_done(&self, request: &RequestLine) -> Result<(), StoreError> {
        let message = format!(
            "request {} of {} is done: {} {}; see OperatorRequest",
            request.request_id,
            request.requested_by,
            request.verb,
            request.filter.in_words()
        );
        let severity = EventSeverity::Information;
        self.log(event("request-done", severity, None, message))
            .await
    }

    async fn log_refused(
        &self,
        request: &RequestLine,
        refused: &[&RefusedRow],
    ) -> Result<(), StoreError> {
        let Some(first) = refused.first() else {
            return Ok(());
        };
        let (count, why) = (refused.len(), &first.why);
        tracing::error!(
            request = request.request_id.0,
            count,
            alert = first.alert.0,
            error = %why,
            "alerts refused to a request of an operator"
        );
        let message = format!(
            "the database refuses to {} {count} alerts for request {}, the first is {}: {why}; all others are changed",
            request.verb, request.request_id, first.alert
        );
        let severity = EventSeverity::Error;
        let alert = Some(first.alert);
        self.log(event("request-refused", severity, alert, message))
            .await
    }

    async fn log(&self, event: Event) -> Result<(), StoreError> {
        let event = Event {
            instance: Some(self.instance),
            ..event
        };
        self.observer.record(WorkerActivity::Event(&event));
        self.store.log_event(&event).await
    }
}
