//! An outcome that comes without the lease: what it may still change.
//!
//! The attempt and its replies are facts, and so is that a recipient has the message, whichever instance has the alert
//! now. What went to the address of a redirect reached no recipient: it ends the alert only while the alert would go to
//! that address anyway, or where the alert waits for this very result.

use std::sync::LazyLock;

use rusqlite::params;
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, AttemptOutcome, Decision, RecipientOutcome, RecipientStatus,
    status_of,
};

use super::connection::SqliteError;
use super::operator_requests::with_parts;
use super::record::{RECORD_MISSING_RECIPIENT, Recorder, statuses};
use super::sql;
use super::values::time_text;

/// The end was seen after all, so what still waits is due.
pub(super) const RECORD_END_DOUBT: &str = "UPDATE AlertState SET DueAt = ?2, StatusReason = NULL, StatusReasonCode = NULL WHERE AlertId = ?1";

/// An attempt that was made counts, whichever instance has the alert now.
const RECORD_FACTS_COUNT: &str =
    "UPDATE AlertState SET AttemptCount = max(AttemptCount, ?2) WHERE AlertId = ?1";

/// Whether it is held because the result of this very attempt was unknown until now.
pub(super) const RECORD_ENDS_DOUBT: &str = "SELECT EXISTS (SELECT 1 FROM InDoubt d \
    JOIN AlertState s ON s.AlertId = d.AlertId \
    WHERE d.AlertId = ?1 AND d.AttemptNumber = ?2 AND s.Status = 'held' AND s.StatusReasonCode = 'in-doubt')";

/// The counts of the minute in which it became final are wrong from now on.
pub(super) const RECORD_RECOUNT: &str = "INSERT INTO MinuteRecount (Minute) \
    SELECT substr(FinalAt, 1, 16) || ':00.000Z' FROM AlertState WHERE AlertId = ?1 AND FinalAt IS NOT NULL";

/// Whether the alert goes to this address now.
pub(super) static RECORD_REDIRECT_IN_FORCE: LazyLock<String> = LazyLock::new(|| {
    with_parts(
        "SELECT EXISTS (SELECT 1 FROM Alert a JOIN OperatorRequest q ON q.RequestId = {redirect_in_force} \
         WHERE a.AlertId = ?1 AND q.RedirectTo = ?2 COLLATE NOCASE)",
    )
});

/// An alert whose lease another instance may have.
struct LateOutcome<'a> {
    alert: AlertId,
    decision: &'a Decision,
    attempt: &'a Attempt,
    /// The status of the alert before.
    before: AlertStatus,
    /// The alert is held only because the result of this attempt was unknown.
    ends_doubt: bool,
    /// Whether a message that went to the address of a redirect ends the alert.
    redirect_counts: bool,
}

impl LateOutcome<'_> {
    /// Its row says `relayed` from now on.
    fn is_relayed(&self, recipient: &RecipientOutcome) -> bool {
        recipient.status == RecipientStatus::Relayed
            && (recipient.redirect_to.is_none() || self.redirect_counts)
    }

    /// The status of a recipient that has no row yet. The list of rows is whole or absent, because a load takes it for
    /// the whole: a recipient that was not relayed is queued, unless the row itself says that it can never be sent.
    fn status_of_missing(&self, recipient: &RecipientOutcome) -> RecipientStatus {
        let never_asked =
            recipient.status == RecipientStatus::Failed && recipient.attempt_count == 0;
        match recipient.status {
            status if never_asked => status,
            _ if !self.before.is_final() => RecipientStatus::Queued,
            // Its message went elsewhere, or it waits although the alert is final.
            RecipientStatus::Relayed | RecipientStatus::Queued | RecipientStatus::Delayed => {
                RecipientStatus::Failed
            }
            status => status,
        }
    }

    /// Why the alert is relayed, where that needs a reason.
    fn redirect_reason(&self) -> Option<&str> {
        self.attempt.redirect_to.as_ref()?;
        self.decision.reason.as_deref()
    }
}

impl Recorder<'_> {
    /// What is true without the lease. An attempt that is in the database was recorded with all
    /// that belongs to it.
    pub(super) fn facts(
        &self,
        alert: AlertId,
        decision: &Decision,
        before: AlertStatus,
    ) -> Result<(), SqliteError> {
        let Some(attempt) = &decision.attempt else {
            return Ok(());
        };
        let ends_doubt = before == AlertStatus::Held && self.ends_doubt(alert, attempt)?;
        let late = LateOutcome {
            alert,
            decision,
            attempt,
            before,
            ends_doubt,
            redirect_counts: ends_doubt || self.is_redirected_there(alert, attempt)?,
        };
        if !self.attempt(alert, attempt)? {
            return Ok(());
        }
        for recipient in &decision.recipients {
            if late.is_relayed(recipient) {
                self.recipient(alert, recipient)?;
            } else {
                let status = late.status_of_missing(recipient);
                self.write_recipient(&RECORD_MISSING_RECIPIENT, alert, recipient, status)?;
            }
        }
        self.tx
            .prepare_cached(RECORD_FACTS_COUNT)?
            .execute(params![alert.0, attempt.number])?;
        if before.is_final() {
            self.tx.prepare_cached(RECORD_RECOUNT)?.execute([alert.0])?;
        }
        if ends_doubt {
            self.tx
                .prepare_cached(RECORD_END_DOUBT)?
                .execute(params![alert.0, time_text(self.now)])?;
        }
        self.follow_facts(&late)
    }

    fn ends_doubt(&self, alert: AlertId, attempt: &Attempt) -> Result<bool, SqliteError> {
        if attempt.outcome == AttemptOutcome::Unknown {
            return Ok(false);
        }
        let mut statement = self.tx.prepare_cached(RECORD_ENDS_DOUBT)?;
        Ok(statement.query_row(params![alert.0, attempt.number], |row| row.get(0))?)
    }

    /// A redirect to the address of this attempt is in force for the alert.
    fn is_redirected_there(&self, alert: AlertId, attempt: &Attempt) -> Result<bool, SqliteError> {
        let Some(address) = &attempt.redirect_to else {
            return Ok(false);
        };
        let mut statement = self.tx.prepare_cached(&RECORD_REDIRECT_IN_FORCE)?;
        Ok(statement.query_row(params![alert.0, address], |row| row.get(0))?)
    }

    /// The instance that has the alert now is not disturbed; a decision of an operator remains in force while a
    /// recipient still waits.
    fn follow_facts(&self, late: &LateOutcome<'_>) -> Result<(), SqliteError> {
        let status = status_of(statuses(self.tx, late.alert)?);
        let follows = match late.before {
            AlertStatus::Sending => false,
            AlertStatus::Queued | AlertStatus::Delayed => true,
            _ => status.is_final() || late.ends_doubt,
        };
        if !follows {
            return Ok(());
        }
        self.tx
            .prepare_cached(sql!("record_facts_status"))?
            .execute(params![
                late.alert.0,
                status.as_str(),
                time_text(self.now),
                status.is_final(),
                late.redirect_reason()
            ])?;
        self.is_without_lease(late.alert, &[status])
    }
}
