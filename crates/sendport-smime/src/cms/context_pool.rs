//! Initialized contexts of OpenSSL, reused.

use parking_lot::Mutex;

/// Contexts by purpose, each used by one thread at a time. It grows to the number of threads that
/// worked at the same time.
pub(super) struct ContextPool<K, T>(Mutex<Vec<(K, T)>>);

impl<K, T> Default for ContextPool<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + PartialEq, T> ContextPool<K, T> {
    /// Calls `work` with a context for `purpose`, which `make` creates where all are in use. After
    /// an error the context is dropped.
    pub(super) fn with<R, E>(
        &self,
        purpose: K,
        make: impl FnOnce() -> Result<T, E>,
        work: impl FnOnce(&mut T) -> Result<R, E>,
    ) -> Result<R, E> {
        let mut context = match self.take(purpose) {
            Some(ready) => ready,
            None => make()?,
        };
        let done = work(&mut context)?;
        self.0.lock().push((purpose, context));
        Ok(done)
    }

    fn take(&self, purpose: K) -> Option<T> {
        let mut ready = self.0.lock();
        let at = ready.iter().position(|(of, _)| *of == purpose)?;
        Some(ready.swap_remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reuses_a_context_that_worked_for_the_same_purpose() {
        let pool = ContextPool::default();
        let work = |purpose: u8, result: Result<(), ()>| {
            let mut is_new = false;
            let make = || {
                is_new = true;
                Ok(())
            };
            let done = pool.with(purpose, make, |()| result);
            (is_new, done)
        };
        assert_eq!(work(1, Ok(())), (true, Ok(())));
        assert_eq!(work(2, Ok(())), (true, Ok(())));
        assert_eq!(work(1, Err(())), (false, Err(())));
        assert_eq!(work(1, Ok(())), (true, Ok(())));
        assert_eq!(work(2, Ok(())), (false, Ok(())));
    }

    #[test]
    fn makes_a_second_context_while_the_first_is_in_use() {
        let pool = ContextPool::default();
        let made = |n: u8| pool.with((), || Ok::<_, ()>(n), |it| Ok(*it));
        let both = pool.with((), || Ok(1), |one| made(2).map(|other| (*one, other)));
        assert_eq!(both, Ok((1, 2)));
        assert_eq!(pool.0.lock().len(), 2);
    }
}
