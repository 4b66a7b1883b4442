//! Which failures were reported.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, Transaction, params};
use sendport_core::domain::{AlertId, AlertOrigin, Timestamp};

use super::bulk_change::{BulkChange, keys};
use super::connection::SqliteError;
use super::operator_queries::{insert, lines};
use super::values::{Columns, earlier, time_text};
use super::{SqliteStore, sql};
use crate::digest::{DigestResult, FailureDigestStore, UnreportedFailures, UnreportedLine};
use crate::{Among, ColumnError, NewAlert, RefusedRow, StoreError};

/// Which digest reports it.
const INSERT_DIGEST_NOTIFICATION: &str =
    "INSERT INTO FailureNotification (AlertId, DigestAlertId, NotifiedAt) VALUES (?1, ?2, ?3)";

/// The origin of the alert.
pub(super) const INSERT_DIGEST_ORIGIN: &str =
    "UPDATE AlertState SET Origin = ?2 WHERE AlertId = ?1";

/// Whether another instance reported it first, and whether it is there.
pub(super) const INSERT_DIGEST_KNOWN: &str = "SELECT EXISTS (SELECT 1 FROM FailureNotification WHERE AlertId = ?1), EXISTS (SELECT 1 FROM AlertState WHERE AlertId = ?1)";

#[async_trait]
impl FailureDigestStore for SqliteStore {
    async fn unreported(
        &self,
        send_port: &str,
        within: Duration,
        limit: u32,
        without: &[AlertId],
    ) -> Result<UnreportedFailures, StoreError> {
        let (send_port, since) = (send_port.to_owned(), earlier(self.clock.now(), within));
        let around = BulkChange::of(Among::AllBut(without));
        self.operator_reader
            .call("list failures to report", move |connection| {
                let mut alerts = keys(
                    connection,
                    sql!("unreported_alerts"),
                    params![send_port, since],
                )?;
                alerts.retain(|alert| around.includes(*alert));
                unreported(connection, alerts, limit as usize)
            })
            .await
    }

    async fn insert_digest(
        &self,
        alerts: &[AlertId],
        digest: &NewAlert,
    ) -> Result<DigestResult, StoreError> {
        let (alerts, digest, now) = (alerts.to_vec(), digest.clone(), self.clock.now());
        let (digest, refused) = self
            .writer
            .call("insert the failure digest", move |connection| {
                BulkChange::default().run_for(connection, |tx, around| {
                    insert_digest(tx, around, &alerts, &digest, now)
                })
            })
            .await?;
        self.watch.inserted();
        Ok(DigestResult { digest, refused })
    }
}

/// Each alert by itself: one may be on a damaged page.
fn unreported(
    connection: &Connection,
    alerts: Vec<AlertId>,
    limit: usize,
) -> Result<UnreportedFailures, SqliteError> {
    let mut unreported = UnreportedFailures::default();
    let mut reported = 0;
    for alert in alerts {
        match lines(
            connection,
            sql!("unreported_lines"),
            params![alert.0],
            unreported_line,
        ) {
            Ok(lines) if lines.is_empty() => {}
            Ok(lines) => {
                unreported.alerts += 1;
                if reported < limit {
                    reported += 1;
                    unreported.lines.extend(lines);
                }
            }
            Err(trouble) => {
                let why = trouble.why_of_one_row()?;
                unreported.refused.push(RefusedRow { alert, why });
            }
        }
    }
    Ok(unreported)
}

fn unreported_line(row: &Columns<'_, '_>) -> Result<UnreportedLine, ColumnError> {
    Ok(UnreportedLine {
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

fn insert_digest(
    tx: &Transaction<'_>,
    around: &mut BulkChange,
    alerts: &[AlertId],
    digest: &NewAlert,
    now: Timestamp,
) -> Result<Option<AlertId>, SqliteError> {
    let mut known = tx.prepare_cached(INSERT_DIGEST_KNOWN)?;
    let mut there = Vec::with_capacity(alerts.len());
    for alert in alerts {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (is_reported, is_there) = known.query_row([alert.0], read)?;
        if is_reported {
            return Ok(None);
        }
        there.extend(Some(*alert).filter(|_| is_there));
    }
    let now = time_text(now);
    let id = insert(tx, digest, &now)?;
    tx.prepare_cached(INSERT_DIGEST_ORIGIN)?
        .execute(params![id.0, AlertOrigin::Digest.as_str()])?;
    let mut notify = tx.prepare_cached(INSERT_DIGEST_NOTIFICATION)?;
    around.change_each(tx, there, |alert| {
        Ok(notify.execute(params![alert.0, id.0, now])?)
    })?;
    Ok(Some(id))
}
