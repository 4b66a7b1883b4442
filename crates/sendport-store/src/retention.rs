//! What is deleted once it is old: bodies, alerts, events and counts, a batch at a time.

use std::ops::AddAssign;
use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AlertId, AlertStatus, InstanceId, RequestId, Timestamp};

use super::{RefusedRow, StoreError};

/// Most alerts of one batch.
pub const MOST_ALERTS: u32 = 200;

/// Most rows of one table in one batch. Far below the 5,000 locks of a statement from which SQL Server locks the whole
/// table.
pub const MOST_CHILD_ROWS: u32 = 1000;

/// Younger alerts are not purged: the counts of their minutes are not complete.
pub const YOUNGEST: Duration = Duration::from_secs(3600);

/// Final alerts of one status and one send port that became final as long ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeScope {
    /// A final one; of another one nothing is purged.
    pub status: AlertStatus,
    /// The send port.
    pub send_port: String,
    /// Time since `FinalAt`.
    pub older_than: Duration,
    /// Which of them.
    pub among: PurgeAmong,
    /// The request of an operator that names them, in which they are counted.
    pub request: Option<RequestId>,
}

impl PurgeScope {
    /// All of them, by age.
    pub fn old(status: AlertStatus, send_port: &str, older_than: Duration) -> Self {
        Self {
            status,
            send_port: send_port.to_owned(),
            older_than,
            among: PurgeAmong::AllBut(Vec::new()),
            request: None,
        }
    }
}

/// Some alerts of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurgeAmong {
    /// All but these, which the database refused before; at most [`MOST_REFUSED`](super::MOST_REFUSED).
    AllBut(Vec<AlertId>),
    /// These, [`MOST_ALERTS`] at most.
    These(Vec<AlertId>),
}

/// What one or more batches deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purged {
    /// Alerts, or bodies.
    pub alerts: u64,
    /// Rows of all tables.
    pub rows: u64,
    /// Bytes of bodies and attachments.
    pub bytes: u64,
    /// Whether more may be left.
    pub more: bool,
    /// What the database refuses to delete although it deletes others.
    pub refused: Vec<RefusedRow>,
}

impl AddAssign for Purged {
    fn add_assign(&mut self, other: Self) {
        self.alerts += other.alerts;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.more = other.more;
        self.refused.extend(other.refused);
    }
}

/// How much of a scope is left to purge.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OldAlerts {
    /// Alerts with a body or attachments.
    pub bodies: u64,
    /// All alerts.
    pub alerts: u64,
}

/// The final alerts of one status and one send port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalGroup {
    /// The status.
    pub status: AlertStatus,
    /// The send port.
    pub send_port: String,
    /// The oldest `FinalAt` of those whose body is there.
    pub oldest_body: Option<Timestamp>,
    /// The oldest `FinalAt` of those whose body was purged.
    pub oldest_purged: Option<Timestamp>,
}

impl FinalGroup {
    /// The oldest `FinalAt` of all.
    pub fn oldest(&self) -> Option<Timestamp> {
        let all = self.oldest_body.into_iter().chain(self.oldest_purged);
        all.min()
    }
}

/// What the view `RetentionProgress` shows beside the counts, which each batch adds to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetentionNote {
    /// Why nothing is purged for the moment.
    pub paused: Option<String>,
    /// The oldest `FinalAt` that remains.
    pub oldest_final: Option<Timestamp>,
    /// The oldest `FinalAt` of an alert whose body remains.
    pub oldest_body: Option<Timestamp>,
    /// Whether the round has ended.
    pub ended: bool,
}

/// How large the database may become, where the engine limits that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseSize {
    /// Bytes of its data files.
    pub bytes: u64,
    /// Most bytes that the edition allows.
    pub limit: u64,
}

/// Deletes what is old. Each call is one short transaction and may be repeated. Only one runs at a time in a database;
/// another one waits a moment and fails with [`StoreErrorKind::Unavailable`](super::StoreErrorKind::Unavailable). Alerts
/// that are not final are never touched, and neither are audit copies. An alert that another transaction has locked is
/// left for another call.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait RetentionStore: Send + Sync {
    /// Takes or renews the right to purge for `lease`; false where another instance has it.
    async fn begin_retention(
        &self,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<bool, StoreError>;

    /// Writes what the view `RetentionProgress` shows; nothing where `instance` has no right to purge.
    async fn show_retention(
        &self,
        instance: InstanceId,
        note: &RetentionNote,
    ) -> Result<(), StoreError>;

    /// The statuses and send ports of all final alerts. Costs a few seeks for each. Waits for no transaction.
    async fn final_groups(&self) -> Result<Vec<FinalGroup>, StoreError>;

    /// Counts what is as old. Costs as much as there is. Waits for no transaction.
    async fn count_old(&self, scope: &PurgeScope) -> Result<OldAlerts, StoreError>;

    /// Deletes bodies and attachments of the oldest alerts: of [`MOST_ALERTS`] at most, [`MOST_CHILD_ROWS`] attachments
    /// at most, and no further alert once there are `bytes`. The alerts stay.
    async fn purge_bodies(&self, scope: &PurgeScope, bytes: u64) -> Result<Purged, StoreError>;

    /// Deletes the oldest alerts whose bodies were purged, [`MOST_ALERTS`] at most, with all that belongs to them,
    /// [`MOST_CHILD_ROWS`] of each table at most, and adds them to `DailyCount`. An alert with more rows needs
    /// several calls.
    async fn purge_alerts(&self, scope: &PurgeScope) -> Result<Purged, StoreError>;

    /// Deletes up to [`MOST_CHILD_ROWS`] rows of `EventLog` that are older; how many.
    async fn purge_events(&self, older_than: Duration) -> Result<u64, StoreError>;

    /// Deletes some reports that match no alert and are as old; those of alerts go with them.
    async fn purge_feedback(&self, older_than: Duration) -> Result<u64, StoreError>;

    /// Deletes up to [`MOST_CHILD_ROWS`] rows of `DailyCount` of earlier days; how many.
    async fn purge_counts(&self, older_than: Duration) -> Result<u64, StoreError>;

    /// The size of the database, where its edition limits it; `None` where it does not.
    async fn database_size(&self) -> Result<Option<DatabaseSize>, StoreError>;
}
