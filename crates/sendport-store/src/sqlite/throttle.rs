//! Throttled relays: what instances share about relays that refuse everything because a limit is reached.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::throttle::ThrottleStore;
use crate::{ColumnError, StoreError};
use sendport_core::domain::{
    AlertId, FIRST_PROBE_INTERVAL, LONGEST_PROBE_INTERVAL, ProbeTurn, ThrottledRelay, Timestamp,
};

use super::connection::{SqliteError, write};
use super::values::{Columns, later, time_text};
use super::{SqliteStore, sql};

/// End_throttle.
const END_THROTTLE: &str = "DELETE FROM RelayThrottle WHERE Relay = ?1";

/// One relay, or all.
const THROTTLED_RELAYS: &str = "SELECT Relay, WaitSeconds, RetryAt, Reply, ProbeAlertIds FROM RelayThrottle WHERE ?1 IS NULL OR Relay = ?1";

#[async_trait]
impl ThrottleStore for SqliteStore {
    async fn begin_probe(
        &self,
        relay: &str,
        alert: AlertId,
        reply: &str,
    ) -> Result<ProbeTurn, StoreError> {
        let (relay, reply, now) = (relay.to_owned(), reply.to_owned(), self.clock.now());
        self.writer
            .call("ask for a probe of a throttled relay", move |connection| {
                write(connection, |tx| begin_probe(tx, &relay, alert, &reply, now))
            })
            .await
    }

    async fn end_throttle(&self, relay: &str) -> Result<(), StoreError> {
        let relay = relay.to_owned();
        self.writer
            .call("note that a relay is not throttled", move |connection| {
                let mut delete = connection.prepare_cached(END_THROTTLE)?;
                delete.execute([&relay])?;
                Ok(())
            })
            .await
    }

    async fn throttled_relays(&self) -> Result<Vec<ThrottledRelay>, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("read throttled relays", move |connection| {
                let mut statement = connection.prepare_cached(THROTTLED_RELAYS)?;
                let rows = statement.query_map([None::<String>], |row| Ok(read(row, now)))?;
                let throttled = |row: rusqlite::Result<Result<(ThrottledRelay, _), _>>| {
                    let (relay, _probes) = row?.map_err(SqliteError::unreadable)?;
                    Ok(relay)
                };
                rows.map(throttled).collect()
            })
            .await
    }
}

/// How a throttled relay was probed.
struct Probes {
    /// Between the latest two.
    interval: Duration,
    /// `,4711,4712,`: the alerts that the interval grew with.
    by: String,
}

fn read(row: &Row<'_>, now: Timestamp) -> Result<(ThrottledRelay, Probes), ColumnError> {
    let row = Columns::new(row);
    let probes = Probes {
        interval: Duration::from_secs(row.count("WaitSeconds")?.into()),
        by: row.text("ProbeAlertIds")?,
    };
    let throttled = ThrottledRelay {
        relay: row.text("Relay")?,
        retry_in: (row.time("RetryAt")? - now).to_std().unwrap_or_default(),
        reply: row.text("Reply")?,
    };
    Ok((throttled, probes))
}

impl Probes {
    fn first(alert: AlertId) -> Self {
        Self {
            interval: FIRST_PROBE_INTERVAL,
            by: format!(",{alert},"),
        }
    }

    /// The next one: an alert that probed before says no more than it said then.
    fn next(mut self, alert: AlertId) -> Self {
        let grows = self.interval < LONGEST_PROBE_INTERVAL;
        if grows && !self.by.contains(&format!(",{alert},")) {
            self.interval = (self.interval * 2).min(LONGEST_PROBE_INTERVAL);
            self.by += &format!("{alert},");
        }
        self
    }
}

fn begin_probe(
    tx: &Transaction<'_>,
    relay: &str,
    alert: AlertId,
    reply: &str,
    now: Timestamp,
) -> Result<ProbeTurn, SqliteError> {
    let mut statement = tx.prepare_cached(THROTTLED_RELAYS)?;
    let known = statement.query_row([relay], |row| Ok(read(row, now)));
    let known = known
        .optional()?
        .transpose()
        .map_err(SqliteError::unreadable)?;
    let probes = match known {
        Some((throttled, _)) if !throttled.retry_in.is_zero() => {
            return Ok(ProbeTurn::Wait(throttled.retry_in));
        }
        Some((_, last)) => last.next(alert),
        None => Probes::first(alert),
    };
    let seconds = i64::try_from(probes.interval.as_secs()).unwrap_or(i64::MAX);
    let (at, next) = (time_text(now), later(now, probes.interval));
    let values = params![relay, at, seconds, next, reply, probes.by];
    tx.prepare_cached(sql!("begin_probe"))?.execute(values)?;
    Ok(ProbeTurn::Granted(probes.interval))
}
