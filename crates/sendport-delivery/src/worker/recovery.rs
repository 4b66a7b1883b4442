//! After a crash: records the outcomes of the dead instance and its attempts in doubt, and
//! releases all other alerts at once.

use std::collections::BTreeMap;
use std::time::Duration;

use sendport_core::clock::Clock;
use sendport_core::domain::{
    AlertStatus, Attempt, AttemptOutcome, Command, CommandReply, Decision, InDoubt, InstanceId,
    Outcome, OutcomeKind, Reply, SubmissionIntent,
};
use sendport_store::spool::{Leftovers, OutcomeSpool, SpoolError};
use sendport_store::{Event, EventSeverity, RecordResult, Store, StoreError, StoreErrorKind};

use super::batches::all_but_locked;
use super::recorder::BATCH;
use super::rejected_outcomes::{bare, recorded_in_part, recorded_late};

/// Why a recovery failed. Outcomes that are not recorded stay in the spool.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The database is unavailable, or refuses an outcome.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to do with attempts in doubt, by send port: the policy, and the delay before the next
/// attempt.
pub type InDoubtPolicies = BTreeMap<String, (InDoubt, Duration)>;

/// Outcomes of earlier instances that a worker has to record.
#[derive(Debug, Clone, Default)]
pub struct RecoveredOutcomes {
    /// Outcomes that the database has refused so far.
    pub outcomes: Vec<Outcome>,
    /// The instances of these outcomes that are not retired yet.
    pub from: Vec<InstanceId>,
}

impl RecoveredOutcomes {
    /// Outcomes in the spool that are still to be recorded.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn from_spool(
        spool: &OutcomeSpool,
        from: &[InstanceId],
        policies: &InDoubtPolicies,
        clock: &dyn Clock,
    ) -> Result<Self, SpoolError> {
        Ok(Self {
            outcomes: outcomes(spool.left_over()?, policies, clock),
            from: from.to_vec(),
        })
    }
}

/// Records the entries of one spool. May be repeated: no entry is recorded twice.
///
/// `None` if the database has every outcome: the instance is retired, and the spool empty. Otherwise the
/// instance: the spool keeps the refused outcomes, the instance its leases, and a
/// [`super::Worker`] on that spool continues with both.
///
/// # Errors
/// [`RecoveryError`]; the spool keeps outcomes that are not recorded.
pub async fn recover(
    store: &dyn Store,
    spool: &OutcomeSpool,
    policies: &InDoubtPolicies,
    clock: &dyn Clock,
) -> Result<Option<InstanceId>, RecoveryError> {
    let fatal = spool.charge_crash()?;
    let left = spool.left_over()?;
    let Some(instance) = left.instance else {
        return Ok(None);
    };
    for outcome in &fatal {
        announce(store, instance, outcome).await;
    }
    for note in &left.in_doubt {
        tracing::warn!(
            alert = note.alert.0,
            relay = note.relay,
            message_id = note.message_id,
            "attempt in doubt"
        );
    }
    let recovery = Recovery {
        store,
        spool,
        instance,
    };
    let in_doubt = in_doubt(&left, policies, clock);
    let locked = recovery.record(&left.outcomes, true).await?;
    let locked = locked + recovery.record(&in_doubt, false).await?;
    if locked > 0 {
        return Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "record what a dead instance left over",
            format!("other transactions have {locked} of its alerts locked"),
        )
        .into());
    }
    if !spool.is_empty() {
        return Ok(Some(instance));
    }
    store.retire(instance).await?;
    spool.end()?;
    Ok(None)
}

/// Reports the alert that crashed the service.
async fn announce(store: &dyn Store, instance: InstanceId, fatal: &Outcome) {
    let OutcomeKind::Decided(decision) = &fatal.kind else {
        return;
    };
    let why = decision.reason.as_deref().unwrap_or_default();
    tracing::error!(
        alert = fatal.alert.0,
        why,
        "alert failed, the service crashed repeatedly while processing it"
    );
    let event = Event {
        severity: EventSeverity::Warning,
        event_type: "alerts-failed",
        instance: Some(instance),
        alert: Some(fatal.alert),
        send_port: None,
        relay: None,
        message: format!("{} failed: {why}", fatal.alert),
    };
    log(store, &event).await;
}

/// Moves refused outcomes from an unused spool to one in use.
///
/// # Errors
/// [`SpoolError`]; no outcome is lost then.
pub fn hand_over(
    from: &OutcomeSpool,
    to: &OutcomeSpool,
    database: &str,
    policies: &InDoubtPolicies,
    clock: &dyn Clock,
) -> Result<(), SpoolError> {
    if let (Some(owner), None) = (from.left_over()?.instance, to.left_over()?.instance) {
        to.begin(owner, database)?;
    }
    let outcomes = outcomes(from.left_over()?, policies, clock);
    outcomes.iter().try_for_each(|outcome| to.keep(outcome))?;
    to.sync()?;
    from.forget(&outcomes)?;
    from.end()
}

/// Known outcomes, and outcomes of attempts whose result was not observed.
fn outcomes(left: Leftovers, policies: &InDoubtPolicies, clock: &dyn Clock) -> Vec<Outcome> {
    let in_doubt = in_doubt(&left, policies, clock);
    left.outcomes.into_iter().chain(in_doubt).collect()
}

fn in_doubt(left: &Leftovers, policies: &InDoubtPolicies, clock: &dyn Clock) -> Vec<Outcome> {
    let notes = left.in_doubt.iter();
    notes.map(|note| unknown(note, policies, clock)).collect()
}

/// The recovery of one spool.
struct Recovery<'a> {
    store: &'a dyn Store,
    spool: &'a OutcomeSpool,
    instance: InstanceId,
}

impl Recovery<'_> {
    /// Records in halves after a refusal: an outcome that is refused alone, even without the relay's text, stays
    /// in the spool and must not prevent the service from starting. Returns the number of outcomes locked by
    /// other transactions. `kept`: outcomes that could not be recorded before.
    async fn record(&self, outcomes: &[Outcome], kept: bool) -> Result<usize, RecoveryError> {
        let mut locked = 0;
        let mut parts: Vec<_> = outcomes.chunks(BATCH).rev().collect();
        while let Some(part) = parts.pop() {
            match self.ask(part).await {
                Ok(results) => {
                    let known = all_but_locked(part, &results);
                    locked += part.len() - known.len();
                    self.spool.forget(&known)?;
                    if kept {
                        self.say(&known).await;
                    }
                }
                Err(error) if waits(&error) => return Err(error.into()),
                Err(_) if part.len() > 1 => {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(error) => {
                    tracing::error!(alert = part[0].alert.0, %error, "recovered outcome not recorded, kept in the spool");
                }
            }
        }
        Ok(locked)
    }

    /// An outcome that is refused alone is recorded without the relay's text.
    async fn ask(&self, part: &[Outcome]) -> Result<Vec<RecordResult>, StoreError> {
        let recorded = self.store.record(self.instance, part).await;
        let (Err(refusal), [outcome]) = (&recorded, part) else {
            return recorded;
        };
        if !refusal.is_about_data() {
            return recorded;
        }
        tracing::error!(alert = outcome.alert.0, error = %refusal, "outcome recorded in part");
        let bare = self.store.record(self.instance, &[bare(outcome)]).await?;
        log(
            self.store,
            &recorded_in_part(self.instance, outcome.alert, refusal),
        )
        .await;
        Ok(bare)
    }

    async fn say(&self, known: &[Outcome]) {
        for outcome in known {
            log(self.store, &recorded_late(self.instance, outcome.alert)).await;
        }
    }
}

async fn log(store: &dyn Store, event: &Event) {
    if let Err(error) = store.log_event(event).await {
        tracing::warn!(%error, event = %event.message, "event log write failed");
    }
}

/// Otherwise the error may be one of this outcome.
fn waits(error: &StoreError) -> bool {
    !matches!(
        error.kind(),
        StoreErrorKind::Rejected | StoreErrorKind::Unknown
    )
}

/// The outcome of an attempt whose result was not observed.
fn unknown(note: &SubmissionIntent, policies: &InDoubtPolicies, clock: &dyn Clock) -> Outcome {
    const UNSEEN: &str = "the service ended before it saw the reply to the final dot";
    let fallback = (InDoubt::Retry, Duration::from_secs(60));
    let (policy, delay) = policies.get(&note.send_port).copied().unwrap_or(fallback);
    let (status, retry_in) = match policy {
        InDoubt::Retry => (AlertStatus::Delayed, Some(delay)),
        InDoubt::Hold => (AlertStatus::Held, None),
    };
    let unseen = CommandReply {
        ordinal: None,
        reply: Reply::absent(Command::EndOfData, UNSEEN),
    };
    let attempt = Attempt {
        key: note.key,
        number: note.number,
        relay: note.relay.clone(),
        started_at: note.started_at,
        ended_at: clock.now(),
        outcome: AttemptOutcome::Unknown,
        message_id: note.message_id.clone(),
        size_bytes: note.size_bytes,
        protection: note.protection.clone(),
        protected: (*note.protected).clone(),
        redirect_to: note.redirect_to.clone(),
        facts: (*note.facts).clone(),
        replies: note.replies.iter().cloned().chain([unseen]).collect(),
    };
    let decision = Decision {
        status,
        retry_in,
        reason: Some(format!(
            "in doubt: {UNSEEN}; it may have been sent as {}",
            note.message_id
        )),
        attempt: Some(attempt),
        recipients: Vec::new(),
        template_version: note.template_version.clone(),
    };
    Outcome {
        alert: note.alert,
        token: note.token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::clock::SystemClock;
    use sendport_core::domain::{AlertId, AttemptKey, LeaseToken, SessionFacts};

    #[test]
    fn an_alert_in_doubt_keeps_what_was_known_before_its_final_dot() {
        let note = SubmissionIntent {
            alert: AlertId(4711),
            token: LeaseToken::random(),
            send_port: "default".to_owned(),
            key: AttemptKey::fresh(),
            number: 1,
            relay: "mail".to_owned(),
            started_at: SystemClock.now(),
            message_id: "<4711@contoso.com>".to_owned(),
            size_bytes: 4000,
            protection: "none".to_owned(),
            protected: Box::default(),
            template_version: Some("7".to_owned()),
            redirect_to: Some("qa@contoso.com".to_owned()),
            facts: Box::new(SessionFacts {
                server_name: Some("mx.contoso.com".to_owned()),
                ..SessionFacts::default()
            }),
            replies: vec![CommandReply {
                ordinal: Some(3),
                reply: Reply::absent(Command::Rcpt, "accepted"),
            }],
        };
        let outcome = unknown(&note, &InDoubtPolicies::default(), &SystemClock);
        let OutcomeKind::Decided(decision) = outcome.kind else {
            panic!("decided");
        };
        assert_eq!(decision.template_version.as_deref(), Some("7"));
        let attempt = decision.attempt.expect("an attempt");
        assert_eq!(attempt.redirect_to.as_deref(), Some("qa@contoso.com"));
        // Its recipients, and whose log to search.
        let recipients = attempt.replies.iter().filter_map(|it| it.ordinal);
        assert_eq!(recipients.collect::<Vec<_>>(), [3]);
        assert_eq!(attempt.facts.server_name.as_deref(), Some("mx.contoso.com"));
    }
}
