//! Changes of several alerts in one transaction, around those that the database refuses.

use rusqlite::{Connection, ToSql, Transaction};
use sendport_core::domain::AlertId;

use super::connection::{SqliteError, write};
use crate::{Among, RefusedRow, SweepResult};

/// Which alerts may be changed, and which were refused on the way.
#[derive(Debug, Clone, Default)]
pub(super) struct BulkChange {
    only: Option<AlertId>,
    without: Vec<AlertId>,
    refused: Vec<RefusedRow>,
}

impl BulkChange {
    pub(super) fn of(among: Among<'_>) -> Self {
        let (only, without) = match among {
            Among::AllBut(without) => (None, without.to_vec()),
            Among::Only(alert) => (Some(alert), Vec::new()),
        };
        Self {
            only,
            without,
            refused: Vec::new(),
        }
    }

    /// [`Self::run_for`] of `work` that answers how many it changed.
    pub(super) fn run(
        self,
        connection: &mut Connection,
        work: impl Fn(&Transaction<'_>, &mut Self) -> Result<u32, SqliteError>,
    ) -> Result<SweepResult, SqliteError> {
        let (count, refused) = self.run_for(connection, work)?;
        Ok(SweepResult { count, refused })
    }

    /// One transaction, and another one where a trigger rolled everything back with the row that it
    /// refused, or the row is damaged. Answers what `work` does, and what was refused.
    pub(super) fn run_for<T>(
        mut self,
        connection: &mut Connection,
        work: impl Fn(&Transaction<'_>, &mut Self) -> Result<T, SqliteError>,
    ) -> Result<(T, Vec<RefusedRow>), SqliteError> {
        loop {
            let known = self.refused.len();
            match write(connection, |tx| work(tx, &mut self)) {
                Err(_) if self.refused.len() > known => {}
                result => return result.map(|done| (done, self.refused)),
            }
        }
    }

    pub(super) fn includes(&self, alert: AlertId) -> bool {
        let among = match self.only {
            Some(only) => Among::Only(only),
            None => Among::AllBut(&self.without),
        };
        among.includes(alert) && !self.refused.iter().any(|it| it.alert == alert)
    }

    /// How many rows are to be read, so that `limit` of them are included if there are as many.
    pub(super) fn to_read(&self, limit: u32) -> i64 {
        let left_out = (self.without.len() + self.refused.len()) as u64;
        match self.only {
            Some(_) => -1,
            None => i64::from(limit).saturating_add_unsigned(left_out),
        }
    }

    /// Changes what belongs to one alert, wholly or not at all. `change` answers how many of its rows
    /// that changed, of those that all hangs on. False where it is refused.
    pub(super) fn change(
        &mut self,
        tx: &Transaction<'_>,
        alert: AlertId,
        change: impl FnOnce() -> Result<usize, SqliteError>,
    ) -> Result<bool, SqliteError> {
        tx.execute_batch("SAVEPOINT OneAlert")?;
        let trouble = match change() {
            Ok(0) => SqliteError::ignored("row as it was"),
            Ok(_) => {
                tx.execute_batch("RELEASE OneAlert")?;
                return Ok(true);
            }
            Err(trouble) => trouble,
        };
        if !trouble.may_be_of_one_row() {
            return Err(trouble);
        }
        let why = trouble.why();
        self.refused.push(RefusedRow { alert, why });
        if trouble.ends(tx) {
            return Err(trouble);
        }
        tx.execute_batch("ROLLBACK TO OneAlert; RELEASE OneAlert")?;
        Ok(false)
    }

    /// Changes these, so far as they are included, one by one: how many.
    pub(super) fn change_each(
        &mut self,
        tx: &Transaction<'_>,
        alerts: impl IntoIterator<Item = AlertId>,
        mut change: impl FnMut(AlertId) -> Result<usize, SqliteError>,
    ) -> Result<u32, SqliteError> {
        let mut changed = 0;
        for alert in alerts {
            if self.includes(alert) {
                changed += u32::from(self.change(tx, alert, || change(alert))?);
            }
        }
        Ok(changed)
    }
}

/// The alerts that a statement lists.
pub(super) fn keys(
    connection: &Connection,
    sql: &str,
    values: &[&dyn ToSql],
) -> Result<Vec<AlertId>, SqliteError> {
    let mut statement = connection.prepare_cached(sql)?;
    let keys = statement.query_map(values, |row| row.get(0).map(AlertId))?;
    Ok(keys.collect::<Result<_, _>>()?)
}
