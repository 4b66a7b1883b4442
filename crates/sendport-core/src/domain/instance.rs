//! One running service, and what it shows of its configuration in SQL.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Timestamp, alert::word_enum};

/// Names one run of the service; owner of leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub Uuid);

impl InstanceId {
    /// An id that no other run has.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

/// What a row of `Instance` says when the instance starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceInfo {
    /// Its key.
    pub id: InstanceId,
    /// The configured name, or host name and process id.
    pub name: String,
    /// Where it runs.
    pub host_name: String,
    /// Process id there.
    pub process_id: u32,
    /// Of the program.
    pub version: String,
    /// The environment that its configuration names.
    pub environment: String,
}

word_enum! {
    /// What the service does with an alert in doubt: the result of its attempt was not observed, so the relay
    /// may have accepted it.
    pub enum InDoubt {
        /// Sent again, with the same Message-ID: never lost, rarely sent twice.
        Retry = "retry",
        /// Held until an operator resolves it; never sent twice.
        Hold = "hold",
    }
}

/// A send port as its row in `SendPort` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendPortInfo {
    /// Its name, as `Alert.SendPort` has it.
    pub name: String,
    /// The From that it uses.
    pub from_address: String,
    /// Relays in order.
    pub relays: Vec<String>,
    /// Minimum protection.
    pub protection: String,
    /// An alert older than this expires.
    pub max_age: Duration,
    /// What `take_over` does with alerts in doubt.
    pub in_doubt: InDoubt,
}

word_enum! {
    /// Whether a relay can be used now.
    pub enum RelayCondition {
        /// In use.
        Closed = "closed",
        /// Failed: not asked until `RelayState::retry_at`.
        Open = "open",
        /// One message tries whether it is back.
        HalfOpen = "half_open",
        /// Refused for a reason that a person has to mend (a password, the right to relay).
        Paused = "paused",
    }
}

/// What one instance knows of one relay; shown by `Queue.WaitingFor`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayState {
    /// Its name in the configuration.
    pub relay: String,
    /// Whether it can be used.
    pub condition: RelayCondition,
    /// Since when.
    pub since: Timestamp,
    /// When it is tried again, unless it is in use.
    pub retry_at: Option<Timestamp>,
    /// The reply that made it so, codes first.
    pub reply: Option<String>,
    /// Key into `ReplyExplanation`.
    pub explanation: Option<String>,
    /// Most connections that this instance may have to it now; `None`: no limit.
    pub connections: Option<u32>,
    /// Most messages that this instance may submit now, `15/min`; `None`: no limit.
    pub message_rate: Option<String>,
    /// Most recipients of one transaction now, configured or learned; `None`: no limit.
    pub max_recipients: Option<u32>,
    /// Why connections or messages are fewer than its share of what is configured: what the relay
    /// said.
    pub throttle_reason: Option<String>,
    /// What this instance waits for because other instances have the same limits. Stored as the
    /// reason where the relay gave none.
    pub share_wait: Option<String>,
}

/// What keeps an instance from sending or from recording, as its row in `Instance` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceCondition {
    /// Why it sends nothing now, in words.
    pub waiting_for: Option<String>,
    /// Outcomes that the database does not have although they were to be recorded; they are in
    /// the state folder.
    pub unrecorded: u32,
    /// Since when there are some.
    pub unrecorded_since: Option<Timestamp>,
    /// Alerts that are due and that the database refuses to lease.
    pub unclaimed: u32,
    /// Since when there are some.
    pub unclaimed_since: Option<Timestamp>,
}

/// The place of an instance among those that run: the limits of a relay hold for all of them
/// together, and each takes its share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Instances whose lease is valid, this one included; at least 1.
    pub instances: u32,
    /// Its place among them by age, 0 for the oldest.
    pub rank: u32,
    /// Every other one keeps to a share of `instances` or more (`Instance.ShareCount`).
    pub acknowledged: bool,
    /// How long ago the last of the others ended (stopped, or its lease ran out), if one ended
    /// within the last hour.
    pub others_ended: Option<Duration>,
}

impl Membership {
    /// No other instance runs or ran lately.
    pub const ALONE: Self = Self {
        instances: 1,
        rank: 0,
        acknowledged: true,
        others_ended: None,
    };

    /// The part of `limit` that is this instance's own; all parts together are `limit`. Zero
    /// where there are more instances than `limit`, for the youngest of them.
    pub fn share_of(self, limit: u32) -> u32 {
        let instances = self.instances.max(1);
        limit / instances + u32::from(self.rank < limit % instances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_to_the_limit() {
        for limit in 0..40 {
            for instances in 1..10 {
                let share = |rank| {
                    let membership = Membership {
                        instances,
                        rank,
                        ..Membership::ALONE
                    };
                    membership.share_of(limit)
                };
                assert_eq!((0..instances).map(share).sum::<u32>(), limit);
            }
        }
    }
}
