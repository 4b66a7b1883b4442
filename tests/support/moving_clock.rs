//! Time that a test moves.

use chrono::{DateTime, TimeDelta};
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::Timestamp;

/// Its time changes only when it is moved.
pub(crate) struct MovingClock(Mutex<Timestamp>);

impl MovingClock {
    pub(crate) fn new() -> Self {
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("a time");
        Self(Mutex::new(start))
    }

    pub(crate) fn advance(&self, seconds: i64) {
        *self.0.lock() += TimeDelta::seconds(seconds);
    }
}

impl Clock for MovingClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}
