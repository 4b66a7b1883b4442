//! The one place that asks the system clock.

use crate::domain::Timestamp;

/// Wall-clock time as a parameter, so that a test can move it.
pub trait Clock: Send + Sync {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the place that the ban points to"
    )]
    fn now(&self) -> Timestamp {
        chrono::Utc::now()
    }
}
