//! A relay that refuses everything because a limit is reached: probed by one connection of all
//! instances, at a growing interval.

use std::time::Duration;

/// The interval between two probes of a throttled relay, of all instances together; it doubles
/// with each alert that probes for the first time, up to [`LONGEST_PROBE_INTERVAL`].
pub const FIRST_PROBE_INTERVAL: Duration = Duration::from_secs(4);

/// A longer interval would hardly ever meet the moment in which another program that uses up
/// the limit rests.
pub const LONGEST_PROBE_INTERVAL: Duration = Duration::from_secs(4 * 60);

/// A relay that is throttled (`RelayThrottle`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThrottledRelay {
    /// Its name.
    pub relay: String,
    /// The next probe is due after this, by the database's clock.
    pub retry_in: Duration,
    /// The refusal, codes first.
    pub reply: String,
}

/// The answer to who asks for the next probe of a throttled relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeTurn {
    /// The caller probes now. The next probe is due after this, unless the relay takes this one.
    Granted(Duration),
    /// Another one probed; the next probe is due after this.
    Wait(Duration),
}
