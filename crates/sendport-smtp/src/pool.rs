//! The idle sessions of one relay: which are kept for the next transaction, and when they are closed.
//!
//! The limiter decides how many there may be. A connection counts until the server has closed it, so
//! that the server never counts more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::session::Session;
use crate::relay::SessionError;
use crate::relay::limits::{Connection, Limiter};
use crate::settings::relay::SmtpRelay;
use crate::settings::timeouts::Timeouts;

/// The sessions of one relay.
pub(super) struct Pool {
    limiter: Arc<Limiter>,
    idle: Mutex<Idle>,
    checked_in: Notify,
    /// The last failed connection while none was open. All that waited meanwhile get the same error:
    /// a relay that does not answer would stop them one after the other.
    failed: Mutex<Option<(Instant, SessionError)>>,
    per_connection: u32,
    idle_timeout: Duration,
    waits: Timeouts,
}

/// The right to a connection, and the idle session on it, if there is one.
type Checkout = (Connection, Option<Session>);

#[derive(Default)]
struct Idle {
    /// The longest unused first.
    sessions: Vec<IdleSession>,
    reaper_runs: bool,
    closed: bool,
}

/// A session that waits for its next transaction.
struct IdleSession {
    since: Instant,
    session: Session,
    connection: Connection,
}

impl Pool {
    pub(super) fn new(config: &SmtpRelay, limiter: Arc<Limiter>) -> Arc<Self> {
        Arc::new(Self {
            limiter,
            idle: Mutex::default(),
            checked_in: Notify::new(),
            failed: Mutex::default(),
            per_connection: config.messages_per_connection.max(1),
            idle_timeout: config.idle_timeout,
            waits: config.timeout.clone(),
        })
    }

    /// Waits for an idle session, or for the right to open a connection.
    ///
    /// # Errors
    /// The error of a connection that failed meanwhile; `None` after `limit`.
    pub(super) async fn check_out(
        &self,
        limit: Duration,
    ) -> Result<Checkout, Option<SessionError>> {
        // A service that lost its lease closes the pool, and starts again with the same relays.
        self.idle.lock().closed = false;
        let taken = tokio::time::timeout(limit, self.idle_or_new()).await;
        taken.unwrap_or(Err(None))
    }

    async fn idle_or_new(&self) -> Result<Checkout, Option<SessionError>> {
        let asked = Instant::now();
        loop {
            let checked_in = self.checked_in.notified();
            if let Some(kept) = self.take_idle() {
                return Ok((kept.connection, Some(kept.session)));
            }
            tokio::select! {
                biased;
                place = self.limiter.connection() => {
                    return self.idle_or_connecting(place.ok_or(None)?, asked).await;
                }
                () = checked_in => {}
            }
        }
    }

    /// Connections are opened one after the other: a returned session may come first.
    async fn idle_or_connecting(
        &self,
        mut connection: Connection,
        asked: Instant,
    ) -> Result<Checkout, Option<SessionError>> {
        loop {
            let (checked_in, opened) = (self.checked_in.notified(), self.limiter.opened());
            if let Some(kept) = self.take_idle() {
                return Ok((kept.connection, Some(kept.session)));
            }
            if let Some(answer) = self.failed_since(asked) {
                return Err(Some(answer));
            }
            let Err(wait) = connection.connect() else {
                return Ok((connection, None));
            };
            tokio::select! {
                () = checked_in => {}
                () = opened => {}
                // The share may grow meanwhile.
                () = tokio::time::sleep(wait.min(Duration::from_secs(1))) => {}
            }
        }
    }

    /// A connection was not made.
    pub(super) fn note_failed(&self, answer: &SessionError) {
        if self.limiter.established() == 0 {
            *self.failed.lock() = Some((Instant::now(), answer.clone()));
        }
    }

    fn failed_since(&self, asked: Instant) -> Option<SessionError> {
        let failed = self.failed.lock();
        let meanwhile = failed.as_ref().filter(|(at, _)| *at >= asked);
        meanwhile.map(|(_, answer)| answer.clone())
    }

    /// The session that was used last: the others may expire.
    fn take_idle(&self) -> Option<IdleSession> {
        let fresh = |kept: &mut IdleSession| kept.since.elapsed() < self.idle_timeout;
        self.idle.lock().sessions.pop_if(fresh)
    }

    /// Keeps a session for the next transaction, or quits it.
    pub(super) fn check_in(self: &Arc<Self>, session: Session, connection: Connection) {
        let most = self.per_connection.min(session.facts.limits.transactions());
        let used_up = session.transactions >= most;
        let too_many = self.limiter.surplus_connections() > 0;
        let mut idle = self.idle.lock();
        if used_up || too_many || idle.closed || self.idle_timeout.is_zero() {
            drop(idle);
            self.quit_later(session, connection);
            return;
        }
        idle.sessions.push(IdleSession {
            since: Instant::now(),
            session,
            connection,
        });
        if !std::mem::replace(&mut idle.reaper_runs, true) {
            tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
        drop(idle);
        self.checked_in.notify_one();
    }

    /// In a task of its own: only the next user of the connection's place waits for QUIT.
    fn quit_later(&self, session: Session, connection: Connection) {
        tokio::spawn(quit(session, connection, self.waits.clone()));
    }

    /// Quits idle sessions, the longest unused first, while there are too many.
    pub(super) fn shed(&self) {
        let mut idle = self.idle.lock();
        let surplus = self.limiter.surplus_connections().min(idle.sessions.len());
        let surplus: Vec<_> = idle.sessions.drain(..surplus).collect();
        drop(idle);
        for kept in surplus {
            self.quit_later(kept.session, kept.connection);
        }
    }

    /// Quits every idle session, and every one that is returned before the relay is used again.
    pub(super) async fn close(&self) {
        let sessions = {
            let mut idle = self.idle.lock();
            idle.closed = true;
            std::mem::take(&mut idle.sessions)
        };
        let mut quits = JoinSet::new();
        for kept in sessions {
            quits.spawn(quit(kept.session, kept.connection, self.waits.clone()));
        }
        let _bounded_by_quit = quits.join_all().await;
    }

    /// Removes expired sessions. The time until the next one expires; `None` where none is left.
    fn reap_once(&self) -> Option<Duration> {
        let mut idle = self.idle.lock();
        let young = idle
            .sessions
            .iter()
            .position(|kept| kept.since.elapsed() < self.idle_timeout)
            .unwrap_or(idle.sessions.len());
        let old: Vec<_> = idle.sessions.drain(..young).collect();
        let next = idle.sessions.first().map(|kept| kept.since);
        idle.reaper_runs = next.is_some();
        drop(idle);
        for kept in old {
            self.quit_later(kept.session, kept.connection);
        }
        next.map(|since| self.idle_timeout.saturating_sub(since.elapsed()))
    }
}

/// Frees the connection's place once the server has closed it.
async fn quit(session: Session, mut connection: Connection, waits: Timeouts) {
    connection.closed();
    session.quit(&waits).await;
}

/// Runs while there are idle sessions.
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
