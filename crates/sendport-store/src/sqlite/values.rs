//! How the domain's values are stored in SQLite, and how they are read.
//!
//! Times have one text form, so that they sort; words and uuids are text as in SQL Server.

use std::cell::Cell;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use chrono::{Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};
use rusqlite::{Row, ToSql};
use sendport_core::domain::Timestamp;
use uuid::Uuid;

use crate::ColumnError;
use crate::columns::Value;

const FORM_OF_TIMES: &str = "%Y-%m-%dT%H:%M:%S%.3fZ";

/// `2026-01-31T12:00:00.000Z`. Years that would not fit the form are cut to its ends.
pub(super) fn time_text(at: Timestamp) -> String {
    let year = at.year();
    if year > 9999 {
        "9999-12-31T23:59:59.999Z".to_owned()
    } else if year < 1 {
        "0001-01-01T00:00:00.000Z".to_owned()
    } else {
        // A leap second is the last millisecond of the one before.
        let millis = at.timestamp_subsec_millis().min(999);
        let (month, day) = (at.month(), at.day());
        let (hour, minute, second) = (at.hour(), at.minute(), at.second());
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// A text that is no time in the form of this store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{found}' is not a time such as 2026-01-31T12:00:00.000Z")]
pub(super) struct TimeError {
    found: String,
    source: chrono::ParseError,
}

/// The inverse of [`time_text`].
pub(super) fn time_of(text: &str) -> Result<Timestamp, TimeError> {
    NaiveDateTime::parse_from_str(text, FORM_OF_TIMES)
        .map(|naive| naive.and_utc())
        .map_err(|source| TimeError {
            found: text.to_owned(),
            source,
        })
}

/// `at + by` as text; far ends of the calendar instead of an overflow.
pub(super) fn later(at: Timestamp, by: Duration) -> String {
    let sum = TimeDelta::from_std(by)
        .ok()
        .and_then(|by| at.checked_add_signed(by));
    sum.map_or_else(|| "9999-12-31T23:59:59.999Z".to_owned(), time_text)
}

/// `at - by` as text; far ends of the calendar instead of an overflow.
pub(super) fn earlier(at: Timestamp, by: Duration) -> String {
    let difference = TimeDelta::from_std(by)
        .ok()
        .and_then(|by| at.checked_sub_signed(by));
    difference.map_or_else(|| time_text(first_day()), time_text)
}

fn first_day() -> Timestamp {
    NaiveDate::MIN.and_time(chrono::NaiveTime::MIN).and_utc()
}

pub(super) fn uuid_text(id: Uuid) -> String {
    id.as_hyphenated().to_string()
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let owned = match self {
            Value::Text(Some(text)) => return text.to_sql(),
            Value::Text(None) => SqlValue::Null,
            Value::Int(number) => (*number).into(),
            Value::BigInt(number) => (*number).into(),
            Value::Time(time) => time.map(time_text).into(),
            Value::Uuid(id) => id.map(uuid_text).into(),
        };
        Ok(ToSqlOutput::Owned(owned))
    }
}

/// A row whose values were written by others: every reader answers with a sentence that
/// names the column, so that one bad value fails one row.
pub(super) struct Columns<'row, 'stmt> {
    row: &'row Row<'stmt>,
    /// Behind the column that was read last: mostly the one that is asked for next.
    next: Cell<usize>,
}

impl<'row, 'stmt> Columns<'row, 'stmt> {
    pub(super) fn new(row: &'row Row<'stmt>) -> Self {
        Self {
            row,
            next: Cell::new(0),
        }
    }

    /// The first column, which says to people which row it is: `CertificateId 17`.
    pub(super) fn row_name(&self) -> String {
        let column = self.row.as_ref().column_name(0).unwrap_or_default();
        let value = match self.row.get_ref(0) {
            Ok(ValueRef::Integer(number)) => number.to_string(),
            Ok(ValueRef::Text(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            _ => String::new(),
        };
        format!("{column} {value}")
    }

    /// By its name, which is looked for only where the columns are not read in their order.
    fn value(&self, column: &str) -> Result<ValueRef<'_>, ColumnError> {
        let wrong = |error: rusqlite::Error| ColumnError::unreadable(column, error);
        let (row, next) = (self.row, self.next.get());
        let statement = row.as_ref();
        let found = match statement.column_name(next) {
            Ok(name) if name == column => next,
            _ => statement.column_index(column).map_err(wrong)?,
        };
        self.next.set(found + 1);
        row.get_ref(found).map_err(wrong)
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<String>, ColumnError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(error) => Err(ColumnError::new(column, format!("is not UTF-8: {error}"))),
            },
            other => Err(ColumnError::new(
                column,
                format!("holds {}, not text", other.data_type()),
            )),
        }
    }

    pub(super) fn text(&self, column: &str) -> Result<String, ColumnError> {
        self.optional_text(column)?
            .ok_or_else(|| ColumnError::null(column))
    }

    /// A name or key, without the blanks at its end, which the column is compared without.
    pub(super) fn key(&self, column: &str) -> Result<String, ColumnError> {
        self.optional_key(column)?
            .ok_or_else(|| ColumnError::null(column))
    }

    pub(super) fn optional_key(&self, column: &str) -> Result<Option<String>, ColumnError> {
        let text = self.optional_text(column)?;
        Ok(text.map(|text| text.trim_end_matches(' ').to_owned()))
    }

    /// For people to look at: what is not UTF-8 is replaced instead of refused.
    pub(super) fn lossy(&self, column: &str) -> Result<Option<String>, ColumnError> {
        match self.value(column)? {
            ValueRef::Text(bytes) => Ok(Some(String::from_utf8_lossy(bytes).into_owned())),
            _ => Ok(None),
        }
    }

    /// [`Self::key`] for people to look at.
    pub(super) fn shown_key(&self, column: &str) -> Result<String, ColumnError> {
        let text = self.lossy(column)?.unwrap_or_default();
        Ok(text.trim_end_matches(' ').to_owned())
    }

    pub(super) fn optional_integer(&self, column: &str) -> Result<Option<i64>, ColumnError> {
        match self.value(column)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            other => Err(ColumnError::new(
                column,
                format!("holds {}, not a number", other.data_type()),
            )),
        }
    }

    pub(super) fn integer(&self, column: &str) -> Result<i64, ColumnError> {
        self.optional_integer(column)?
            .ok_or_else(|| ColumnError::null(column))
    }

    pub(super) fn count(&self, column: &str) -> Result<u32, ColumnError> {
        let number = self.integer(column)?;
        u32::try_from(number)
            .map_err(|_| ColumnError::new(column, format!("holds {number}, not a count")))
    }

    pub(super) fn optional_count(&self, column: &str) -> Result<Option<u32>, ColumnError> {
        let number = self.optional_integer(column)?;
        number.map(|_| self.count(column)).transpose()
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, ColumnError> {
        Ok(self.integer(column)? != 0)
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, ColumnError> {
        let Some(text) = self.optional_text(column)? else {
            return Ok(None);
        };
        let time = time_of(&text).map_err(|error| ColumnError::unreadable(column, error))?;
        Ok(Some(time))
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, ColumnError> {
        self.optional_time(column)?
            .ok_or_else(|| ColumnError::null(column))
    }

    /// For people to look at: what is not a time is not shown.
    pub(super) fn shown_time(&self, column: &str) -> Result<Option<Timestamp>, ColumnError> {
        let text = self.lossy(column)?;
        Ok(text.and_then(|text| time_of(&text).ok()))
    }

    pub(super) fn word<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T, ColumnError> {
        let text = self.key(column)?;
        text.parse()
            .map_err(|error| ColumnError::unreadable(column, error))
    }

    /// `None` where it is NULL.
    pub(super) fn optional_word<T: FromStr<Err: Display>>(
        &self,
        column: &str,
    ) -> Result<Option<T>, ColumnError> {
        let text = self.optional_text(column)?;
        let word = text.map(|text| text.parse()).transpose();
        word.map_err(|error| ColumnError::unreadable(column, error))
    }

    pub(super) fn uuid(&self, column: &str) -> Result<Uuid, ColumnError> {
        let text = self.text(column)?;
        Uuid::try_parse(&text).map_err(|error| {
            let why = format!("'{text}' is not a UUID: {error}");
            ColumnError::unreadable(column, why)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_keep_milliseconds_and_come_back() {
        let text = "2026-01-31T12:00:00.007Z";
        let time = time_of(text).unwrap();
        assert_eq!(time_text(time), text);
        assert_eq!(
            later(time, Duration::from_millis(993)),
            "2026-01-31T12:00:01.000Z"
        );
        assert_eq!(
            earlier(time, Duration::from_millis(8)),
            "2026-01-31T11:59:59.999Z"
        );
    }

    #[test]
    fn far_ends_of_the_calendar_still_have_the_one_form() {
        let time = time_of("2026-01-31T12:00:00.000Z").unwrap();
        assert_eq!(later(time, Duration::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(earlier(time, Duration::MAX), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn other_forms_of_a_time_are_refused() {
        for text in ["2026-01-31 12:00:00.000Z", "2026-13-31T12:00:00.000Z", ""] {
            assert!(time_of(text).is_err(), "{text}");
        }
    }
}
