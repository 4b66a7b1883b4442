//! Ends alerts that nobody will send: expired, without a send port, or in an adopted copy.
//!
//! Two steps without a transaction between them: what qualifies is read, rows for recipients
//! are made from the lists by the domain, and what is still as it was seen is ended.

use std::time::Duration;

use tiberius::{Command, Row};

use super::pool::Pool;
use super::record::{OutcomeRow, RecipientRow};
use super::values::{Fields, seconds};
use super::work::unexpected;
use crate::domain::{
    AlertId, RecipientOutcome, RecipientStatus, Timestamp, expand_recipient_lists,
};
use crate::store::{DEFAULT_MAX_AGE, StoreError};

/// Alerts in one transaction.
pub(super) const BATCH: u32 = 200;

/// How waiting recipients end.
#[derive(Clone, Copy)]
struct Ending {
    status: RecipientStatus,
    explanation: &'static str,
}

const EXPIRED: Ending = Ending {
    status: RecipientStatus::Expired,
    explanation: "expired",
};

const UNROUTED: Ending = Ending {
    status: RecipientStatus::Failed,
    explanation: "no-such-send-port",
};

/// What qualifies, as it was seen.
struct Candidate {
    id: AlertId,
    status_at: Timestamp,
    send_port: String,
    passed: Timestamp,
    /// To be made; empty where rows stand already.
    recipients: Vec<RecipientRow>,
}

pub(super) async fn expire(pool: &Pool, limit: u32) -> Result<u32, StoreError> {
    const DOING: &str = "expire alerts";
    let limit = top(limit);
    let age = seconds(DEFAULT_MAX_AGE);
    let sql = include_str!("sql/expirable.sql");
    let rows = pool.rows(DOING, sql, &[&limit, &age]).await?;
    let reason = |c: &Candidate| {
        let passed = c.passed.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        format!("expired: not sent before {passed}")
    };
    finish(pool, DOING, &rows, EXPIRED, reason).await
}

pub(super) async fn fail_unrouted(
    pool: &Pool,
    after: Duration,
    limit: u32,
) -> Result<u32, StoreError> {
    const DOING: &str = "fail alerts without a send port";
    let sql = include_str!("sql/unrouted.sql");
    let rows = pool
        .rows(DOING, sql, &[&top(limit), &seconds(after)])
        .await?;
    let reason = |c: &Candidate| {
        format!(
            "no running instance has had a send port named '{}' for {} minutes; add it to the \
             configuration or insert the alert for one that exists",
            c.send_port,
            after.as_secs() / 60
        )
    };
    finish(pool, DOING, &rows, UNROUTED, reason).await
}

/// Expires one batch of everything that is not final; 0 when nothing is left.
pub(super) async fn expire_any(pool: &Pool, reason: &str) -> Result<u32, StoreError> {
    const DOING: &str = "expire alerts of an adopted database";
    let sql = include_str!("sql/adoptable.sql");
    let rows = pool.rows(DOING, sql, &[&top(BATCH)]).await?;
    finish(pool, DOING, &rows, EXPIRED, |_| reason.to_owned()).await
}

async fn finish(
    pool: &Pool,
    doing: &'static str,
    rows: &[Row],
    ending: Ending,
    reason: impl Fn(&Candidate) -> String,
) -> Result<u32, StoreError> {
    let mut ended = 0;
    for batch in rows.chunks(BATCH as usize) {
        let (mut alerts, mut recipients) = (Vec::new(), Vec::new());
        for row in batch {
            let candidate = read_candidate(row).map_err(|e| unexpected(doing, e))?;
            let reason = reason(&candidate);
            alerts.push(OutcomeRow::ended(
                candidate.id,
                candidate.status_at,
                &reason,
            ));
            recipients.extend(candidate.recipients);
        }
        let command = || command(ending, alerts.clone(), recipients.clone());
        let counts = pool
            .call(doing, command, |row| Fields::of(row).count())
            .await?;
        ended += counts.first().copied().unwrap_or(0);
    }
    Ok(ended)
}

fn command(
    ending: Ending,
    alerts: Vec<OutcomeRow>,
    recipients: Vec<RecipientRow>,
) -> Command<'static> {
    let mut command = Command::new("sp_executesql");
    command.bind_param("@stmt", include_str!("sql/finish.sql"));
    command.bind_param(
        "@params",
        "@status nvarchar(16), @explanation nvarchar(64), \
         @outcomes sendport.OutcomeList READONLY, @recipients sendport.RecipientList READONLY",
    );
    command.bind_param("@status", ending.status.as_str());
    command.bind_param("@explanation", ending.explanation);
    command.bind_table("@outcomes", alerts);
    command.bind_table("@recipients", recipients);
    command
}

fn read_candidate(row: &Row) -> Result<Candidate, String> {
    let mut fields = Fields::of(row);
    let f = &mut fields;
    let (id, status_at, send_port) = (AlertId(f.get()?), f.time()?, f.key()?);
    let (passed, made) = (f.time()?, f.count()?);
    let [to, cc, bcc] = [f.maybe()?, f.maybe()?, f.maybe()?];
    let recipients = if made > 0 {
        Vec::new()
    } else {
        rows_to_make(id, to, cc, bcc)
    };
    Ok(Candidate {
        id,
        status_at,
        send_port,
        passed,
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
    let recipients = expand_recipient_lists(to, cc, bcc).into_iter();
    let outcomes = recipients.map(|recipient| RecipientOutcome {
        ordinal: recipient.ordinal,
        kind: recipient.kind,
        mailbox: recipient.mailbox,
        status: recipient.status,
        attempt_count: 0,
        relay: None,
        reply: recipient.refusal,
        explanation: None,
        remark: None,
    });
    outcomes
        .map(|outcome| RecipientRow::new(id, &outcome))
        .collect()
}

/// For `TOP`.
pub(super) fn top(limit: u32) -> i32 {
    i32::try_from(limit).unwrap_or(i32::MAX)
}
