//! How much one instance may ask of one relay now: what is configured, its share of that, and
//! what was learned from the relay's refusals.

use crate::config::limits::{Connections, Limits};

/// The limits of one relay. Shared by its connections and whoever decides about turns.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
}

impl Limiter {
    /// Nothing is used, nothing learned.
    pub fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Most connections at the same time.
    pub fn connections(&self) -> u32 {
        match self.limits.connections {
            Connections::OfAll(most) | Connections::OfEach(most) => most.max(1),
        }
    }

    /// Most recipients of one mail transaction: configured, or fewer where the relay said so
    /// (452 4.5.3, RFC 5321 section 4.5.3.1.10). At least 1.
    pub fn recipients_limit(&self) -> Option<usize> {
        let limit = usize::try_from(self.limits.recipients?).unwrap_or(usize::MAX);
        Some(limit.max(1))
    }
}
