//! What instances share beside the queue: their shares of limits, and relay authentication.

use std::time::Duration;

use async_trait::async_trait;
use sendport_core::domain::{AuthDecision, AuthKey, AuthOutcome, InstanceId, Membership};

use super::StoreError;

/// An authentication without a recorded result counts as unanswered after this time.
pub const AUTH_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The reply text of an authentication without a recorded result.
pub(super) const AUTH_ABANDONED: &str =
    "the program that tried it ended before it noted an answer of the relay";

/// Credentials of a relay that were unused for this long are forgotten when others are recorded.
pub(super) const AUTH_FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// [`Membership::others_ended`] looks back as far as this.
pub(super) const ENDED_LATELY: Duration = Duration::from_secs(3600);

/// What instances agree on; every comparison is by the database's clock.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait Coordination: Send + Sync {
    /// Writes that `instance` keeps to its share of limits among `share_count` instances
    /// (`Instance.ShareCount`; 0: it sends nothing, and the others do not count it), and returns its membership. [`Membership::acknowledged`] is true where every
    /// other running instance's `ShareCount` is at least the number that run now. An instance
    /// runs while `StoppedAt` is NULL and its lease has not expired; an `instance` that does not (not
    /// registered, lease lost) is counted here as the youngest, and by the others not at all.
    async fn publish_share(
        &self,
        instance: InstanceId,
        share_count: u32,
    ) -> Result<Membership, StoreError>;

    /// Asks whether credentials may be tried now, and if no result is known, records that
    /// `instance` tries them: of any number that ask at the same time one gets
    /// [`AuthDecision::ProceedAlone`], and the others [`AuthDecision::Wait`] until
    /// [`Coordination::end_authentication`], until the lease of the one that tries has run out, or for
    /// [`AUTH_TIMEOUT`]. One without a result by then counts as
    /// [`AuthOutcome::Unanswered`]: the relay may have seen it. An `instance` asks for itself once at a time: where it asks again before it
    /// has ended, it did not hear the answer, and gets the turn that it has. A
    /// refusal is in force for [`AUTH_COOLDOWN`](sendport_core::domain::AUTH_COOLDOWN); then one may try again.
    /// `instance` is `None` for a command that is not a running service.
    async fn begin_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
    ) -> Result<AuthDecision, StoreError>;

    /// Records the result of an authentication. The relay's reply counts, whichever instance has the turn now;
    /// [`AuthOutcome::NotAttempted`] gives back the turn of this very `instance` and leaves what was
    /// known before it. [`AuthOutcome::Unanswered`] is a refusal where the one before it was not
    /// accepted either; the first makes the others ask for turns again. Rows of other secrets of the relay that were not touched for a day are
    /// dropped when something is learned.
    async fn end_authentication(
        &self,
        instance: Option<InstanceId>,
        key: &AuthKey,
        verdict: &AuthOutcome,
    ) -> Result<(), StoreError>;
}
