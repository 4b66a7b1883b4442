//! Looks at database, queue and spool in the background.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Watch;
use crate::metrics::Depth;
use crate::store::{QueueDepth, Store, StoreError};

/// How often the database is asked whether it is there.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// It is away if it takes longer than that.
const PATIENCE: Duration = Duration::from_secs(5);

/// Counting the queue may take this long at most, and not more than a tenth of the time.
const COUNTING_PATIENCE: Duration = Duration::from_secs(30);
const REST: u32 = 9;

/// What looks.
pub struct Look {
    /// Told what was found.
    pub watch: Arc<Watch>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// What keeps a database from being worked with, in words; or that it cannot be asked.
    pub problem: Problem,
    /// How often the queue is counted at most.
    pub queue_interval: Duration,
    /// Length of a lease.
    pub lease: Duration,
}

/// Whether the schema of a database is right.
type Problem =
    Box<dyn Fn(Arc<dyn Store>) -> BoxFuture<Result<Option<String>, StoreError>> + Send + Sync>;

/// A future of any kind.
type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

impl Look {
    /// Looks until it is dropped.
    pub async fn run(self) {
        let mut count_at = Instant::now();
        loop {
            let problem = self.problem_now().await;
            let answers = problem.is_none();
            self.watch.database_is(problem);
            self.look_at_spool();
            if !answers {
                self.watch.parts.metrics.queue.unknown();
            } else if Instant::now() >= count_at {
                let took = self.count_queue().await;
                let rest = self.queue_interval.saturating_sub(took);
                count_at = Instant::now() + rest.max(took * REST);
            }
            let next = LOOK_EVERY.min(count_at - Instant::now());
            tokio::time::sleep(next.max(Duration::from_millis(100))).await;
        }
    }

    /// Why the database cannot be worked with now.
    async fn problem_now(&self) -> Option<String> {
        let asked = (self.problem)(self.store.clone());
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(problem)) => problem,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        }
    }

    fn look_at_spool(&self) {
        let size = self
            .watch
            .working
            .lock()
            .as_ref()
            .map(|it| it.ledger.size());
        if let Some(size) = size {
            self.watch.parts.metrics.service.spool(size);
        }
    }

    /// How long it took.
    async fn count_queue(&self) -> Duration {
        let begun = Instant::now();
        let counted = tokio::time::timeout(COUNTING_PATIENCE, self.store.depths()).await;
        let queue = &self.watch.parts.metrics.queue;
        match counted {
            Ok(Ok(lines)) => {
                let now = self.watch.parts.clock.now().timestamp_millis();
                queue.counted(now, lines.iter().map(depth));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "queue count failed");
                queue.unknown();
            }
            Err(_) => queue.unknown(),
        }
        self.look_for_overdue().await;
        begun.elapsed()
    }

    async fn look_for_overdue(&self) {
        let asked = tokio::time::timeout(COUNTING_PATIENCE, self.store.overdue(self.lease)).await;
        if let Ok(Ok(overdue)) = asked {
            *self.watch.overdue.lock() = overdue.in_words();
        }
    }
}

fn depth(line: &QueueDepth) -> Depth<'_> {
    Depth {
        send_port: &line.send_port,
        status: line.status.as_str(),
        alerts: line.depth,
        oldest: line.oldest_age_seconds,
    }
}
