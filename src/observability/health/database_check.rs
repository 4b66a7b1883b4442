//! Checks database, queue and spool in the background.

use std::sync::Arc;
use std::time::Duration;

use sendport_store::{QueueDepth, Store, StoreError};
use tokio::time::Instant;

use super::HealthMonitor;
use crate::observability::metrics::Depth;

/// Time between two checks of the database.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// The database counts as unavailable if a check takes longer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Bound of one count of the queue.
const COUNT_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause after a count, in times of its duration: counting takes at most a tenth of the time.
const COUNT_PAUSE: u32 = 9;

/// The background task.
pub struct DatabaseCheck {
    /// Receives the results.
    pub monitor: Arc<HealthMonitor>,
    /// The database.
    pub store: Arc<dyn Store>,
    /// Describes why the database cannot be used.
    pub problem: Problem,
    /// Shortest time between two counts of the queue.
    pub queue_interval: Duration,
    /// Length of a lease.
    pub lease: Duration,
}

/// `None` if the schema is the expected one.
type Problem =
    Box<dyn Fn(Arc<dyn Store>) -> BoxFuture<Result<Option<String>, StoreError>> + Send + Sync>;

/// A future of any kind.
type BoxFuture<T> = std::pin::Pin<Box<dyn Future<Output = T> + Send>>;

impl DatabaseCheck {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut count_at = Instant::now();
        loop {
            let problem = self.problem_now().await;
            let answers = problem.is_none();
            self.monitor.set_database_problem(problem);
            self.measure_spool();
            if !answers {
                self.monitor.dependencies.metrics.queue.unknown();
            } else if Instant::now() >= count_at {
                let took = self.count_queue().await;
                let rest = self.queue_interval.saturating_sub(took);
                count_at = Instant::now() + rest.max(took * COUNT_PAUSE);
            }
            let next = CHECK_EVERY.min(count_at - Instant::now());
            tokio::time::sleep(next.max(Duration::from_millis(100))).await;
        }
    }

    /// Why the database cannot be used now.
    async fn problem_now(&self) -> Option<String> {
        let check = (self.problem)(self.store.clone());
        match tokio::time::timeout(CHECK_TIMEOUT, check).await {
            Ok(Ok(problem)) => problem,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        }
    }

    fn measure_spool(&self) {
        let size = self
            .monitor
            .running
            .lock()
            .as_ref()
            .map(|it| it.spool.size());
        if let Some(size) = size {
            self.monitor.dependencies.metrics.service.spool(size);
        }
    }

    /// Returns how long it took.
    async fn count_queue(&self) -> Duration {
        let begun = Instant::now();
        let counted = tokio::time::timeout(COUNT_TIMEOUT, self.store.depths()).await;
        let queue = &self.monitor.dependencies.metrics.queue;
        match counted {
            Ok(Ok(lines)) => {
                let now = self.monitor.dependencies.clock.now().timestamp_millis();
                queue.counted(now, lines.iter().map(depth));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "queue count failed");
                queue.unknown();
            }
            Err(_) => queue.unknown(),
        }
        self.find_overdue().await;
        begun.elapsed()
    }

    async fn find_overdue(&self) {
        let found = tokio::time::timeout(COUNT_TIMEOUT, self.store.overdue(self.lease)).await;
        if let Ok(Ok(overdue)) = found {
            *self.monitor.overdue.lock() = overdue.in_words();
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
