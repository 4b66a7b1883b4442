//! Alerts, instances, and their competition.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::clock::{Clock as _, SystemClock};
use sendport_core::domain::{
    AlertId, AlertStatus, Attempt, AttemptKey, AttemptOutcome, BodyFormat, Command, CommandReply,
    Decision, InDoubt, InstanceId, InstanceInfo, LeaseToken, Outcome, OutcomeKind, Priority,
    ProtectionFacts, RecipientAddress, RecipientKind, RecipientOutcome, RecipientStatus, Reply,
    SendPortInfo, SessionFacts, Timestamp,
};
use sendport_store::{Among, Claim, NewAlert, RecordResult, Store, StoreError};
use tokio::time::{Instant, sleep};

use super::{Grade, Report};

pub(super) const SEND_PORT: &str = "default";
pub(super) const ENVIRONMENT: &str = "verify";
/// Longer than a proof takes.
pub(super) const LEASE: Duration = Duration::from_secs(3600);
const ADDRESS: &str = "nobody@sendport.invalid";
/// Alerts of one claim in the competition.
const BATCH: u32 = 20;
/// Between two claims that found nothing.
const PAUSE: Duration = Duration::from_millis(20);

/// Inserts alerts as an application does, and returns their keys in order.
///
/// # Errors
/// [`StoreError`] where the database refuses one.
pub async fn insert_alerts(store: &Arc<dyn Store>, count: u32) -> Result<Vec<AlertId>, StoreError> {
    let alert = alert(None);
    let left = Mutex::new(count);
    let insert = || async {
        let mut inserted = Vec::new();
        while take_one(&left) {
            inserted.push(store.insert(&alert).await?);
        }
        Ok::<_, StoreError>(inserted)
    };
    let (a, b, c, d) = tokio::try_join!(insert(), insert(), insert(), insert())?;
    let mut ids = [a, b, c, d].concat();
    ids.sort_by_key(|id| id.0);
    Ok(ids)
}

/// An alert of the simulated application.
pub(super) fn alert(expires_at: Option<Timestamp>) -> NewAlert {
    NewAlert {
        to_recipients: Some(ADDRESS.to_owned()),
        cc_recipients: None,
        bcc_recipients: None,
        subject: Some("sendport verify".to_owned()),
        body: Some("This alert is in a scratch database and is never sent.".to_owned()),
        body_format: BodyFormat::Text,
        template: None,
        payload: None,
        language: None,
        headers: None,
        reference: None,
        send_port: SEND_PORT.to_owned(),
        priority: Priority::Normal,
        not_before: None,
        expires_at,
        attachments: Vec::new(),
    }
}

fn take_one(left: &Mutex<u32>) -> bool {
    let mut left = left.lock();
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

/// Registers an instance that has the send port.
pub(super) async fn register(
    store: &Arc<dyn Store>,
    name: &str,
    lease: Duration,
) -> Result<InstanceId, StoreError> {
    let info = InstanceInfo {
        id: InstanceId::random(),
        name: name.to_owned(),
        host_name: name.to_owned(),
        process_id: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: ENVIRONMENT.to_owned(),
    };
    let port = SendPortInfo {
        name: SEND_PORT.to_owned(),
        from_address: ADDRESS.to_owned(),
        relays: vec!["verify".to_owned()],
        protection: "none".to_owned(),
        max_age: Duration::from_secs(24 * 3600),
        in_doubt: InDoubt::Retry,
    };
    store.register(&info, lease, &[port], &[]).await?;
    Ok(info.id)
}

pub(super) async fn claim(
    store: &Arc<dyn Store>,
    instance: InstanceId,
    limit: u32,
) -> Result<(LeaseToken, Vec<AlertId>), StoreError> {
    let token = LeaseToken::random();
    let claim = Claim {
        instance,
        token,
        send_port: SEND_PORT,
        limit,
        among: Among::AllBut(&[]),
    };
    Ok((token, store.claim(&claim).await?.alerts))
}

/// What two instances did while an application held locks.
#[derive(Default)]
pub struct Contention {
    claimed: Mutex<BTreeMap<AlertId, u32>>,
    recorded: Mutex<BTreeMap<AlertId, u32>>,
}

impl Contention {
    /// Two instances, each on a store of its own with two claims at a time, claim and record until `enough` alerts are
    /// recorded or `at_most` has passed.
    ///
    /// # Errors
    /// [`StoreError`] that trying again does not help.
    pub async fn run(
        &self,
        stores: [&Arc<dyn Store>; 2],
        enough: usize,
        at_most: Duration,
    ) -> Result<(), StoreError> {
        let until = Instant::now() + at_most;
        let [one, two] = stores;
        let first = register(one, "verify-1", LEASE).await?;
        let second = register(two, "verify-2", LEASE).await?;
        let work = |store, instance| self.work(store, instance, enough, until);
        tokio::try_join!(
            work(one, first),
            work(one, first),
            work(two, second),
            work(two, second)
        )?;
        Ok(())
    }

    async fn work(
        &self,
        store: &Arc<dyn Store>,
        instance: InstanceId,
        enough: usize,
        until: Instant,
    ) -> Result<(), StoreError> {
        while self.recorded.lock().len() < enough && Instant::now() < until {
            let (token, alerts) = match claim(store, instance, BATCH).await {
                Ok(claimed) => claimed,
                Err(error) if error.is_transient() => continue,
                Err(error) => return Err(error),
            };
            if alerts.is_empty() {
                sleep(PAUSE).await;
                continue;
            }
            count(&self.claimed, &alerts);
            self.record(store, instance, token, alerts, until).await?;
        }
        Ok(())
    }

    async fn record(
        &self,
        store: &Arc<dyn Store>,
        instance: InstanceId,
        token: LeaseToken,
        mut alerts: Vec<AlertId>,
        until: Instant,
    ) -> Result<(), StoreError> {
        while !alerts.is_empty() && Instant::now() < until {
            let outcomes: Vec<_> = alerts.iter().map(|&id| relayed(id, token)).collect();
            let results = match store.record(instance, &outcomes).await {
                Ok(results) => results,
                Err(error) if error.is_transient() => continue,
                Err(error) => return Err(error),
            };
            let (later, done): (Vec<_>, Vec<_>) = alerts
                .into_iter()
                .zip(results)
                .partition(|(_, result)| *result == RecordResult::NotNow);
            let done: Vec<_> = done.into_iter().map(|(id, _)| id).collect();
            count(&self.recorded, &done);
            alerts = later.into_iter().map(|(id, _)| id).collect();
        }
        Ok(())
    }

    /// How many alerts were recorded.
    pub fn recorded(&self) -> usize {
        self.recorded.lock().len()
    }

    /// Adds whether no alert was claimed or recorded twice.
    pub fn report(&self, report: &mut Report) {
        let twice = |counts: &Mutex<BTreeMap<AlertId, u32>>| {
            let counts = counts.lock();
            let twice = counts.iter().filter(|(_, count)| **count > 1);
            let twice: Vec<_> = twice.map(|(id, _)| id.to_string()).collect();
            twice
        };
        let (claimed, recorded) = (twice(&self.claimed), twice(&self.recorded));
        if claimed.is_empty() && recorded.is_empty() {
            let text = format!(
                "{} alerts, claimed by two instances with two claims at a time: none twice",
                self.claimed.lock().len()
            );
            return report.add(Grade::Ok, "claims", text);
        }
        let text = format!(
            "claimed twice: {}; recorded twice: {}",
            listed(&claimed),
            listed(&recorded)
        );
        report.add(Grade::Fail, "claims", text);
    }
}

fn listed(ids: &[String]) -> String {
    match ids {
        [] => "none".to_owned(),
        _ => format!("{} ({})", ids.len(), ids[..ids.len().min(5)].join(", ")),
    }
}

fn count(counts: &Mutex<BTreeMap<AlertId, u32>>, ids: &[AlertId]) {
    let mut counts = counts.lock();
    for id in ids {
        *counts.entry(*id).or_default() += 1;
    }
}

/// The outcome of a submission that the relay accepted.
pub(super) fn relayed(alert: AlertId, token: LeaseToken) -> Outcome {
    let reply = Reply::new(Command::EndOfData, 250, None, "simulated");
    let now = SystemClock.now();
    let attempt = Attempt {
        key: AttemptKey::fresh(),
        number: 1,
        relay: "verify".to_owned(),
        started_at: now,
        ended_at: now,
        outcome: AttemptOutcome::Relayed,
        message_id: format!("<{alert}@sendport.invalid>"),
        size_bytes: 4711,
        protection: "none".to_owned(),
        protected: ProtectionFacts::default(),
        redirect_to: None,
        facts: SessionFacts::default(),
        replies: vec![CommandReply {
            ordinal: None,
            reply: reply.clone(),
        }],
    };
    let recipient = RecipientOutcome {
        ordinal: 0,
        kind: RecipientKind::To,
        address: RecipientAddress::from_row(ADDRESS, None),
        status: RecipientStatus::Relayed,
        attempt_count: 1,
        relay: Some("verify".to_owned()),
        reply: Some(reply),
        explanation: None,
        remark: None,
        redirect_to: None,
    };
    let decision = Decision {
        status: AlertStatus::Relayed,
        retry_in: None,
        reason: None,
        attempt: Some(attempt),
        recipients: vec![recipient],
        template_version: None,
    };
    Outcome {
        alert,
        token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_that_was_claimed_twice_fails_the_proof() {
        let contention = Contention::default();
        count(&contention.claimed, &[AlertId(1), AlertId(2)]);
        count(&contention.recorded, &[AlertId(1)]);
        let mut report = Report::default();
        contention.report(&mut report);
        assert_eq!(report.findings[0].result, Grade::Ok);
        count(&contention.claimed, &[AlertId(2)]);
        contention.report(&mut report);
        assert_eq!(report.findings[1].result, Grade::Fail);
        assert_eq!(
            report.findings[1].text,
            "claimed twice: 1 (2); recorded twice: none"
        );
    }
}
