//! The one place that asks the system clock.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

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

/// A moment as in RFC 3339, in full seconds and UTC: `2026-11-30T09:08:51Z`.
pub fn utc_text(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// A moment by a pattern of `strftime`. Not generic: each crate that formats by itself has a copy of the
/// formatter of its own, of 7 KiB.
#[inline(never)]
pub fn format(at: Timestamp, pattern: &str) -> String {
    at.format(pattern).to_string()
}

/// Monotonic time as a parameter, for waits and windows.
#[derive(Clone)]
pub struct Ticks(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Ticks {
    /// Time as `now` tells it; it must not go back.
    pub fn from_fn(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Now.
    pub fn now(&self) -> Instant {
        (self.0)()
    }
}

impl Default for Ticks {
    /// The system's.
    fn default() -> Self {
        Self::from_fn(Instant::now)
    }
}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticks")
    }
}

/// Time that never jumps and, where the system can tell, goes on while the machine sleeps or is
/// frozen: a lease ends during a suspend, too.
#[cfg(target_os = "linux")]
pub fn steady() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanoseconds = u32::try_from(now.tv_nsec).unwrap_or_default();
    std::time::Duration::new(seconds, nanoseconds)
}

/// Time that never jumps.
#[cfg(not(target_os = "linux"))]
pub fn steady() -> std::time::Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}
