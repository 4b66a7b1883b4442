//! How fast old rows are deleted: so many rows and bytes a second, and slower while commits are slow.

use std::time::Duration;

use sendport_store::retention::Purged;

/// A batch that takes longer halves the pace.
const SLOW: Duration = Duration::from_millis(500);

/// The pace becomes no smaller than this part of the configured one.
const SLOWEST: f64 = 1.0 / 64.0;

/// How much faster the next batch may be after one that was not slow. A few slow ones in a row, such as the first ones
/// after a failover or a restart, must not slow a purge down for many minutes.
const RECOVERY: f64 = 1.25;

/// The configured pace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Rows of all tables in a second.
    pub rows_per_second: u32,
    /// Bytes of bodies and attachments in a second.
    pub bytes_per_second: u64,
}

/// Keeps a pace.
#[derive(Debug)]
pub struct Pacer {
    pace: Pace,
    share: f64,
}

impl Pacer {
    /// At full pace.
    pub fn new(pace: Pace) -> Self {
        Self { pace, share: 1.0 }
    }

    /// Bytes of one batch: half a second's worth, so that the pace is even.
    pub fn batch_bytes(&self) -> u64 {
        (self.pace.bytes_per_second / 2).max(1)
    }

    /// How long to rest after a batch that took so long.
    pub fn rest(&mut self, purged: &Purged, took: Duration) -> Duration {
        self.share = match took > SLOW {
            true => (self.share / 2.0).max(SLOWEST),
            false => (self.share * RECOVERY).min(1.0),
        };
        let rows = seconds(purged.rows, self.pace.rows_per_second.into());
        let bytes = seconds(purged.bytes, self.pace.bytes_per_second);
        let wanted = Duration::from_secs_f64(rows.max(bytes) / self.share);
        wanted.saturating_sub(took)
    }

    /// Whether slow commits keep it below the configured pace.
    pub fn is_slowed(&self) -> bool {
        self.share < 0.5
    }
}

#[expect(clippy::cast_precision_loss, reason = "a pace need not be exact")]
fn seconds(count: u64, per_second: u64) -> f64 {
    count as f64 / per_second.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        rows_per_second: 1000,
        bytes_per_second: 1_000_000,
    };

    fn purged(rows: u64, bytes: u64) -> Purged {
        Purged {
            rows,
            bytes,
            ..Purged::default()
        }
    }

    #[test]
    fn rows_and_bytes_both_count() {
        let mut pacer = Pacer::new(PACE);
        let quick = Duration::from_millis(100);
        assert_eq!(
            pacer.rest(&purged(500, 0), quick),
            Duration::from_millis(400)
        );
        assert_eq!(
            pacer.rest(&purged(1, 2_000_000), quick),
            Duration::from_millis(1900)
        );
        assert_eq!(pacer.rest(&purged(0, 0), quick), Duration::ZERO);
    }

    #[test]
    fn a_slow_commit_halves_the_pace_and_quick_ones_restore_it() {
        let mut pacer = Pacer::new(PACE);
        let slow = Duration::from_millis(600);
        assert_eq!(
            pacer.rest(&purged(1000, 0), slow),
            Duration::from_millis(1400)
        );
        pacer.rest(&purged(1000, 0), slow);
        assert!(pacer.is_slowed());
        for _ in 0..30 {
            pacer.rest(&purged(1000, 0), Duration::ZERO);
        }
        assert_eq!(
            pacer.rest(&purged(1000, 0), Duration::ZERO),
            Duration::from_secs(1)
        );
        assert!(!pacer.is_slowed());
    }

    #[test]
    fn it_never_stops_altogether() {
        let mut pacer = Pacer::new(PACE);
        for _ in 0..100 {
            pacer.rest(&purged(1, 0), Duration::from_secs(5));
        }
        let rest = pacer.rest(&purged(1000, 0), Duration::from_secs(1));
        assert_eq!(rest, Duration::from_secs(63));
    }
}
