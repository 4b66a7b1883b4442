//! Requests of operators.

use std::sync::LazyLock;

use async_trait::async_trait;
use rusqlite::{Connection, ToSql, Transaction, params};
use sendport_core::domain::{
    AlertId, OperatorVerb, RequestId, RequeueRecipients, StatusReasonCode, Timestamp,
};

use super::alert_store::write_event;
use super::bulk_change::BulkChange;
use super::connection::{SqliteError, write};
use super::expiry::without_instance;
use super::operator_queries::lines;
use super::record::{Recorder, waiting_status};
use super::requests_in_force::requests_in_force;
use super::values::{Columns, time_text};
use super::{SqliteStore, sql};
use crate::operator_requests::{
    CANCELLED, CloseResult, InForce, MOST_OPEN, MatchingAlerts, NewRequest, OperatorRequests,
    RequestCursor, RequestFilter, RequestLine, RequestStep, TolerantReader, result_text,
};
use crate::{Among, ColumnError, StoreError, SweepResult};

/// Most alerts that are changed in one transaction: applications that insert wait for the one lock of the file.
const MOST_CHANGED: usize = 50;

/// Most rows that are looked at in one: those behind the last one that is changed are read again.
const MOST_MET: u32 = 100;

/// Rows that are not final, in the order of their index. Many rows of one INSERT have the same `CreatedAt`.
const REQUEST_BATCH_LIVE: &str = "SELECT * FROM (SELECT AlertId, SendPort, Status, CreatedAt FROM AlertState \
    WHERE FinalAt IS NULL AND SendPort = ?3 AND Status = ?2 AND CreatedAt = ?4 AND AlertId > ?5 \
    ORDER BY AlertId LIMIT ?6) same_time \
    UNION ALL SELECT * FROM (SELECT AlertId, SendPort, Status, CreatedAt FROM AlertState \
    WHERE FinalAt IS NULL AND (SendPort, Status, CreatedAt) > (?3, ?2, ?4) \
    ORDER BY SendPort, Status, CreatedAt, AlertId LIMIT ?6) later \
    ORDER BY SendPort, Status, CreatedAt, AlertId LIMIT ?6";

/// All rows by their key: those that are final have no index in common.
const REQUEST_BATCH_ALL: &str = "SELECT AlertId, SendPort, Status, CreatedAt FROM AlertState \
    WHERE AlertId > ?5 ORDER BY AlertId LIMIT ?6";

/// One row.
const REQUEST_BATCH_ONE: &str =
    "SELECT AlertId, SendPort, Status, CreatedAt FROM AlertState WHERE AlertId = ?5 LIMIT ?6";

/// How many were changed, in the transaction that changes them.
const REQUEST_BATCH_COUNT: &str =
    "UPDATE OperatorRequest SET AppliedCount = AppliedCount + ?2 WHERE RequestId = ?1";

/// Which request ended it.
const FINISH_REQUEST: &str = "UPDATE AlertState SET RequestId = ?2 WHERE AlertId = ?1";

/// A failure after this is reported again.
const REQUEUE_NOTIFICATION: &str = "DELETE FROM FailureNotification WHERE AlertId = ?1";

/// To the sender, too.
pub(super) const REQUEUE_REPORTS: &str = "DELETE FROM DeliveryReport WHERE AlertId = ?1 AND Action = 'failed' \
    AND Ordinal IN (SELECT r.Ordinal FROM Recipient r WHERE r.AlertId = ?1 AND r.Status = 'queued')";

/// What was reported of the earlier transactions.
pub(super) const REQUEUE_FEEDBACK: &str = "UPDATE RecipientFeedback SET IsCurrent = 0 WHERE AlertId = ?1 AND IsCurrent = 1 \
    AND Ordinal IN (SELECT r.Ordinal FROM Recipient r WHERE r.AlertId = ?1 AND r.Status = 'queued')";

/// A cancel that is not done shows what it could not change so far.
const CLOSE_REQUEST_COUNT: &str =
    "UPDATE OperatorRequest SET RefusedCount = ?2 WHERE RequestId = ?1 AND RefusedCount <> ?2";

/// A release says what ended by it.
const END_HOLDS_COUNT: &str = "UPDATE OperatorRequest SET Result = CASE \
    WHEN (SELECT h.Verb FROM OperatorRequest h WHERE h.RequestId = OperatorRequest.HoldRequestId) = 'redirect' \
    THEN 'a redirect ended: alerts go to their recipients again, unless another redirect matches them' \
    WHEN ?2 = 1 THEN 'a hold ended' ELSE ?2 || ' holds ended' END WHERE RequestId = ?1";

/// Whether the row was closed.
const CLOSE_REQUEST_STATE: &str = "SELECT State = 'done' FROM OperatorRequest WHERE RequestId = ?1";

/// The statement with the parts of `sql/parts/` that it names.
pub(super) fn with_parts(statement: &str) -> String {
    statement
        .replace(
            "{request_applies}",
            sql!("parts/request_applies").trim_end(),
        )
        .replace(
            "{request_matches}",
            sql!("parts/request_matches").trim_end(),
        )
        .replace(
            "{redirect_in_force}",
            sql!("parts/redirect_in_force").trim_end(),
        )
}

fn batch(keys: &str, order: &str) -> String {
    with_parts(sql!("request_batch"))
        .replace("{keys}", keys)
        .replace("{order}", order)
}

pub(super) static LIVE_ROWS: LazyLock<String> = LazyLock::new(|| {
    let order = "k.SendPort, k.Status, k.CreatedAt, k.AlertId";
    batch(REQUEST_BATCH_LIVE, order)
});
pub(super) static ALL_ROWS: LazyLock<String> =
    LazyLock::new(|| batch(REQUEST_BATCH_ALL, "k.AlertId"));
pub(super) static ONE_ROW: LazyLock<String> =
    LazyLock::new(|| batch(REQUEST_BATCH_ONE, "k.AlertId"));
static COUNT_MATCHING: LazyLock<String> = LazyLock::new(|| with_parts(sql!("count_matching")));
pub(super) static CLOSE_ONE: LazyLock<String> = LazyLock::new(|| close("s.AlertId = ?5"));
pub(super) static CLOSE_ALL: LazyLock<String> = LazyLock::new(|| close("?5 IS NULL"));

fn close(which: &str) -> String {
    with_parts(sql!("close_request")).replace("{which}", which)
}

#[async_trait]
impl OperatorRequests for SqliteStore {
    async fn add_request(&self, request: &NewRequest) -> Result<RequestId, StoreError> {
        let (request, now) = (request.clone(), self.clock.now());
        self.writer
            .call("add a request", move |connection| {
                write(connection, |tx| add_request(tx, &request, now))
            })
            .await
    }

    async fn count_matching(
        &self,
        request: &NewRequest,
    ) -> Result<Vec<MatchingAlerts>, StoreError> {
        let (request, now) = (request.clone(), self.clock.now());
        self.operator_reader
            .call("count the alerts of a request", move |connection| {
                let values = filter_values(&request, now);
                let values: Vec<_> = values.iter().map(|value| &**value).collect();
                lines(connection, &COUNT_MATCHING, &values, matching_alerts)
            })
            .await
    }

    async fn open_requests(&self) -> Result<Vec<RequestLine>, StoreError> {
        self.operator_reader
            .call("list open requests", move |connection| {
                let values = params![MOST_OPEN];
                let mut open = lines(connection, sql!("open_requests"), values, request_line)?;
                open.sort_by_key(|line| line.request_id);
                Ok(open)
            })
            .await
    }

    async fn requests_in_force(&self, alerts: &[AlertId]) -> Result<Vec<InForce>, StoreError> {
        let alerts = alerts.to_vec();
        self.reader
            .call("read the requests in force", move |connection| {
                requests_in_force(connection, &alerts)
            })
            .await
    }

    async fn requests(&self, limit: u32) -> Result<Vec<RequestLine>, StoreError> {
        self.operator_reader
            .call("list requests", move |connection| {
                lines(connection, sql!("requests"), params![limit], request_line)
            })
            .await
    }

    async fn apply_request(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
        without: &[AlertId],
    ) -> Result<RequestStep, StoreError> {
        let (request, from, now) = (request.clone(), from.cloned(), self.clock.now());
        let around = BulkChange::of(Among::AllBut(without));
        let apply = move |connection: &mut Connection| {
            let step = |tx: &Transaction<'_>, around: &mut BulkChange| {
                without_instance(tx, now).apply_request(&request, from.as_ref(), around)
            };
            let (step, refused) = around.clone().run_for(connection, step)?;
            let count = step.swept.count;
            Ok(RequestStep {
                swept: SweepResult { count, refused },
                ..step
            })
        };
        let step = self.writer.call("apply a request", apply).await?;
        self.watch.inserted();
        Ok(step)
    }

    async fn close_request(
        &self,
        request: &RequestLine,
        purged: u64,
        without: &[AlertId],
    ) -> Result<CloseResult, StoreError> {
        let (request, now) = (request.clone(), time_text(self.clock.now()));
        let refused = purged + without.len() as u64;
        let closed = move |connection: &mut Connection| {
            write(connection, |tx| {
                let (id, text) = (request.request_id.0, result_text(&request, refused));
                let refused = i64::try_from(refused).unwrap_or(i64::MAX);
                let only = request.filter.alert_id.map(|it| it.0);
                tx.prepare_cached(CLOSE_REQUEST_COUNT)?
                    .execute(params![id, refused])?;
                let mut closed_now = false;
                if request.is_applied() || request.operator_verb() == Some(OperatorVerb::Purge) {
                    let close = only.map_or(&*CLOSE_ALL, |_| &*CLOSE_ONE);
                    let values = params![id, refused, now, text, only];
                    closed_now = tx.prepare_cached(close)?.execute(values)? > 0;
                }
                if closed_now {
                    write_event(tx, &now, &request.done_event())?;
                }
                let mut state = tx.prepare_cached(CLOSE_REQUEST_STATE)?;
                Ok(CloseResult {
                    closed: state.query_row([id], |row| row.get(0))?,
                    closed_now,
                    purged,
                })
            })
        };
        self.writer.call("close a request", closed).await
    }
}

/// The values of `count_matching`, which are the first ones of `add_request`.
fn filter_values(request: &NewRequest, now: Timestamp) -> Vec<Box<dyn ToSql + '_>> {
    let filter = &request.filter;
    vec![
        Box::new(request.verb.as_str()),
        Box::new(filter.alert_id.map(|it| it.0)),
        Box::new(&filter.send_port),
        Box::new(&filter.alert_name),
        Box::new(&filter.reference),
        Box::new(&filter.created_by),
        Box::new(&filter.relay),
        Box::new(&filter.explanation_key),
        Box::new(filter.status.map(|it| it.as_str())),
        Box::new(filter.created_from.map(time_text)),
        Box::new(filter.created_until.map(time_text)),
        Box::new(filter.hold_request_id.map(|it| it.0)),
        Box::new(filter.matches_all),
        Box::new(request.recipients.map(RequeueRecipients::as_str)),
        Box::new(time_text(now)),
        Box::new(filter.final_before.map(time_text)),
        Box::new(request.bodies_only),
    ]
}

fn add_request(
    tx: &Transaction<'_>,
    request: &NewRequest,
    now: Timestamp,
) -> Result<RequestId, SqliteError> {
    let mut values = filter_values(request, now);
    values.push(Box::new(request.new_message_id));
    values.push(Box::new(&request.comment));
    values.push(Box::new(&request.requested_by));
    values.push(Box::new(&request.host_name));
    values.push(Box::new(&request.redirect_to));
    let values: Vec<_> = values.iter().map(|value| &**value).collect();
    tx.prepare_cached(sql!("add_request"))?
        .execute(values.as_slice())?;
    Ok(RequestId(tx.last_insert_rowid()))
}

/// A row that a pass meets.
pub(super) struct MetRow {
    pub(super) cursor: RequestCursor,
    is_purged: bool,
    pub(super) applies: bool,
}

/// A request about alerts that are final: these have no index in common, and a pass meets all rows by their key.
fn is_of_final(request: &RequestLine) -> bool {
    let verb = request.operator_verb();
    matches!(verb, Some(OperatorVerb::Requeue | OperatorVerb::Purge))
}

/// The next rows of a pass.
pub(super) fn request_batch(
    connection: &Connection,
    request: &RequestLine,
    from: Option<&RequestCursor>,
) -> Result<Vec<MetRow>, SqliteError> {
    let statement = match request.filter.alert_id {
        Some(_) => &*ONE_ROW,
        None if is_of_final(request) => &*ALL_ROWS,
        None => &*LIVE_ROWS,
    };
    let begin = RequestCursor {
        send_port: request.filter.send_port.clone().unwrap_or_default(),
        alert: request.filter.alert_id.map_or(0, |it| it.0),
        ..RequestCursor::default()
    };
    let from = from.unwrap_or(&begin);
    let values = params![
        request.request_id.0,
        from.status,
        from.send_port,
        from.created_at,
        from.alert,
        MOST_MET
    ];
    let mut statement = connection.prepare_cached(statement)?;
    let rows = statement.query_map(values, |row| {
        Ok(MetRow {
            cursor: RequestCursor {
                alert: row.get("AlertId")?,
                send_port: row.get("SendPort")?,
                status: row.get("Status")?,
                created_at: row.get("CreatedAt")?,
                body_purged: false,
            },
            is_purged: row.get("IsPurged")?,
            applies: row.get::<_, Option<bool>>("Applies")?.unwrap_or(false),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Behind the last row; `None` where all that could follow was met.
pub(super) fn next(request: &RequestLine, rows: &[MetRow]) -> Option<RequestCursor> {
    let last = &rows.last()?.cursor;
    let is_live = !is_of_final(request);
    let other_port = request.filter.send_port.as_ref();
    let other_port =
        other_port.is_some_and(|it| is_live && it.trim_end() != last.send_port.trim_end());
    let is_last = rows.len() < MOST_MET as usize || request.filter.alert_id.is_some() || other_port;
    (!is_last).then(|| last.clone())
}

/// The row with which so many are changed, if others follow.
fn last_of(rows: &[MetRow], count: usize) -> Option<usize> {
    let mut places = (0..rows.len()).filter(|&place| rows[place].applies);
    places.nth(count - 1).filter(|last| last + 1 < rows.len())
}

impl Recorder<'_> {
    fn apply_request(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
        around: &mut BulkChange,
    ) -> Result<RequestStep, SqliteError> {
        if from.is_none() && request.operator_verb() == Some(OperatorVerb::Release) {
            self.end_holds(request.request_id)?;
        }
        let mut rows = request_batch(self.tx, request, from)?;
        let mut next = next(request, &rows);
        if let Some(last) = last_of(&rows, MOST_CHANGED) {
            rows.truncate(last + 1);
            next = Some(rows[last].cursor.clone());
        }
        let is_requeue = request.operator_verb() == Some(OperatorVerb::Requeue);
        let applies = rows.iter().filter(|row| row.applies);
        let (purged, these): (Vec<_>, Vec<_>) =
            applies.partition(|row| row.is_purged && is_requeue);
        let these = these.iter().map(|row| AlertId(row.cursor.alert));
        let count = around.change_each(self.tx, these, |alert| self.change(request, alert))?;
        if count > 0 {
            self.tx
                .prepare_cached(REQUEST_BATCH_COUNT)?
                .execute(params![request.request_id.0, count])?;
        }
        Ok(RequestStep {
            swept: count.into(),
            purged: purged.len() as u64,
            next,
        })
    }

    fn end_holds(&self, release: RequestId) -> Result<(), SqliteError> {
        let ended = self
            .tx
            .prepare_cached(sql!("end_holds"))?
            .execute(params![release.0, time_text(self.now)])?;
        if ended > 0 {
            self.tx
                .prepare_cached(END_HOLDS_COUNT)?
                .execute(params![release.0, i64::try_from(ended).unwrap_or(i64::MAX)])?;
        }
        Ok(())
    }

    fn change(&self, request: &RequestLine, alert: AlertId) -> Result<usize, SqliteError> {
        match request.operator_verb() {
            Some(OperatorVerb::Cancel) => self.cancel(request, alert),
            Some(OperatorVerb::Hold) => {
                let code = StatusReasonCode::OperatorHold;
                self.park(alert, &request.reason(), code, request.request_id)
            }
            Some(OperatorVerb::Release) => self.release_held(request, alert),
            Some(OperatorVerb::Requeue) => self.requeue(request, alert),
            // A redirect is a rule for loads, retention carries out a purge, and a resolve is done when its row is written.
            Some(OperatorVerb::Redirect | OperatorVerb::Purge | OperatorVerb::Resolve) | None => {
                Ok(0)
            }
        }
    }

    fn cancel(&self, request: &RequestLine, alert: AlertId) -> Result<usize, SqliteError> {
        let mut reason = request.reason();
        if self.is_in_doubt(alert)? {
            reason.push_str("; it may have been sent");
        }
        let ended = self.finish(alert, CANCELLED, &reason)?;
        self.tx
            .prepare_cached(FINISH_REQUEST)?
            .execute(params![alert.0, request.request_id.0])?;
        Ok(ended)
    }

    fn release_held(&self, request: &RequestLine, alert: AlertId) -> Result<usize, SqliteError> {
        let status = waiting_status(self.tx, alert)?.as_str();
        let values = params![time_text(self.now), alert.0, status, request.request_id.0];
        Ok(self
            .tx
            .prepare_cached(sql!("release_held"))?
            .execute(values)?)
    }

    fn requeue(&self, request: &RequestLine, alert: AlertId) -> Result<usize, SqliteError> {
        let now = time_text(self.now);
        let recipients = request.recipients.map(RequeueRecipients::as_str);
        self.tx
            .prepare_cached(sql!("requeue_recipients"))?
            .execute(params![alert.0, now, recipients])?;
        self.tx
            .prepare_cached(REQUEUE_NOTIFICATION)?
            .execute([alert.0])?;
        self.tx
            .prepare_cached(REQUEUE_REPORTS)?
            .execute([alert.0])?;
        self.tx
            .prepare_cached(REQUEUE_FEEDBACK)?
            .execute([alert.0])?;
        let values = params![alert.0, now, request.new_message_id, request.request_id.0];
        Ok(self
            .tx
            .prepare_cached(sql!("requeue_alert"))?
            .execute(values)?)
    }

    /// 0 where it does not wait.
    pub(super) fn park(
        &self,
        alert: AlertId,
        reason: &str,
        code: StatusReasonCode,
        request: RequestId,
    ) -> Result<usize, SqliteError> {
        let now = time_text(self.now);
        let values = params![alert.0, now, reason, code.as_str(), request.0];
        Ok(self.tx.prepare_cached(sql!("park"))?.execute(values)?)
    }
}

fn matching_alerts(row: &Columns<'_, '_>) -> Result<MatchingAlerts, ColumnError> {
    Ok(MatchingAlerts {
        send_port: row.shown_key("SendPort")?,
        status: row.word("Status")?,
        alerts: u64::from(row.count("Alerts")?),
    })
}

/// What cannot be read of one request stops no other.
fn request_line(row: &Columns<'_, '_>) -> Result<RequestLine, ColumnError> {
    let mut read = TolerantReader::default();
    let verb = read.value(row.text("Verb"));
    read.word::<OperatorVerb>("Verb", Ok(Some(verb.clone())));
    let line = RequestLine {
        request_id: RequestId(row.integer("RequestId")?),
        verb,
        filter: RequestFilter {
            alert_id: read.value(row.optional_integer("AlertId")).map(AlertId),
            send_port: row.lossy("SendPort")?,
            alert_name: row.lossy("AlertName")?,
            reference: row.lossy("Reference")?,
            created_by: row.lossy("CreatedBy")?,
            relay: row.lossy("Relay")?,
            explanation_key: row.lossy("ExplanationKey")?,
            status: read.word("Status", row.optional_text("Status")),
            created_from: read.value(row.optional_time("CreatedFrom")),
            created_until: read.value(row.optional_time("CreatedUntil")),
            final_before: read.value(row.optional_time("FinalBefore")),
            hold_request_id: read
                .value(row.optional_integer("HoldRequestId"))
                .map(RequestId),
            matches_all: read.value(row.flag("MatchesAll")),
        },
        recipients: read.word("Recipients", row.optional_text("Recipients")),
        new_message_id: read.value(row.flag("NewMessageId")),
        bodies_only: read.value(row.flag("BodiesOnly")),
        comment: row.lossy("Comment")?,
        requested_at: read.value(row.time("RequestedAt")),
        requested_by: row.lossy("RequestedBy")?.unwrap_or_default(),
        host_name: row.lossy("HostName")?,
        state: read.value(row.text("State")),
        applied_count: read
            .value(row.integer("AppliedCount"))
            .try_into()
            .unwrap_or(0),
        refused_count: read
            .value(row.integer("RefusedCount"))
            .try_into()
            .unwrap_or(0),
        completed_at: read.value(row.optional_time("CompletedAt")),
        result: row.lossy("Result")?,
        redirect_to: row.lossy("RedirectTo")?,
        resolution: read.word("Resolution", row.optional_text("Resolution")),
        unreadable: read.why,
    };
    Ok(line)
}
