//! Where accepted messages go.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, ReceivedMessage, TransactionId};

/// Where accepted messages go.
#[async_trait]
pub trait MessageQueue: Send + Sync {
    /// Commits the message as one alert, or keeps it until it can be committed; afterwards no crash loses it. May be called from many tasks at once.
    ///
    /// A dropped future may leave the message committed or not. A repeated call with the same
    /// [`TransactionId`] commits it once.
    ///
    /// # Errors
    /// [`QueueError`]: the reply to the client. The message is not certain to be uncommitted after
    /// [`QueueError::Unavailable`].
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError>;

    /// Whether a message of so many bytes could be committed now; asked before the client sends it.
    ///
    /// # Errors
    /// As [`MessageQueue::commit`].
    async fn check(&self, bytes: Option<u64>) -> Result<(), QueueError>;
}

/// What became of an accepted message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Queued {
    /// It is this alert of the database.
    Alert(AlertId),
    /// It is on the disk, and will be committed under this id.
    Spooled(TransactionId),
}

/// The number or the id.
impl fmt::Display for Queued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(alert) => alert.0.fmt(f),
            Self::Spooled(transaction) => transaction.fmt(f),
        }
    }
}

/// Why a message cannot be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// The database does not answer: 451 4.3.0 (RFC 3463 section 3.4).
    #[error("the database cannot be used now: {0}")]
    Unavailable(String),
    /// There is no space: 452 4.3.1.
    #[error("there is not enough space for the message: {0}")]
    Full(String),
    /// The database never takes this message: 554 5.3.0.
    #[error("the database refused the message: {0}")]
    Refused(String),
}
