//! Events about alerts that did not reach every recipient.

use std::collections::BTreeMap;

use sendport_core::domain::{
    AlertStatus, Decision, InstanceId, Outcome, OutcomeKind, RecipientStatus,
};
use sendport_store::{Event, EventSeverity, RecordResult};

/// The number of alerts that are named; the view `FailedDelivery` lists them all.
const NAMED: usize = 20;

/// One event for each send port of a recorded batch.
pub(super) fn events<'p>(
    instance: InstanceId,
    outcomes: &[Outcome],
    send_ports: impl Iterator<Item = &'p str>,
    recorded: &[RecordResult],
) -> Vec<Event> {
    let mut of_ports: BTreeMap<&str, Vec<(&Outcome, &Decision)>> = BTreeMap::new();
    for ((outcome, port), recorded) in outcomes.iter().zip(send_ports).zip(recorded) {
        if let (OutcomeKind::Decided(decision), RecordResult::Whole) = (&outcome.kind, recorded)
            && ended_badly(decision.status)
        {
            of_ports.entry(port).or_default().push((outcome, decision));
        }
    }
    let event = |(port, failed): (&str, Vec<(&Outcome, &Decision)>)| Event {
        severity: EventSeverity::Warning,
        event_type: "alerts-failed",
        instance: Some(instance),
        alert: failed
            .first()
            .filter(|_| failed.len() == 1)
            .map(|f| f.0.alert),
        send_port: Some(port.to_owned()),
        relay: None,
        message: message(&failed),
    };
    of_ports.into_iter().map(event).collect()
}

/// Why the alert did not reach every recipient, if it is final; `None` if it reached all, or
/// is not final.
pub(super) fn of(decision: &Decision) -> Option<String> {
    ended_badly(decision.status).then(|| why(decision).unwrap_or_default())
}

fn ended_badly(status: AlertStatus) -> bool {
    matches!(
        status,
        AlertStatus::Failed | AlertStatus::Partial | AlertStatus::Expired
    )
}

/// The alerts, and the reason of the first failure.
fn message(failed: &[(&Outcome, &Decision)]) -> String {
    let named = failed.iter().take(NAMED);
    let named = named.map(|(outcome, decision)| format!("{} {}", outcome.alert, decision.status));
    let mut named: Vec<_> = named.collect();
    if failed.len() > NAMED {
        named.push(format!("and {} more", failed.len() - NAMED));
    }
    let why = failed.first().and_then(|(_, decision)| why(decision));
    let why = why.map(|why| format!("; {}: {why}", failed[0].0.alert));
    format!("{}{}", named.join(", "), why.unwrap_or_default())
}

fn why(decision: &Decision) -> Option<String> {
    let refused = |status| matches!(status, RecipientStatus::Failed | RecipientStatus::Expired);
    let of_recipient = || {
        let recipient = decision.recipients.iter().find(|r| refused(r.status))?;
        recipient.reply.as_ref().map(ToString::to_string)
    };
    decision.reason.clone().or_else(of_recipient)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::{AlertId, LeaseToken};

    fn outcome(alert: i64, status: AlertStatus, reason: &str) -> Outcome {
        let decision = Decision {
            status,
            retry_in: None,
            reason: Some(reason.to_owned()),
            attempt: None,
            recipients: Vec::new(),
            template_version: None,
        };
        Outcome {
            alert: AlertId(alert),
            token: LeaseToken::random(),
            kind: OutcomeKind::Decided(Box::new(decision)),
        }
    }

    #[test]
    fn failures_are_reported_once_for_each_send_port() {
        let mut outcomes = vec![
            outcome(1, AlertStatus::Relayed, ""),
            outcome(2, AlertStatus::Failed, "no such template"),
            outcome(3, AlertStatus::Failed, "its lease was lost"),
            outcome(4, AlertStatus::Delayed, ""),
        ];
        outcomes.extend((5..30).map(|id| outcome(id, AlertStatus::Partial, "refused")));
        let ports: Vec<_> = ["a", "a", "a", "a"].map(str::to_owned).into();
        let ports = [ports, vec!["b".to_owned(); 25]].concat();
        let mut recorded = vec![RecordResult::Whole; outcomes.len()];
        recorded[2] = RecordResult::FactsOnly;
        let ports = ports.iter().map(String::as_str);
        let events = events(InstanceId::random(), &outcomes, ports, &recorded);
        assert_eq!(events.len(), 2);
        assert_eq!(events[0].alert, Some(AlertId(2)));
        assert_eq!(events[0].message, "2 failed; 2: no such template");
        assert_eq!(events[1].alert, None);
        assert!(events[1].message.starts_with("5 partial, 6 partial, "));
        assert!(
            events[1]
                .message
                .ends_with("24 partial, and 5 more; 5: refused")
        );
    }
}
