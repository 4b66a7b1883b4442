//! What the board of relays shares with other instances: limits, what was learned of them, and
//! who probes a relay that takes nothing.

use std::time::Duration;

use super::entry::{RelayEntry, Unavailable};
use super::events::{RelayEvent, in_use_again, throttled};
use super::registry::RelayRegistry;
use crate::domain::{
    AlertId, ConnectionEnd, LearnedLimit, LearnedRecipients, LimitFinding, ProbeTurn, Standing,
    ThrottledRelay,
};

/// How long a probe waits for a database that does not answer.
const STORE_WAIT: Duration = Duration::from_secs(5);

impl RelayRegistry {
    /// Nothing is asked of relays with shared limits before [`RelayRegistry::stand`].
    pub fn leave(&self) {
        for seat in self.seats.values() {
            seat.limiter().leave();
        }
    }

    /// Keeps to this instance's share of all limits, after it told the others that it keeps to
    /// a share among `said`. True once no more is used than that.
    pub fn stand(&self, standing: Standing, said: u32) -> bool {
        let mut within = true;
        for seat in self.seats.values() {
            within &= seat.limiter().stand(standing, said);
            seat.relay.shed();
        }
        within
    }

    /// What was learned of connections that other instances do not know yet, by relay.
    pub fn findings(&self) -> Vec<(String, LimitFinding)> {
        let finding =
            |(name, seat): (&String, &RelayEntry)| Some((name.clone(), seat.limiter().finding()?));
        self.seats.iter().filter_map(finding).collect()
    }

    /// Other instances can read it now.
    pub fn told(&self, relay: &str, finding: &LimitFinding) {
        if let Some(seat) = self.seats.get(relay) {
            seat.limiter().told(finding);
        }
    }

    /// Keeps to this instance's part of what all learned together; a part grows once that has
    /// stood for `settles`.
    pub fn agree(&self, standing: Standing, learned: &[LearnedLimit], settles: Duration) {
        for (name, seat) in &self.seats {
            let limit = learned.iter().find(|limit| limit.relay == *name);
            seat.limiter().agree(standing, limit, settles);
        }
    }

    /// What was learned of the recipients of one transaction that other instances do not know
    /// yet, by relay.
    pub fn recipients_findings(&self) -> Vec<(String, LearnedRecipients)> {
        let finding = |(name, seat): (&String, &RelayEntry)| {
            Some((name.clone(), seat.limiter().recipients_finding()?))
        };
        self.seats.iter().filter_map(finding).collect()
    }

    /// Other instances can read it now.
    pub fn recipients_told(&self, relay: &str, finding: &LearnedRecipients) {
        if let Some(seat) = self.seats.get(relay) {
            seat.limiter().recipients_told(finding);
        }
    }

    /// Keeps to what all instances know of the recipients of one transaction, by relay.
    pub fn agree_on_recipients(&self, learned: &[(String, LearnedRecipients)]) {
        for (name, seat) in &self.seats {
            let known = learned.iter().find(|(relay, _)| relay == name);
            seat.limiter().agree_on_recipients(known.map(|(_, it)| it));
        }
    }

    /// A connection to some relay ended among the recipients here, not long ago.
    pub fn has_ended_connections(&self) -> bool {
        let mut seats = self.seats.values();
        seats.any(|seat| seat.limiter().has_ended_connection())
    }

    /// Adds up with the connections that ended at other instances, by relay.
    pub fn compare_connection_ends(&self, ends: &[(String, ConnectionEnd)]) {
        for (relay, end) in ends {
            if let Some(seat) = self.seats.get(relay) {
                seat.limiter().compare_connection_end(end);
            }
        }
    }

    /// Where connections ended here that other instances do not know of yet, by relay.
    pub fn unreported_connection_ends(&self) -> Vec<(String, ConnectionEnd)> {
        let end = |(name, seat): (&String, &RelayEntry)| {
            Some((name.clone(), seat.limiter().unreported_connection_end()?))
        };
        self.seats.iter().filter_map(end).collect()
    }

    /// Other instances can read it now.
    pub fn connection_end_told(&self, relay: &str, end: &ConnectionEnd) {
        if let Some(seat) = self.seats.get(relay) {
            seat.limiter().connection_end_told(end);
        }
    }

    /// Connections of some relay were learned, or it is throttled: instances have to agree about
    /// it often.
    pub fn shares_learned(&self) -> bool {
        let learned = |seat: &RelayEntry| {
            let circuit = seat.circuit();
            let throttle = circuit.throttle_reason().is_some() || circuit.throttle_ended();
            throttle || seat.limiter().shares_learned()
        };
        self.seats.values().any(learned)
    }

    /// Of all instances one probes a relay that is throttled.
    pub(crate) async fn ask_to_probe(
        &self,
        seat: &RelayEntry,
        alert: AlertId,
    ) -> Result<(), Unavailable> {
        let reply = seat.circuit().throttle_reason().map(str::to_owned);
        let (Some(reply), Some(throttles)) = (reply, &self.throttles) else {
            return Ok(());
        };
        let relay = seat.relay.name();
        let turn = throttles.begin_probe(relay, alert, &reply).await;
        let turn = turn.unwrap_or_else(|error| {
            tracing::debug!(relay, %error, "shared probe of throttled relay failed");
            ProbeTurn::Wait(STORE_WAIT)
        });
        let mut circuit = seat.circuit();
        match turn {
            ProbeTurn::Granted(next) => circuit.probe_granted(next),
            ProbeTurn::Wait(wait) => {
                circuit.probe_denied(self.moment(), wait);
                seat.tell_condition(circuit.condition());
                return Err(Unavailable::Unwell);
            }
        }
        Ok(())
    }

    /// Throttled relays that take messages again, and other instances do not know it yet.
    pub fn ended_throttles(&self) -> Vec<String> {
        let ended = |(_, seat): &(&String, &RelayEntry)| seat.circuit().throttle_ended();
        let ended = self.seats.iter().filter(ended);
        ended.map(|(name, _)| name.clone()).collect()
    }

    /// Other instances can read it now.
    pub fn throttle_end_told(&self, relay: &str) {
        if let Some(seat) = self.seats.get(relay) {
            seat.circuit().throttle_end_told();
        }
    }

    /// Keeps to what all instances know about throttled relays.
    pub fn agree_on_throttles(&self, known: &[ThrottledRelay]) {
        for (name, seat) in &self.seats {
            let throttle = known.iter().find(|throttle| throttle.relay == *name);
            if let Some((severity, event_type, what)) = self.agree_on_throttle(seat, throttle) {
                self.announce(severity, event_type, name, &what);
            }
        }
    }

    fn agree_on_throttle(
        &self,
        seat: &RelayEntry,
        throttle: Option<&ThrottledRelay>,
    ) -> Option<RelayEvent> {
        let now = self.moment();
        let mut circuit = seat.circuit();
        let news = match throttle {
            // It ended here, and who said otherwise did not know.
            Some(_) if circuit.throttle_ended() => None,
            Some(throttle) => circuit
                .throttled_elsewhere(now, throttle)
                .then(|| throttled(&throttle.reply)),
            None => circuit.released_elsewhere(now).then(in_use_again),
        };
        seat.tell_condition(circuit.condition());
        news
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
