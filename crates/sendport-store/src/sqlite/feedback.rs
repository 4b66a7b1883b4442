//! What other mail systems reported of messages.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, Transaction, params};
use sendport_core::domain::{
    AlertId, Feedback, FeedbackProof, RecipientFeedback, ReportedOutcome, Timestamp,
};

use super::connection::{SqliteError, write};
use super::values::{time_text, uuid_text};
use super::{SqliteStore, sql};
use crate::StoreError;
use crate::feedback::{
    Assigned, FeedbackResult, FeedbackStore, MOST_FEEDBACK, ReportedTransaction, end_of_key,
    unknown_transaction,
};

pub(super) const IS_REPEATED: &str =
    "SELECT EXISTS (SELECT 1 FROM Feedback WHERE FeedbackKey = ?1)";

pub(super) const REPORTED_ATTEMPT: &str = "SELECT AlertId, AttemptId, RedirectTo FROM Attempt WHERE AlertId = ?1 AND AttemptKey LIKE '%' || ?2";

/// The latest transaction that may have reached a recipient.
pub(super) const LATEST_SUBMITTED: &str = "SELECT a.AlertId, t.AttemptId, t.RedirectTo FROM Alert a \
    JOIN Attempt t ON t.AlertId = a.AlertId WHERE a.PublicId = ?1 AND t.Outcome IN ('relayed', 'partial', 'unknown') \
    ORDER BY t.AttemptId DESC LIMIT 1";

const INSERT_FEEDBACK: &str = "INSERT INTO Feedback (FeedbackKey, Source, Kind, ReceivedAt, FromAddress, Subject, MessageId, \
    SizeBytes, AlertId, UnmatchedReason, Summary) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

pub(super) const RECIPIENT_FEEDBACK: &str = "SELECT RecipientFeedbackId, AttemptId, Outcome, IsCurrent FROM RecipientFeedback \
    WHERE AlertId = ?1 AND Ordinal = ?2";

const REPLACE_CURRENT: &str = "UPDATE RecipientFeedback SET IsCurrent = 0 WHERE AlertId = ?1 AND Ordinal = ?2 AND IsCurrent = 1";

const INSERT_RECIPIENT_FEEDBACK: &str = "INSERT INTO RecipientFeedback (FeedbackId, AlertId, Ordinal, AttemptId, Outcome, \
    IsCurrent, ReportedAt, ReportedBy, ReportedAddress, ReplyCode, EnhancedStatusCode, ReplyText, BounceClass, \
    ExplanationKey) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";

#[async_trait]
impl FeedbackStore for SqliteStore {
    async fn record_feedback(
        &self,
        feedback: &Feedback,
        is_last: bool,
    ) -> Result<FeedbackResult, StoreError> {
        let (feedback, now) = (Arc::new(feedback.clone()), self.clock.now());
        self.writer
            .call("record a report", move |connection| {
                write(connection, |tx| record(tx, &feedback, is_last, now))
            })
            .await
    }
}

fn record(
    tx: &Transaction<'_>,
    feedback: &Feedback,
    is_last: bool,
    now: Timestamp,
) -> Result<FeedbackResult, SqliteError> {
    let mut repeated = tx.prepare_cached(IS_REPEATED)?;
    if repeated.query_row([&feedback.key], |row| row.get(0))? {
        return Ok(FeedbackResult::Repeated);
    }
    let proof = match &feedback.proof {
        Ok(proof) => *proof,
        Err(reason) => return unmatched(tx, feedback, now, reason.clone()),
    };
    let Some(transaction) = transaction(tx, proof)? else {
        return match is_last {
            true => unmatched(tx, feedback, now, unknown_transaction(proof)),
            false => Ok(FeedbackResult::UnknownTransaction),
        };
    };
    let assigned = transaction.assign(feedback);
    let (alert, summary) = (transaction.alert, assigned.summary());
    let id = insert(tx, feedback, now, Ok(alert), summary.as_deref())?;
    let mut recipients = Vec::new();
    for (ordinal, reported) in &assigned.recipients {
        if insert_of_recipient(tx, id, &transaction, *ordinal, reported, now)? {
            recipients.push(*ordinal);
        }
    }
    Ok(FeedbackResult::Matched { alert, recipients })
}

fn unmatched(
    tx: &Transaction<'_>,
    feedback: &Feedback,
    now: Timestamp,
    reason: String,
) -> Result<FeedbackResult, SqliteError> {
    let all = Assigned {
        others: feedback.recipients.iter().collect(),
        ..Assigned::default()
    };
    insert(tx, feedback, now, Err(&reason), all.summary().as_deref())?;
    Ok(FeedbackResult::Unmatched(reason))
}

fn transaction(
    tx: &Transaction<'_>,
    proof: FeedbackProof,
) -> Result<Option<ReportedTransaction>, SqliteError> {
    let read = |row: &rusqlite::Row<'_>| {
        Ok(ReportedTransaction {
            alert: AlertId(row.get(0)?),
            attempt: row.get(1)?,
            redirect_to: row.get(2)?,
            recipients: Vec::new(),
        })
    };
    let found = match proof {
        FeedbackProof::ReturnPath { alert, attempt, .. } => tx
            .prepare_cached(REPORTED_ATTEMPT)?
            .query_row(params![alert.0, end_of_key(attempt)], read),
        FeedbackProof::Mailbox(id) => tx
            .prepare_cached(LATEST_SUBMITTED)?
            .query_row([uuid_text(id.0)], read),
    };
    let Some(mut found) = found.optional()? else {
        return Ok(None);
    };
    let mut recipients = tx.prepare_cached(sql!("record_feedback_recipients"))?;
    let rows = recipients.query_map(params![found.alert.0, found.attempt], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    found.recipients = rows.collect::<Result<_, _>>()?;
    Ok(Some(found))
}

fn insert(
    tx: &Transaction<'_>,
    feedback: &Feedback,
    now: Timestamp,
    alert: Result<AlertId, &str>,
    summary: Option<&str>,
) -> Result<i64, SqliteError> {
    tx.prepare_cached(INSERT_FEEDBACK)?.execute(params![
        feedback.key,
        feedback.source,
        feedback.kind.as_str(),
        time_text(now),
        feedback.from,
        feedback.subject,
        feedback.message_id,
        i64::try_from(feedback.size_bytes).unwrap_or(i64::MAX),
        alert.ok().map(|it| it.0),
        alert.err(),
        summary
    ])?;
    Ok(tx.last_insert_rowid())
}

/// False: too many are recorded already.
fn insert_of_recipient(
    tx: &Transaction<'_>,
    feedback: i64,
    transaction: &ReportedTransaction,
    ordinal: u32,
    reported: &RecipientFeedback,
    now: Timestamp,
) -> Result<bool, SqliteError> {
    let alert = transaction.alert.0;
    let mut earlier = tx.prepare_cached(RECIPIENT_FEEDBACK)?;
    let rows = earlier.query_map(params![alert, ordinal], |row| {
        Ok((row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
    })?;
    let earlier: Vec<(i64, String, bool)> = rows.collect::<Result<_, _>>()?;
    if earlier.len() >= MOST_FEEDBACK as usize {
        return Ok(false);
    }
    let weight = |word: &str| word.parse().map_or(0, ReportedOutcome::weight);
    let current = earlier.iter().find(|(.., is_current)| *is_current);
    let is_current = current.is_none_or(|(attempt, outcome, _)| {
        (*attempt, weight(outcome)) <= (transaction.attempt, reported.outcome.weight())
    });
    if is_current {
        tx.prepare_cached(REPLACE_CURRENT)?
            .execute(params![alert, ordinal])?;
    }
    let address = reported.final_recipient.as_ref();
    tx.prepare_cached(INSERT_RECIPIENT_FEEDBACK)?
        .execute(params![
            feedback,
            alert,
            ordinal,
            transaction.attempt,
            reported.outcome.as_str(),
            is_current,
            time_text(reported.at.unwrap_or(now)),
            reported.reported_by,
            address.or(reported.original_recipient.as_ref()),
            reported.reply_code,
            reported.enhanced,
            reported.text,
            reported.class.map(|it| it.as_str()),
            reported.explanation
        ])?;
    Ok(true)
}
