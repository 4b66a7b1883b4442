//! The rules on which nothing lost and nothing doubled depend.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::clock::{Clock as _, SystemClock};
use sendport_core::domain::{AlertId, AlertStatus, RecipientStatus};
use sendport_store::{Among, RecordResult, Store, StoreError};
use tokio::time::{Instant, sleep};

use super::simulation::{LEASE, alert, claim, insert_alerts, register, relayed};
use super::{Grade, Report};

/// A lease that ends during the proof.
const SHORT_LEASE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Tries each rule once and adds what was found.
///
/// # Errors
/// [`StoreError`] where a statement fails.
pub async fn try_rules(store: &Arc<dyn Store>, report: &mut Report) -> Result<(), StoreError> {
    try_take_over(store, report).await?;
    try_expiry(store, report).await
}

/// The alert of an instance that died goes to another, as an attempt in doubt, and what the dead one's relay replied
/// is recorded even then.
async fn try_take_over(store: &Arc<dyn Store>, report: &mut Report) -> Result<(), StoreError> {
    let id = insert_alerts(store, 1).await?[0];
    let dead = register(store, "verify-dead", SHORT_LEASE).await?;
    let (token, claimed) = claim(store, dead, 1).await?;
    if claimed != [id] {
        let text = format!("alert {id} was due, claimed were {claimed:?}");
        report.add(Grade::Fail, "take-over", text);
        return Ok(());
    }
    let other = register(store, "verify-other", LEASE).await?;
    let taken = |store: &Arc<dyn Store>| {
        let store = Arc::clone(store);
        async move { Ok(store.take_over(other, 10, Among::AllBut(&[])).await?.count) }
    };
    let count = until_some(store, taken).await?;
    let status = status_of(store, id).await?;
    let result = store.record(dead, &[relayed(id, token)]).await?;
    let after = status_of(store, id).await?;
    let is_right = count == 1
        && status == Some(AlertStatus::Queued)
        && result == [RecordResult::FactsOnly]
        && after == Some(AlertStatus::Relayed);
    if is_right {
        let text = "an ended lease was taken over, and the relay's late reply was recorded";
        report.add(Grade::Ok, "take-over", text);
    } else {
        let text = format!(
            "{count} alerts were taken over, the status became {status:?}; the late reply was recorded as {result:?}, \
             and the status became {after:?}"
        );
        report.add(Grade::Fail, "take-over", text);
    }
    Ok(())
}

/// An alert whose time has passed expires without a claim.
async fn try_expiry(store: &Arc<dyn Store>, report: &mut Report) -> Result<(), StoreError> {
    let id = store.insert(&alert(Some(SystemClock.now()))).await?;
    let expired = |store: &Arc<dyn Store>| {
        let store = Arc::clone(store);
        async move { Ok(store.expire(10, Among::AllBut(&[])).await?.count) }
    };
    until_some(store, expired).await?;
    let lines = store.deliveries(Some(id), 1).await?;
    let recipient = lines.first().map(|line| line.status.as_str());
    let status = status_of(store, id).await?;
    if status == Some(AlertStatus::Expired) && recipient == Some(RecipientStatus::Expired.as_str())
    {
        report.add(Grade::Ok, "expiry", "an alert expired with its recipient");
    } else {
        let text =
            format!("the alert is {status:?}, its recipient {recipient:?}; expected: expired");
        report.add(Grade::Fail, "expiry", text);
    }
    Ok(())
}

async fn status_of(store: &Arc<dyn Store>, id: AlertId) -> Result<Option<AlertStatus>, StoreError> {
    let lines = store.alerts(Some(id), 1).await?;
    Ok(lines.first().map(|line| line.status))
}

/// Repeats until something was done, because the database's clock and locks decide when.
async fn until_some<F, Next>(store: &Arc<dyn Store>, step: F) -> Result<u32, StoreError>
where
    F: Fn(&Arc<dyn Store>) -> Next,
    Next: Future<Output = Result<u32, StoreError>>,
{
    let until = Instant::now() + PATIENCE;
    loop {
        let count = step(store).await?;
        if count > 0 || Instant::now() > until {
            return Ok(count);
        }
        sleep(PAUSE).await;
    }
}
