//! The rows of the lists that statements take as parameters.

use std::borrow::Cow;

use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, Decision, Outcome, OutcomeKind, RecipientOutcome,
    StatusReasonCode, Timestamp,
};
use tiberius::{SqlTableDataRow, TableValueRow};

use super::statement::{APOSTROPHE, Engine};
use super::values::{fit, millis};
use crate::columns::{ADDRESSEE, ATTEMPT, Column, DELIVERY, Length, REPLY, Source, Value};

/// Most rows of one list: row locks become a table lock at about 5,000 a statement, and engines need memory for
/// each.
pub(super) const MOST_ROWS: usize = 1000;

/// Most UTF-16 units of a text in a list.
const LONGEST_TEXT: usize = 32_000;

/// Most UTF-16 units of `AlertRow.StatusReason`, which is stored in the row.
const LONGEST_REASON: usize = 2000;

/// The `n`-th portion of rows that may be more than [`MOST_ROWS`], as `engine` takes them.
pub(super) fn portion<R: Row>(rows: &[R], n: usize, engine: Engine) -> Vec<R> {
    for_engine(rows.chunks(MOST_ROWS).nth(n).unwrap_or_default(), engine)
}

/// How many portions there are: one where there are no rows.
pub(super) fn portions(rows: usize) -> usize {
    rows.div_ceil(MOST_ROWS).max(1)
}

/// Rows as `engine` takes them: see [`Engine::Babelfish`].
pub(super) fn for_engine<R: Row>(rows: &[R], engine: Engine) -> Vec<R> {
    let mut rows = rows.to_vec();
    if engine == Engine::Babelfish {
        for value in rows.iter_mut().flat_map(|row| row.values().iter_mut()) {
            if let Value::Text(Some(text)) = value
                && text.contains('\'')
            {
                *text = Cow::Owned(text.replace('\'', APOSTROPHE.encode_utf8(&mut [0; 4])));
            }
        }
    }
    rows
}

/// A row of a list: its values in the order of the type's columns.
pub(super) trait Row: Clone {
    fn values(&mut self) -> &mut Vec<Value<'static>>;
}

macro_rules! row {
    ($(#[$meta:meta])* $row:ident, $type:literal) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub(super) struct $row(Vec<Value<'static>>);

        impl Row for $row {
            fn values(&mut self) -> &mut Vec<Value<'static>> {
                &mut self.0
            }
        }

        impl<'a> TableValueRow<'a> for $row {
            fn bind_fields(&self, row: &mut SqlTableDataRow<'a>) {
                for value in &self.0 {
                    row.add_field(value.clone());
                }
            }

            fn get_db_type() -> &'static str {
                $type
            }
        }
    };
}

row!(
    /// An outcome, or an alert that ends.
    OutcomeRow,
    "sendport.OutcomeList"
);
row!(
    /// One recipient of an alert.
    RecipientRow,
    "sendport.RecipientList"
);
row!(
    /// One reply of an attempt.
    ReplyRow,
    "sendport.ReplyList"
);

/// What an outcome says of the alert itself.
#[derive(Default)]
struct Head<'a> {
    token: Option<uuid::Uuid>,
    seen_at: Option<Timestamp>,
    status: Option<&'static str>,
    retry_in_ms: Option<i64>,
    reason: Option<&'a str>,
    reason_code: Option<StatusReasonCode>,
    template_version: Option<&'a str>,
}

impl OutcomeRow {
    pub(super) fn new(outcome: &Outcome) -> Self {
        let token = Some(outcome.token.0);
        match &outcome.kind {
            OutcomeKind::Released { retry_in, reason } => {
                let head = Head {
                    token,
                    retry_in_ms: Some(millis(*retry_in)),
                    reason: reason.as_deref(),
                    reason_code: outcome.kind.reason_code(),
                    ..Head::default()
                };
                Self::of(outcome.alert, &head, None)
            }
            OutcomeKind::Decided(decision) => {
                let head = Head {
                    token,
                    ..head_of(decision)
                };
                Self::of(outcome.alert, &head, decision.attempt.as_ref())
            }
        }
    }

    /// An alert that ends without a lease, if it still is as it was seen.
    pub(super) fn ended(alert: AlertId, seen_at: Timestamp, reason: &str) -> Self {
        let head = Head {
            seen_at: Some(seen_at),
            reason: Some(reason),
            ..Head::default()
        };
        Self::of(alert, &head, None)
    }

    fn of(alert: AlertId, head: &Head<'_>, attempt: Option<&Attempt>) -> Self {
        let version = head.template_version.map(|it| fit(it, 128));
        let mut values = vec![
            Value::BigInt(Some(alert.0)),
            Value::Uuid(head.token),
            Value::Time(head.seen_at),
            Value::Text(head.status.map(Cow::Borrowed)),
            Value::BigInt(head.retry_in_ms),
            Value::Text(head.reason.map(|reason| cut(reason, LONGEST_REASON).into())),
            Value::Text(head.reason_code.map(|code| code.as_str().into())),
            Value::Text(version.map(Cow::Owned)),
        ];
        values.extend(ATTEMPT.iter().map(|column| fitted(column, attempt)));
        values.push(Value::Int(None));
        Self(values)
    }

    /// Notes what the first of several calls for this outcome answered.
    pub(super) fn set_recorded(&mut self, recorded: Option<u32>) {
        if let Some(last) = self.0.last_mut() {
            *last = Value::Int(recorded);
        }
    }
}

fn head_of(decision: &Decision) -> Head<'_> {
    // A lease that is given up is not being sent: a caller's mistake must not strand the alert.
    let status = match decision.status {
        AlertStatus::Sending => AlertStatus::Queued,
        other => other,
    };
    Head {
        status: Some(status.as_str()),
        retry_in_ms: decision.retry_in.map(millis),
        reason: decision.reason.as_deref(),
        reason_code: decision.reason_code(),
        template_version: decision.template_version.as_deref(),
        ..Head::default()
    }
}

impl RecipientRow {
    pub(super) fn new(alert: AlertId, recipient: &RecipientOutcome) -> Self {
        let mut values = vec![Value::BigInt(Some(alert.0))];
        values.extend(ADDRESSEE.iter().map(|it| fitted(it, Some(recipient))));
        values.push(Value::Text(Some(recipient.status.as_str().into())));
        values.extend(DELIVERY.iter().map(|it| fitted(it, Some(recipient))));
        Self(values)
    }
}

impl ReplyRow {
    pub(super) fn of(attempt: &Attempt) -> impl Iterator<Item = Self> {
        attempt.replies.iter().zip(0..).map(|(reply, ordinal)| {
            let mut values = vec![Value::Uuid(Some(attempt.key.0)), Value::Int(Some(ordinal))];
            values.extend(REPLY.iter().map(|column| fitted(column, Some(reply))));
            Self(values)
        })
    }
}

/// The value of a column as the list takes it.
fn fitted<T>(column: &Column<T>, row: Option<&T>) -> Value<'static> {
    match (column.value(row), &column.source) {
        (Value::Text(text), Source::Text(length, _)) => {
            Value::Text(text.and_then(|text| match length {
                Length::Units(units) => Some(fit(&text, *units).into()),
                Length::Long => Some(cut(&text, LONGEST_TEXT).into()),
                Length::Whole => fits(&text).then(|| fit(&text, LONGEST_TEXT).into()),
            }))
        }
        (Value::Text(text), _) => Value::Text(text.map(|text| text.into_owned().into())),
        (Value::Int(number), _) => Value::Int(number),
        (Value::BigInt(number), _) => Value::BigInt(number),
        (Value::Time(time), _) => Value::Time(time),
        (Value::Uuid(id), _) => Value::Uuid(id),
    }
}

/// Whether a text is short enough for a list: the driver refuses more than 65,535 bytes of UTF-16.
pub(super) fn fits(text: &str) -> bool {
    text.encode_utf16().count() <= LONGEST_TEXT
}

/// A text of a server or a person; what is longer than `limit` UTF-16 units is cut, and says so.
fn cut(text: &str, limit: usize) -> String {
    if text.encode_utf16().count() <= limit {
        return fit(text, limit);
    }
    let cut = format!(" [cut off here, of {} characters]", text.chars().count());
    fit(text, limit - cut.len()) + &cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_apostrophe_travels_in_a_list_to_babelfish() {
        let row = OutcomeRow::ended(AlertId(1), Timestamp::UNIX_EPOCH, "O'Brien', N''); DROP");
        let texts = |engine| match &for_engine(std::slice::from_ref(&row), engine)[0].0[5] {
            Value::Text(Some(text)) => text.clone().into_owned(),
            other => panic!("{other:?}"),
        };
        assert_eq!(texts(Engine::SqlServer), "O'Brien', N''); DROP");
        assert_eq!(texts(Engine::Babelfish).matches('\'').count(), 0);
    }

    #[test]
    fn a_text_that_is_too_long_for_a_list_says_that_it_was_cut() {
        let longest = "x".repeat(LONGEST_TEXT);
        assert_eq!(cut(&longest, LONGEST_TEXT), longest);
        let cut = cut(&"🚨'".repeat(100_000), LONGEST_TEXT);
        assert!(cut.ends_with("🚨' [cut off here, of 200000 characters]"));
        assert!(fits(&cut));
        assert!(cut.encode_utf16().count() * 2 <= 65_535);
    }
}
