//! Applies the requests of operators that are open: what they cancel, requeue, hold or release is changed in batches,
//! beside the claims, which honour them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::domain::{
    AlertId, InstanceId, OperatorVerb, RecipientAddress, Redirect, RequestId,
};
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
    /// Wakes retention.
    pub(super) purge_requested: Arc<Notify>,
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
    fn add_refused(&mut self, refused: &[RefusedRow]) -> Vec<RefusedRow> {
        let rows = refused.iter().cloned();
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
        self.hand_over_purges(&open);
        let mut last = self.report_unusable(&open).await;
        for request in open.iter().filter(|line| line.is_applied()) {
            let known = self.known.entry(request.request_id).or_default();
            if known.again.is_none_or(|at| at <= Instant::now()) {
                last = self.apply(request).await.and(last);
            }
        }
        last
    }

    /// Retention carries them out, and is awakened once for each.
    fn hand_over_purges(&mut self, open: &[RequestLine]) {
        let is_purge = |line: &&RequestLine| line.operator_verb() == Some(OperatorVerb::Purge);
        for purge in open.iter().filter(is_purge) {
            self.known.entry(purge.request_id).or_insert_with(|| {
                self.purge_requested.notify_one();
                KnownRequest::default()
            });
        }
    }

    /// A row that somebody wrote by hand may name no address, or be one that nobody can read: `EventLog` says so once. Of
    /// the alerts that such a redirect is about nothing is sent.
    async fn report_unusable(&mut self, open: &[RequestLine]) -> Result<(), StoreError> {
        for line in open {
            let id = line.request_id;
            if self.known.contains_key(&id) {
                continue;
            }
            let Some(message) = line.advice().or_else(|| unusable_address(line)) else {
                continue;
            };
            tracing::error!(request = id.0, error = %message, "request of an operator cannot be used");
            self.log(event(
                "request-refused",
                EventSeverity::Error,
                None,
                message,
            ))
            .await?;
            self.known.insert(id, KnownRequest::default());
        }
        Ok(())
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
            if pass.closed_now {
                log_request_done(&*self.observer, request);
            }
            return Ok(());
        }
        let known = self.known.entry(id).or_default();
        known.put_off(&pass, self.interval);
        for event in refused_events(request, &known.add_refused(&pass.refused)) {
            self.log(event).await?;
        }
        Ok(())
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

fn unusable_address(line: &RequestLine) -> Option<String> {
    let id = line.request_id;
    if line.operator_verb() != Some(OperatorVerb::Redirect) {
        return None;
    }
    let redirect = Redirect::from_row(id.0, line.redirect_to.as_deref());
    let RecipientAddress::Malformed(error) = redirect.to else {
        return None;
    };
    Some(format!(
        "the address of redirect {id} cannot be used: {error}; alerts that match wait until sendport release --redirect {id}"
    ))
}

/// The store has written the event. The row has the counts of all instances.
pub(super) fn log_request_done(observer: &dyn WorkerObserver, request: &RequestLine) {
    let event = request.done_event();
    observer.record(WorkerActivity::Event(&event));
}

/// Most alerts that get an event of their own.
const MOST_EVENTS: usize = 20;

/// What the database refuses to a request: one event for each alert, so that it is explained, and one for how many there
/// are if they are more.
pub(super) fn refused_events(request: &RequestLine, refused: &[RefusedRow]) -> Vec<Event> {
    let Some(first) = refused.first() else {
        return Vec::new();
    };
    let (count, verb, id) = (refused.len(), &request.verb, request.request_id);
    tracing::error!(
        request = id.0,
        count,
        alert = first.alert.0,
        error = %first.why,
        "alerts refused to a request of an operator"
    );
    let error = |alert, message| event("request-refused", EventSeverity::Error, alert, message);
    let of_alert = |row: &RefusedRow| {
        let (alert, why) = (row.alert, &row.why);
        let message =
            format!("the database refuses to {verb} alert {alert} for request {id}: {why}");
        error(Some(alert), message)
    };
    let mut events: Vec<_> = refused.iter().take(MOST_EVENTS).map(of_alert).collect();
    if count > MOST_EVENTS {
        let message = format!("the database refuses to {verb} {count} alerts for request {id}");
        events.push(error(None, message));
    }
    events
}

#[cfg(test)]
mod tests {
    use sendport_store::operator_requests::RequestFilter;

    use super::*;

    fn cancel() -> RequestLine {
        RequestLine {
            request_id: RequestId(7),
            verb: "cancel".to_owned(),
            filter: RequestFilter::default(),
            recipients: None,
            new_message_id: false,
            redirect_to: None,
            resolution: None,
            bodies_only: false,
            comment: None,
            requested_at: chrono::DateTime::UNIX_EPOCH,
            requested_by: "anna".to_owned(),
            host_name: None,
            state: "open".to_owned(),
            applied_count: 0,
            refused_count: 0,
            completed_at: None,
            result: None,
            unreadable: None,
        }
    }

    #[test]
    fn each_alert_that_the_database_refuses_has_its_event() {
        let refused = |ids: std::ops::Range<i64>| -> Vec<_> {
            let row = |id| RefusedRow {
                alert: AlertId(id),
                why: format!("rule {id}"),
            };
            ids.map(row).collect()
        };
        let events = refused_events(&cancel(), &refused(1..3));
        let texts: Vec<_> = events.iter().map(|it| (it.alert, &*it.message)).collect();
        let text =
            |id| format!("the database refuses to cancel alert {id} for request 7: rule {id}");
        let expected = [text(1), text(2)];
        assert_eq!(
            texts,
            [
                (Some(AlertId(1)), &*expected[0]),
                (Some(AlertId(2)), &*expected[1])
            ]
        );
        let events = refused_events(&cancel(), &refused(0..500));
        assert_eq!(events.len(), 21);
        assert!(events[20].message.contains("500 alerts"));
        assert!(refused_events(&cancel(), &[]).is_empty());
    }
}
