//! Outcomes that the database refused, one by one: kept in the spool, and tried again at a growing
//! interval, while everything else goes on.

use std::time::Duration;

use chrono::TimeDelta;
use sendport_core::domain::{
    AlertId, InstanceId, Outcome, OutcomeKind, ProtectionFacts, RecipientAddress, SessionFacts,
    Timestamp,
};
use sendport_store::{Event, EventSeverity, StoreError};
use tokio::time::Instant;

use super::back_off::RefusalBackOff;
use super::obstacles::Obstacle;
use super::recorder::FinishedAlert;
use super::tally::Origin;

/// The first wait before alerts are tried again that other transactions have locked; it doubles up to
/// [`LOCKED_WAIT`].
const LOCKED_FIRST: Duration = Duration::from_millis(50);

/// The wait before alerts are tried again that other transactions have locked.
const LOCKED_WAIT: Duration = Duration::from_secs(1);

/// A lock that lasts so long is shown.
const LOCKED_LONG: TimeDelta = TimeDelta::seconds(30);

/// One of them.
pub(super) struct RejectedOutcome {
    pub(super) outcome: Outcome,
    /// `None` where an instance before this one knew it.
    pub(super) origin: Option<Origin>,
    since: Timestamp,
    why: String,
    again: RefusalBackOff,
}

/// All of them, the one that was refused first in front.
#[derive(Default)]
pub(super) struct RejectedOutcomes(Vec<RejectedOutcome>);

impl RejectedOutcomes {
    pub(super) fn add(
        &mut self,
        outcome: Outcome,
        origin: Option<Origin>,
        since: Timestamp,
        why: String,
    ) {
        self.0.push(RejectedOutcome {
            outcome,
            origin: origin.map(Origin::without_room),
            since,
            why,
            again: RefusalBackOff::begun(std::time::Instant::now()),
        });
    }

    /// Takes one whose time has come.
    pub(super) fn take_due(&mut self) -> Option<RejectedOutcome> {
        let at = self.waits().position(|wait| wait.is_zero())?;
        Some(self.0.remove(at))
    }

    /// It was refused again.
    pub(super) fn put_back(&mut self, mut refused: RejectedOutcome, why: String) {
        refused.again.grow(std::time::Instant::now());
        refused.why = why;
        let at = self.0.partition_point(|other| other.since <= refused.since);
        self.0.insert(at, refused);
    }

    /// Everything is tried again now.
    pub(super) fn hurry(&mut self) {
        let now = std::time::Instant::now();
        self.0.iter_mut().for_each(|refused| refused.again.by(now));
    }

    /// Ends when one of them is due.
    pub(super) async fn wait(&self) {
        match self.waits().min() {
            Some(wait) => tokio::time::sleep(wait).await,
            None => std::future::pending().await,
        }
    }

    fn waits(&self) -> impl Iterator<Item = Duration> {
        let now = std::time::Instant::now();
        self.0
            .iter()
            .map(move |refused| refused.again.remaining(now))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How many, since when, and why the last one.
    pub(super) fn summary(&self) -> Option<Obstacle> {
        let last = self.0.last()?;
        let since = self.0.iter().map(|refused| refused.since).min();
        Some(Obstacle {
            count: self.0.len(),
            since: since.unwrap_or(last.since),
            why: last.why.clone(),
            may_hold_values: true,
        })
    }
}

/// Outcomes whose alerts are locked by other transactions. They keep their permits and are recorded
/// separately, so that an engine that has to wait for the locks delays no other outcome.
pub(super) struct LockedOutcomes<T = FinishedAlert> {
    waiting: Vec<T>,
    wait: Duration,
    again_at: Option<Instant>,
    since: Option<Timestamp>,
}

impl<T> Default for LockedOutcomes<T> {
    fn default() -> Self {
        Self {
            waiting: Vec::new(),
            wait: Duration::ZERO,
            again_at: None,
            since: None,
        }
    }
}

impl<T> LockedOutcomes<T> {
    /// Most locks last a moment: they are tried again soon at first. What comes to them does not put
    /// that off.
    pub(super) fn add(&mut self, locked: Vec<T>, now: Timestamp) {
        self.waiting.extend(locked);
        if self.waiting.is_empty() {
            *self = Self::default();
            return;
        }
        self.since.get_or_insert(now);
        if self.again_at.is_some() {
            return;
        }
        let longer = (self.wait * 2).clamp(LOCKED_FIRST, LOCKED_WAIT);
        if longer > self.wait && longer == LOCKED_WAIT {
            let count = self.waiting.len();
            tracing::warn!(count, "outcomes are waiting for row locks");
        }
        self.wait = longer;
        self.again_at = Some(Instant::now() + longer);
    }

    /// Up to so many of them, which are tried now.
    pub(super) fn take(&mut self, most: usize) -> Vec<T> {
        self.again_at = None;
        let count = self.waiting.len().min(most);
        self.waiting.drain(..count).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many and since when, once it lasts.
    pub(super) fn summary(&self, now: Timestamp) -> Option<Obstacle> {
        let since = self.since.filter(|since| now - *since >= LOCKED_LONG)?;
        Some(Obstacle {
            count: self.waiting.len(),
            since,
            why: "other transactions have their alerts locked".to_owned(),
            may_hold_values: false,
        })
    }

    /// Ends when they are tried again.
    pub(super) async fn wait(&self) {
        match self.again_at {
            _ if self.is_empty() => std::future::pending().await,
            Some(at) => tokio::time::sleep_until(at).await,
            None => {}
        }
    }
}

/// The outcome without any text of a server or a person: if the database refuses the whole outcome,
/// at least its status has to be recorded.
pub(super) fn bare(outcome: &Outcome) -> Outcome {
    let mut bare = outcome.clone();
    match &mut bare.kind {
        OutcomeKind::Released { reason, .. } => *reason = None,
        OutcomeKind::Decided(decision) => {
            decision.reason = None;
            if let Some(attempt) = &mut decision.attempt {
                attempt.replies.clear();
                attempt.facts = SessionFacts::default();
                attempt.protected = ProtectionFacts::default();
            }
            for recipient in &mut decision.recipients {
                if let RecipientAddress::Parsed(mailbox) = &mut recipient.address {
                    mailbox.display_name = None;
                }
                recipient.remark = None;
                let reply = recipient.reply.iter_mut();
                reply.for_each(|reply| reply.text.clear());
            }
        }
    }
    bare
}

/// For `EventLog`: an outcome of the state folder is recorded.
pub(super) fn recorded_late(instance: InstanceId, alert: AlertId) -> Event {
    let message = "the outcome that was kept in the state folder is recorded".to_owned();
    let severity = EventSeverity::Information;
    event("outcome-recorded", severity, instance, alert, message)
}

/// For `EventLog`: the outcome is recorded without the relay's text.
pub(super) fn recorded_in_part(
    instance: InstanceId,
    alert: AlertId,
    refused: &StoreError,
) -> Event {
    let message = format!("recorded without the relay's text: {refused}");
    let severity = EventSeverity::Error;
    event(
        "outcome-partly-recorded",
        severity,
        instance,
        alert,
        message,
    )
}

/// For `EventLog`: an outcome is set aside.
pub(super) fn not_recorded(instance: InstanceId, alert: AlertId, error: &StoreError) -> Event {
    let message = format!(
        "{error}; it is kept in the state folder and tried again, and the alert is not sent again meanwhile"
    );
    let severity = EventSeverity::Error;
    event("outcome-not-recorded", severity, instance, alert, message)
}

fn event(
    event_type: &'static str,
    severity: EventSeverity,
    instance: InstanceId,
    alert: AlertId,
    message: String,
) -> Event {
    Event {
        severity,
        event_type,
        instance: Some(instance),
        alert: Some(alert),
        send_port: None,
        relay: None,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locked_outcomes_are_retried_soon_and_then_every_second() {
        let (mut locked, since) = (LockedOutcomes::default(), chrono::DateTime::UNIX_EPOCH);
        locked.add(vec![1], since);
        let mut waits = Vec::new();
        for _ in 0..8 {
            waits.push(locked.wait.as_millis());
            let at = locked.again_at;
            locked.add(vec![2], since);
            assert_eq!(locked.again_at, at, "what comes to it does not put it off");
            let again = locked.take(9);
            assert!(again.starts_with(&[1, 2]));
            locked.add(vec![1], since);
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000, 1000]);
        locked.take(1);
        locked.add(Vec::new(), since);
        assert!(locked.is_empty() && locked.wait.is_zero());
    }
}
