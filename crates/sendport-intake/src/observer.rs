//! The activity of an intake, for metrics.

use std::time::Duration;

/// Records the activity of one intake. Every command calls it: it must not wait.
pub trait IntakeObserver: Send + Sync {
    /// Records one measurement.
    fn record(&self, activity: IntakeActivity);
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntakeActivity {
    /// A client connected.
    ConnectionOpened,
    /// Its connection is closed.
    ConnectionClosed,
    /// A connection was closed at once, because there were too many.
    ConnectionRefused,
    /// A TLS handshake failed.
    HandshakeFailed,
    /// A user authenticated, or tried to.
    Authentication {
        /// True unless it was refused.
        succeeded: bool,
    },
    /// A command, or a message, was answered with this 4xx or 5xx.
    Refused(u16),
    /// So many message files are in the pickup folder, or taken and not committed.
    FilesWaiting(u64),
    /// The certificate of the server was read.
    CertificateRead {
        /// When it expires, in seconds since 1970.
        not_after: i64,
    },
    /// So much waits in the spool.
    Spooled {
        /// Number of messages.
        messages: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The database refused a message of the spool for good, or its file was damaged.
    SpoolRefused,
    /// A message was committed, or spooled.
    Accepted {
        /// Its size in bytes.
        bytes: u64,
        /// Its recipients.
        recipients: u32,
        /// How long the commit took.
        commit: Duration,
    },
}

/// Records nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl IntakeObserver for NoObserver {
    fn record(&self, _activity: IntakeActivity) {}
}
