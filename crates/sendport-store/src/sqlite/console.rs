//! Plain SQL, as the sqlite3 shell takes it: for the demonstration.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::SqliteStore;
use super::connection::SqliteError;
use crate::StoreError;

/// Column names and rows, everything as text, NULL as an empty one.
type Answer = (Vec<String>, Vec<Vec<String>>);

impl SqliteStore {
    /// Runs one statement after the other.
    ///
    /// # Errors
    /// [`StoreError`] with the engine's message; the statements before the faulty one have been executed.
    pub async fn run_script(&self, sql: &str) -> Result<(), StoreError> {
        let sql = sql.to_owned();
        self.writer
            .call("run a script", move |connection| {
                Ok(connection.execute_batch(&sql)?)
            })
            .await?;
        self.watch.inserted();
        Ok(())
    }

    /// Runs one query.
    ///
    /// # Errors
    /// [`StoreError`] with the engine's message.
    pub async fn query(&self, sql: &str) -> Result<Answer, StoreError> {
        let sql = sql.to_owned();
        self.operator_reader
            .call("run a query", move |connection| query(connection, &sql))
            .await
    }
}

fn query(connection: &Connection, sql: &str) -> Result<Answer, SqliteError> {
    let mut statement = connection.prepare(sql)?;
    let head: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(
            (0..head.len())
                .map(|at| Ok(text(row.get_ref(at)?)))
                .collect::<Result<_, SqliteError>>()?,
        );
    }
    Ok((head, found))
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(blob) => format!("({} bytes)", blob.len()),
    }
}
