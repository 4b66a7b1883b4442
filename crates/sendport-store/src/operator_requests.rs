//! Requests of operators: cancel, hold, release, requeue, redirect and purge, by a filter.
//!
//! A request is a row. A claim honours those that are open, and [`apply_pass`] changes what matches, in batches.

use std::fmt::Display;
use std::str::FromStr;

use async_trait::async_trait;
use sendport_core::domain::{
    AlertId, AlertStatus, OperatorVerb, RecipientStatus, RequestId, RequeueRecipients, Resolution,
    Timestamp,
};
use serde::Serialize;

use crate::expiry::Ending;
use crate::{ColumnError, Event, EventSeverity, MOST_REFUSED, RefusedRow, StoreError, SweepResult};

/// An operator does not want it sent.
pub(crate) const CANCELLED: Ending = Ending {
    status: RecipientStatus::Cancelled,
    explanation: None,
};

/// Most open requests that are read at a time, the oldest ones.
pub const MOST_OPEN: u32 = 1_000;

/// Which alerts a request is about: those that match all that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct RequestFilter {
    pub alert_id: Option<AlertId>,
    pub send_port: Option<String>,
    pub alert_name: Option<String>,
    pub reference: Option<String>,
    pub created_by: Option<String>,
    pub relay: Option<String>,
    pub explanation_key: Option<String>,
    pub status: Option<AlertStatus>,
    pub created_from: Option<Timestamp>,
    pub created_until: Option<Timestamp>,
    pub final_before: Option<Timestamp>,
    pub hold_request_id: Option<RequestId>,
    pub matches_all: bool,
}

impl RequestFilter {
    /// What is given, in words: `AlertName 'order-late', Status 'delayed'`.
    pub fn in_words(&self) -> String {
        let quoted = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name} '{value}'"))
        };
        let time = |name: &str, at: Option<Timestamp>| {
            at.map(|at| format!("{name} {}", sendport_core::clock::utc_text(at)))
        };
        let words = [
            self.alert_id.map(|id| format!("alert {id}")),
            quoted("SendPort", &self.send_port),
            quoted("AlertName", &self.alert_name),
            quoted("Reference", &self.reference),
            quoted("CreatedBy", &self.created_by),
            quoted("Relay", &self.relay),
            quoted("ExplanationKey", &self.explanation_key),
            self.status.map(|status| format!("Status '{status}'")),
            time("from", self.created_from),
            time("until", self.created_until),
            time("final until", self.final_before),
            self.hold_request_id.map(|id| format!("request {id}")),
            self.matches_all.then(|| "all".to_owned()),
        ];
        let words: Vec<_> = words.into_iter().flatten().collect();
        words.join(", ")
    }
}

/// A request to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// What is to be done.
    pub verb: OperatorVerb,
    /// With which alerts. A cancel or requeue without `created_until` is about alerts that are there now, a purge without
    /// `final_before` about those that became final an hour ago.
    pub filter: RequestFilter,
    /// A requeue: which recipients.
    pub recipients: Option<RequeueRecipients>,
    /// A requeue: whether the message gets a new Message-ID.
    pub new_message_id: bool,
    /// A redirect: the one address that gets what matches.
    pub redirect_to: Option<String>,
    /// A purge: the alerts and their statuses stay.
    pub bodies_only: bool,
    /// Why.
    pub comment: Option<String>,
    /// Who, where the engine has no logins.
    pub requested_by: String,
    /// On which computer.
    pub host_name: Option<String>,
}

/// What an operator found out about an alert that may have been sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolveRequest {
    /// What became of the message.
    pub resolution: Resolution,
    /// Why.
    pub comment: Option<String>,
    /// Who, where the engine has no logins.
    pub requested_by: String,
    /// On which computer, where the engine does not know it.
    pub host_name: Option<String>,
}

impl ResolveRequest {
    /// What alert and recipients say of it, where that ends them. On SQL Server `resolve.sql` says the same.
    pub(crate) fn reason(&self) -> Option<String> {
        let by = &self.requested_by;
        match self.resolution {
            Resolution::Relayed => Some(format!("resolved by {by}: the relay accepted it")),
            Resolution::Resend => None,
            Resolution::Cancel => Some(format!("cancelled by {by}; it may have been sent")),
        }
    }
}

/// A row of `OperatorRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of the table, documented there")]
pub struct RequestLine {
    pub request_id: RequestId,
    pub verb: String,
    #[serde(flatten)]
    pub filter: RequestFilter,
    pub recipients: Option<RequeueRecipients>,
    pub new_message_id: bool,
    pub redirect_to: Option<String>,
    pub resolution: Option<Resolution>,
    pub bodies_only: bool,
    pub comment: Option<String>,
    pub requested_at: Timestamp,
    pub requested_by: String,
    pub host_name: Option<String>,
    pub state: String,
    pub applied_count: u64,
    pub refused_count: u64,
    pub completed_at: Option<Timestamp>,
    pub result: Option<String>,
    /// Why the row cannot be carried out: a value that nobody can read, or a word that this program does not know. What
    /// can be read of it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// Reads a row of which any value may be unreadable, so that the row can be shown.
#[derive(Default)]
pub(crate) struct TolerantReader {
    /// Of the first value that is.
    pub(crate) why: Option<String>,
}

impl TolerantReader {
    /// The value, or the default in its place.
    pub(crate) fn value<T: Default>(&mut self, read: Result<T, ColumnError>) -> T {
        read.unwrap_or_else(|error| {
            self.why.get_or_insert_with(|| error.to_string());
            T::default()
        })
    }

    /// `None` where it is NULL, or no word that this program knows.
    pub(crate) fn word<T: FromStr<Err: Display>>(
        &mut self,
        column: &str,
        read: Result<Option<String>, ColumnError>,
    ) -> Option<T> {
        let text = self.value(read)?;
        let word = text
            .parse()
            .map_err(|error| ColumnError::unreadable(column, error));
        self.value(word.map(Some))
    }
}

impl RequestLine {
    /// `None` where it is not a verb that changes alerts here, or the row cannot be read: nothing is done then.
    pub fn operator_verb(&self) -> Option<OperatorVerb> {
        let is_readable = self.unreadable.is_none();
        is_readable.then(|| self.verb.parse().ok()).flatten()
    }

    /// What is wrong with a row that cannot be read, and what to do.
    pub fn advice(&self) -> Option<String> {
        let (why, id) = (self.unreadable.as_ref()?, self.request_id);
        Some(format!(
            "request {id} is not carried out, because its row cannot be read: {why}; delete the row of OperatorRequest \
             with RequestId {id}, and make the request again"
        ))
    }

    /// True where alerts are changed beside claims: a hold of many alerts is a rule for claims alone, a redirect one for
    /// those that read what was claimed, and a purge is carried out by retention.
    pub fn is_applied(&self) -> bool {
        match self.operator_verb() {
            Some(OperatorVerb::Hold) => self.filter.alert_id.is_some(),
            Some(OperatorVerb::Redirect | OperatorVerb::Purge | OperatorVerb::Resolve) => false,
            verb => verb.is_some(),
        }
    }

    /// What `EventLog` says once it is done.
    pub fn done_event(&self) -> Event {
        let (id, by, verb) = (self.request_id, &self.requested_by, &self.verb);
        let filter = self.filter.in_words();
        Event {
            severity: EventSeverity::Information,
            event_type: "request-done",
            instance: None,
            alert: None,
            send_port: None,
            relay: None,
            message: format!("request {id} of {by} is done: {verb} {filter}; see OperatorRequest"),
        }
    }

    /// What alerts say of it: `cancelled by CONTOSO\anna: runaway job`.
    pub(crate) fn reason(&self) -> String {
        reason(&self.verb, &self.requested_by, self.comment.as_deref())
    }

    /// The statuses of the alerts that it may change.
    pub(crate) fn statuses(&self) -> &'static [AlertStatus] {
        let verb = self.operator_verb();
        verb.map_or(&[], |verb| statuses(verb, self.recipients))
    }
}

/// The statuses of the alerts that a verb may change.
pub(crate) fn statuses(
    verb: OperatorVerb,
    recipients: Option<RequeueRecipients>,
) -> &'static [AlertStatus] {
    use AlertStatus::{
        Cancelled, Delayed, Expired, Failed, Held, Partial, Queued, Relayed, Suppressed,
    };
    match (verb, recipients) {
        (OperatorVerb::Cancel, _) => &[Queued, Delayed, Held],
        (OperatorVerb::Hold | OperatorVerb::Redirect, _) => &[Queued, Delayed],
        (OperatorVerb::Release, _) => &[Held],
        (OperatorVerb::Resolve, _) => &[Queued, Delayed, Held],
        (OperatorVerb::Requeue, Some(RequeueRecipients::All | RequeueRecipients::Redirected)) => {
            &[Failed, Partial, Expired, Cancelled, Relayed]
        }
        (OperatorVerb::Requeue, _) => &[Failed, Partial, Expired, Cancelled],
        (OperatorVerb::Purge, _) => &[Relayed, Partial, Failed, Expired, Cancelled, Suppressed],
    }
}

/// What an alert says of a cancel or a hold. On SQL Server a claim says the same in `claim.sql`.
pub(crate) fn reason(verb: &str, by: &str, comment: Option<&str>) -> String {
    let done = if verb == OperatorVerb::Cancel.as_str() {
        "cancelled"
    } else {
        "held"
    };
    let comment = comment.map_or_else(String::new, |it| format!(": {it}"));
    format!("{done} by {by}{comment}")
}

/// So many alerts of a send port with one status match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, reason = "the columns of a dry run, named as elsewhere")]
pub struct MatchingAlerts {
    pub send_port: String,
    pub status: AlertStatus,
    pub alerts: u64,
}

/// What open requests say about an alert that is claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce {
    /// The alert.
    pub alert: AlertId,
    /// The redirect that a load would read with it now.
    pub redirect: Option<RequestId>,
    /// A cancel or a hold: a claim would not take it now.
    pub keeps_from_sending: bool,
}

/// Where a pass has arrived: behind this row of the index that it walks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestCursor {
    pub(crate) status: String,
    pub(crate) send_port: String,
    pub(crate) body_purged: bool,
    pub(crate) created_at: String,
    pub(crate) alert: i64,
}

/// The result of one step of a pass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestStep {
    /// Alerts that were changed, and those that the database refuses to change.
    pub swept: SweepResult,
    /// Alerts that match and whose bodies are purged.
    pub purged: u64,
    /// Where to go on; `None` at the end.
    pub next: Option<RequestCursor>,
}

/// Whether a request is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CloseResult {
    /// Nothing more can match.
    pub closed: bool,
    /// This call has closed it, and written its event.
    pub closed_now: bool,
    /// Alerts that match and whose bodies are purged.
    pub purged: u64,
}

/// Requests of operators, as rows.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait OperatorRequests: Send + Sync {
    /// Adds a request, which is in force at once.
    async fn add_request(&self, request: &NewRequest) -> Result<RequestId, StoreError>;

    /// How many alerts match now, with those that are being sent, where the request is in force for them. Changes nothing, waits for nobody, and is approximate where others work.
    async fn count_matching(&self, request: &NewRequest)
    -> Result<Vec<MatchingAlerts>, StoreError>;

    /// At most [`MOST_OPEN`] requests that are open, the oldest first: holds and redirects only as far as there is room
    /// beside the others, because they stay open. What is not committed is not among them.
    async fn open_requests(&self) -> Result<Vec<RequestLine>, StoreError>;

    /// What open requests say about these alerts, which are claimed, at one moment after the call. Waits for no
    /// transaction; an alert that none is about may be left out. Costs one seek where no request is in force.
    async fn requests_in_force(&self, alerts: &[AlertId]) -> Result<Vec<InForce>, StoreError>;

    /// The latest requests.
    async fn requests(&self, limit: u32) -> Result<Vec<RequestLine>, StoreError>;

    /// Changes what matches among the next rows, in one transaction with `AppliedCount`. Two instances may do this at
    /// once: each alert is changed once and counted once. An alert that is leased, or that another transaction has
    /// locked, is left alone. `None` begins at the first row.
    async fn apply_request(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
        without: &[AlertId],
    ) -> Result<RequestStep, StoreError>;

    /// Writes `RefusedCount`, and closes the request if no alert matches any more: none that waits, is being sent, or
    /// that another transaction has locked. What closes it writes [`RequestLine::done_event`], once. `without` are refused by the database: a cancel stays in force for them.
    /// `purged` match and have no body any more, as far as the pass met them.
    async fn close_request(
        &self,
        request: &RequestLine,
        purged: u64,
        without: &[AlertId],
    ) -> Result<CloseResult, StoreError>;
}

/// The result of one pass over all alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassResult {
    /// Alerts that were changed.
    pub applied: u64,
    /// Alerts that match and whose bodies are purged.
    pub purged: u64,
    /// What the database refuses to change.
    pub refused: Vec<RefusedRow>,
    /// Nothing more can match.
    pub closed: bool,
    /// This pass has closed it.
    pub closed_now: bool,
}

/// Walks once over all alerts and applies the request to those that match. `progress` is called with the number of
/// alerts that were changed so far.
///
/// # Errors
/// [`StoreError`]; what was changed until then stays so, and another pass goes on with the rest.
pub async fn apply_pass(
    store: &(impl OperatorRequests + ?Sized),
    request: &RequestLine,
    mut progress: impl FnMut(u64) + Send,
) -> Result<PassResult, StoreError> {
    let mut pass = PassResult::default();
    let mut from = None;
    loop {
        let without = ids(&pass.refused);
        let step = store.apply_request(request, from.as_ref(), &without);
        let step = step.await?;
        pass.applied += u64::from(step.swept.count);
        pass.purged += step.purged;
        pass.refused.extend(step.swept.refused);
        progress(pass.applied);
        from = step.next;
        if from.is_none() {
            break;
        }
    }
    let without = ids(&pass.refused);
    let close = store.close_request(request, pass.purged, &without).await?;
    (pass.closed, pass.purged) = (close.closed, close.purged);
    pass.closed_now = close.closed_now;
    Ok(pass)
}

fn ids(refused: &[RefusedRow]) -> Vec<AlertId> {
    let ids = refused.iter().map(|it| it.alert);
    ids.take(MOST_REFUSED).collect()
}

/// What a closed request says of itself. On SQL Server `close_request.sql` says the same.
pub(crate) fn result_text(request: &RequestLine, refused: u64) -> String {
    let done = match request.operator_verb() {
        Some(OperatorVerb::Cancel) => "every matching alert is cancelled or was sent before",
        Some(OperatorVerb::Requeue) => "every matching alert is in the queue again",
        Some(OperatorVerb::Purge) if request.bodies_only => {
            "the body of every matching alert is deleted"
        }
        Some(OperatorVerb::Purge) => "every matching alert is deleted",
        Some(OperatorVerb::Hold) => "the alert is final",
        _ => "every matching alert is released",
    };
    match refused {
        0 => done.to_owned(),
        _ => format!("{done}, except {refused} that cannot be changed"),
    }
}
