//! Open sessions of one relay: which are kept for the next transaction, and when they go.
//!
//! How many there may be is the limiter's to say. A connection keeps its place until the server
//! has closed it, so that the server never counts more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::session::Session;
use crate::config::relay::SmtpRelay;
use crate::config::timeouts::Timeouts;
use crate::relay::NotReady;
use crate::relay::limits::{Connection, Limiter};

/// The sessions of one relay.
pub(super) struct Pool {
    limiter: Arc<Limiter>,
    idle: Mutex<Idle>,
    given_back: Notify,
    /// The last connection that was not made while none worked: who waited meanwhile gets the
    /// same answer, or a relay that does not answer would stop them one after the other.
    failed: Mutex<Option<(Instant, NotReady)>>,
    per_connection: u32,
    idle_timeout: Duration,
    waits: Timeouts,
}

/// A place for a connection, and the session that was kept there, if one was.
type Taken = (Connection, Option<Session>);

#[derive(Default)]
struct Idle {
    /// The longest unused first.
    sessions: Vec<Kept>,
    reaper_runs: bool,
    closed: bool,
}

/// A session that waits for its next transaction.
struct Kept {
    since: Instant,
    session: Session,
    connection: Connection,
}

impl Pool {
    pub(super) fn new(config: &SmtpRelay, limiter: Arc<Limiter>) -> Arc<Self> {
        Arc::new(Self {
            limiter,
            idle: Mutex::default(),
            given_back: Notify::new(),
            failed: Mutex::default(),
            per_connection: config.messages_per_connection.max(1),
            idle_timeout: config.idle_timeout,
            waits: config.timeout.clone(),
        })
    }

    /// Waits for a place for a connection, with the session that was kept there, if one was,
    /// or the right to connect.
    ///
    /// # Errors
    /// The answer to a connection that was tried meanwhile; `None` if it takes longer than
    /// `limit`.
    pub(super) async fn take(&self, limit: Duration) -> Result<Taken, Option<NotReady>> {
        // A service that lost its lease closes, and begins anew with the same relays.
        self.idle.lock().closed = false;
        let taken = tokio::time::timeout(limit, self.kept_or_new()).await;
        taken.unwrap_or(Err(None))
    }

    async fn kept_or_new(&self) -> Result<Taken, Option<NotReady>> {
        let asked = Instant::now();
        loop {
            let given_back = self.given_back.notified();
            if let Some(kept) = self.kept() {
                return Ok((kept.connection, Some(kept.session)));
            }
            tokio::select! {
                biased;
                place = self.limiter.connection() => {
                    return self.kept_or_connecting(place.ok_or(None)?, asked).await;
                }
                () = given_back => {}
            }
        }
    }

    /// Connections are opened one after the other: a session that is given back may come first.
    async fn kept_or_connecting(
        &self,
        mut connection: Connection,
        asked: Instant,
    ) -> Result<Taken, Option<NotReady>> {
        loop {
            let (given_back, opened) = (self.given_back.notified(), self.limiter.opened());
            if let Some(kept) = self.kept() {
                return Ok((kept.connection, Some(kept.session)));
            }
            if let Some(answer) = self.failed_since(asked) {
                return Err(Some(answer));
            }
            let Err(wait) = connection.connect() else {
                return Ok((connection, None));
            };
            tokio::select! {
                () = given_back => {}
                () = opened => {}
                // The share may grow meanwhile.
                () = tokio::time::sleep(wait.min(Duration::from_secs(1))) => {}
            }
        }
    }

    /// A connection was not made.
    pub(super) fn note_failed(&self, answer: &NotReady) {
        if self.limiter.established() == 0 {
            *self.failed.lock() = Some((Instant::now(), answer.clone()));
        }
    }

    fn failed_since(&self, asked: Instant) -> Option<NotReady> {
        let failed = self.failed.lock();
        let meanwhile = failed.as_ref().filter(|(at, _)| *at >= asked);
        meanwhile.map(|(_, answer)| answer.clone())
    }

    /// The session that was used last, if one is kept: the others may grow old.
    fn kept(&self) -> Option<Kept> {
        let fresh = |kept: &mut Kept| kept.since.elapsed() < self.idle_timeout;
        self.idle.lock().sessions.pop_if(fresh)
    }

    /// Keeps a session for the next transaction, or says goodbye on it.
    pub(super) fn give_back(self: &Arc<Self>, session: Session, connection: Connection) {
        let most = self.per_connection.min(session.facts.limits.transactions());
        let used_up = session.transactions >= most;
        let too_many = self.limiter.surplus_connections() > 0;
        let mut idle = self.idle.lock();
        if used_up || too_many || idle.closed || self.idle_timeout.is_zero() {
            drop(idle);
            self.say_goodbye(session, connection);
            return;
        }
        idle.sessions.push(Kept {
            since: Instant::now(),
            session,
            connection,
        });
        if !std::mem::replace(&mut idle.reaper_runs, true) {
            tokio::spawn(reap(Arc::downgrade(self), self.idle_timeout));
        }
        drop(idle);
        self.given_back.notify_one();
    }

    /// In a task of its own: nobody waits for QUIT but who wants the place.
    fn say_goodbye(&self, session: Session, connection: Connection) {
        tokio::spawn(goodbye(session, connection, self.waits.clone()));
    }

    /// Says goodbye on idle sessions, the longest unused first, while there are too many.
    pub(super) fn shed(&self) {
        let mut idle = self.idle.lock();
        let surplus = self.limiter.surplus_connections().min(idle.sessions.len());
        let surplus: Vec<_> = idle.sessions.drain(..surplus).collect();
        drop(idle);
        for kept in surplus {
            self.say_goodbye(kept.session, kept.connection);
        }
    }

    /// Says goodbye on every idle session, and on every one that comes back before the
    /// relay is used again.
    pub(super) async fn close(&self) {
        let sessions = {
            let mut idle = self.idle.lock();
            idle.closed = true;
            std::mem::take(&mut idle.sessions)
        };
        let mut goodbyes = JoinSet::new();
        for kept in sessions {
            goodbyes.spawn(goodbye(kept.session, kept.connection, self.waits.clone()));
        }
        let _bounded_by_quit = goodbyes.join_all().await;
    }

    /// Takes out what is too old. `None` when nothing is left to look after, else the time
    /// until the next one is.
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
            self.say_goodbye(kept.session, kept.connection);
        }
        next.map(|since| self.idle_timeout.saturating_sub(since.elapsed()))
    }
}

/// The place is free once the server has closed.
async fn goodbye(session: Session, mut connection: Connection, waits: Timeouts) {
    connection.closed();
    session.quit(&waits).await;
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
