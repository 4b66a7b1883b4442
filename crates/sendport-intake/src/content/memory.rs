//! How much content all connections together hold in memory.

use std::sync::Arc;

use parking_lot::Mutex;

/// The memory that is left. Content that gets none goes to a file.
#[derive(Debug, Clone)]
pub(crate) struct MemoryBudget(Arc<Mutex<usize>>);

/// A part of the budget, returned when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    budget: MemoryBudget,
    octets: usize,
}

impl MemoryBudget {
    pub(crate) fn new(octets: usize) -> Self {
        Self(Arc::new(Mutex::new(octets)))
    }

    /// Nothing yet.
    pub(crate) fn reservation(&self) -> Reservation {
        Reservation {
            budget: self.clone(),
            octets: 0,
        }
    }
}

impl Reservation {
    /// Makes the part at least so large; false where too little is left.
    pub(crate) fn grow_to(&mut self, octets: usize) -> bool {
        let Some(more) = octets.checked_sub(self.octets) else {
            return true;
        };
        let mut left = self.budget.0.lock();
        match left.checked_sub(more) {
            None => false,
            Some(rest) => {
                *left = rest;
                self.octets = octets;
                true
            }
        }
    }

    /// Returns all of it.
    pub(crate) fn release(&mut self) {
        *self.budget.0.lock() += std::mem::take(&mut self.octets);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_reserved_again() {
        let budget = MemoryBudget::new(100);
        let (mut first, mut second) = (budget.reservation(), budget.reservation());
        assert!(first.grow_to(60) && first.grow_to(40) && second.grow_to(40));
        assert!(!second.grow_to(41));
        drop(first);
        assert!(second.grow_to(100));
        second.release();
        assert!(budget.reservation().grow_to(100));
    }
}
