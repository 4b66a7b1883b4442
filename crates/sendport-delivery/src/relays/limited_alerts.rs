//! Alerts that one relay refused for a limit: how long each waits, and whether the limit is one
//! of the relay. Pure: callers pass the time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sendport_core::domain::AlertId;

use super::circuit::LONGEST_PROBE_INTERVAL;

/// The wait of an alert after its first refusal; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// An older refusal is not related to a new one.
const RELATED: Duration = Duration::from_secs(10 * 60);

/// The maximum number of alerts that are kept; then all are removed.
const REMEMBERED: usize = 1000;

/// Alerts that one relay refused for a limit and has not accepted since.
#[derive(Debug, Default)]
pub(crate) struct LimitedAlerts {
    refusals: HashMap<AlertId, u32>,
    last: Option<(AlertId, Instant)>,
}

/// The effect of a refusal for a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RefusalEffect {
    /// The wait of the alert.
    pub(crate) wait: Duration,
    /// Another alert was refused before: the limit is not about this alert alone.
    pub(crate) is_general: bool,
}

impl LimitedAlerts {
    /// `alert` was refused for a limit.
    pub(crate) fn refused(&mut self, now: Instant, alert: AlertId) -> RefusalEffect {
        if self.refusals.len() >= REMEMBERED {
            self.refusals.clear();
        }
        let refusals = self.refusals.entry(alert).or_default();
        let wait = FIRST_WAIT.saturating_mul(1 << (*refusals).min(10));
        *refusals += 1;
        let last = self.last.replace((alert, now));
        let is_general = last.is_some_and(|(other, at)| {
            other != alert && now.saturating_duration_since(at) < RELATED
        });
        RefusalEffect {
            wait: wait.min(LONGEST_PROBE_INTERVAL),
            is_general,
        }
    }

    /// `alert` had another result.
    pub(crate) fn forget(&mut self, alert: AlertId) {
        self.refusals.remove(&alert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_is_refused_again_and_again_waits_longer_up_to_a_bound() {
        let (mut alerts, now) = (LimitedAlerts::default(), Instant::now());
        let waits: Vec<_> = (0..10)
            .map(|_| alerts.refused(now, AlertId(1)).wait.as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 240, 240]);
        alerts.forget(AlertId(1));
        assert_eq!(alerts.refused(now, AlertId(1)).wait, FIRST_WAIT);
    }

    #[test]
    fn one_alert_alone_says_nothing_of_the_relay_and_two_do() {
        let (mut alerts, now) = (LimitedAlerts::default(), Instant::now());
        let mut is_general = |alert, at| alerts.refused(at, AlertId(alert)).is_general;
        for _ in 0..10 {
            assert!(!is_general(1, now));
        }
        assert!(is_general(2, now));
        assert!(is_general(1, now) && !is_general(1, now));
        assert!(!is_general(2, now + RELATED), "long ago");
    }

    #[test]
    fn the_number_of_limited_alerts_is_bounded() {
        let (mut alerts, now) = (LimitedAlerts::default(), Instant::now());
        for alert in 0..5000 {
            alerts.refused(now, AlertId(alert));
        }
        assert!(alerts.refusals.len() <= REMEMBERED);
    }
}
