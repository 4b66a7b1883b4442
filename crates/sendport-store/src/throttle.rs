//! Throttled relays: what instances share about relays that refuse everything because a limit is reached.

use async_trait::async_trait;

use super::StoreError;
use sendport_core::domain::{AlertId, ProbeTurn, ThrottledRelay};

/// Throttled relays; every comparison is by the database's clock.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait ThrottleStore: Send + Sync {
    /// Asks for the next probe of a relay that said `reply`, to be made by `alert`, and writes down
    /// that the relay is throttled. Of any number that ask at the same time one gets [`ProbeTurn::Granted`]. The
    /// interval until the next probe begins with
    /// [`FIRST_PROBE_INTERVAL`](sendport_core::domain::FIRST_PROBE_INTERVAL) and doubles with each
    /// alert that probes for the first time up to
    /// [`LONGEST_PROBE_INTERVAL`](sendport_core::domain::LONGEST_PROBE_INTERVAL): a few that are refused
    /// again and again hold up no other one. A caller that
    /// does not get the answer loses that probe.
    async fn begin_probe(
        &self,
        relay: &str,
        alert: AlertId,
        reply: &str,
    ) -> Result<ProbeTurn, StoreError>;

    /// The relay took a message: it is not throttled any more. Does nothing where it was not.
    async fn end_throttle(&self, relay: &str) -> Result<(), StoreError>;

    /// All relays that are throttled.
    async fn throttled_relays(&self) -> Result<Vec<ThrottledRelay>, StoreError>;
}
