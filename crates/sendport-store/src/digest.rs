//! Failures that have to be reported, and the alert that reports them.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, Timestamp};

use super::{NewAlert, RefusedRow, StoreError};

/// Failed recipients that no digest has reported yet.
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
    /// The recipient.
    pub address: Option<String>,
    /// `failed` or `expired`.
    pub status: String,
    /// When it failed.
    pub status_at: Timestamp,
    /// The relay of the last attempt.
    pub relay: Option<String>,
    /// Its reply, codes first, or why the alert failed as a whole.
    pub reply: Option<String>,
    /// What to do.
    pub advice: Option<String>,
}

/// The result of inserting a digest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DigestResult {
    /// `None`, and nothing is done, where another instance reported one of the alerts first.
    pub digest: Option<AlertId>,
    /// Alerts that the digest reports although the database refuses the row that says so: the caller leaves them
    /// out of the next digests.
    pub refused: Vec<RefusedRow>,
}

/// Which failures were reported: bookkeeping that all instances share.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait FailureDigestStore: Send + Sync {
    /// Failures of a send port's alerts that became final within `within` and are in no digest yet,
    /// `without` these; lines of `limit` alerts at most. Digests themselves are never among them.
    async fn unreported(
        &self,
        send_port: &str,
        within: Duration,
        limit: u32,
        without: &[AlertId],
    ) -> Result<UnreportedFailures, StoreError>;

    /// In one transaction: records that the failures of `alerts` are in a digest, and inserts
    /// `digest` with the origin [`Digest`](sendport_core::domain::AlertOrigin::Digest).
    async fn insert_digest(
        &self,
        alerts: &[AlertId],
        digest: &NewAlert,
    ) -> Result<DigestResult, StoreError>;
}
