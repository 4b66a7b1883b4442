//! How much of large messages is in memory at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Messages below this are not counted.
const SMALL: u64 = 64 * 1024;
/// Bytes of all messages that are counted, from their first byte to the relay's answer; one that
/// is larger than all of this goes alone.
const TOTAL: u64 = 6 * 1024 * 1024;
/// What is counted at a time.
const UNIT: u64 = 1024;

/// Shared by all send ports. First come, first served, so that a large message is not
/// overtaken for ever.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    units: Arc<Semaphore>,
}

/// The memory of one message; released when dropped.
#[derive(Debug)]
pub(super) struct MemoryPermit(
    #[expect(dead_code, reason = "held, not read")] Option<OwnedSemaphorePermit>,
);

impl MemoryBudget {
    pub(super) fn new() -> Self {
        let units = usize::try_from(TOTAL / UNIT).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            units: Arc::new(Semaphore::new(units)),
        }
    }

    /// A permit for a message of so many bytes; `None` if there is none within `patience`.
    pub(super) async fn acquire(&self, bytes: u64, patience: Duration) -> Option<MemoryPermit> {
        if bytes < SMALL {
            return Some(MemoryPermit(None));
        }
        let units = u32::try_from(bytes.min(TOTAL) / UNIT).unwrap_or(u32::MAX);
        let permit = self.units.clone().acquire_many_owned(units);
        let permit = tokio::time::timeout(patience, permit).await.ok()?.ok()?;
        Some(MemoryPermit(Some(permit)))
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Poll;

    use futures_poll::poll;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Asks a future once.
    mod futures_poll {
        use std::future::Future;
        use std::pin::Pin;
        use std::task::{Context, Poll, Waker};

        pub(super) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
            future.poll(&mut Context::from_waker(Waker::noop()))
        }
    }

    #[tokio::test]
    async fn a_message_larger_than_all_of_it_goes_alone() {
        let budget = MemoryBudget::new();
        let half = budget.acquire(TOTAL / 2, LONG).await;
        let mut large = pin!(budget.acquire(TOTAL * 3, LONG));
        assert!(poll(large.as_mut()).is_pending());
        let mut behind = pin!(budget.acquire(SMALL, LONG));
        assert!(poll(behind.as_mut()).is_pending(), "it does not overtake");
        assert!(matches!(
            poll(pin!(budget.acquire(SMALL - 1, LONG))),
            Poll::Ready(Some(_))
        ));
        drop(half);
        let memory_permit = large.await;
        assert!(memory_permit.is_some() && poll(behind.as_mut()).is_pending());
        drop(memory_permit);
        assert!(behind.await.is_some());
    }

    #[tokio::test]
    async fn every_waiting_request_ends() {
        let budget = MemoryBudget::new();
        let _all = budget.acquire(TOTAL, LONG).await;
        assert!(
            budget
                .acquire(TOTAL, Duration::from_millis(1))
                .await
                .is_none()
        );
    }
}
