//! Records the outcomes of leased alerts.
//!
//! With the token of the lease an outcome is recorded whole. Without it, `late_outcome.rs` says what it may still change.

use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{OptionalExtension, ToSql, Transaction, params, params_from_iter};
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, CommandReply, Decision, InstanceId, Outcome, OutcomeKind,
    RecipientOutcome, RecipientStatus, StatusReasonCode, Timestamp, status_of,
};

use super::connection::SqliteError;
use super::sql;
use super::values::{Columns, later, time_text, uuid_text};
use crate::columns::{ADDRESSEE, ATTEMPT, Column, DELIVERY, REPLY, joined, names};
use crate::{ColumnError, RecordResult};

/// The status of one recipient once it is written.
const RECORD_RECIPIENT_STATUS: &str =
    "SELECT Status FROM Recipient WHERE AlertId = ?1 AND Ordinal = ?2";

/// What the alert's status is made from.
pub(super) const RECIPIENT_STATUSES: &str = "SELECT Status FROM Recipient WHERE AlertId = ?1";

/// Whether the attempt is there.
const RECORD_KNOWS_ATTEMPT: &str = "SELECT 1 FROM Attempt WHERE AttemptKey = ?1";

/// Lease and status of an alert.
pub(super) const RECORD_STATE: &str =
    "SELECT LeaseToken, Status FROM AlertState WHERE AlertId = ?1";

/// Back into the queue as it was.
pub(super) const RECORD_RELEASE: &str = "UPDATE AlertState SET Status = ?5, StatusAt = ?2, StatusReason = ?4, StatusReasonCode = ?6, DueAt = ?3, \
    LeaseToken = NULL, LeaseOwner = NULL, LeasedAt = NULL WHERE AlertId = ?1";

/// Placeholders of so many values, counted from 1.
fn placeholders(count: usize) -> String {
    let numbers: Vec<_> = (1..=count).map(|n| format!("?{n}")).collect();
    numbers.join(", ")
}

/// One mail transaction; the same key is never written twice.
static RECORD_ATTEMPT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO Attempt (AlertId, InstanceId, {}) VALUES ({}) ON CONFLICT (AttemptKey) DO NOTHING",
        names(ATTEMPT),
        placeholders(2 + ATTEMPT.len())
    )
});

/// What the relay replied to one command.
static RECORD_REPLY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO AttemptReply (AttemptId, Ordinal, {}) VALUES ({})",
        names(REPLY),
        placeholders(2 + REPLY.len())
    )
});

/// Without the lease, a recipient without a row only gets its row.
pub(super) static RECORD_MISSING_RECIPIENT: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO Recipient (AlertId, Status, StatusAt, {}, {}) VALUES ({}) ON CONFLICT (AlertId, Ordinal) DO NOTHING",
        names(ADDRESSEE),
        names(DELIVERY),
        placeholders(3 + ADDRESSEE.len() + DELIVERY.len())
    )
});

/// The status of one recipient and why it has it; relayed is only overwritten where a redirect sent the message elsewhere,
/// and now the recipient has it.
static RECORD_RECIPIENT: LazyLock<String> = LazyLock::new(|| {
    let update = format!(
        "DO UPDATE SET Status = excluded.Status, StatusAt = excluded.StatusAt, {} WHERE Recipient.Status <> 'relayed' \
         OR Recipient.RedirectTo IS NOT NULL AND excluded.RedirectTo IS NULL AND excluded.Status = 'relayed'",
        joined(DELIVERY, |name| format!("{name} = excluded.{name}"))
    );
    RECORD_MISSING_RECIPIENT.replace("DO NOTHING", &update)
});

/// The values before a list's, and the list's.
fn values<'a, T>(
    head: &'a [&'a dyn ToSql],
    columns: &'static [Column<T>],
    row: &'a T,
) -> impl Iterator<Item = Box<dyn ToSql + 'a>> {
    let head = head.iter().map(|value| Box::new(*value) as Box<dyn ToSql>);
    let list = columns
        .iter()
        .map(move |column| Box::new(column.value(Some(row))) as _);
    head.chain(list)
}

/// One transaction, with the instance that records and the time.
pub(super) struct Recorder<'tx> {
    pub(super) tx: &'tx Transaction<'tx>,
    pub(super) instance: InstanceId,
    pub(super) now: Timestamp,
}

/// An alert before its outcome is recorded.
struct AlertBefore {
    token: Option<String>,
    status: AlertStatus,
}

impl Recorder<'_> {
    /// One outcome; writing it again changes nothing.
    pub(super) fn record(&self, outcome: &Outcome) -> Result<RecordResult, SqliteError> {
        let Some(before) = self.before(outcome.alert)? else {
            return Ok(RecordResult::Gone);
        };
        let leased = before.token == Some(uuid_text(outcome.token.0));
        match (&outcome.kind, leased) {
            (OutcomeKind::Released { retry_in, reason }, true) => {
                let reason = (reason.as_deref(), outcome.kind.reason_code());
                self.release(outcome.alert, *retry_in, reason)?;
            }
            (OutcomeKind::Released { .. }, false) => {}
            (OutcomeKind::Decided(decision), true) => self.decide(outcome.alert, decision)?,
            (OutcomeKind::Decided(decision), false) => {
                self.facts(outcome.alert, decision, before.status)?;
            }
        }
        Ok(if leased {
            RecordResult::Whole
        } else {
            RecordResult::FactsOnly
        })
    }

    fn before(&self, alert: AlertId) -> Result<Option<AlertBefore>, SqliteError> {
        let mut statement = self.tx.prepare_cached(RECORD_STATE)?;
        let read = |row: &Columns<'_, '_>| {
            Ok(AlertBefore {
                token: row.optional_text("LeaseToken")?,
                status: row.word("Status")?,
            })
        };
        let found = statement
            .query_row([alert.0], |row| Ok(read(&Columns::new(row))))
            .optional()?;
        found.transpose().map_err(SqliteError::unreadable)
    }

    fn release(
        &self,
        alert: AlertId,
        retry_in: Duration,
        (reason, code): (Option<&str>, Option<StatusReasonCode>),
    ) -> Result<(), SqliteError> {
        let due = later(self.now, retry_in);
        let status = waiting_status(self.tx, alert)?.as_str();
        self.tx.prepare_cached(RECORD_RELEASE)?.execute(params![
            alert.0,
            time_text(self.now),
            due,
            reason,
            status,
            code.map(StatusReasonCode::as_str)
        ])?;
        self.is_without_lease(alert, &[AlertStatus::Queued, AlertStatus::Delayed])
    }

    /// A trigger of the site may leave a row as it was, or change it back, and no statement fails of it.
    pub(super) fn is_without_lease(
        &self,
        alert: AlertId,
        statuses: &[AlertStatus],
    ) -> Result<(), SqliteError> {
        match self.before(alert)? {
            Some(it) if it.token.is_none() && statuses.contains(&it.status) => Ok(()),
            _ => Err(SqliteError::ignored("row as it was")),
        }
    }

    fn decide(&self, alert: AlertId, decision: &Decision) -> Result<(), SqliteError> {
        if let Some(attempt) = &decision.attempt {
            self.attempt(alert, attempt)?;
        }
        let mut overruled = false;
        for recipient in &decision.recipients {
            overruled |= !self.recipient(alert, recipient)?;
        }
        // A fact that another instance recorded contradicts this decision: the rows decide, unless a recipient
        // that still waits was to be held.
        let mut status = decision.status;
        if overruled {
            let of_rows = status_of(statuses(self.tx, alert)?);
            if of_rows.is_final() || status != AlertStatus::Held {
                status = of_rows;
            }
        }
        self.close(alert, decision, status)
    }

    fn close(
        &self,
        alert: AlertId,
        decision: &Decision,
        status: AlertStatus,
    ) -> Result<(), SqliteError> {
        let due = matches!(status, AlertStatus::Queued | AlertStatus::Delayed)
            .then(|| later(self.now, decision.retry_in.unwrap_or_default()));
        let spent = decision
            .attempt
            .as_ref()
            .map_or(0, |attempt| attempt.number);
        self.tx
            .prepare_cached(sql!("record_alert"))?
            .execute(params![
                alert.0,
                status.as_str(),
                time_text(self.now),
                decision.reason,
                due,
                spent,
                decision.template_version,
                status.is_final(),
                decision.reason_code().map(StatusReasonCode::as_str),
            ])?;
        self.is_without_lease(alert, &[status])
    }

    /// False if this attempt was written before.
    pub(super) fn attempt(&self, alert: AlertId, attempt: &Attempt) -> Result<bool, SqliteError> {
        let instance = uuid_text(self.instance.0);
        let new = self
            .tx
            .prepare_cached(&RECORD_ATTEMPT)?
            .execute(params_from_iter(values(
                &[&alert.0, &instance],
                ATTEMPT,
                attempt,
            )))?;
        if new > 0 {
            self.replies(self.tx.last_insert_rowid(), &attempt.replies)?;
        } else if !self.knows_attempt(attempt)? {
            return Err(SqliteError::ignored("attempts as they were"));
        }
        Ok(new > 0)
    }

    fn knows_attempt(&self, attempt: &Attempt) -> Result<bool, SqliteError> {
        let mut statement = self.tx.prepare_cached(RECORD_KNOWS_ATTEMPT)?;
        Ok(statement.exists([uuid_text(attempt.key.0)])?)
    }

    fn replies(&self, attempt: i64, replies: &[CommandReply]) -> Result<(), SqliteError> {
        let mut statement = self.tx.prepare_cached(&RECORD_REPLY)?;
        for (ordinal, reply) in (0_u32..).zip(replies) {
            let head: [&dyn ToSql; 2] = [&attempt, &ordinal];
            let written = statement.execute(params_from_iter(values(&head, REPLY, reply)))?;
            if written == 0 {
                return Err(SqliteError::ignored("replies as they were"));
            }
        }
        Ok(())
    }

    /// False if the row says `relayed` and the outcome says otherwise.
    pub(super) fn recipient(
        &self,
        alert: AlertId,
        recipient: &RecipientOutcome,
    ) -> Result<bool, SqliteError> {
        let stored = self.write_recipient(&RECORD_RECIPIENT, alert, recipient, recipient.status)?;
        if stored != recipient.status && stored != RecipientStatus::Relayed {
            return Err(SqliteError::ignored("recipients as they were"));
        }
        Ok(stored == recipient.status)
    }

    /// What its row says then.
    pub(super) fn write_recipient(
        &self,
        statement: &str,
        alert: AlertId,
        recipient: &RecipientOutcome,
        status: RecipientStatus,
    ) -> Result<RecipientStatus, SqliteError> {
        let (status, now) = (status.as_str(), time_text(self.now));
        let head: [&dyn ToSql; 3] = [&alert.0, &status, &now];
        let addressee = values(&head, ADDRESSEE, recipient);
        let row = addressee.chain(values(&[], DELIVERY, recipient));
        self.tx
            .prepare_cached(statement)?
            .execute(params_from_iter(row))?;
        let mut stored = self.tx.prepare_cached(RECORD_RECIPIENT_STATUS)?;
        let stored = stored.query_row(params![alert.0, recipient.ordinal], |row| {
            Ok(Columns::new(row).word("Status"))
        });
        let stored = stored.optional()?;
        let stored = stored.ok_or_else(|| SqliteError::ignored("recipients as they were"))?;
        stored.map_err(SqliteError::unreadable)
    }
}

/// The status of an alert that goes back into the queue.
pub(super) fn waiting_status(
    tx: &Transaction<'_>,
    alert: AlertId,
) -> Result<AlertStatus, SqliteError> {
    let is_delayed = statuses(tx, alert)?.contains(&RecipientStatus::Delayed);
    Ok(match is_delayed {
        true => AlertStatus::Delayed,
        false => AlertStatus::Queued,
    })
}

/// Of all recipients of an alert.
pub(super) fn statuses(
    tx: &Transaction<'_>,
    alert: AlertId,
) -> Result<Vec<RecipientStatus>, SqliteError> {
    let mut statement = tx.prepare_cached(RECIPIENT_STATUSES)?;
    let rows = statement.query_map([alert.0], |row| Ok(Columns::new(row).word("Status")))?;
    let statuses: Vec<Result<RecipientStatus, ColumnError>> = rows.collect::<Result<_, _>>()?;
    statuses
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(SqliteError::unreadable)
}
