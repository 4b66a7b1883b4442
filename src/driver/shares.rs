//! Keeps this instance to its share of the relays' limits.

use crate::dispatcher::RelayBoard;
use crate::domain::InstanceId;
use crate::store::coordination::Coordination;

/// What this instance told the others, and whether all of them keep to it.
pub(super) struct Shares {
    instance: InstanceId,
    /// It keeps to a share among so many; never fewer than it really uses a share of.
    said: u32,
    agreed: bool,
}

impl Shares {
    /// Of a new instance: it asks nothing of relays with shared limits before
    /// [`Shares::agree`].
    pub(super) fn new(instance: InstanceId, board: &RelayBoard) -> Self {
        board.leave();
        Self {
            instance,
            said: 1,
            agreed: !board.has_shared_limits(),
        }
    }

    /// Nothing is to be asked or said before the next renewal.
    pub(super) fn are_agreed(&self) -> bool {
        self.agreed
    }

    /// Asks who else lives and keeps to the share that follows. Where the database does not
    /// answer, the last share stands: the lease fences it.
    pub(super) async fn agree(&mut self, store: &dyn Coordination, board: &RelayBoard) {
        if !board.has_shared_limits() {
            return;
        }
        // What is said anew is often all that was missing.
        while self.say(store, board).await {}
    }

    /// True where it has something else to say now.
    async fn say(&mut self, store: &dyn Coordination, board: &RelayBoard) -> bool {
        let standing = match store.stand(self.instance, self.said).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::debug!(%error, "shares of limits cannot be agreed on");
                self.agreed = false;
                return false;
            }
        };
        let within = board.stand(standing, self.said);
        self.agreed = standing.agreed && self.said == standing.instances;
        let may_say = within && self.said != standing.instances;
        if may_say {
            tracing::debug!(instances = standing.instances, "shares of limits changed");
            self.said = standing.instances;
        }
        may_say
    }
}
