//! After a crash: records what the dead instance knew, writes down what it left in doubt, and
//! releases everything else at once.

use std::collections::BTreeMap;
use std::time::Duration;

use sendport_core::clock::Clock;
use sendport_core::domain::{
    AlertStatus, Attempt, AttemptOutcome, Command, CommandReply, Decision, InDoubt, InstanceId,
    Outcome, OutcomeKind, Reply, SessionFacts, SubmissionIntent,
};
use sendport_store::spool::{Leftovers, OutcomeSpool, SpoolError};
use sendport_store::{Event, EventSeverity, RecordResult, Store, StoreError, StoreErrorKind};

use super::batches::all_but_locked;
use super::recorder::BATCH;
use super::rejected_outcomes::{bare, recorded_in_part, recorded_late};

/// Why a recovery did not come to its end; what is left over stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The spool cannot be read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The database cannot take it now, or refuses it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to do with attempts in doubt, by send port: the policy, and the delay before the next
/// attempt.
pub type InDoubtPolicies = BTreeMap<String, (InDoubt, Duration)>;

/// What a worker continues with.
#[derive(Debug, Clone, Default)]
pub struct RecoveredOutcomes {
    /// Known, and refused by the database so far.
    pub outcomes: Vec<Outcome>,
    /// The instances that knew them, where they are not retired yet.
    pub from: Vec<InstanceId>,
}

impl RecoveredOutcomes {
    /// What is left over in the spool that is to be worked with.
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

/// Brings one spool's left-over to the database. May be repeated: what was recorded before is
/// not recorded again.
///
/// `None` if the database has everything: the instance is retired then, and the spool empty. Else
/// whose it is: the spool keeps what was refused, and the instance its leases, and a
/// [`super::Worker`] on that spool goes on with both.
///
/// # Errors
/// [`RecoveryError`]; the spool keeps what was not recorded.
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

/// Moves what the database refused from an unused spool to one in use.
///
/// # Errors
/// [`SpoolError`]; nothing is lost then.
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

/// Known outcomes, and those of attempts whose result was not observed.
fn outcomes(left: Leftovers, policies: &InDoubtPolicies, clock: &dyn Clock) -> Vec<Outcome> {
    let in_doubt = in_doubt(&left, policies, clock);
    left.outcomes.into_iter().chain(in_doubt).collect()
}

fn in_doubt(left: &Leftovers, policies: &InDoubtPolicies, clock: &dyn Clock) -> Vec<Outcome> {
    let notes = left.in_doubt.iter();
    notes.map(|note| unknown(note, policies, clock)).collect()
}

/// One spool's way to the database.
struct Recovery<'a> {
    store: &'a dyn Store,
    spool: &'a OutcomeSpool,
    instance: InstanceId,
}

impl Recovery<'_> {
    /// In halves where something is refused: what is refused alone, and bare as well, stays in the
    /// spool, and must not keep the service from starting. How many others have locked. `kept`:
    /// they were known, and could not be recorded before.
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

/// It may be the outcome's own otherwise.
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
        facts: SessionFacts::default(),
        replies: vec![CommandReply {
            ordinal: None,
            reply: Reply::absent(Command::EndOfData, UNSEEN),
        }],
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
    use sendport_core::domain::{AlertId, AttemptKey, LeaseToken};

    #[test]
    fn an_alert_in_doubt_keeps_its_template_version() {
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
        };
        let outcome = unknown(&note, &InDoubtPolicies::default(), &SystemClock);
        let OutcomeKind::Decided(decision) = outcome.kind else {
            panic!("decided");
        };
        assert_eq!(decision.template_version.as_deref(), Some("7"));
    }
}
