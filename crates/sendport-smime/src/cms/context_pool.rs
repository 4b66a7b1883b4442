//! Contexts of OpenSSL that are ready for their work.

use parking_lot::Mutex;

/// What was made for one purpose or another and can be used again, by one thread at a time. There
/// are as many of them as threads that ever were at it at once.
pub(super) struct Pool<K, T>(Mutex<Vec<(K, T)>>);

impl<K, T> Default for Pool<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + PartialEq, T> Pool<K, T> {
    /// Works with one for `purpose`, which is made where all are taken. After an error it is not
    /// used again.
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
    fn what_worked_is_used_again_for_the_same_purpose() {
        let pool = Pool::default();
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
    fn nobody_waits_for_another() {
        let pool = Pool::default();
        let made = |n: u8| pool.with((), || Ok::<_, ()>(n), |it| Ok(*it));
        let both = pool.with((), || Ok(1), |one| made(2).map(|other| (*one, other)));
        assert_eq!(both, Ok((1, 2)));
        assert_eq!(pool.0.lock().len(), 2);
    }
}
