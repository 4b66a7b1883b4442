//! What the board of relays shares with other instances: limits, what was learned of them, and
//! who probes a relay that takes nothing.

use std::time::Duration;

use super::entry::{RelayEntry, Unavailable};
use super::events::{RelayEvent, in_use_again, throttled};
use super::registry::RelayRegistry;
use crate::domain::{
    AlertId, ConnectionEnd, LearnedLimit, LearnedRecipients, LimitFinding, Membership, ProbeTurn,
    ThrottledRelay,
};

/// How long a probe waits for a database that does not answer.
const STORE_WAIT: Duration = Duration::from_secs(5);

impl RelayRegistry {
    /// Nothing is asked of relays with shared limits before [`RelayRegistry::apply_share`].
    pub fn leave(&self) {
        for entry in self.entries.values() {
            entry.limiter().leave();
        }
    }

    /// Keeps to this instance's share of all limits, after it published a
    /// share among `published`. True once no more is used than that.
    pub fn apply_share(&self, membership: Membership, published: u32) -> bool {
        let mut within = true;
        for entry in self.entries.values() {
            within &= entry.limiter().apply_share(membership, published);
            entry.relay.shed();
        }
        within
    }

    /// What was learned of connections that other instances do not know yet, by relay.
    pub fn findings(&self) -> Vec<(String, LimitFinding)> {
        let finding = |(name, entry): (&String, &RelayEntry)| {
            Some((name.clone(), entry.limiter().finding()?))
        };
        self.entries.iter().filter_map(finding).collect()
    }

    /// Other instances can read it now.
    pub fn mark_published(&self, relay: &str, finding: &LimitFinding) {
        if let Some(entry) = self.entries.get(relay) {
            entry.limiter().mark_published(finding);
        }
    }

    /// Keeps to this instance's part of what all learned together; a part grows once that has
    /// stood for `settles`.
    pub fn adopt_learned(
        &self,
        membership: Membership,
        learned: &[LearnedLimit],
        settles: Duration,
    ) {
        for (name, entry) in &self.entries {
            let limit = learned.iter().find(|limit| limit.relay == *name);
            entry.limiter().adopt_learned(membership, limit, settles);
        }
    }

    /// What was learned of the recipients of one transaction that other instances do not know
    /// yet, by relay.
    pub fn recipients_findings(&self) -> Vec<(String, LearnedRecipients)> {
        let finding = |(name, entry): (&String, &RelayEntry)| {
            Some((name.clone(), entry.limiter().recipients_finding()?))
        };
        self.entries.iter().filter_map(finding).collect()
    }

    /// Other instances can read it now.
    pub fn mark_recipients_published(&self, relay: &str, finding: &LearnedRecipients) {
        if let Some(entry) = self.entries.get(relay) {
            entry.limiter().mark_recipients_published(finding);
        }
    }

    /// Keeps to what all instances know of the recipients of one transaction, by relay.
    pub fn adopt_recipients(&self, learned: &[(String, LearnedRecipients)]) {
        for (name, entry) in &self.entries {
            let known = learned.iter().find(|(relay, _)| relay == name);
            entry.limiter().adopt_recipients(known.map(|(_, it)| it));
        }
    }

    /// A connection to some relay ended among the recipients here, not long ago.
    pub fn has_ended_connections(&self) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| entry.limiter().has_ended_connection())
    }

    /// Adds up with the connections that ended at other instances, by relay.
    pub fn compare_connection_ends(&self, ends: &[(String, ConnectionEnd)]) {
        for (relay, end) in ends {
            if let Some(entry) = self.entries.get(relay) {
                entry.limiter().compare_connection_end(end);
            }
        }
    }

    /// Where connections ended here that other instances do not know of yet, by relay.
    pub fn unreported_connection_ends(&self) -> Vec<(String, ConnectionEnd)> {
        let end = |(name, entry): (&String, &RelayEntry)| {
            Some((name.clone(), entry.limiter().unreported_connection_end()?))
        };
        self.entries.iter().filter_map(end).collect()
    }

    /// Other instances can read it now.
    pub fn mark_connection_end_published(&self, relay: &str, end: &ConnectionEnd) {
        if let Some(entry) = self.entries.get(relay) {
            entry.limiter().mark_connection_end_published(end);
        }
    }

    /// Connections of some relay were learned, or it is throttled: instances have to agree about
    /// it often.
    pub fn shares_learned(&self) -> bool {
        let learned = |entry: &RelayEntry| {
            let circuit = entry.circuit();
            let throttle = circuit.throttle_reason().is_some() || circuit.throttle_ended();
            throttle || entry.limiter().shares_learned()
        };
        self.entries.values().any(learned)
    }

    /// Of all instances one probes a relay that is throttled.
    pub(crate) async fn ask_to_probe(
        &self,
        entry: &RelayEntry,
        alert: AlertId,
    ) -> Result<(), Unavailable> {
        let reply = entry.circuit().throttle_reason().map(str::to_owned);
        let (Some(reply), Some(throttles)) = (reply, &self.throttles) else {
            return Ok(());
        };
        let relay = entry.relay.name();
        let turn = throttles.begin_probe(relay, alert, &reply).await;
        let turn = turn.unwrap_or_else(|error| {
            tracing::debug!(relay, %error, "shared probe of throttled relay failed");
            ProbeTurn::Wait(STORE_WAIT)
        });
        let mut circuit = entry.circuit();
        match turn {
            ProbeTurn::Granted(next) => circuit.probe_granted(next),
            ProbeTurn::Wait(wait) => {
                circuit.probe_denied(self.moment(), wait);
                entry.report_condition(circuit.condition());
                return Err(Unavailable::Unwell);
            }
        }
        Ok(())
    }

    /// Throttled relays that take messages again, and other instances do not know it yet.
    pub fn ended_throttles(&self) -> Vec<String> {
        let ended = |(_, entry): &(&String, &RelayEntry)| entry.circuit().throttle_ended();
        let ended = self.entries.iter().filter(ended);
        ended.map(|(name, _)| name.clone()).collect()
    }

    /// Other instances can read it now.
    pub fn mark_throttle_end_published(&self, relay: &str) {
        if let Some(entry) = self.entries.get(relay) {
            entry.circuit().mark_throttle_end_published();
        }
    }

    /// Keeps to what all instances know about throttled relays.
    pub fn adopt_throttles(&self, known: &[ThrottledRelay]) {
        for (name, entry) in &self.entries {
            let throttle = known.iter().find(|throttle| throttle.relay == *name);
            if let Some((severity, event_type, what)) = self.adopt_throttle(entry, throttle) {
                self.announce(severity, event_type, name, &what);
            }
        }
    }

    fn adopt_throttle(
        &self,
        entry: &RelayEntry,
        throttle: Option<&ThrottledRelay>,
    ) -> Option<RelayEvent> {
        let now = self.moment();
        let mut circuit = entry.circuit();
        let news = match throttle {
            // It ended here, and who said otherwise did not know.
            Some(_) if circuit.throttle_ended() => None,
            Some(throttle) => circuit
                .throttled_elsewhere(now, throttle)
                .then(|| throttled(&throttle.reply)),
            None => circuit.released_elsewhere(now).then(in_use_again),
        };
        entry.report_condition(circuit.condition());
        news
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
