//! What instances share about relays that refuse everything because a limit is reached.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use crate::domain::{
    FIRST_PROBE_INTERVAL, LONGEST_PROBE_INTERVAL, ProbeTurn, ThrottledRelay, Timestamp,
};
use crate::store::StoreError;
use crate::store::throttle::ThrottleStore;

use super::codec::{Columns, later, time_text};
use super::connection::{Trouble, write};
use super::{SqliteStore, sql};

#[async_trait]
impl ThrottleStore for SqliteStore {
    async fn begin_probe(&self, relay: &str, reply: &str) -> Result<ProbeTurn, StoreError> {
        let (relay, reply, now) = (relay.to_owned(), reply.to_owned(), self.clock.now());
        self.writer
            .call("ask for a probe of a throttled relay", move |connection| {
                write(connection, |tx| begin_probe(tx, &relay, &reply, now))
            })
            .await
    }

    async fn end_throttle(&self, relay: &str) -> Result<(), StoreError> {
        let relay = relay.to_owned();
        self.writer
            .call("note that a relay is not throttled", move |connection| {
                let mut delete = connection.prepare_cached(sql!("throttle_delete"))?;
                delete.execute([&relay])?;
                Ok(())
            })
            .await
    }

    async fn throttled_relays(&self) -> Result<Vec<ThrottledRelay>, StoreError> {
        let now = self.clock.now();
        self.writer
            .call("read throttled relays", move |connection| {
                let mut statement = connection.prepare_cached(sql!("throttle_read"))?;
                let rows = statement.query_map([None::<String>], |row| Ok(read(row, now)))?;
                let throttled = |row: rusqlite::Result<Result<(ThrottledRelay, _), _>>| {
                    let (relay, _interval) = row?.map_err(Trouble::unreadable)?;
                    Ok(relay)
                };
                rows.map(throttled).collect()
            })
            .await
    }
}

/// The relay, and the interval between its latest probes.
fn read(row: &Row<'_>, now: Timestamp) -> Result<(ThrottledRelay, Duration), String> {
    let row = Columns::new(row);
    let relay = row.text("Relay")?;
    let interval = Duration::from_secs(row.count("WaitSeconds")?.into());
    let throttled = ThrottledRelay {
        relay,
        retry_in: (row.time("RetryAt")? - now).to_std().unwrap_or_default(),
        reply: row.text("Reply")?,
    };
    Ok((throttled, interval))
}

fn begin_probe(
    tx: &Transaction<'_>,
    relay: &str,
    reply: &str,
    now: Timestamp,
) -> Result<ProbeTurn, Trouble> {
    let mut statement = tx.prepare_cached(sql!("throttle_read"))?;
    let known = statement.query_row([relay], |row| Ok(read(row, now)));
    let known = known.optional()?.transpose().map_err(Trouble::unreadable)?;
    let interval = match known {
        Some((throttled, _)) if !throttled.retry_in.is_zero() => {
            return Ok(ProbeTurn::Wait(throttled.retry_in));
        }
        Some((_, last)) => (last * 2).min(LONGEST_PROBE_INTERVAL),
        None => FIRST_PROBE_INTERVAL,
    };
    let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
    let values = params![relay, time_text(now), seconds, later(now, interval), reply];
    tx.prepare_cached(sql!("throttle_write"))?.execute(values)?;
    Ok(ProbeTurn::Granted(interval))
}
