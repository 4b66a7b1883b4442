//! Open sessions of one relay: how many there may be, and which are kept for the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::session::Session;
use crate::config::limits::Connections;
use crate::config::relay::SmtpRelay;
use crate::config::timeouts::Timeouts;

/// The sessions of one relay.
pub(super) struct Pool {
    permits: Arc<Semaphore>,
    idle: Mutex<Idle>,
    per_connection: u32,
    idle_timeout: Duration,
    waits: Timeouts,
}

#[derive(Default)]
struct Idle {
    /// The longest unused first.
    sessions: Vec<(Instant, Session)>,
    reaper_runs: bool,
    closed: bool,
}

/// The right to have one connection.
pub(super) struct Permit(#[expect(dead_code, reason = "held for its Drop")] OwnedSemaphorePermit);

impl Pool {
    pub(super) fn new(config: &SmtpRelay) -> Arc<Self> {
        let (Connections::OfAll(most) | Connections::OfEach(most)) = config.limits().connections;
        let connections = usize::try_from(most.max(1)).unwrap_or(1);
        Arc::new(Self {
            permits: Arc::new(Semaphore::new(connections)),
            idle: Mutex::default(),
            per_connection: config.messages_per_connection.max(1),
            idle_timeout: config.idle_timeout,
            waits: config.timeout.clone(),
        })
    }

    /// Waits until a connection may be used; `None` if that takes longer than `limit`.
    pub(super) async fn permit(&self, limit: Duration) -> Option<Permit> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = tokio::time::timeout(limit, permit).await.ok()?;
        // A service that lost its lease closes, and begins anew with the same relays.
        self.lock().closed = false;
        permit.ok().map(Permit)
    }

    /// The session that was used last, if one is kept: the others may grow old.
    pub(super) fn kept(&self) -> Option<Session> {
        let mut idle = self.lock();
        let fresh = |since: &Instant| since.elapsed() < self.idle_timeout;
        let (_, session) = idle.sessions.pop_if(|(since, _)| fresh(since))?;
        Some(session)
    }

    /// Keeps a session for the next transaction, or says goodbye on it.
    pub(super) fn give_back(self: &Arc<Self>, session: Session) {
        let used_up = session.transactions >= self.per_connection;
        let mut idle = self.lock();
        if used_up || idle.closed || self.idle_timeout.is_zero() {
            drop(idle);
            self.say_goodbye(session);
            return;
        }
        idle.sessions.push((Instant::now(), session));
        if !std::mem::replace(&mut idle.reaper_runs, true) {
            tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
    }

    /// In a task of its own: nobody waits for QUIT.
    pub(super) fn say_goodbye(&self, session: Session) {
        let waits = self.waits.clone();
        tokio::spawn(async move { session.quit(&waits).await });
    }

    /// Says goodbye on every idle session, and on every one that comes back before the
    /// relay is used again.
    pub(super) async fn close(&self) {
        let sessions = {
            let mut idle = self.lock();
            idle.closed = true;
            std::mem::take(&mut idle.sessions)
        };
        let mut goodbyes = JoinSet::new();
        for (_, session) in sessions {
            let waits = self.waits.clone();
            goodbyes.spawn(async move { session.quit(&waits).await });
        }
        let _bounded_by_quit = goodbyes.join_all().await;
    }

    /// Takes out what is too old. `None` when nothing is left to look after, else the time
    /// until the next one is.
    fn reap_once(&self) -> Option<Duration> {
        let mut idle = self.lock();
        let young = idle
            .sessions
            .iter()
            .position(|(since, _)| since.elapsed() < self.idle_timeout)
            .unwrap_or(idle.sessions.len());
        let old: Vec<_> = idle.sessions.drain(..young).collect();
        let next = idle.sessions.first().map(|(since, _)| *since);
        idle.reaper_runs = next.is_some();
        drop(idle);
        for (_, session) in old {
            self.say_goodbye(session);
        }
        next.map(|since| self.idle_timeout.saturating_sub(since.elapsed()))
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs while sessions are idle.
async fn reap(pool: Weak<Pool>, idle_timeout: Duration) {
    let mut until_next = idle_timeout;
    loop {
        tokio::time::sleep(until_next).await;
        let Some(pool) = pool.upgrade() else { return };
        match pool.reap_once() {
            Some(next) => until_next = next,
            None => return,
        }
    }
}
