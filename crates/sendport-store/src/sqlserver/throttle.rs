//! Throttled relays: what instances share about relays that refuse everything because a limit is reached.

use std::time::Duration;

use async_trait::async_trait;
use tiberius::{Row, ToSql};

use super::SqlServerStore;
use super::error::unexpected;
use super::values::{Fields, fit, fit_long, seconds};
use crate::throttle::ThrottleStore;
use crate::{ColumnError, StoreError};
use sendport_core::domain::{
    AlertId, FIRST_PROBE_INTERVAL, LONGEST_PROBE_INTERVAL, ProbeTurn, ThrottledRelay,
};

/// A relay whose row went while it was asked for may be asked for again.
const SOON: Duration = Duration::from_secs(1);

#[async_trait]
impl ThrottleStore for SqlServerStore {
    async fn begin_probe(
        &self,
        relay: &str,
        alert: AlertId,
        reply: &str,
    ) -> Result<ProbeTurn, StoreError> {
        const DOING: &str = "ask for a probe of a throttled relay";
        let sql = include_str!("sql/begin_probe.sql");
        let (relay, reply) = (fit(relay, 128), fit_long(reply));
        let (first, longest) = (
            seconds(FIRST_PROBE_INTERVAL),
            seconds(LONGEST_PROBE_INTERVAL),
        );
        let values: [&dyn ToSql; 5] = [&relay, &reply, &first, &longest, &alert.0];
        let rows = self.pool.rows(DOING, sql, &values).await?;
        let turn = rows.first().map_or(Ok(ProbeTurn::Wait(SOON)), turn);
        turn.map_err(|e| unexpected(DOING, e))
    }

    async fn end_throttle(&self, relay: &str) -> Result<(), StoreError> {
        const DOING: &str = "note that a relay is not throttled";
        let sql = include_str!("sql/end_throttle.sql");
        self.pool.query(DOING, sql, &[&fit(relay, 128)]).await?;
        Ok(())
    }

    async fn throttled_relays(&self) -> Result<Vec<ThrottledRelay>, StoreError> {
        const DOING: &str = "read throttled relays";
        let sql = include_str!("sql/throttled_relays.sql");
        let rows = self.pool.rows(DOING, sql, &[]).await?;
        let throttled: Result<Vec<_>, _> = rows.iter().map(throttled).collect();
        throttled.map_err(|e| unexpected(DOING, e))
    }
}

fn turn(row: &Row) -> Result<ProbeTurn, ColumnError> {
    let mut f = Fields::of(row);
    let granted = f.count()? > 0;
    let next_in = whole_seconds(f.get()?);
    Ok(match granted {
        true => ProbeTurn::Granted(next_in),
        // The engine counts full seconds of the clock, which may be too few by one.
        false => ProbeTurn::Wait(next_in + SOON),
    })
}

fn throttled(row: &Row) -> Result<ThrottledRelay, ColumnError> {
    let mut f = Fields::of(row);
    Ok(ThrottledRelay {
        relay: f.text()?,
        retry_in: whole_seconds(f.get()?),
        reply: f.text()?,
    })
}

fn whole_seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
