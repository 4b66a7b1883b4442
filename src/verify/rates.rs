//! Claims and records a second, by the size of a batch.

use std::sync::Arc;
use std::time::Duration;

use sendport_store::{Store, StoreError};
use serde::Serialize;
use tokio::time::Instant;

use super::simulation::{LEASE, claim, insert_alerts, register, relayed};

/// Sizes of a batch that are measured, in alerts.
const BATCHES: [u32; 3] = [10, 50, 200];
/// Batches of each size.
const ROUNDS: u32 = 5;

/// One size of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rate {
    /// Alerts of one claim and of one record.
    pub batch: u32,
    /// Alerts claimed a second by one connection.
    pub claimed_per_second: u32,
    /// Alerts recorded a second by one connection.
    pub recorded_per_second: u32,
}

/// Measures one instance without competition.
///
/// # Errors
/// [`StoreError`].
pub async fn measure_rates(store: &Arc<dyn Store>) -> Result<Vec<Rate>, StoreError> {
    let instance = register(store, "verify-rates", LEASE).await?;
    let mut rates = Vec::new();
    for batch in BATCHES {
        insert_alerts(store, batch * ROUNDS).await?;
        let (mut claiming, mut recording, mut alerts) = (Duration::ZERO, Duration::ZERO, 0);
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let (token, claimed) = claim(store, instance, batch).await?;
            claiming += start.elapsed();
            let outcomes: Vec<_> = claimed.iter().map(|&id| relayed(id, token)).collect();
            let start = Instant::now();
            store.record(instance, &outcomes).await?;
            recording += start.elapsed();
            alerts += claimed.len();
        }
        rates.push(Rate {
            batch,
            claimed_per_second: per_second(alerts, claiming),
            recorded_per_second: per_second(alerts, recording),
        });
    }
    Ok(rates)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a figure for people, far below the limits"
)]
fn per_second(count: usize, spent: Duration) -> u32 {
    (count as f64 / spent.as_secs_f64().max(0.000_001)).round() as u32
}
