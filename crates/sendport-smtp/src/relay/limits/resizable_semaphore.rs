//! A semaphore whose number of permits can grow and shrink while some are in use.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Permits; tasks wait for them in order.
#[derive(Debug)]
pub(super) struct ResizableSemaphore {
    semaphore: Arc<Semaphore>,
    bound: Mutex<Bound>,
}

#[derive(Debug, Default)]
struct Bound {
    most: u32,
    used: u32,
    /// Permits that are removed when they are released.
    owed: u32,
}

/// One permit, released when dropped.
#[derive(Debug)]
pub(super) struct SemaphorePermit {
    semaphore: Arc<ResizableSemaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ResizableSemaphore {
    pub(super) fn new(most: u32) -> Arc<Self> {
        let permits = Self {
            semaphore: Arc::new(Semaphore::new(0)),
            bound: Mutex::default(),
        };
        permits.resize(most);
        Arc::new(permits)
    }

    pub(super) async fn acquire(self: &Arc<Self>) -> Option<SemaphorePermit> {
        let permit = self.semaphore.clone().acquire_owned().await.ok()?;
        Some(self.acquired(permit))
    }

    pub(super) fn try_acquire(self: &Arc<Self>) -> Option<SemaphorePermit> {
        let permit = self.semaphore.clone().try_acquire_owned().ok()?;
        Some(self.acquired(permit))
    }

    fn acquired(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> SemaphorePermit {
        self.bound.lock().used += 1;
        SemaphorePermit {
            semaphore: self.clone(),
            permit: Some(permit),
        }
    }

    /// From now on there are `most`; more may be in use until they are released.
    pub(super) fn resize(&self, most: u32) {
        let mut bound = self.bound.lock();
        let (more, fewer) = (
            most.saturating_sub(bound.most),
            bound.most.saturating_sub(most),
        );
        let paid = more.min(bound.owed);
        bound.owed -= paid;
        self.semaphore.add_permits((more - paid) as usize);
        let forgotten = self.semaphore.forget_permits(fewer as usize);
        bound.owed += fewer.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        bound.most = most;
    }

    pub(super) fn used(&self) -> u32 {
        self.bound.lock().used
    }

    pub(super) fn are_all_in_use(&self) -> bool {
        let bound = self.bound.lock();
        bound.used >= bound.most
    }

    /// The number of permits in use above the limit.
    pub(super) fn surplus(&self) -> u32 {
        self.bound.lock().owed
    }
}

impl Drop for SemaphorePermit {
    fn drop(&mut self) {
        let mut bound = self.semaphore.bound.lock();
        bound.used -= 1;
        let Some(permit) = self.permit.take() else {
            return;
        };
        if bound.owed > 0 {
            bound.owed -= 1;
            permit.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn surplus_permits_are_removed_when_they_are_released() {
        let permits = ResizableSemaphore::new(3);
        let mut taken: Vec<_> = (0..3).filter_map(|_| permits.try_acquire()).collect();
        permits.resize(1);
        assert_eq!(permits.surplus(), 2);
        taken.truncate(1);
        assert!(permits.surplus() == 0 && permits.try_acquire().is_none());
        permits.resize(2);
        assert_eq!(permits.acquire().await.map(|_| permits.used()), Some(2));
        permits.resize(0);
        drop(taken);
        assert!(permits.try_acquire().is_none() && permits.used() == 0);
        permits.resize(5);
        taken = (0..9).filter_map(|_| permits.try_acquire()).collect();
        assert_eq!(taken.len(), 5);
    }
}
