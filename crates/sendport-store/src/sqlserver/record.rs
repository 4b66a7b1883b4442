//! Recording outcomes: many in one transaction, handed over as tables.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sendport_core::domain::{
    AlertId, Attempt, AttemptKey, Decision, InstanceId, Outcome, OutcomeKind,
};
use tiberius::{Command, Row};

use super::error::is_lock_timeout;
use super::pool::Pool;
use super::statement::{Engine, Statement};
use super::table_rows::{
    MOST_ROWS, OutcomeRow, RecipientRow, ReplyRow, fits, for_engine, portion, portions,
};
use super::values::Fields;
use crate::{ColumnError, RecordResult, StoreError};

const DOING: &str = "record outcomes";

static RECORD: LazyLock<Statement> =
    LazyLock::new(|| Statement::new(include_str!("sql/record.sql")));

/// As many in a transaction as locks allow; an alert that comes twice comes in two.
pub(super) async fn record(
    pool: &Pool,
    instance: InstanceId,
    outcomes: &[Outcome],
) -> Result<Vec<RecordResult>, StoreError> {
    let mut recorded = Vec::with_capacity(outcomes.len());
    for batch in batches(outcomes) {
        recorded.extend(record_by_halves(pool, instance, batch).await?);
    }
    Ok(recorded)
}

/// Where the lock timed out (an engine without READPAST, or a lock on more
/// than the alert's row), the halves are tried, down to the outcome that cannot be recorded now.
async fn record_by_halves(
    pool: &Pool,
    instance: InstanceId,
    batch: &[Outcome],
) -> Result<Vec<RecordResult>, StoreError> {
    match record_batch(pool, instance, batch).await {
        Err(error) if is_lock_timeout(&error) && batch.len() == 1 => Ok(vec![RecordResult::NotNow]),
        Err(error) if is_lock_timeout(&error) => {
            let (first, second) = batch.split_at(batch.len() / 2);
            let mut recorded = Box::pin(record_by_halves(pool, instance, first)).await?;
            recorded.extend(Box::pin(record_by_halves(pool, instance, second)).await?);
            Ok(recorded)
        }
        other => other,
    }
}

async fn record_batch(
    pool: &Pool,
    instance: InstanceId,
    batch: &[Outcome],
) -> Result<Vec<RecordResult>, StoreError> {
    let parts = RecordCalls::of(instance, batch);
    let command = |engine, n, first: &[Answer]| parts.command(engine, n, first);
    let answers = pool
        .call_in_portions(DOING, parts.calls(), command, read_answer)
        .await?;
    let by_alert: HashMap<_, _> = answers.into_iter().collect();
    let recorded = |outcome: &Outcome| match by_alert.get(&outcome.alert) {
        Some(&WHOLE) => RecordResult::Whole,
        Some(&FACTS | &FACTS_BEFORE) => RecordResult::FactsOnly,
        Some(&LOCKED) => RecordResult::NotNow,
        _ => RecordResult::Gone,
    };
    Ok(batch.iter().map(recorded).collect())
}

/// What the statement answers of each outcome.
type Answer = Result<(AlertId, i32), ColumnError>;

const FACTS_BEFORE: i32 = 1;
const WHOLE: i32 = 2;
const LOCKED: i32 = 3;
const FACTS: i32 = 4;

fn read_answer(row: &Row) -> Answer {
    let mut fields = Fields::of(row);
    Ok((AlertId(fields.get()?), fields.get()?))
}

/// A batch as the calls of one transaction: one call, unless a single outcome has more rows than
/// one takes, or a text that is too long for a table.
struct RecordCalls<'a> {
    instance: InstanceId,
    outcomes: Vec<OutcomeRow>,
    recipients: Vec<RecipientRow>,
    replies: Vec<ReplyRow>,
    encrypted_to: Vec<(AttemptKey, &'a str)>,
}

impl<'a> RecordCalls<'a> {
    fn of(instance: InstanceId, batch: &'a [Outcome]) -> Self {
        let attempts = || decisions(batch).filter_map(|(_, decision)| decision.attempt.as_ref());
        let rows = |(alert, decision): (AlertId, &'a Decision)| {
            let recipients = decision.recipients.iter();
            recipients.map(move |recipient| RecipientRow::new(alert, recipient))
        };
        Self {
            instance,
            outcomes: batch.iter().map(OutcomeRow::new).collect(),
            recipients: decisions(batch).flat_map(rows).collect(),
            replies: attempts().flat_map(ReplyRow::of).collect(),
            encrypted_to: attempts().filter_map(long_encrypted_to).collect(),
        }
    }

    fn portions(&self) -> usize {
        portions(self.recipients.len().max(self.replies.len()))
    }

    fn calls(&self) -> usize {
        self.portions() + self.encrypted_to.len()
    }

    /// The `n`-th call; no further one where nothing of the outcome is to be recorded.
    fn command(&self, engine: Engine, n: usize, first: &[Answer]) -> Option<Command<'static>> {
        let recorded = match first {
            [Ok((_, recorded))] => Some(*recorded),
            _ => None,
        };
        if recorded.is_some_and(|recorded| recorded != WHOLE && recorded != FACTS) {
            return None;
        }
        let long = n.checked_sub(self.portions());
        Some(match long.and_then(|n| self.encrypted_to.get(n)) {
            Some((key, text)) => encrypted_to(*key, text),
            None => self.record(engine, n, recorded),
        })
    }

    fn record(&self, engine: Engine, n: usize, recorded: Option<i32>) -> Command<'static> {
        let mut outcomes = for_engine(&self.outcomes, engine);
        if n > 0 {
            let recorded = recorded.and_then(|it| u32::try_from(it).ok());
            outcomes
                .iter_mut()
                .for_each(|row| row.set_recorded(recorded));
        }
        let mut command = Command::new("sp_executesql");
        command.bind_param("@stmt", RECORD.on(engine));
        command.bind_param(
            "@params",
            "@instance uniqueidentifier, @outcomes sendport.OutcomeList READONLY, \
             @recipients sendport.RecipientList READONLY, @replies sendport.ReplyList READONLY, \
             @last int",
        );
        command.bind_param("@instance", self.instance.0);
        command.bind_table("@outcomes", outcomes);
        command.bind_table("@recipients", portion(&self.recipients, n, engine));
        command.bind_table("@replies", portion(&self.replies, n, engine));
        command.bind_param("@last", i32::from(n + 1 == self.portions()));
        command
    }
}

fn decisions(batch: &[Outcome]) -> impl Iterator<Item = (AlertId, &Decision)> {
    batch.iter().filter_map(|outcome| match &outcome.kind {
        OutcomeKind::Decided(decision) => Some((outcome.alert, &**decision)),
        OutcomeKind::Released { .. } => None,
    })
}

/// The readers of an envelope, where there are too many for a table.
fn long_encrypted_to(attempt: &Attempt) -> Option<(AttemptKey, &str)> {
    let to = attempt.protected.encrypted_to.as_deref()?;
    (!fits(to)).then_some((attempt.key, to))
}

fn encrypted_to(key: AttemptKey, text: &str) -> Command<'static> {
    let mut command = Command::new("sp_executesql");
    command.bind_param("@stmt", include_str!("sql/record_encrypted_to.sql"));
    command.bind_param("@params", "@key uniqueidentifier, @text nvarchar(max)");
    command.bind_param("@key", key.0);
    command.bind_param("@text", text.to_owned());
    command
}

fn batches(outcomes: &[Outcome]) -> Vec<&[Outcome]> {
    let mut batches = Vec::new();
    let (mut start, mut rows, mut seen) = (0, 0, HashSet::new());
    for (at, outcome) in outcomes.iter().enumerate() {
        let weight = weight(&outcome.kind);
        if at > start && (rows + weight > MOST_ROWS || seen.contains(&outcome.alert)) {
            batches.push(&outcomes[start..at]);
            (start, rows) = (at, 0);
            seen.clear();
        }
        rows += weight;
        seen.insert(outcome.alert);
    }
    if start < outcomes.len() {
        batches.push(&outcomes[start..]);
    }
    batches
}

fn weight(kind: &OutcomeKind) -> usize {
    match kind {
        OutcomeKind::Released { .. } => 1,
        OutcomeKind::Decided(decision) => {
            let replies = decision.attempt.as_ref().map_or(0, |a| a.replies.len());
            1 + decision.recipients.len().max(replies)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use sendport_core::domain::LeaseToken;

    #[test]
    fn an_alert_that_comes_twice_comes_in_two_transactions() {
        let outcome = |id| Outcome {
            alert: AlertId(id),
            token: LeaseToken::random(),
            kind: OutcomeKind::Released {
                retry_in: Duration::ZERO,
                reason: None,
            },
        };
        let outcomes = [outcome(1), outcome(2), outcome(1), outcome(3)];
        let lengths: Vec<_> = batches(&outcomes).iter().map(|b| b.len()).collect();
        assert_eq!(lengths, [2, 2]);
        assert!(batches(&[]).is_empty());
    }
}
