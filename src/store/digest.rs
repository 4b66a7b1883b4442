//! Failures that somebody has to be told of, and the alert that tells them.

use std::time::Duration;

use async_trait::async_trait;

use super::{NewAlert, RefusedRow, StoreError};
use crate::domain::{AlertId, Timestamp};

/// Failed recipients that nobody was told of yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnreportedFailures {
    /// How many alerts there are in all.
    pub alerts: u64,
    /// One for each failed or expired recipient, oldest first, of as many alerts as were asked
    /// for; an alert that failed without a recipient has one without an address.
    pub lines: Vec<UnreportedLine>,
    /// What cannot be read.
    pub refused: Vec<RefusedRow>,
}

/// A failed recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreportedLine {
    /// Which alert.
    pub alert: AlertId,
    /// The application's own key.
    pub reference: Option<String>,
    /// Header.
    pub subject: Option<String>,
    /// Who did not get it.
    pub address: Option<String>,
    /// `failed` or `expired`.
    pub status: String,
    /// Since when.
    pub status_at: Timestamp,
    /// The relay of the last attempt.
    pub relay: Option<String>,
    /// What it said, codes first, or why the alert failed as a whole.
    pub reply: Option<String>,
    /// What to do.
    pub advice: Option<String>,
}

/// What became of a digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DigestResult {
    /// `None`, and nothing is done, where another instance told of one of the alerts first.
    pub digest: Option<AlertId>,
    /// Of what the digest tells without a note that it does, because the database refuses the note:
    /// the caller leaves them out of the next digests.
    pub refused: Vec<RefusedRow>,
}

/// Who is told of failures: bookkeeping that all instances share.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait FailureDigestStore: Send + Sync {
    /// Failures of a send port's alerts that ended within `within` and stand in no digest yet,
    /// `without` these; lines of `limit` alerts at most. Digests themselves are never among them.
    async fn unreported(
        &self,
        send_port: &str,
        within: Duration,
        limit: u32,
        without: &[AlertId],
    ) -> Result<UnreportedFailures, StoreError>;

    /// In one transaction: notes that the failures of `alerts` stand in a digest, and inserts
    /// `digest` with the origin [`Digest`](crate::domain::AlertOrigin::Digest).
    async fn insert_digest(
        &self,
        alerts: &[AlertId],
        digest: &NewAlert,
    ) -> Result<DigestResult, StoreError>;
}
