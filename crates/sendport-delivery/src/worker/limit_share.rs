//! Keeps this instance to its share of the relays' configured limits.

use sendport_core::domain::InstanceId;
use sendport_store::Store;

use crate::relays::RelayRegistry;

/// The share that this instance published, and whether all others acknowledge it.
pub(super) struct LimitShare {
    instance: InstanceId,
    /// Among so many instances; never more than it really keeps to.
    published: u32,
    acknowledged: bool,
}

impl LimitShare {
    /// Of a new instance: it uses nothing of limits that are divided before [`LimitShare::renew`].
    pub(super) fn new(instance: InstanceId, registry: &RelayRegistry) -> Self {
        registry.leave();
        Self {
            instance,
            published: 1,
            acknowledged: false,
        }
    }

    /// Nothing changes before the next renewal of the lease.
    pub(super) fn is_settled(&self) -> bool {
        self.acknowledged
    }

    /// Reads how many instances live and keeps to the share that follows. Where the database does
    /// not answer, the last share stays: the lease fences it.
    pub(super) async fn renew(&mut self, store: &dyn Store, registry: &RelayRegistry) {
        // A share published anew is often all that was missing.
        while self.publish(store, registry).await {}
    }

    /// True where another share is to be published now.
    async fn publish(&mut self, store: &dyn Store, registry: &RelayRegistry) -> bool {
        let membership = match store.publish_share(self.instance, self.published).await {
            Ok(membership) => membership,
            Err(error) => {
                tracing::debug!(%error, "limit share update failed");
                self.acknowledged = false;
                return false;
            }
        };
        let within = registry.apply_share(membership, self.published);
        let changed = self.published != membership.instances;
        self.acknowledged = membership.acknowledged && !changed;
        if within && changed {
            tracing::debug!(instances = membership.instances, "limit shares changed");
            self.published = membership.instances;
        }
        within && changed
    }
}
