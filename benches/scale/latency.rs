//! Percentiles.

use std::time::Duration;

/// How long each of many calls took.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Duration>);

impl Latencies {
    pub(crate) fn extend(&mut self, others: Vec<Duration>) {
        self.0.extend(others);
    }

    /// `n`, and the 50th, 99th and 99.9th percentile and the longest in milliseconds: the cells of a table.
    pub(crate) fn cells(&mut self) -> String {
        let millis = |share: f64| format!("{:.1}", self.percentile(share).as_secs_f64() * 1e3);
        let cells = [0.5, 0.99, 0.999, 1.0].map(millis);
        format!("{} | {}", self.0.len(), cells.join(" | "))
    }

    pub(crate) const HEAD: &str = "n | p50 ms | p99 ms | p99.9 ms | max ms";

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "the place of a percentile"
    )]
    pub(crate) fn percentile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted
            .get(place.saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }
}
