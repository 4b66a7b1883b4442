//! The part of a relay's limits that is this instance's own.

use std::time::Instant;

use sendport_core::domain::Membership;

use crate::settings::limits::{Connections, Limits, Rate};

/// What an instance waits for because other instances have the same limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareWait {
    /// The others have not reduced their shares yet.
    Acknowledgement,
    /// Another instance may have used the whole `limit` within its window.
    Window {
        /// Name of the setting.
        limit: &'static str,
        /// The window is over then.
        until: Instant,
    },
}

/// Most of each at the same time, or in the window of its rate; `None`: any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) connections: u32,
    pub(super) messages: Option<u32>,
    pub(super) connects: Option<u32>,
}

impl Share {
    /// The part that follows from `membership`.
    pub(super) fn of(limits: &Limits, membership: Membership) -> Self {
        Self::made(limits, |limit| membership.share_of(limit))
    }

    /// Nothing of what is shared.
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

    /// Of each the smaller.
    pub(super) fn smaller(self, other: Self) -> Self {
        self.with(other, u32::min)
    }

    /// By how much it is more.
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
