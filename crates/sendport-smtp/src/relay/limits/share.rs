//! The share of this instance in the limits of a relay.

use std::time::Instant;

use sendport_core::domain::Membership;

use crate::settings::limits::{Connections, Limits, Rate};

/// The wait of an instance for other instances with the same limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareWait {
    /// The others have not reduced their shares yet.
    Acknowledgement,
    /// Another instance may have used the whole `limit` within its window.
    Window {
        /// Name of the setting.
        limit: &'static str,
        /// The end of the window.
        until: Instant,
    },
}

/// The maximum at the same time, or in the window of the rate; `None`: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) connections: u32,
    pub(super) messages: Option<u32>,
    pub(super) connects: Option<u32>,
}

impl Share {
    /// The share that follows from `membership`.
    pub(super) fn of(limits: &Limits, membership: Membership) -> Self {
        Self::made(limits, |limit| membership.share_of(limit))
    }

    /// Without any of the divided limits.
    pub(super) fn none(limits: &Limits) -> Self {
        Self::made(limits, |_| 0)
    }

    fn made(limits: &Limits, part: impl Fn(u32) -> u32) -> Self {
        let of_rate = |rate: Option<Rate>| rate.map(|rate| part(rate.count));
        Self {
            connections: match limits.connections {
                Connections::OfAll(most) => part(most.max(1)),
                Connections::OfEach(most) => most.max(1),
            },
            messages: of_rate(limits.message_rate),
            connects: of_rate(limits.connect_rate),
        }
    }

    /// The smaller one of each limit.
    pub(super) fn smaller(self, other: Self) -> Self {
        self.with(other, u32::min)
    }

    /// The differences of the limits.
    pub(super) fn more_than(self, other: Self) -> Self {
        self.with(other, u32::saturating_sub)
    }

    fn with(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        let both = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| f(a, b));
        Self {
            connections: f(self.connections, other.connections),
            messages: both(self.messages, other.messages),
            connects: both(self.connects, other.connects),
        }
    }
}
