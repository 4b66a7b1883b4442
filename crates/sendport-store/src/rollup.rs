//! What the monitoring views show: the final alerts of each minute, counted from their rows.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;

/// So many minutes before the last counted one are counted again: a transaction that records an outcome may commit so
/// much later than it began.
pub const COUNTED_AGAIN: u32 = 3;

/// Where nothing was counted yet, counting begins so many hours ago.
pub const FIRST_HOURS: u32 = 24;

/// Most minutes of one call, so that a service that was stopped for long catches up in short transactions.
pub const MOST_MINUTES: u32 = 10;

/// Upper bounds of the latencies that are counted together, in milliseconds: twenty in each power of ten, so that a
/// percentile is at most 15 % above the true one (from 100 ms on). What takes longer than the last is counted with it.
pub fn latency_bounds() -> Vec<i64> {
    /// R20 of ISO 3, between 100 and 1,000.
    const STEPS: [i64; 20] = [
        100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710,
        800, 900,
    ];
    let first = [1, 2, 5, 10, 20, 50];
    let scaled = (0..7).flat_map(|power| STEPS.map(|step| step * 10_i64.pow(power)));
    first.into_iter().chain(scaled).collect()
}

/// What one call counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Minutes that were counted.
    pub minutes: u32,
    /// Whether more closed minutes are left.
    pub more: bool,
}

/// Counts the alerts of closed minutes into `MinuteCount` and `MinuteLatency`. A minute is counted again and again until
/// nothing can be added to it, and each time replaces what was counted before: so repeating a call, and several
/// instances at once, change nothing.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait RollupStore: Send + Sync {
    /// Counts the next closed minutes, [`MOST_MINUTES`] at most.
    async fn roll_up(&self) -> Result<RolledUp, StoreError>;

    /// Deletes up to [`MOST_CHILD_ROWS`](super::retention::MOST_CHILD_ROWS) rows of each of both tables that are older;
    /// how many.
    async fn purge_minutes(&self, older_than: Duration) -> Result<u64, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_by_less_than_15_percent() {
        let bounds = latency_bounds();
        for pair in bounds.windows(2).filter(|pair| pair[0] >= 100) {
            assert!(
                pair[0] < pair[1] && pair[1] * 100 < pair[0] * 115,
                "{pair:?}"
            );
        }
        assert_eq!(bounds.first(), Some(&1));
        assert_eq!(bounds.last(), Some(&900_000_000));
    }
}
