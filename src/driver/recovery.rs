//! After a death: records what the dead instance knew, writes down what it left in doubt, and
//! releases everything else at once.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Clock;
use crate::domain::{
    AlertStatus, Attempt, AttemptOutcome, Command, CommandReply, Decision, DotNote, InDoubt,
    InstanceId, Outcome, OutcomeKind, Reply, SessionFacts,
};
use crate::spool::{Spool, SpoolError};
use crate::store::{Store, StoreError, StoreErrorKind};

use super::recorder::all_but_locked;

/// So many outcomes go into one transaction at most.
const BATCH: usize = 200;

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

/// Brings one spool's left-over to the database. May be repeated: what was recorded before is
/// not recorded again. The spool is empty afterwards.
///
/// # Errors
/// [`RecoveryError`]; the spool keeps what was not recorded.
pub async fn recover(
    store: &dyn Store,
    spool: &Spool,
    policies: &InDoubtPolicies,
    clock: &dyn Clock,
) -> Result<(), RecoveryError> {
    let left = spool.left_over()?;
    let Some(instance) = left.instance else {
        return Ok(());
    };
    let in_doubt: Vec<_> = left
        .in_doubt
        .iter()
        .map(|note| unknown(note, policies, clock))
        .collect();
    if !left.outcomes.is_empty() || !in_doubt.is_empty() {
        tracing::warn!(
            outcomes = left.outcomes.len(),
            in_doubt = in_doubt.len(),
            "recovering what a dead instance left over"
        );
    }
    for note in &left.in_doubt {
        tracing::warn!(
            alert = note.alert.0,
            relay = note.relay,
            message_id = note.message_id,
            "attempt is in doubt"
        );
    }
    let mut locked = 0;
    for outcomes in [&left.outcomes, &in_doubt] {
        locked += record(store, spool, instance, outcomes).await?;
    }
    if locked > 0 {
        return Err(StoreError::new(
            StoreErrorKind::Unavailable,
            "record what a dead instance left over",
            format!("other transactions have {locked} of its alerts locked"),
        )
        .into());
    }
    store.retire(instance).await?;
    spool.clear()?;
    Ok(())
}

/// How many could not be recorded because their alerts are locked; those stay in the spool.
async fn record(
    store: &dyn Store,
    spool: &Spool,
    instance: InstanceId,
    outcomes: &[Outcome],
) -> Result<usize, RecoveryError> {
    let mut locked = 0;
    for batch in outcomes.chunks(BATCH) {
        match store.record(instance, batch).await {
            Err(error) if error.is_transient() => return Err(error.into()),
            // Must not keep the service from starting: the alert is released with the others.
            Err(error) if batch.len() == 1 => {
                tracing::error!(alert = batch[0].alert.0, %error, "left-over outcome cannot be recorded");
                spool.forget(batch)?;
            }
            Err(_) => {
                for outcome in batch {
                    locked += Box::pin(record(
                        store,
                        spool,
                        instance,
                        std::slice::from_ref(outcome),
                    ))
                    .await?;
                }
            }
            Ok(results) => {
                let recorded = all_but_locked(batch, &results);
                locked += batch.len() - recorded.len();
                spool.forget(&recorded)?;
            }
        }
    }
    Ok(locked)
}

/// What stands for the outcome that nobody saw.
fn unknown(note: &DotNote, policies: &InDoubtPolicies, clock: &dyn Clock) -> Outcome {
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
        size_octets: note.size_octets,
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
    use crate::clock::SystemClock;
    use crate::domain::{AlertId, AttemptKey, LeaseToken};

    #[test]
    fn what_may_have_been_sent_stays_with_its_version_of_the_template() {
        let note = DotNote {
            alert: AlertId(4711),
            token: LeaseToken::random(),
            send_port: "default".to_owned(),
            key: AttemptKey::fresh(),
            number: 1,
            relay: "mail".to_owned(),
            started_at: SystemClock.now(),
            message_id: "<4711@contoso.com>".to_owned(),
            size_octets: 4000,
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
