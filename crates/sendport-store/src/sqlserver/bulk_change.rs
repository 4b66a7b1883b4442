//! Changes of many alerts at once, around those that are locked or that the database refuses.

use std::ops::Range;

use sendport_core::domain::AlertId;
use tiberius::ToSql;

use super::error::unexpected;
use super::error::{is_lock_timeout, may_be_of_one_row};
use super::pool::Pool;
use super::statement::with_parts;
use super::values::{Fields, list_length, placeholders};
use crate::{Among, RefusedRow, StoreError, SweepResult};

/// How many lock time-outs [`by_halves`] accepts.
const MOST_TIMEOUTS: u32 = 16;

/// How often [`by_halves`] is refused: each costs a connection. At least one alert is found thereby,
/// and the next sweep goes on without it.
const MOST_REFUSALS: u32 = 32;

/// What to do where another transaction has an alert locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLocked {
    /// It is left for another time.
    Skip,
    /// That is an error.
    Fail,
}

/// A statement that changes many alerts and answers how many.
pub(super) struct BulkChange<'a> {
    pub(super) doing: &'static str,
    /// With `{among}`.
    pub(super) sql: &'static str,
    /// Lists what it would change, with the same parameters, and with `{among}`.
    pub(super) list: &'static str,
    pub(super) values: &'a [&'a dyn ToSql],
    pub(super) locked: OnLocked,
}

/// Some of them.
#[derive(Clone, Copy)]
pub(super) enum Selection<'a> {
    But(&'a [AlertId]),
    These(&'a [AlertId]),
}

impl<'a> From<&'a Among<'a>> for Selection<'a> {
    fn from(among: &'a Among<'a>) -> Self {
        match among {
            Among::AllBut(without) => Self::But(without),
            Among::Only(alert) => Self::These(std::slice::from_ref(alert)),
        }
    }
}

impl BulkChange<'_> {
    /// At once, or by halves where that fails for one of them.
    pub(super) async fn run(
        &self,
        pool: &Pool,
        among: Among<'_>,
    ) -> Result<SweepResult, StoreError> {
        let which = Selection::from(&among);
        match self.ask(pool, which).await {
            Ok(count) => Ok(count.into()),
            Err(error) if self.may_go_around(&error) => self.around(pool, which, error).await,
            Err(error) => Err(error),
        }
    }

    pub(super) fn may_go_around(&self, error: &StoreError) -> bool {
        may_be_of_one_row(error) || (self.locked == OnLocked::Skip && is_lock_timeout(error))
    }

    /// Those that the statement's own conditions and `which` name.
    pub(super) async fn ask(&self, pool: &Pool, which: Selection<'_>) -> Result<u32, StoreError> {
        let mut values = self.values.to_vec();
        let sql = among(self.sql, which, &mut values);
        let row = pool.row(self.doing, &sql, &values).await?;
        let count = Fields::of(&row).count();
        count.map_err(|e| unexpected(self.doing, e))
    }

    /// After `error`: listed first, and changed by halves.
    pub(super) async fn around(
        &self,
        pool: &Pool,
        which: Selection<'_>,
        error: StoreError,
    ) -> Result<SweepResult, StoreError> {
        let ids = listed(pool, self.doing, self.list, self.values, which).await?;
        if ids.is_empty() && !is_lock_timeout(&error) {
            return Err(error);
        }
        let change = |part: Range<usize>| self.ask(pool, Selection::These(&ids[part]));
        by_halves(&ids, self.locked, change).await
    }
}

/// The alerts that a statement answers.
pub(super) async fn listed(
    pool: &Pool,
    doing: &'static str,
    list: &str,
    values: &[&dyn ToSql],
    which: Selection<'_>,
) -> Result<Vec<AlertId>, StoreError> {
    let mut values = values.to_vec();
    let sql = among(list, which, &mut values);
    let rows = pool.rows(doing, &sql, &values).await?;
    let ids = rows.iter().map(|row| Fields::of(row).get().map(AlertId));
    let ids = ids.collect::<Result<_, _>>();
    ids.map_err(|e| unexpected(doing, e))
}

/// The statement with the alerts that it may change, which come behind the values that it has.
pub(super) fn among<'a>(
    sql: &str,
    which: Selection<'a>,
    values: &mut Vec<&'a dyn ToSql>,
) -> String {
    let sql = with_parts(sql);
    let (ids, word) = match which {
        Selection::But([]) => return sql.replace("{among}", ""),
        Selection::But(ids) => (ids, "NOT IN"),
        Selection::These(ids) => (ids, "IN"),
    };
    let length = list_length(ids.len());
    let list = placeholders(values.len() + 1, length);
    values.extend(padded(ids, length));
    sql.replace("{among}", &format!("AND a.AlertId {word} ({list})"))
}

/// The last one several times, up to this length.
pub(super) fn padded(ids: &[AlertId], length: usize) -> impl Iterator<Item = &dyn ToSql> {
    let last = ids.last().into_iter().cycle();
    ids.iter()
        .chain(last)
        .take(length)
        .map(|id| &id.0 as &dyn ToSql)
}

/// Changes these alerts, of which `change` is given a part by its place; where that is refused, or waits
/// for a lock in vain, the halves of the part.
pub(super) async fn by_halves<F, S: Into<SweepResult>>(
    alerts: &[AlertId],
    locked: OnLocked,
    change: impl Fn(Range<usize>) -> F,
) -> Result<SweepResult, StoreError>
where
    F: Future<Output = Result<S, StoreError>>,
{
    let mut swept = SweepResult::default();
    let (mut timeouts, mut refusals) = (0, 0);
    let whole = 0..alerts.len();
    let mut to_do = vec![whole];
    while let Some(part) = to_do.pop() {
        if part.is_empty() || timeouts == MOST_TIMEOUTS || refusals >= MOST_REFUSALS {
            continue;
        }
        let error = match change(part.clone()).await {
            Ok(some) => {
                swept.add(some.into());
                continue;
            }
            Err(error) => error,
        };
        let is_locked = is_lock_timeout(&error);
        match is_locked {
            true if locked == OnLocked::Skip => timeouts += 1,
            false if may_be_of_one_row(&error) => refusals += 1,
            _ => return Err(error),
        }
        if part.len() > 1 {
            let middle = part.start + part.len() / 2;
            to_do.extend([middle..part.end, part.start..middle]);
        } else if !is_locked {
            // A trigger that says an error, and neither throws it nor rolls back, refuses nothing.
            match change(part.clone()).await {
                Ok(some) => swept.add(some.into()),
                Err(_) => swept.refused.push(RefusedRow {
                    alert: alerts[part.start],
                    why: error.what().to_owned(),
                }),
            }
        }
    }
    Ok(swept)
}
