//! An instance that cannot work yet: its row shows that it runs, and the reason.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sendport_core::domain::{InstanceCondition, InstanceInfo, SendPortInfo};
use sendport_store::{Explanation, Store, StoreError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::obstacles::Obstacles;

/// How soon a change of the reason is shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);

/// The row of the instance. It has no share of the relays' limits, and no alerts.
#[derive(Clone)]
pub struct StandbyInstance {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The waiting instance. The instance that works later has another id and is the youngest then: shares
    /// of limits are assigned by age.
    pub instance: InstanceInfo,
    /// Its send ports.
    pub send_ports: Vec<SendPortInfo>,
    /// Its table of replies.
    pub explanations: Vec<Explanation>,
    /// The reason why it waits.
    pub obstacles: Arc<Obstacles>,
    /// Length of a lease.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew_interval: Duration,
}

/// Shown until this is dropped.
pub struct StandbyDisplay {
    waiting: StandbyInstance,
    halt: CancellationToken,
    task: JoinHandle<()>,
}

impl StandbyInstance {
    /// Shows it from now on.
    pub fn show(&self) -> StandbyDisplay {
        let (waiting, halt) = (self.clone(), CancellationToken::new());
        let task = tokio::spawn(waiting.clone().run(halt.clone()));
        StandbyDisplay {
            waiting,
            halt,
            task,
        }
    }

    async fn run(self, halt: CancellationToken) {
        let (mut registered, mut shown) = (None, None);
        while !halt.is_cancelled() {
            if let Err(error) = self.step(&mut registered, &mut shown).await {
                tracing::debug!(%error, "instance condition update failed");
            }
            tokio::select! {
                () = halt.cancelled() => return,
                () = tokio::time::sleep(SHOW_EVERY) => {}
            }
        }
    }

    async fn step(
        &self,
        registered: &mut Option<Instant>,
        shown: &mut Option<InstanceCondition>,
    ) -> Result<(), StoreError> {
        let id = self.instance.id;
        if registered.is_none_or(|at| at.elapsed() >= self.renew_interval) {
            let (ports, explanations) = (&self.send_ports, &self.explanations);
            let store = &self.store;
            store
                .register(&self.instance, self.lease, ports, explanations)
                .await?;
            store.publish_share(id, 0).await?;
            *registered = Some(Instant::now());
        }
        let condition = self.obstacles.condition();
        if shown.as_ref() != Some(&condition) {
            self.store.show_condition(id, &condition).await?;
            *shown = Some(condition);
        }
        Ok(())
    }
}

impl StandbyDisplay {
    /// The next instance registers itself.
    pub async fn end(self) {
        self.halt.cancel();
        // Not aborted: this statement must reach the database before the next one.
        let _ = self.task.await;
        let (store, id) = (&self.waiting.store, self.waiting.instance.id);
        if let Err(error) = store.retire(id).await {
            tracing::warn!(%error, "instance deregistration failed, lease will expire");
        }
    }
}
