//! How many connections a relay takes of all instances together, where that was learned.
//!
//! The database holds one number. Each instance keeps to its part of it, says what it found out
//! since, and only the oldest one tries whether the relay takes more. So a level is exceeded by
//! one connection of one instance, and none of them takes what another one needs.

use std::time::{Duration, Instant};

use super::adaptive_limit::AdaptiveLimit;
use sendport_core::domain::{LearnedLimit, LimitFinding, Membership};

/// What this instance knows of the number that is agreed on.
#[derive(Debug)]
pub(super) struct SharedConcurrency {
    membership: Membership,
    total: Option<u32>,
    /// By how much more, or less, works here since.
    found: i64,
    /// It just came, and so had none of what was counted.
    joins: bool,
    /// It may try one more: it is the oldest, and uses its part.
    tries: bool,
}

/// The state that an instance adopts.
pub(super) struct SharedState<'l> {
    pub(super) membership: Membership,
    /// `None`: nothing is known, or no longer.
    pub(super) limit: Option<&'l LearnedLimit>,
    /// After this, unchanged, everybody has read it.
    pub(super) settles: Duration,
    /// Connections that work here.
    pub(super) working: u32,
    /// The time that a learned level is about.
    pub(super) window: Duration,
}

impl SharedConcurrency {
    /// Nothing known, nobody to share with.
    pub(super) fn new() -> Self {
        Self {
            membership: Membership::ALONE,
            total: None,
            found: 0,
            joins: false,
            tries: true,
        }
    }

    /// It shall ask before anything is used.
    pub(super) fn leave(&mut self) {
        *self = Self {
            joins: true,
            ..Self::new()
        };
    }

    pub(super) fn is_known(&self) -> bool {
        self.total.is_some()
    }

    /// Nobody knows a number, and others may have what was refused here.
    pub(super) fn others_may_have_all(&self) -> bool {
        self.total.is_none() && self.membership.instances > 1
    }

    pub(super) fn may_try(&self) -> bool {
        self.tries
    }

    /// Only the oldest one forgets; the others hear of it.
    pub(super) fn may_forget(&self) -> bool {
        self.membership.rank == 0
    }

    /// The level here went from `before` to `after`.
    pub(super) fn found(&mut self, before: u32, after: u32) {
        if self.is_known() {
            self.found += i64::from(after) - i64::from(before);
        }
    }

    /// What the others do not know yet.
    pub(super) fn finding(&self, learned: Option<&AdaptiveLimit>) -> Option<LimitFinding> {
        let (was, is) = match (self.total, learned) {
            (None, Some(learned)) => (None, Some(learned.level())),
            (Some(total), Some(_)) if self.found != 0 => (Some(total), Some(self.sum(total))),
            (Some(total), None) => (Some(total), None),
            _ => return None,
        };
        let said = learned.map_or("", AdaptiveLimit::said).to_owned();
        Some(LimitFinding { was, is, said })
    }

    fn sum(&self, total: u32) -> u32 {
        let sum = i64::from(total) + self.found;
        u32::try_from(sum.max(0)).unwrap_or(u32::MAX)
    }

    /// The others can read it now.
    pub(super) fn mark_published(&mut self, finding: &LimitFinding) {
        let shared = match (finding.was, finding.is) {
            (Some(was), Some(is)) => i64::from(is) - i64::from(was),
            _ => self.found,
        };
        self.total = finding.is;
        self.found -= shared;
    }

    /// Keeps to the part that follows from what is known, less at once and more once everybody
    /// has read it.
    pub(super) fn adopt_learned(
        &mut self,
        now: Instant,
        learned: &mut Option<AdaptiveLimit>,
        shared: &SharedState<'_>,
    ) {
        self.membership = shared.membership;
        let joins = std::mem::take(&mut self.joins);
        let Some(limit) = shared.limit else {
            if self.total.take().is_some() {
                *learned = None;
                self.found = 0;
            }
            self.tries = shared.membership.rank == 0;
            return;
        };
        let first = self.total.replace(limit.connections).is_none();
        if first && learned.is_none() && self.may_forget() && is_old(limit, shared.window) {
            return;
        }
        let working = if joins { 0 } else { shared.working };
        let own = learned
            .get_or_insert_with(|| AdaptiveLimit::new(working, shared.window, now, &limit.said));
        if first && !joins {
            // Who found the number did not know of these.
            self.found = i64::from(own.level());
        }
        let part = shared.membership.share_of(limit.connections.max(1));
        let shrinks = limit.unchanged_for >= shared.settles / 2;
        let grows = limit.unchanged_for >= shared.settles
            && shared.membership.acknowledged
            && self.found == 0;
        if (part < own.level() && shrinks) || (part > own.level() && grows) {
            own.keep_to(part);
        }
        self.tries = shared.membership.rank == 0 && own.level() >= part;
    }
}

fn is_old(limit: &LearnedLimit, window: Duration) -> bool {
    limit.unchanged_for >= window * super::adaptive_limit::FORGOTTEN_AFTER
}
