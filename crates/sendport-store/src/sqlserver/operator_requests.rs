//! Requests of operators.

use std::ops::Range;
use std::sync::LazyLock;

use async_trait::async_trait;
use sendport_core::domain::{
    AlertId, AlertStatus, OperatorVerb, RequestId, RequeueRecipients, StatusReasonCode,
};
use tiberius::{Row, ToSql};
use uuid::Uuid;

use super::SqlServerStore;
use super::bulk_change::{OnLocked, Selection, among as among_them, by_halves, padded};
use super::connection::Rows;
use super::error::unexpected;
use super::expiry::{SweepCandidate, batches, end_all, read_candidate, top};
use super::operator_queries::lines;
use super::requests_in_force::requests_in_force;
use super::statement::with_parts;
use super::values::{Fields, list_length, placeholders, stored};
use crate::operator_requests::{
    CANCELLED, CloseResult, InForce, MOST_OPEN, MatchingAlerts, NewRequest, OperatorRequests,
    RequestCursor, RequestFilter, RequestLine, RequestStep, TolerantReader, statuses,
};
use crate::{ColumnError, StoreError, SweepResult};

const DOING: &str = "apply a request";

static REQUEST_BATCH: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/request_batch.sql")));
static COUNT_MATCHING: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/count_matching.sql")));
static OPEN_REQUESTS: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/open_requests.sql")));
static REQUESTS: LazyLock<String> = LazyLock::new(|| with_parts(include_str!("sql/requests.sql")));
static PARK: LazyLock<String> = LazyLock::new(|| with_parts(include_str!("sql/park.sql")));
static REQUEUE: LazyLock<String> = LazyLock::new(|| with_parts(include_str!("sql/requeue.sql")));
static RELEASE_HELD: LazyLock<String> =
    LazyLock::new(|| with_parts(include_str!("sql/release_held.sql")));

/// So many rows are looked at in one step, and at most as many are changed in one transaction.
const STEP: u32 = 500;

/// Before every row of a status and send port.
const FIRST_DAY: &str = "0001-01-01 00:00:00.000";

/// What a pass meets.
struct MetRows {
    /// Those that the request changes.
    matches: Vec<MatchingRow>,
    next: Option<RequestCursor>,
}

/// A row that the request changes.
struct MatchingRow {
    candidate: SweepCandidate,
    is_purged: bool,
    is_in_doubt: bool,
}

#[async_trait]
impl OperatorRequests for SqlServerStore {
    async fn add_request(&self, request: &NewRequest) -> Result<RequestId, StoreError> {
        const DOING: &str = "add a request";
        let mut values = filter_values(request);
        values.push(Box::new(request.new_message_id));
        values.push(Box::new(&request.comment));
        values.push(Box::new(&request.redirect_to));
        let values: Vec<_> = values.iter().map(|value| &**value).collect();
        let sql = include_str!("sql/add_request.sql");
        let row = self.pool.row(DOING, sql, &values).await?;
        let id = Fields::of(&row).get().map_err(|e| unexpected(DOING, e))?;
        Ok(RequestId(id))
    }

    async fn count_matching(
        &self,
        request: &NewRequest,
    ) -> Result<Vec<MatchingAlerts>, StoreError> {
        const DOING: &str = "count the alerts of a request";
        let filter = filter_values(request);
        let (first, last) = range(request.filter.alert_id);
        let mut values: Vec<_> = filter.iter().map(|value| &**value).collect();
        values.extend([&first as &dyn ToSql, &last]);
        let sending: &[_] = match request.verb {
            OperatorVerb::Cancel | OperatorVerb::Hold | OperatorVerb::Redirect => {
                &[AlertStatus::Sending]
            }
            _ => &[],
        };
        let statuses = [statuses(request.verb, request.recipients), sending].concat();
        let sql = in_index(&COUNT_MATCHING, &statuses, request.filter.alert_id);
        let rows = self.pool.rows(DOING, &sql, &values).await?;
        lines(DOING, &rows, matching_alerts)
    }

    async fn open_requests(&self) -> Result<Vec<RequestLine>, StoreError> {
        const DOING: &str = "list open requests";
        let rows = self
            .pool
            .rows(DOING, &OPEN_REQUESTS, &[&top(MOST_OPEN)])
            .await?;
        let mut open = lines(DOING, &rows, request_line)?;
        open.sort_by_key(|line| line.request_id);
        Ok(open)
    }

    async fn requests_in_force(&self, alerts: &[AlertId]) -> Result<Vec<InForce>, StoreError> {
        requests_in_force(&self.pool, alerts).await
    }

    async fn requests(&self, limit: u32) -> Result<Vec<RequestLine>, StoreError> {
        const DOING: &str = "list requests";
        let rows = self.pool.rows(DOING, &REQUESTS, &[&top(limit)]).await?;
        lines(DOING, &rows, request_line)
    }

    async fn apply_request(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
        without: &[AlertId],
    ) -> Result<RequestStep, StoreError> {
        if from.is_none() && request.operator_verb() == Some(OperatorVerb::Release) {
            self.end_holds(request.request_id).await?;
        }
        let met = self.request_batch(request, from, without).await?;
        let is_requeue = request.operator_verb() == Some(OperatorVerb::Requeue);
        let (purged, these): (Vec<_>, Vec<_>) = met
            .matches
            .into_iter()
            .partition(|row| row.is_purged && is_requeue);
        Ok(RequestStep {
            swept: self.change(request, these).await?,
            purged: purged.len() as u64,
            next: met.next,
        })
    }

    async fn close_request(
        &self,
        request: &RequestLine,
        _: u64,
        without: &[AlertId],
    ) -> Result<CloseResult, StoreError> {
        const DOING: &str = "close a request";
        let verb = request.operator_verb();
        let refused = i64::try_from(without.len()).unwrap_or(i64::MAX);
        let (first, last) = range(request.filter.alert_id);
        let event = request.done_event().message;
        let mut values: Vec<&dyn ToSql> =
            vec![&request.request_id.0, &refused, &first, &last, &event];
        // A cancel and a hold stay in force for what the database refuses to change, and for what is being sent.
        let (without, others): (_, &[_]) = match verb {
            Some(OperatorVerb::Cancel) => (&[][..], &[AlertStatus::Sending]),
            Some(OperatorVerb::Hold) => (&[][..], &[AlertStatus::Held, AlertStatus::Sending]),
            _ => (without, &[]),
        };
        let statuses = [request.statuses(), others].concat();
        let sql = include_str!("sql/close_request.sql");
        let sql = in_index(sql, &statuses, request.filter.alert_id);
        let sql = among_them(&sql, Selection::But(without), &mut values);
        let row = self.pool.row(DOING, &sql, &values).await?;
        close_result(&mut Fields::of(&row)).map_err(|e| unexpected(DOING, e))
    }
}

impl SqlServerStore {
    async fn end_holds(&self, release: RequestId) -> Result<(), StoreError> {
        let sql = include_str!("sql/end_holds.sql");
        self.pool.query(DOING, sql, &[&release.0]).await.map(|_| ())
    }

    /// The next rows of a pass.
    async fn request_batch(
        &self,
        request: &RequestLine,
        from: Option<&RequestCursor>,
        without: &[AlertId],
    ) -> Result<MetRows, StoreError> {
        let step = self.request_step(&REQUEST_BATCH, request, from, without);
        let (matches, next) = step.await?;
        let matches = matches.iter().map(matching_row);
        let matches = matches.collect::<Result<_, _>>();
        let matches = matches.map_err(|e| unexpected(DOING, e))?;
        Ok(MetRows { matches, next })
    }

    /// The rows that a statement of a pass answers, and where to go on.
    pub(super) async fn request_step(
        &self,
        sql: &str,
        request: &RequestLine,
        from: Option<&RequestCursor>,
        without: &[AlertId],
    ) -> Result<(Rows, Option<RequestCursor>), StoreError> {
        let begin = begin(request, 0);
        let Some(from) = from.or(begin.as_ref()) else {
            return Ok((Rows::new(), None));
        };
        let only = request.filter.alert_id.map_or(0, |it| it.0);
        let (step, body_purged) = (top(STEP), i32::from(from.body_purged));
        let mut values: Vec<&dyn ToSql> = vec![
            &request.request_id.0,
            &only,
            &from.status,
            &from.send_port,
            &from.created_at,
            &from.alert,
            &step,
            &body_purged,
        ];
        let sql = among_them(sql, Selection::But(without), &mut values);
        let mut results = self.pool.query(DOING, &sql, &values).await?.into_iter();
        let (matches, end) = (results.next(), results.next());
        let next = match end.iter().flatten().next() {
            Some(end) => next(request, from, end).map_err(|e| unexpected(DOING, e))?,
            None => None,
        };
        Ok((matches.unwrap_or_default(), next))
    }

    async fn change(
        &self,
        request: &RequestLine,
        rows: Vec<MatchingRow>,
    ) -> Result<SweepResult, StoreError> {
        match request.operator_verb() {
            Some(OperatorVerb::Cancel) => self.cancel(request, rows).await,
            Some(OperatorVerb::Hold) => self.park(request, &rows).await,
            Some(OperatorVerb::Release) => self.release_held(request, &rows).await,
            Some(OperatorVerb::Requeue) => self.requeue(request, &rows).await,
            // A redirect is a rule for loads, and retention carries out a purge.
            Some(OperatorVerb::Redirect | OperatorVerb::Purge | OperatorVerb::Resolve) | None => {
                Ok(SweepResult::default())
            }
        }
    }

    async fn cancel(
        &self,
        request: &RequestLine,
        rows: Vec<MatchingRow>,
    ) -> Result<SweepResult, StoreError> {
        let reason = request.reason();
        let ending = rows.into_iter().map(|row| match row.is_in_doubt {
            true => row
                .candidate
                .ending(&format!("{reason}; it may have been sent")),
            false => row.candidate.ending(&reason),
        });
        let ending: Vec<_> = ending.collect();
        let request = Some(request.request_id);
        end_all(&self.pool, DOING, &ending, CANCELLED, request).await
    }

    async fn park(
        &self,
        request: &RequestLine,
        rows: &[MatchingRow],
    ) -> Result<SweepResult, StoreError> {
        let (reason, code) = (request.reason(), StatusReasonCode::OperatorHold.as_str());
        let values: [&dyn ToSql; 3] = [&request.request_id.0, &reason, &code];
        self.change_ids(&PARK, &values, rows).await
    }

    async fn release_held(
        &self,
        request: &RequestLine,
        rows: &[MatchingRow],
    ) -> Result<SweepResult, StoreError> {
        self.change_ids(&RELEASE_HELD, &[&request.request_id.0], rows)
            .await
    }

    async fn requeue(
        &self,
        request: &RequestLine,
        rows: &[MatchingRow],
    ) -> Result<SweepResult, StoreError> {
        let mark = Uuid::new_v4();
        let values: [&dyn ToSql; 2] = [&request.request_id.0, &mark];
        self.change_ids(&REQUEUE, &values, rows).await
    }

    /// Changes them by a statement with `{ids}`, in transactions of no more rows than one takes.
    async fn change_ids(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        rows: &[MatchingRow],
    ) -> Result<SweepResult, StoreError> {
        let mut swept = SweepResult::default();
        for batch in batches(rows, |row| row.candidate.weight()) {
            let ids: Vec<_> = batch.iter().map(|row| row.candidate.id).collect();
            let change = |part: Range<usize>| self.change_these(sql, values, &ids[part]);
            swept.add(by_halves(&ids, OnLocked::Skip, change).await?);
        }
        Ok(swept)
    }

    async fn change_these(
        &self,
        sql: &str,
        values: &[&dyn ToSql],
        ids: &[AlertId],
    ) -> Result<u32, StoreError> {
        let length = list_length(ids.len());
        let sql = sql.replace("{ids}", &placeholders(values.len() + 1, length));
        let mut values = values.to_vec();
        values.extend(padded(ids, length));
        let row = self.pool.row(DOING, &sql, &values).await?;
        let count = Fields::of(&row).count();
        count.map_err(|e| unexpected(DOING, e))
    }
}

/// First and last id.
fn range(only: Option<AlertId>) -> (i64, i64) {
    only.map_or((0, i64::MAX), |alert| (alert.0, alert.0))
}

/// The statement that looks for these statuses, by the index that serves it.
fn in_index(sql: &str, statuses: &[AlertStatus], only: Option<AlertId>) -> String {
    let index = only.map_or("IX_AlertRow_Live", |_| "PK_AlertRow");
    let statuses: Vec<_> = statuses.iter().map(|it| format!("N'{it}'")).collect();
    sql.replace("{statuses}", &statuses.join(", "))
        .replace("{index}", index)
}

/// Whether the bodies of the rows that a pass meets are purged: a purge deletes those without a body too.
fn body_kinds(request: &RequestLine) -> &'static [bool] {
    match request.operator_verb() {
        Some(OperatorVerb::Purge) if !request.bodies_only => &[false, true],
        _ => &[false],
    }
}

/// Before the first row of the `nth` status, with and without bodies.
fn begin(request: &RequestLine, nth: usize) -> Option<RequestCursor> {
    let (filter, kinds) = (&request.filter, body_kinds(request));
    let status = request.statuses().get(nth / kinds.len())?;
    let from = filter.created_from.map(|at| {
        let at = stored(at);
        sendport_core::clock::format(at, "%Y-%m-%d %H:%M:%S%.3f")
    });
    Some(RequestCursor {
        status: status.as_str().to_owned(),
        send_port: filter.send_port.clone().unwrap_or_default(),
        body_purged: kinds[nth % kinds.len()],
        created_at: from.unwrap_or_else(|| FIRST_DAY.to_owned()),
        alert: 0,
    })
}

/// Behind the last row, or at the next send port, or at the next status.
fn next(
    request: &RequestLine,
    from: &RequestCursor,
    end: &Row,
) -> Result<Option<RequestCursor>, ColumnError> {
    let mut fields = Fields::of(end);
    let (count, last, alert) = (fields.count()?, fields.maybe_text()?, fields.maybe()?);
    let next_port = fields.maybe_text()?;
    if request.filter.alert_id.is_some() {
        return Ok(None);
    }
    if let (true, Some(created_at), Some(alert)) = (count >= STEP, last, alert) {
        return Ok(Some(RequestCursor {
            created_at,
            alert,
            ..from.clone()
        }));
    }
    let statuses = request.statuses().iter();
    let nth = statuses
        .take_while(|status| status.as_str() != from.status)
        .count();
    let nth = nth * body_kinds(request).len() + usize::from(from.body_purged);
    Ok(match next_port {
        Some(send_port) if request.filter.send_port.is_none() => {
            begin(request, nth).map(|begin| RequestCursor { send_port, ..begin })
        }
        _ => begin(request, nth + 1),
    })
}

fn matching_row(row: &Row) -> Result<MatchingRow, ColumnError> {
    let mut fields = Fields::of(row);
    Ok(MatchingRow {
        candidate: read_candidate(&mut fields)?,
        is_purged: fields.get::<i32>()? == 1,
        is_in_doubt: fields.get::<i32>()? == 1,
    })
}

/// The values of `count_matching`, which are the first ones of `add_request`.
fn filter_values(request: &NewRequest) -> Vec<Box<dyn ToSql + '_>> {
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
        Box::new(filter.created_from.map(stored)),
        Box::new(filter.created_until.map(stored)),
        Box::new(filter.hold_request_id.map(|it| it.0)),
        Box::new(filter.matches_all),
        Box::new(request.recipients.map(RequeueRecipients::as_str)),
        Box::new(filter.final_before.map(stored)),
        Box::new(request.bodies_only),
    ]
}

fn close_result(f: &mut Fields<'_>) -> Result<CloseResult, ColumnError> {
    Ok(CloseResult {
        closed: f.get::<i32>()? == 1,
        closed_now: f.get::<i32>()? == 1,
        purged: u64::try_from(f.get::<i64>()?).unwrap_or(0),
    })
}

fn matching_alerts(f: &mut Fields<'_>) -> Result<MatchingAlerts, ColumnError> {
    Ok(MatchingAlerts {
        send_port: f.key()?,
        status: f.word()?,
        alerts: u64::try_from(f.get::<i64>()?).unwrap_or(0),
    })
}

/// What cannot be read of one request stops no other.
fn request_line(f: &mut Fields<'_>) -> Result<RequestLine, ColumnError> {
    let count = |value: i64| u64::try_from(value).unwrap_or(0);
    let mut read = TolerantReader::default();
    let request_id = RequestId(f.get()?);
    let verb = f.key()?;
    read.word::<OperatorVerb>("Verb", Ok(Some(verb.clone())));
    Ok(RequestLine {
        request_id,
        verb,
        filter: RequestFilter {
            alert_id: f.maybe()?.map(AlertId),
            send_port: f.maybe_key()?,
            alert_name: f.maybe_text()?,
            reference: f.maybe_text()?,
            created_by: f.maybe_text()?,
            relay: f.maybe_text()?,
            explanation_key: f.maybe_text()?,
            status: read.word("Status", f.maybe_key()),
            created_from: f.maybe_time()?,
            created_until: f.maybe_time()?,
            final_before: f.maybe_time()?,
            hold_request_id: f.maybe()?.map(RequestId),
            matches_all: f.get()?,
        },
        recipients: read.word("Recipients", f.maybe_key()),
        new_message_id: f.get()?,
        bodies_only: f.get()?,
        comment: f.maybe_text()?,
        requested_at: f.time()?,
        requested_by: f.text()?,
        host_name: f.maybe_text()?,
        state: f.key()?,
        applied_count: count(f.get()?),
        refused_count: count(f.get()?),
        completed_at: f.maybe_time()?,
        result: f.maybe_text()?,
        redirect_to: f.maybe_text()?,
        resolution: read.word("Resolution", f.maybe_key()),
        unreadable: read.why,
    })
}
