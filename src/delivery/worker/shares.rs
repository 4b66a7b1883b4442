//! Keeps this instance to its share of the relays' limits.

use std::time::Duration;

use crate::delivery::relays::RelayRegistry;
use crate::domain::{InstanceId, Membership};
use crate::store::{Store, StoreError};

/// A number that is unchanged for so many renewals was read by every instance.
const SETTLES: u32 = 2;

/// The share that this instance published, and whether all others acknowledge it.
pub(super) struct Shares {
    instance: InstanceId,
    /// It keeps to a share among so many; never fewer than it really uses a share of.
    published: u32,
    agreed: bool,
    /// How long a learned number has to stand before it is used to the full.
    settles: Duration,
}

impl Shares {
    /// Of a new instance that renews its lease so often: it asks nothing of relays with shared
    /// limits before [`Shares::agree`].
    pub(super) fn new(instance: InstanceId, board: &RelayRegistry, renews: Duration) -> Self {
        board.leave();
        Self {
            instance,
            published: 1,
            agreed: false,
            settles: renews * SETTLES,
        }
    }

    /// Nothing is to be asked or said before the next renewal.
    pub(super) fn are_agreed(&self, board: &RelayRegistry) -> bool {
        self.agreed && !board.shares_learned()
    }

    /// Asks who else lives and keeps to the share that follows. Where the database does not
    /// answer, the last share stays: the lease fences it.
    pub(super) async fn agree(&mut self, store: &dyn Store, board: &RelayRegistry) {
        // What is said anew is often all that was missing.
        while self.publish(store, board).await {}
    }

    /// True where it has something else to say now.
    async fn publish(&mut self, store: &dyn Store, board: &RelayRegistry) -> bool {
        let membership = match self.exchange(store, board).await {
            Ok(membership) => membership,
            Err(error) => {
                tracing::debug!(%error, "limit share update failed");
                self.agreed = false;
                return false;
            }
        };
        let within = board.apply_share(membership, self.published);
        self.agreed = membership.acknowledged && self.published == membership.instances;
        let may_publish = within && self.published != membership.instances;
        if may_publish {
            tracing::debug!(instances = membership.instances, "limit shares changed");
            self.published = membership.instances;
        }
        may_publish
    }

    /// Tells what was learned, and asks what all learned together.
    async fn exchange(
        &self,
        store: &dyn Store,
        board: &RelayRegistry,
    ) -> Result<Membership, StoreError> {
        let membership = store.publish_share(self.instance, self.published).await?;
        for (relay, finding) in board.findings() {
            // Two instances race for one number: the one that was slower publishes with the next round.
            if store.note_limit(self.instance, &relay, &finding).await? {
                board.mark_published(&relay, &finding);
            }
        }
        let learned = store.learned_limits().await?;
        board.adopt_learned(membership, &learned, self.settles);
        if board.has_ended_connections() {
            self.share_connection_ends(store, board).await?;
        }
        self.share_recipients(store, board).await?;
        share_throttles(store, board).await?;
        Ok(membership)
    }

    /// A connection that ended at another instance counts as the first.
    async fn share_connection_ends(
        &self,
        store: &dyn Store,
        board: &RelayRegistry,
    ) -> Result<(), StoreError> {
        board.compare_connection_ends(&store.connection_ends(self.instance).await?);
        for (relay, end) in board.unreported_connection_ends() {
            store
                .note_connection_end(self.instance, &relay, &end)
                .await?;
            board.mark_connection_end_published(&relay, &end);
        }
        Ok(())
    }

    /// Tells how many recipients relays take at a time, and asks what others found out of it.
    async fn share_recipients(
        &self,
        store: &dyn Store,
        board: &RelayRegistry,
    ) -> Result<(), StoreError> {
        for (relay, finding) in board.recipients_findings() {
            store
                .note_recipients(self.instance, &relay, &finding)
                .await?;
            board.mark_recipients_published(&relay, &finding);
        }
        board.adopt_recipients(&store.learned_recipients().await?);
        Ok(())
    }
}

/// Tells which throttled relays take messages again, and asks which others found throttled.
async fn share_throttles(store: &dyn Store, board: &RelayRegistry) -> Result<(), StoreError> {
    for relay in board.ended_throttles() {
        store.end_throttle(&relay).await?;
        board.mark_throttle_end_published(&relay);
    }
    board.adopt_throttles(&store.throttled_relays().await?);
    Ok(())
}
