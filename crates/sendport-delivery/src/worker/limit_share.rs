//! Keeps this instance to its share of the relays' configured limits.

use sendport_core::domain::InstanceId;
use sendport_store::Store;

use crate::relays::RelayRegistry;

/// The share that this instance published, and whether all others acknowledge it.
pub(super) struct LimitShare {
    instance: InstanceId,
    /// The number of instances in the published share. It is raised only once this instance uses
    /// no more than that share.
    published: u32,
    acknowledged: bool,
}

impl LimitShare {
    /// A new instance, which uses nothing of the divided limits before [`LimitShare::renew`].
    pub(super) fn new(instance: InstanceId, registry: &RelayRegistry) -> Self {
        registry.leave();
        Self {
            instance,
            published: 1,
            acknowledged: false,
        }
    }

    /// All others acknowledge the share: it is checked again with the next renewal of the lease.
    pub(super) fn is_settled(&self) -> bool {
        self.acknowledged
    }

    /// Reads how many instances run and keeps to the share that follows. Without an answer of the
    /// database the last share stays in force: the lease fences it.
    pub(super) async fn renew(&mut self, store: &dyn Store, registry: &RelayRegistry) {
        // Often the only thing missing is that this instance publishes its new share.
        while self.publish(store, registry).await {}
    }

    /// True if another share is to be published now.
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
