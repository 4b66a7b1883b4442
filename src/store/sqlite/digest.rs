//! Who was told of which failure.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};

use crate::domain::{AlertId, AlertOrigin, Timestamp};
use crate::store::digest::{FailureDesk, Untold, UntoldLine};
use crate::store::{NewAlert, StoreError};

use super::codec::{Columns, earlier, time_text};
use super::connection::{Trouble, write};
use super::desk::{insert, lines};
use super::{SqliteStore, sql};

#[async_trait]
impl FailureDesk for SqliteStore {
    async fn untold(
        &self,
        send_port: &str,
        within: Duration,
        limit: u32,
    ) -> Result<Untold, StoreError> {
        let (send_port, since) = (send_port.to_owned(), earlier(self.clock.now(), within));
        self.reader
            .call("look for failures to tell of", move |connection| {
                untold(connection, &send_port, &since, limit)
            })
            .await
    }

    async fn tell(
        &self,
        alerts: &[AlertId],
        digest: &NewAlert,
    ) -> Result<Option<AlertId>, StoreError> {
        let (alerts, digest, now) = (alerts.to_vec(), digest.clone(), self.clock.now());
        let told = self
            .writer
            .call("tell of failures", move |connection| {
                write(connection, |tx| tell(tx, &alerts, &digest, now))
            })
            .await?;
        self.watch.inserted();
        Ok(told)
    }
}

fn untold(
    connection: &Connection,
    send_port: &str,
    since: &str,
    limit: u32,
) -> Result<Untold, Trouble> {
    let mut count = connection.prepare_cached(sql!("untold_count"))?;
    let alerts: u32 = count.query_row([send_port, since], |row| row.get(0))?;
    let values = params![send_port, since, limit];
    Ok(Untold {
        alerts: u64::from(alerts),
        lines: lines(connection, sql!("untold_lines"), values, untold_line)?,
    })
}

fn untold_line(row: &Columns<'_, '_>) -> Result<UntoldLine, String> {
    Ok(UntoldLine {
        alert: AlertId(row.integer("AlertId")?),
        reference: row.lossy("Reference")?,
        subject: row.lossy("Subject")?,
        address: row.lossy("Address")?,
        status: row.text("Status")?,
        status_at: row.shown_time("StatusAt")?.unwrap_or_default(),
        relay: row.lossy("Relay")?,
        reply: row.lossy("Reply")?,
        advice: row.lossy("Advice")?,
    })
}

fn tell(
    tx: &Transaction<'_>,
    alerts: &[AlertId],
    digest: &NewAlert,
    now: Timestamp,
) -> Result<Option<AlertId>, Trouble> {
    let mut told = tx.prepare_cached(sql!("told"))?;
    for alert in alerts {
        if told.query_row([alert.0], |row| row.get(0))? {
            return Ok(None);
        }
    }
    let now = time_text(now);
    let id = insert(tx, digest, &now)?;
    tx.prepare_cached(sql!("tell_origin"))?
        .execute(params![id.0, AlertOrigin::Digest.as_str()])?;
    let mut tell = tx.prepare_cached(sql!("tell"))?;
    for alert in alerts {
        tell.execute(params![alert.0, id.0, now])?;
    }
    Ok(Some(id))
}
