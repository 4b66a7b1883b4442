//! Ends alerts that no instance sends: expired, without a send port, or in an adopted copy.
//!
//! Two steps without a transaction between them: what qualifies is read, rows for recipients
//! are made from the lists by the domain, and what is still as it was seen is ended.

use std::ops::Range;
use std::sync::LazyLock;
use std::time::Duration;

use sendport_core::domain::{AlertId, RequestId, Timestamp};
use tiberius::{Command, Row, ToSql};
use uuid::Uuid;

use super::bulk_change::{OnLocked, Selection, among as among_them, by_halves, listed};
use super::error::unexpected;
use super::error::{is_lock_timeout, may_be_of_one_row};
use super::pool::Pool;
use super::statement::{Engine, Statement};
use super::table_rows::{MOST_ROWS, OutcomeRow, RecipientRow, for_engine, portion, portions};
use super::values::{Fields, seconds};
use crate::expiry::{
    EXPIRED, Ending, UNROUTED, expired_reason, recipients_of_lists, unrouted_reason,
};
use crate::{Among, ColumnError, DEFAULT_MAX_AGE, StoreError, StoreErrorKind, SweepResult};

/// Alerts in one transaction.
pub(super) const BATCH: u32 = 200;

static FINISH: LazyLock<Statement> =
    LazyLock::new(|| Statement::new(include_str!("sql/finish.sql")));

/// What qualifies, as it was seen.
pub(super) struct SweepCandidate {
    pub(super) id: AlertId,
    status_at: Timestamp,
    send_port: String,
    passed: Timestamp,
    /// Of rows that stand already.
    made: u32,
    /// To be made; empty where rows stand already.
    recipients: Vec<RecipientRow>,
}

/// One of them that is to end.
#[derive(Clone)]
pub(super) struct EndingAlert {
    id: AlertId,
    alert: OutcomeRow,
    recipients: Vec<RecipientRow>,
    /// How many rows of recipients are written.
    weight: usize,
}

impl SweepCandidate {
    /// It is to end, for this reason.
    pub(super) fn ending(self, reason: &str) -> EndingAlert {
        EndingAlert {
            id: self.id,
            alert: OutcomeRow::ended(self.id, self.status_at, reason),
            weight: self.weight(),
            recipients: self.recipients,
        }
    }

    /// How many rows of recipients it has or gets.
    pub(super) fn weight(&self) -> usize {
        self.recipients.len().max(self.made as usize)
    }
}

/// A sweep: what its statements are, and how it ends alerts.
struct SweepStatement<'a> {
    doing: &'static str,
    /// With `{among}`: answers candidates.
    sql: &'static str,
    /// Lists what `sql` would answer, and more, with the same parameters.
    list: &'static str,
    values: &'a [&'a dyn ToSql],
    ending: Ending,
}

impl SweepStatement<'_> {
    /// At once, or by halves where the database refuses that for one alert.
    async fn run(
        &self,
        pool: &Pool,
        among: Among<'_>,
        reason: impl Fn(&SweepCandidate) -> String,
    ) -> Result<SweepResult, StoreError> {
        let which = Selection::from(&among);
        let error = match self.ask(pool, which, &reason).await {
            Err(error) if may_be_of_one_row(&error) => error,
            swept => return swept,
        };
        let ids = listed(pool, self.doing, self.list, self.values, which).await?;
        if ids.is_empty() {
            return Err(error);
        }
        let some = |part: Range<usize>| self.ask(pool, Selection::These(&ids[part]), &reason);
        by_halves(&ids, OnLocked::Skip, some).await
    }

    async fn ask(
        &self,
        pool: &Pool,
        which: Selection<'_>,
        reason: impl Fn(&SweepCandidate) -> String,
    ) -> Result<SweepResult, StoreError> {
        let mut values = self.values.to_vec();
        let sql = among_them(self.sql, which, &mut values);
        let rows = pool.rows(self.doing, &sql, &values).await?;
        finish(pool, self.doing, &rows, self.ending, reason).await
    }
}

pub(super) async fn expire(
    pool: &Pool,
    limit: u32,
    among: Among<'_>,
) -> Result<SweepResult, StoreError> {
    let sweep = SweepStatement {
        doing: "expire alerts",
        sql: include_str!("sql/expire.sql"),
        list: include_str!("sql/expire_candidates.sql"),
        values: &[&top(limit), &seconds(DEFAULT_MAX_AGE)],
        ending: EXPIRED,
    };
    let reason = |c: &SweepCandidate| {
        let passed = sendport_core::clock::format(c.passed, "%Y-%m-%dT%H:%M:%S%.3fZ");
        expired_reason(&passed)
    };
    sweep.run(pool, among, reason).await
}

pub(super) async fn fail_unrouted(
    pool: &Pool,
    after: Duration,
    limit: u32,
    among: Among<'_>,
) -> Result<SweepResult, StoreError> {
    let sweep = SweepStatement {
        doing: "fail alerts without a send port",
        sql: include_str!("sql/fail_unrouted.sql"),
        list: include_str!("sql/fail_unrouted_candidates.sql"),
        values: &[&top(limit), &seconds(after)],
        ending: UNROUTED,
    };
    let reason = |c: &SweepCandidate| unrouted_reason(&c.send_port, after);
    sweep.run(pool, among, reason).await
}

pub(super) async fn note_unrouted(
    pool: &Pool,
    unseen: Duration,
    fails_after: Duration,
    limit: u32,
) -> Result<Vec<(String, u32)>, StoreError> {
    const DOING: &str = "say what alerts without a send port wait for";
    let sql = include_str!("sql/note_unrouted.sql");
    let minutes = seconds(fails_after) / 60;
    let noted = pool
        .rows(DOING, sql, &[&top(limit), &seconds(unseen), &minutes])
        .await;
    let rows = match noted {
        Err(error) if is_lock_timeout(&error) => return Ok(Vec::new()),
        rows => rows?,
    };
    let read = |row: &Row| {
        let mut fields = Fields::of(row);
        Ok((fields.key()?, fields.count()?))
    };
    let noted: Result<_, ColumnError> = rows.iter().map(read).collect();
    noted.map_err(|e| unexpected(DOING, e))
}

/// Expires one batch of everything that is not final, but for these; nothing when nothing is left.
pub(super) async fn expire_any(
    pool: &Pool,
    reason: &str,
    without: &[AlertId],
) -> Result<SweepResult, StoreError> {
    const DOING: &str = "expire alerts of an adopted database";
    let limit = top(BATCH);
    let mut values: Vec<&dyn ToSql> = vec![&limit];
    let sql = include_str!("sql/adopt_expire.sql");
    let sql = among_them(sql, Selection::But(without), &mut values);
    let rows = pool.rows(DOING, &sql, &values).await?;
    let swept = finish(pool, DOING, &rows, EXPIRED, |_| reason.to_owned()).await?;
    // None may be passed over here.
    if swept == SweepResult::default() && !rows.is_empty() {
        let locked = format!(
            "other transactions have {} alerts or more locked; end them and adopt again",
            rows.len()
        );
        return Err(StoreError::new(StoreErrorKind::Unavailable, DOING, locked));
    }
    Ok(swept)
}

async fn finish(
    pool: &Pool,
    doing: &'static str,
    rows: &[Row],
    ending: Ending,
    reason: impl Fn(&SweepCandidate) -> String,
) -> Result<SweepResult, StoreError> {
    let to_end = |row| {
        let candidate = read_candidate(&mut Fields::of(row)).map_err(|e| unexpected(doing, e))?;
        let reason = reason(&candidate);
        Ok(candidate.ending(&reason))
    };
    let all: Vec<_> = rows.iter().map(to_end).collect::<Result<_, StoreError>>()?;
    end_all(pool, doing, &all, ending, None).await
}

/// Ends alerts as they were seen, in the name of a request if there is one.
pub(super) async fn end_all(
    pool: &Pool,
    doing: &'static str,
    all: &[EndingAlert],
    ending: Ending,
    request: Option<RequestId>,
) -> Result<SweepResult, StoreError> {
    let mut swept = SweepResult::default();
    for batch in batches(all, |it| it.weight) {
        let ids: Vec<_> = batch.iter().map(|it| it.id).collect();
        let end = |part: Range<usize>| finish_batch(pool, doing, &batch[part], ending, request);
        swept.add(by_halves(&ids, OnLocked::Skip, end).await?);
    }
    Ok(swept)
}

/// Of no more rows together than a transaction takes; an alert with more is alone.
pub(super) fn batches<T>(all: &[T], weight: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut batches, mut rest) = (Vec::new(), all);
    while !rest.is_empty() {
        let mut rows = 0;
        let fits = rest.iter().take(BATCH as usize).take_while(|it| {
            rows += weight(it);
            rows <= MOST_ROWS
        });
        let (batch, others) = rest.split_at(fits.count().max(1));
        batches.push(batch);
        rest = others;
    }
    batches
}

async fn finish_batch(
    pool: &Pool,
    doing: &'static str,
    batch: &[EndingAlert],
    ending: Ending,
    request: Option<RequestId>,
) -> Result<u32, StoreError> {
    let mark = Uuid::new_v4();
    let alerts: Vec<_> = batch.iter().map(|it| it.alert.clone()).collect();
    let recipients = batch.iter().flat_map(|it| it.recipients.clone());
    let recipients: Vec<_> = recipients.collect();
    let calls = portions(recipients.len());
    let command = |engine, n, first: &[Result<u32, ColumnError>]| {
        let found = !matches!(first, [Ok(0)]);
        let recipients = portion(&recipients, n, engine);
        let alerts = for_engine(&alerts, engine);
        found.then(|| {
            let mut command = command(engine, ending, mark, alerts, recipients);
            command.bind_param("@last", i32::from(n + 1 == calls));
            command.bind_param("@request", request.map_or(0, |it| it.0));
            command
        })
    };
    let read = |row: &Row| Fields::of(row).count();
    let counts = pool.call_in_portions(doing, calls, command, read).await?;
    Ok(counts.first().copied().unwrap_or(0))
}

fn command(
    engine: Engine,
    ending: Ending,
    mark: Uuid,
    alerts: Vec<OutcomeRow>,
    recipients: Vec<RecipientRow>,
) -> Command<'static> {
    let mut command = Command::new("sp_executesql");
    command.bind_param("@stmt", FINISH.on(engine));
    command.bind_param(
        "@params",
        "@status nvarchar(16), @explanation nvarchar(64), @mark uniqueidentifier, @last int, @request bigint, \
         @outcomes sendport.OutcomeList READONLY, @recipients sendport.RecipientList READONLY",
    );
    command.bind_param("@status", ending.status.as_str());
    command.bind_param("@explanation", ending.explanation.unwrap_or_default());
    command.bind_param("@mark", mark);
    command.bind_table("@outcomes", alerts);
    command.bind_table("@recipients", recipients);
    command
}

pub(super) fn read_candidate(f: &mut Fields<'_>) -> Result<SweepCandidate, ColumnError> {
    let (id, status_at, send_port) = (AlertId(f.get()?), f.time()?, f.key()?);
    let (passed, made) = (f.time()?, f.count()?);
    let [to, cc, bcc] = [f.maybe()?, f.maybe()?, f.maybe()?];
    let recipients = if made > 0 {
        Vec::new()
    } else {
        rows_to_make(id, to, cc, bcc)
    };
    Ok(SweepCandidate {
        id,
        status_at,
        send_port,
        passed,
        made,
        recipients,
    })
}

/// The rows of an alert that has none: from its lists.
pub(super) fn rows_to_make(
    id: AlertId,
    to: Option<&str>,
    cc: Option<&str>,
    bcc: Option<&str>,
) -> Vec<RecipientRow> {
    let recipients = recipients_of_lists(to, cc, bcc);
    recipients
        .map(|recipient| RecipientRow::new(id, &recipient))
        .collect()
}

/// For `TOP`.
pub(super) fn top(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
