//! A number of places that can grow and shrink while some are taken.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, waited for in order.
#[derive(Debug)]
pub(super) struct ResizableSemaphore {
    semaphore: Arc<Semaphore>,
    bound: Mutex<Bound>,
}

#[derive(Debug, Default)]
struct Bound {
    most: u32,
    used: u32,
    /// Places that go away as soon as they are given back.
    owed: u32,
}

/// One place, given back when dropped.
#[derive(Debug)]
pub(super) struct SemaphorePermit {
    places: Arc<ResizableSemaphore>,
    permit: Option<OwnedSemaphorePermit>,
}

impl ResizableSemaphore {
    pub(super) fn new(most: u32) -> Arc<Self> {
        let places = Self {
            semaphore: Arc::new(Semaphore::new(0)),
            bound: Mutex::default(),
        };
        places.resize(most);
        Arc::new(places)
    }

    pub(super) async fn take(self: &Arc<Self>) -> Option<SemaphorePermit> {
        let permit = self.semaphore.clone().acquire_owned().await.ok()?;
        Some(self.taken(permit))
    }

    pub(super) fn try_take(self: &Arc<Self>) -> Option<SemaphorePermit> {
        let permit = self.semaphore.clone().try_acquire_owned().ok()?;
        Some(self.taken(permit))
    }

    fn taken(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> SemaphorePermit {
        self.bound.lock().used += 1;
        SemaphorePermit {
            places: self.clone(),
            permit: Some(permit),
        }
    }

    /// From now on there are `most`; more may be taken until they are given back.
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

    pub(super) fn are_all_used(&self) -> bool {
        let bound = self.bound.lock();
        bound.used >= bound.most
    }

    /// So many more are taken than there are.
    pub(super) fn surplus(&self) -> u32 {
        self.bound.lock().owed
    }
}

impl Drop for SemaphorePermit {
    fn drop(&mut self) {
        let mut bound = self.places.bound.lock();
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
    async fn places_that_are_taken_go_away_when_they_are_given_back() {
        let places = ResizableSemaphore::new(3);
        let mut taken: Vec<_> = (0..3).filter_map(|_| places.try_take()).collect();
        places.resize(1);
        assert_eq!(places.surplus(), 2);
        taken.truncate(1);
        assert!(places.surplus() == 0 && places.try_take().is_none());
        places.resize(2);
        assert_eq!(places.take().await.map(|_| places.used()), Some(2));
        places.resize(0);
        drop(taken);
        assert!(places.try_take().is_none() && places.used() == 0);
        places.resize(5);
        taken = (0..9).filter_map(|_| places.try_take()).collect();
        assert_eq!(taken.len(), 5);
    }
}
