//! Errors of the stores.

use std::error::Error;
use std::fmt;

/// The kind of an error: callers decide by this, never by the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreErrorKind {
    /// Not reachable, connection lost, timed out, failing over, deadlock victim: later.
    Unavailable,
    /// Reachable, but it cannot be written to now: read-only replica, disk full.
    ReadOnly,
    /// It refuses the connection (login, permission, certificate), or it is damaged. An operator has to act.
    Refused,
    /// The database or its schema is not there, or not the one this program knows, or it belongs
    /// to another environment. A start does not wait for it.
    Schema,
    /// A value that the engine does not accept, and nothing else: the list is closed.
    Rejected,
    /// An error that this program does not know, or an answer of another shape. The service waits, and never takes it
    /// for a rejected value.
    Unknown,
}

/// An error of a store: what was being done, what kind of trouble, and the engine's message.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    doing: &'static str,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// A value of a row that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column} {problem}")]
pub(crate) struct ColumnError {
    column: String,
    problem: String,
}

impl ColumnError {
    /// `problem` continues the sentence that begins with the column.
    pub(crate) fn new(column: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            problem: problem.into(),
        }
    }

    /// Its value is NULL.
    pub(crate) fn null(column: impl Into<String>) -> Self {
        Self::new(column, "is NULL")
    }

    /// Its value is of no form that the program reads.
    pub(crate) fn unreadable(column: impl Into<String>, why: impl fmt::Display) -> Self {
        Self::new(column, format!("cannot be read: {why}"))
    }
}

impl StoreError {
    /// An answer of another shape than the statement gives.
    pub(crate) fn unexpected(
        doing: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        Self {
            kind: StoreErrorKind::Unknown,
            doing,
            message: source.to_string(),
            source: Some(source),
        }
    }

    /// An error in our own text.
    pub fn new(kind: StoreErrorKind, doing: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            doing,
            message: message.into(),
            source: None,
        }
    }

    /// An error with the engine's own as its cause.
    pub fn caused_by(
        kind: StoreErrorKind,
        doing: &'static str,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            doing,
            message: source.to_string(),
            source: Some(Box::new(source)),
        }
    }

    /// An error in our own text that keeps the engine's as its cause.
    pub fn explained(
        kind: StoreErrorKind,
        doing: &'static str,
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self {
            kind,
            doing,
            message: message.into(),
            source: Some(Box::new(source)),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What went wrong, without what was being done.
    pub fn what(&self) -> &str {
        &self.message
    }

    /// Whether the engine refused a value: waiting does not help. The service waits for everything else.
    pub fn is_about_data(&self) -> bool {
        self.kind == StoreErrorKind::Rejected
    }

    /// Whether the same call can succeed later without an operator.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Unavailable | StoreErrorKind::ReadOnly
        )
    }
}

/// The message for a database of another environment than the service's.
pub fn other_environment_message(database: &str, wanted: &str, found: &str) -> String {
    format!(
        "{database} belongs to the environment '{found}', but this service is configured for '{wanted}'. \
         If this is a copy, run `sendport adopt --environment {wanted} --expire` (or --hold) once; \
         else set environment = \"{found}\"."
    )
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}: {}", self.doing, self.message)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
