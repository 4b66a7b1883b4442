//! Values on their way in and out: columns by position, texts cut to their columns.

use std::borrow::Cow;
use std::fmt::Display;
use std::str::FromStr;

use chrono::NaiveDateTime;
use sendport_core::domain::Timestamp;
use tiberius::{ColumnData, FromSql, IntoSql, Row, ToSql};

use crate::ColumnError;
use crate::columns::Value;

/// The columns of a row, one after the other. By position, because engines differ in the case
/// of names. An error is a sentence that names the column.
pub(super) struct Fields<'a> {
    row: &'a Row,
    at: usize,
}

impl<'a> Fields<'a> {
    pub(super) fn of(row: &'a Row) -> Self {
        Self { row, at: 0 }
    }

    /// The next column, or `None` where it is NULL.
    pub(super) fn maybe<T: FromSql<'a>>(&mut self) -> Result<Option<T>, ColumnError> {
        let at = self.at;
        self.at += 1;
        self.row
            .try_get(at)
            .map_err(|e| ColumnError::unreadable(self.name(at), e))
    }

    /// The next column, which is not NULL.
    pub(super) fn get<T: FromSql<'a>>(&mut self) -> Result<T, ColumnError> {
        self.maybe()?
            .ok_or_else(|| ColumnError::null(self.name(self.at - 1)))
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, ColumnError> {
        Ok(self.maybe::<&str>()?.map(str::to_owned))
    }

    pub(super) fn text(&mut self) -> Result<String, ColumnError> {
        Ok(self.get::<&str>()?.to_owned())
    }

    /// A name or key, without the blanks at its end, which the engine compares without.
    pub(super) fn key(&mut self) -> Result<String, ColumnError> {
        Ok(self.get::<&str>()?.trim_end_matches(' ').to_owned())
    }

    pub(super) fn maybe_key(&mut self) -> Result<Option<String>, ColumnError> {
        let text = self.maybe::<&str>()?;
        Ok(text.map(|text| text.trim_end_matches(' ').to_owned()))
    }

    /// A word of an enumeration of the domain.
    pub(super) fn word<T: FromStr<Err: Display>>(&mut self) -> Result<T, ColumnError> {
        self.get::<&str>()?
            .trim_end_matches(' ')
            .parse()
            .map_err(|e| ColumnError::unreadable(self.name(self.at - 1), e))
    }

    /// `None` where it is NULL.
    pub(super) fn maybe_word<T: FromStr<Err: Display>>(
        &mut self,
    ) -> Result<Option<T>, ColumnError> {
        let text = self.maybe::<&str>()?;
        let word = text
            .map(|text| text.trim_end_matches(' ').parse())
            .transpose();
        word.map_err(|e| ColumnError::unreadable(self.name(self.at - 1), e))
    }

    /// Stored without a zone, in UTC.
    pub(super) fn maybe_time(&mut self) -> Result<Option<Timestamp>, ColumnError> {
        Ok(self.maybe::<NaiveDateTime>()?.map(|time| time.and_utc()))
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, ColumnError> {
        Ok(self.get::<NaiveDateTime>()?.and_utc())
    }

    /// A count in an `int` column.
    pub(super) fn count(&mut self) -> Result<u32, ColumnError> {
        let value = self.get::<i32>()?;
        u32::try_from(value).map_err(|_| {
            ColumnError::new(
                self.name(self.at - 1),
                format!("holds {value}, not a count"),
            )
        })
    }

    fn name(&self, at: usize) -> &str {
        self.row
            .columns()
            .get(at)
            .map_or("?", |column| column.name())
    }
}

impl<'a> IntoSql<'a> for Value<'a> {
    fn into_sql(self) -> ColumnData<'a> {
        match self {
            Value::Int(number) => {
                ColumnData::I32(number.map(|it| i32::try_from(it).unwrap_or(i32::MAX)))
            }
            Value::BigInt(number) => ColumnData::I64(number),
            Value::Text(text) => ColumnData::String(text),
            Value::Time(time) => time.map(|time| stored(time).naive_utc()).into_sql(),
            Value::Uuid(id) => ColumnData::Guid(id),
        }
    }
}

/// `text` as a column of `limit` characters takes it: cut, and without NUL, which some engines
/// refuse. What a server said must never keep us from writing down that it said it.
pub(super) fn fit(text: &str, limit: usize) -> String {
    let mut units = 0;
    text.chars()
        .map(|c| {
            if c == '\0' {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .take_while(|c| {
            units += c.len_utf16();
            units <= limit
        })
        .collect()
}

/// [`fit`] for a column without a limit of its own.
pub(super) fn fit_long(text: &str) -> String {
    fit(text, 1 << 20)
}

/// The time as a `datetime2(3)` holds it. Cut here, because the engine would round it up.
pub(super) fn stored(time: Timestamp) -> Timestamp {
    Timestamp::from_timestamp_millis(time.timestamp_millis()).unwrap_or(time)
}

/// Whole milliseconds, as much as the column holds.
pub(super) fn millis(duration: std::time::Duration) -> i64 {
    // A hundred years: past that the engine's date arithmetic overflows.
    i64::try_from(duration.as_millis())
        .unwrap_or(i64::MAX)
        .min(3_155_760_000_000 / 2)
}

/// Whole seconds, at least one, as much as `DATEADD` takes.
pub(super) fn seconds(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000))
        .unwrap_or(i32::MAX)
        .clamp(1, 1_500_000_000)
}

/// How long a list of so many parameters is made: few lengths, so that the engine keeps few plans.
pub(super) fn list_length(count: usize) -> usize {
    let lengths = [1, 10, 50, 100, 200, 500];
    let fits = lengths.into_iter().find(|&length| length >= count);
    fits.unwrap_or(count)
}

/// `@P{first}, @P{first + 1}, ...`
pub(super) fn placeholders(first: usize, count: usize) -> String {
    (first..first + count)
        .map(|n| format!("@P{n}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The statement with `NULL` written where a parameter is NULL: the driver sends it without a
/// type, which not every engine takes.
pub(super) fn without_nulls<'s, 'p>(
    sql: &'s str,
    params: &'p [&'p dyn ToSql],
) -> (Cow<'s, str>, Vec<&'p dyn ToSql>) {
    let is_null = |param: &&dyn ToSql| {
        matches!(
            param.to_sql(),
            ColumnData::String(None)
                | ColumnData::DateTime2(None)
                | ColumnData::Guid(None)
                | ColumnData::I64(None)
                | ColumnData::I32(None)
        )
    };
    if !params.iter().any(is_null) {
        return (Cow::Borrowed(sql), params.to_vec());
    }
    let mut sent = Vec::with_capacity(params.len());
    let mut names = Vec::with_capacity(params.len());
    for &param in params {
        if is_null(&param) {
            names.push("NULL".to_owned());
        } else {
            sent.push(param);
            names.push(format!("@P{}", sent.len()));
        }
    }
    (Cow::Owned(renamed(sql, &names)), sent)
}

/// Each `@P<n>` becomes the n-th name.
fn renamed(sql: &str, names: &[String]) -> String {
    let mut pieces = sql.split("@P");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_digit).count();
        let index = piece[..digits].parse::<usize>().ok();
        match index.and_then(|n| names.get(n.wrapping_sub(1))) {
            Some(name) => out.push_str(name),
            None => out.extend(["@P", &piece[..digits]]),
        }
        out.push_str(&piece[digits..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(fit("a😀b", 2), "a");
        assert_eq!(fit("a😀b", 3), "a😀");
        assert_eq!(fit("a\0b", 9), "a\u{fffd}b");
    }

    #[test]
    fn a_null_is_written_into_the_statement() {
        let (none, ten) = (None::<String>, 10_i32);
        let params: [&dyn ToSql; 11] = [
            &1_i32, &none, &3_i32, &4_i32, &5_i32, &6_i32, &7_i32, &8_i32, &9_i32, &ten, &11_i32,
        ];
        let (sql, sent) = without_nulls("VALUES (@P1, @P2, @P10, @P11, @Port)", &params);
        assert_eq!(sql, "VALUES (@P1, NULL, @P9, @P10, @Port)");
        assert_eq!(sent.len(), 10);
        assert!(matches!(
            without_nulls("@P1", &params[..1]).0,
            Cow::Borrowed("@P1")
        ));
    }

    #[test]
    fn durations_stay_within_what_the_engine_adds() {
        assert_eq!(seconds(Duration::ZERO), 1);
        assert_eq!(seconds(Duration::from_millis(1500)), 2);
        assert_eq!(seconds(Duration::MAX), 1_500_000_000);
        assert!(millis(Duration::MAX) / 1000 < i64::from(i32::MAX));
    }
}
