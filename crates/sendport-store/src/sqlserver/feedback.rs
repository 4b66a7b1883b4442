//! What other mail systems reported of messages.

use async_trait::async_trait;
use sendport_core::domain::{AlertId, Feedback, FeedbackProof, RecipientFeedback, ReportedOutcome};
use tiberius::ToSql;

use super::SqlServerStore;
use super::error::unexpected;
use super::operator_queries::lines;
use super::values::{fit, stored};
use crate::StoreError;
use crate::feedback::{
    Assigned, FeedbackResult, FeedbackStore, MOST_FEEDBACK, ReportedTransaction, end_of_key,
    unknown_transaction,
};

const RECORD: &str = "record a report";

#[async_trait]
impl FeedbackStore for SqlServerStore {
    async fn record_feedback(
        &self,
        feedback: &Feedback,
        is_last: bool,
    ) -> Result<FeedbackResult, StoreError> {
        let proof = match &feedback.proof {
            Ok(proof) => *proof,
            Err(reason) => return self.record_unmatched(feedback, reason.clone()).await,
        };
        match self.reported_transaction(feedback, proof).await? {
            Found::Repeated => Ok(FeedbackResult::Repeated),
            Found::Transaction(transaction) => {
                let assigned = transaction.assign(feedback);
                self.record(feedback, Ok(&transaction), &assigned).await
            }
            Found::None if is_last => {
                let reason = unknown_transaction(proof);
                self.record_unmatched(feedback, reason).await
            }
            Found::None => Ok(FeedbackResult::UnknownTransaction),
        }
    }
}

enum Found {
    Repeated,
    Transaction(ReportedTransaction),
    None,
}

impl SqlServerStore {
    async fn reported_transaction(
        &self,
        feedback: &Feedback,
        proof: FeedbackProof,
    ) -> Result<Found, StoreError> {
        const DOING: &str = "find what a report is about";
        let (alert, end, id) = match proof {
            FeedbackProof::ReturnPath { alert, attempt, .. } => {
                (Some(alert.0), Some(end_of_key(attempt)), None)
            }
            FeedbackProof::Mailbox(id) => (None, None, Some(id.0)),
        };
        let values: [&dyn ToSql; 4] = [&feedback.key, &alert, &end, &id];
        let sql = include_str!("sql/record_feedback_transaction.sql");
        let results = self.pool.query(DOING, sql, &values).await?;
        let [facts, recipients] = &results[..] else {
            return Err(unexpected(DOING, "two result sets were expected"));
        };
        let facts = lines(DOING, facts, |f| {
            let is_repeated: bool = f.get()?;
            let (alert, attempt) = (f.maybe::<i64>()?, f.maybe::<i64>()?);
            Ok((is_repeated, alert.zip(attempt), f.maybe_text()?))
        })?;
        let recipients = lines(DOING, recipients, |f| Ok((f.count()?, f.text()?)))?;
        Ok(match facts.into_iter().next() {
            Some((true, ..)) => Found::Repeated,
            Some((false, Some((alert, attempt)), redirect_to)) => {
                Found::Transaction(ReportedTransaction {
                    alert: AlertId(alert),
                    attempt,
                    redirect_to,
                    recipients,
                })
            }
            _ => Found::None,
        })
    }

    async fn record_unmatched(
        &self,
        feedback: &Feedback,
        reason: String,
    ) -> Result<FeedbackResult, StoreError> {
        let all = Assigned {
            others: feedback.recipients.iter().collect(),
            ..Assigned::default()
        };
        self.record(feedback, Err(reason), &all).await
    }

    async fn record(
        &self,
        feedback: &Feedback,
        transaction: Result<&ReportedTransaction, String>,
        assigned: &Assigned<'_>,
    ) -> Result<FeedbackResult, StoreError> {
        let text = |text: &Option<String>, units| text.as_ref().map(|it| fit(it, units));
        let (from, subject) = (text(&feedback.from, 400), text(&feedback.subject, 998));
        let message_id = text(&feedback.message_id, 1000);
        let size = i64::try_from(feedback.size_bytes).unwrap_or(i64::MAX);
        let kind = feedback.kind.as_str();
        let alert = transaction.as_ref().ok().map(|it| it.alert);
        let alert_id = alert.map(|it| it.0);
        let reason = transaction.as_ref().err().map(|it| fit(it, 1000));
        let summary = text(&assigned.summary(), 1000);
        let most = MOST_FEEDBACK.cast_signed();
        let mut values: Vec<&dyn ToSql> = vec![
            &feedback.key,
            &feedback.source,
            &kind,
            &from,
            &subject,
            &message_id,
            &size,
            &alert_id,
            &reason,
            &summary,
            &most,
        ];
        let attempt = transaction.as_ref().map_or(0, |it| it.attempt);
        let rows: Vec<_> = assigned
            .recipients
            .iter()
            .map(|(ordinal, it)| ReportedRow::of(*ordinal, it))
            .collect();
        let insert = insert_rows(&rows, attempt, &mut values);
        let sql = include_str!("sql/record_feedback.sql")
            .replace("{rows}", &insert)
            .replace("{weight}", &weight());
        let results = self.pool.query(RECORD, &sql, &values).await?;
        let [repeated, recipients] = &results[..] else {
            return Err(unexpected(RECORD, "two result sets were expected"));
        };
        if lines(RECORD, repeated, |f| f.get::<bool>())?.contains(&true) {
            return Ok(FeedbackResult::Repeated);
        }
        Ok(match (alert, transaction) {
            (Some(alert), _) => FeedbackResult::Matched {
                alert,
                recipients: lines(RECORD, recipients, |f| f.count())?,
            },
            (None, Err(reason)) => FeedbackResult::Unmatched(reason),
            (None, Ok(_)) => unreachable!("a transaction has an alert"),
        })
    }
}

/// What is a parameter.
struct ReportedRow {
    ordinal: u32,
    outcome: ReportedOutcome,
    code: String,
    class: String,
    at: Option<chrono::DateTime<chrono::Utc>>,
    texts: [Option<String>; 5],
}

impl ReportedRow {
    fn of(ordinal: u32, reported: &RecipientFeedback) -> Self {
        let text = |text: Option<&String>, units| text.map(|it| fit(it, units));
        let address = reported.final_recipient.as_ref();
        let address = address.or(reported.original_recipient.as_ref());
        Self {
            ordinal,
            outcome: reported.outcome,
            code: reported
                .reply_code
                .map_or("NULL".to_owned(), |it| it.to_string()),
            class: reported
                .class
                .map_or("NULL".to_owned(), |it| format!("N'{it}'")),
            at: reported.at.map(stored),
            texts: [
                text(reported.reported_by.as_ref(), 400),
                text(address, 400),
                text(reported.enhanced.as_ref(), 16),
                text(reported.text.as_ref(), 2000),
                text(reported.explanation.as_ref(), 64),
            ],
        }
    }
}

/// Nothing, where there are no rows.
fn insert_rows<'a>(
    rows: &'a [ReportedRow],
    attempt: i64,
    values: &mut Vec<&'a dyn ToSql>,
) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let rows = rows.iter().map(|row| {
        let first = values.len() + 1;
        values.push(&row.at);
        values.extend(row.texts.iter().map(|it| it as &dyn ToSql));
        format!(
            "({}, {attempt}, N'{}', {}, 1, @P{first}, @P{}, @P{}, {}, @P{}, @P{}, {}, @P{})",
            row.ordinal,
            row.outcome,
            row.outcome.weight(),
            first + 1,
            first + 2,
            row.code,
            first + 3,
            first + 4,
            row.class,
            first + 5,
        )
    });
    let rows: Vec<_> = rows.collect();
    format!(
        "INSERT @reported (Ordinal, AttemptId, Outcome, Weight, IsCurrent, ReportedAt, ReportedBy, ReportedAddress, ReplyCode, \
         EnhancedStatusCode, ReplyText, BounceClass, ExplanationKey) VALUES\n    {};",
        rows.join(",\n    ")
    )
}

/// Of the column `o.Outcome`.
fn weight() -> String {
    let cases = ReportedOutcome::ALL.iter();
    let cases: Vec<_> = cases
        .map(|it| format!("WHEN N'{it}' THEN {}", it.weight()))
        .collect();
    format!("CASE o.Outcome {} END", cases.join(" "))
}
