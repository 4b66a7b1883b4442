//! Counts recorded outcomes.

use std::collections::HashMap;
use std::sync::Arc;

use sendport_core::domain::{
    AlertStatus, Decision, Fault, Outcome, OutcomeKind, RecipientOutcome, RecipientStatus,
    Timestamp,
};
use sendport_store::{Explanation, RecordResult};
use tokio::sync::OwnedSemaphorePermit;
use tracing::Span;

use crate::observer::{InFlight, SendPortActivity, SendPortObserver};

/// The origin of a finished alert. Its permit is released after the outcome is recorded, so
/// that the number of waiting outcomes is bounded by the alerts in flight.
pub(super) struct Origin {
    pub(super) port: Arc<dyn SendPortObserver>,
    /// When the alert was due, if that could be read.
    pub(super) wanted_at: Option<Timestamp>,
    /// The span of the alert, for the log.
    pub(super) span: Span,
    pub(super) _room: Option<(InFlight, OwnedSemaphorePermit)>,
}

impl Origin {
    /// For an outcome that waits long: its permit is released for other alerts.
    pub(super) fn without_room(self) -> Self {
        Self {
            _room: None,
            ..self
        }
    }
}

/// The party at fault for each explanation of the table of replies.
pub(super) struct Faults(HashMap<String, Fault>);

impl Faults {
    pub(super) fn new(explanations: &[Explanation]) -> Self {
        let fault = |word: &str| Fault::ALL.into_iter().find(|fault| fault.as_str() == word);
        let named = |entry: &Explanation| Some((entry.key.clone(), fault(&entry.fault)?));
        Self(explanations.iter().filter_map(named).collect())
    }

    /// The fault in the table; without an entry, the relay's.
    fn of(&self, recipient: &RecipientOutcome) -> Fault {
        let key = recipient.explanation.as_deref();
        let fault = key.and_then(|key| self.0.get(key));
        fault.copied().unwrap_or(Fault::Relay)
    }

    /// Counts outcomes that are recorded whole.
    pub(super) fn count(&self, outcomes: &[Outcome], origins: &[Origin], results: &[RecordResult]) {
        for ((outcome, origin), recorded) in outcomes.iter().zip(origins).zip(results) {
            match (&outcome.kind, recorded) {
                (_, RecordResult::Gone | RecordResult::FactsOnly | RecordResult::NotNow) => {}
                (OutcomeKind::Released { .. }, _) => origin.port.record(SendPortActivity::Release),
                (OutcomeKind::Decided(decision), _) => self.count_one(decision, origin),
            }
        }
    }

    fn count_one(&self, decision: &Decision, origin: &Origin) {
        let port = &origin.port;
        port.record(SendPortActivity::Alert(decision.status));
        for recipient in &decision.recipients {
            port.record(SendPortActivity::Recipient(recipient.status));
            if recipient.status == RecipientStatus::Failed {
                port.record(SendPortActivity::RecipientFailure(self.of(recipient)));
            }
        }
        if let (AlertStatus::Relayed, Some(attempt)) = (decision.status, &decision.attempt)
            && let Some(wanted_at) = origin.wanted_at
        {
            // The clocks of the database and of this machine may differ a little.
            let age = (attempt.ended_at - wanted_at).to_std();
            port.record(SendPortActivity::Relayed(age.unwrap_or_default()));
        }
    }
}
