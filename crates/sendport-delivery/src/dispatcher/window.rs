//! The delivery window of a send port: alerts that must not be sent now.

use std::time::Duration;

use chrono::TimeDelta;
use sendport_core::delivery_window::shown;
use sendport_core::domain::{Alert, AlertStatus, Decision, OutcomeKind, Timestamp};

use crate::send_port::SendPort;

/// Released until the window opens, if it is closed: no attempt is spent.
pub(super) fn wait_for(alert: &Alert, port: &SendPort, now: Timestamp) -> Option<OutcomeKind> {
    let retry_in = port.opens_in(alert, now)?;
    Some(OutcomeKind::Released {
        retry_in,
        reason: Some(reason(now, retry_in)),
    })
}

/// A retry while the window is closed is moved to its opening.
pub(super) fn fit(decision: &mut Decision, alert: &Alert, port: &SendPort, now: Timestamp) {
    let Some(retry_in) = decision.retry_in else {
        return;
    };
    let due = now.checked_add_signed(TimeDelta::from_std(retry_in).unwrap_or_default());
    let shut = due.and_then(|due| port.opens_in(alert, due));
    if let Some(shut) = shut.filter(|_| decision.status == AlertStatus::Delayed) {
        let retry_in = retry_in + shut;
        decision.retry_in = Some(retry_in);
        decision.reason.get_or_insert_with(|| reason(now, retry_in));
    }
}

fn reason(now: Timestamp, wait: Duration) -> String {
    let opens = shown(now, wait);
    format!("waits for the delivery window, which opens at {opens}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::Priority;

    const OFFICE: &str = "[delivery_window]
        time_zone = 'Europe/Berlin'
        open = [{ days = ['mon-fri'], from = '08:00', to = '18:00' }]
        bypass_severities = ['critical']";

    fn port() -> SendPort {
        SendPort::with_settings("p", &["d"], OFFICE)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time of RFC 3339")
    }

    fn delayed(retry_in: Duration) -> Decision {
        Decision {
            status: AlertStatus::Delayed,
            retry_in: Some(retry_in),
            reason: None,
            attempt: None,
            recipients: Vec::new(),
            template_version: None,
        }
    }

    #[test]
    fn an_alert_waits_for_the_opening_and_says_so() {
        let alert = Alert {
            priority: Priority::Urgent,
            ..crate::fixture::alert()
        };
        let saturday = at("2026-11-21T07:00:00Z");
        let expected = OutcomeKind::Released {
            retry_in: Duration::from_secs(48 * 3600),
            reason: Some(
                "waits for the delivery window, which opens at 2026-11-23T07:00:00Z".to_owned(),
            ),
        };
        assert_eq!(wait_for(&alert, &port(), saturday), Some(expected));
        let monday = at("2026-11-23T07:00:00Z");
        assert_eq!(wait_for(&alert, &port(), monday), None);
        let critical = Alert {
            severity: Some("CRITICAL".to_owned()),
            ..alert
        };
        assert_eq!(wait_for(&critical, &port(), saturday), None);
    }

    #[test]
    fn a_retry_moves_to_the_opening() {
        let friday_evening = at("2026-11-20T16:50:00Z");
        let alert = crate::fixture::alert();
        let mut decision = delayed(Duration::from_secs(5 * 60));
        fit(&mut decision, &alert, &port(), friday_evening);
        assert_eq!(decision, delayed(Duration::from_secs(5 * 60)), "still open");
        let mut decision = delayed(Duration::from_secs(20 * 60));
        fit(&mut decision, &alert, &port(), friday_evening);
        let until_monday = Duration::from_secs((2 * 24 + 14) * 3600 + 10 * 60);
        assert_eq!(decision.retry_in, Some(until_monday));
        assert!(
            decision
                .reason
                .expect("why")
                .ends_with("opens at 2026-11-23T07:00:00Z")
        );
    }
}
