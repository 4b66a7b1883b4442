//! The activity of a worker, for metrics.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{AlertStatus, Fault, RecipientStatus, ReportAction, Timestamp};
use sendport_store::Event;

/// Records the activity of a worker. It must not wait.
pub trait WorkerObserver: Send + Sync {
    /// Records one measurement.
    fn record(&self, activity: WorkerActivity<'_>);

    /// The observer of one send port; `None` for an unknown one.
    fn send_port(&self, name: &str) -> Option<Arc<dyn SendPortObserver>>;
}

/// Records the activity of one send port. Every alert calls it: it must not wait.
pub trait SendPortObserver: Send + Sync {
    /// The name of the send port.
    fn name(&self) -> &str;

    /// Records one measurement.
    fn record(&self, activity: SendPortActivity);
}

/// One measurement of a worker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WorkerActivity<'a> {
    /// A database operation took so long, and succeeded or failed.
    DatabaseOperation {
        /// Which one.
        operation: Operation,
        /// Its duration.
        took: Duration,
        /// True unless it failed.
        succeeded: bool,
    },
    /// A row for `EventLog`, whether it could be written or not.
    Event(&'a Event),
    /// The lease was lost.
    LeaseLost,
    /// A sweep changed so many alerts.
    Sweep {
        /// Value of its label.
        reason: &'static str,
        /// How many.
        alerts: u32,
    },
    /// When the first recipient's certificate expires that expires soon; `None` if none does.
    FirstCertificateExpiry(Option<Timestamp>),
}

/// An operation of a worker on the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Leasing what is due.
    Claim,
    /// Reading what was claimed.
    Load,
    /// Writing outcomes.
    Record,
    /// Renewing the lease.
    Renew,
    /// Looking for expired and orphaned alerts.
    Sweep,
    /// Deleting what is old.
    Purge,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Claim,
        Self::Load,
        Self::Record,
        Self::Renew,
        Self::Sweep,
        Self::Purge,
    ];

    /// The value of its label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "claim",
            Self::Load => "load",
            Self::Record => "record",
            Self::Renew => "renew",
            Self::Sweep => "sweep",
            Self::Purge => "purge",
        }
    }
}

/// One measurement of a send port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendPortActivity {
    /// A claim leased so many alerts.
    Claim(usize),
    /// Work on an alert begins.
    WorkBegin,
    /// It ended.
    WorkEnd,
    /// An alert was released without an attempt.
    Release,
    /// An alert was recorded with this status.
    Alert(AlertStatus),
    /// A recipient was recorded with this status.
    Recipient(RecipientStatus),
    /// A recipient failed, by this fault.
    RecipientFailure(Fault),
    /// An alert was relayed, so long after it was to be sent.
    Relayed(Duration),
    /// A report to the sender of a submitted message was inserted.
    Report(ReportAction),
    /// There is no such report, because it waited for a day.
    ReportDropped,
}

impl dyn WorkerObserver {
    pub(crate) fn database_operation<T, E>(
        &self,
        operation: Operation,
        took: Duration,
        result: &Result<T, E>,
    ) {
        self.record(WorkerActivity::DatabaseOperation {
            operation,
            took,
            succeeded: result.is_ok(),
        });
    }
}

/// An alert that is worked on, until this is dropped.
pub(crate) struct InFlight(Arc<dyn SendPortObserver>);

impl InFlight {
    pub(crate) fn new(port: Arc<dyn SendPortObserver>) -> Self {
        port.record(SendPortActivity::WorkBegin);
        Self(port)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.record(SendPortActivity::WorkEnd);
    }
}
