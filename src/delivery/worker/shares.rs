//! Keeps this instance to its share of the relays' limits.

use std::time::Duration;

use crate::delivery::relays::RelayRegistry;
use crate::domain::{InstanceId, Standing};
use crate::store::{Store, StoreError};

/// A number that stood for so many renewals was read by everybody.
const SETTLES: u32 = 2;

/// What this instance told the others, and whether all of them keep to it.
pub(super) struct Shares {
    instance: InstanceId,
    /// It keeps to a share among so many; never fewer than it really uses a share of.
    said: u32,
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
            said: 1,
            agreed: false,
            settles: renews * SETTLES,
        }
    }

    /// Nothing is to be asked or said before the next renewal.
    pub(super) fn are_agreed(&self, board: &RelayRegistry) -> bool {
        self.agreed && !board.shares_learned()
    }

    /// Asks who else lives and keeps to the share that follows. Where the database does not
    /// answer, the last share stands: the lease fences it.
    pub(super) async fn agree(&mut self, store: &dyn Store, board: &RelayRegistry) {
        // What is said anew is often all that was missing.
        while self.say(store, board).await {}
    }

    /// True where it has something else to say now.
    async fn say(&mut self, store: &dyn Store, board: &RelayRegistry) -> bool {
        let standing = match self.stand(store, board).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::debug!(%error, "limit share update failed");
                self.agreed = false;
                return false;
            }
        };
        let within = board.stand(standing, self.said);
        self.agreed = standing.agreed && self.said == standing.instances;
        let may_say = within && self.said != standing.instances;
        if may_say {
            tracing::debug!(instances = standing.instances, "limit shares changed");
            self.said = standing.instances;
        }
        may_say
    }

    /// Tells what was learned, and asks what all learned together.
    async fn stand(
        &self,
        store: &dyn Store,
        board: &RelayRegistry,
    ) -> Result<Standing, StoreError> {
        let standing = store.publish_share(self.instance, self.said).await?;
        for (relay, finding) in board.findings() {
            // Where another one was faster, what follows is told the next time.
            if store.note_limit(self.instance, &relay, &finding).await? {
                board.told(&relay, &finding);
            }
        }
        let learned = store.learned_limits().await?;
        board.agree(standing, &learned, self.settles);
        if board.has_ended_connections() {
            self.add_up_connection_ends(store, board).await?;
        }
        self.agree_on_recipients(store, board).await?;
        agree_on_throttles(store, board).await?;
        Ok(standing)
    }

    /// A connection that ended at another instance counts as the first.
    async fn add_up_connection_ends(
        &self,
        store: &dyn Store,
        board: &RelayRegistry,
    ) -> Result<(), StoreError> {
        board.compare_connection_ends(&store.connection_ends(self.instance).await?);
        for (relay, end) in board.unreported_connection_ends() {
            store
                .note_connection_end(self.instance, &relay, &end)
                .await?;
            board.connection_end_told(&relay, &end);
        }
        Ok(())
    }

    /// Tells how many recipients relays take at a time, and asks what others found out of it.
    async fn agree_on_recipients(
        &self,
        store: &dyn Store,
        board: &RelayRegistry,
    ) -> Result<(), StoreError> {
        for (relay, finding) in board.recipients_findings() {
            store
                .note_recipients(self.instance, &relay, &finding)
                .await?;
            board.recipients_told(&relay, &finding);
        }
        board.agree_on_recipients(&store.learned_recipients().await?);
        Ok(())
    }
}

/// Tells which throttled relays take messages again, and asks which others found throttled.
async fn agree_on_throttles(store: &dyn Store, board: &RelayRegistry) -> Result<(), StoreError> {
    for relay in board.ended_throttles() {
        store.end_throttle(&relay).await?;
        board.throttle_end_told(&relay);
    }
    board.agree_on_throttles(&store.throttled_relays().await?);
    Ok(())
}
