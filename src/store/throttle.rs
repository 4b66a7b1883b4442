//! What instances share about relays that refuse everything because a limit is reached.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{ProbeTurn, ThrottledRelay};

/// Throttled relays; every comparison is by the database's clock.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait ThrottleStore: Send + Sync {
    /// Asks for the next probe of a relay that said `reply`, and writes down that the relay is
    /// throttled. Of any number that ask at the same time one gets [`ProbeTurn::Granted`]. The
    /// interval until the next probe begins with
    /// [`FIRST_PROBE_INTERVAL`](crate::domain::FIRST_PROBE_INTERVAL) and doubles with each
    /// probe up to [`LONGEST_PROBE_INTERVAL`](crate::domain::LONGEST_PROBE_INTERVAL). Who did
    /// not hear the answer loses that probe.
    async fn begin_probe(&self, relay: &str, reply: &str) -> Result<ProbeTurn, StoreError>;

    /// The relay took a message: it is not throttled any more. Does nothing where it was not.
    async fn end_throttle(&self, relay: &str) -> Result<(), StoreError>;

    /// All relays that are throttled.
    async fn throttled_relays(&self) -> Result<Vec<ThrottledRelay>, StoreError>;
}
