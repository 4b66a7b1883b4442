//! The connections, and the few retries that callers need not know of.
//!
//! A pool of our own, in fifty lines: the usual crates retry a login by themselves, which
//! locks an account whose password is wrong, and keep its error from the caller.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tiberius::error::Error;
use tiberius::{Command, Row, ToSql};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::authentication::{self, ConnectError};
use super::connection::{Connection, Rows};
use super::error::unexpected;
use super::error::{Remedy, is_refused_login, no_proof, remedy, store_error};
use super::settings::Settings;
use super::statement::Engine;
use super::unreachable;
use crate::{ColumnError, StoreError, StoreErrorKind};

/// A deadlock's victim tries again after these.
const BACK_OFF: [Duration; 4] = [
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(160),
    Duration::from_millis(640),
];

/// The number of the error.
const DEADLOCK_VICTIM: u32 = 1205;

/// Connections to one database.
pub(super) struct Pool {
    settings: Settings,
    permits: Semaphore,
    idle: Mutex<Vec<Connection>>,
    /// Counts lost connections: those opened before one was lost are not trusted any more.
    generation: AtomicU64,
    /// The last connection was opened, and none was lost since: many may be opened at a time.
    opens: AtomicBool,
    opening: tokio::sync::Mutex<()>,
    /// How many could not be opened, and why the last one.
    failures: Mutex<(u64, Option<(StoreErrorKind, String)>)>,
    refused: Mutex<Option<(Instant, String)>>,
    broke_at: Mutex<Option<Instant>>,
    deadlocks: AtomicU64,
}

/// A connection on loan. Goes back when dropped, if it can be used again.
pub(super) struct PooledConnection<'a> {
    pool: &'a Pool,
    connection: Option<Connection>,
    _permit: SemaphorePermit<'a>,
}

impl PooledConnection<'_> {
    pub(super) fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("taken only by drop")
    }
}

impl Drop for PooledConnection<'_> {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(Connection::is_usable) {
            self.pool.idle.lock().push(connection);
        }
    }
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            permits: Semaphore::new(settings.max_pool_size),
            settings,
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            opens: AtomicBool::new(false),
            opening: tokio::sync::Mutex::default(),
            failures: Mutex::default(),
            refused: Mutex::default(),
            broke_at: Mutex::default(),
            deadlocks: AtomicU64::new(0),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All result sets of a parameterised batch that may be repeated.
    pub(super) async fn query(
        &self,
        doing: &'static str,
        sql: &str,
        params: &[&dyn ToSql],
    ) -> Result<Vec<Rows>, StoreError> {
        let mut tries = Retries::default();
        loop {
            let mut loan = self.loan(doing).await?;
            match loan.connection().query(sql, params).await {
                Ok(results) => return Ok(results),
                Err(error) => self.retry(doing, &mut tries, loan, error).await?,
            }
        }
    }

    /// The first result set of [`Self::query`].
    pub(super) async fn rows(
        &self,
        doing: &'static str,
        sql: &str,
        params: &[&dyn ToSql],
    ) -> Result<Rows, StoreError> {
        let results = self.query(doing, sql, params).await?;
        Ok(results.into_iter().next().unwrap_or_default())
    }

    /// The first row of [`Self::rows`].
    pub(super) async fn row(
        &self,
        doing: &'static str,
        sql: &str,
        params: &[&dyn ToSql],
    ) -> Result<Row, StoreError> {
        let rows = self.rows(doing, sql, params).await?;
        rows.into_iter()
            .next()
            .ok_or_else(|| unexpected(doing, "the server returned no row where one was expected"))
    }

    /// The first result set of the first of a few procedures that may all be called again: see
    /// [`Connection::call_in_portions`].
    pub(super) async fn call_in_portions<T: Send>(
        &self,
        doing: &'static str,
        most: usize,
        command: impl Fn(Engine, usize, &[Result<T, ColumnError>]) -> Option<Command<'static>>
        + Send
        + Sync,
        read: fn(&Row) -> Result<T, ColumnError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut tries = Retries::default();
        loop {
            let mut loan = self.loan(doing).await?;
            let connection = loan.connection();
            match connection.call_in_portions(most, &command, read).await {
                Ok(read) => {
                    let all: Result<_, ColumnError> = read.into_iter().collect();
                    return all.map_err(|e| unexpected(doing, e));
                }
                Err(error) => self.retry(doing, &mut tries, loan, error).await?,
            }
        }
    }

    /// A connection: an idle one, or a new one.
    pub(super) async fn loan(
        &self,
        doing: &'static str,
    ) -> Result<PooledConnection<'_>, StoreError> {
        let permit = self.permits.acquire().await.expect("never closed");
        let generation = self.generation.load(Ordering::Acquire);
        let idle = {
            let mut idle = self.idle.lock();
            idle.retain(|connection| connection.generation == generation);
            idle.pop()
        };
        let connection = match idle {
            Some(connection) => connection,
            None => self.open_in_turn(doing, generation).await?,
        };
        Ok(PooledConnection {
            pool: self,
            connection: Some(connection),
            _permit: permit,
        })
    }

    /// Until one could be opened, one at a time: many with a password that is wrong would lock the
    /// account. A caller that waited for one that could not be opened gets its error.
    async fn open_in_turn(
        &self,
        doing: &'static str,
        generation: u64,
    ) -> Result<Connection, StoreError> {
        if self.opens.load(Ordering::Acquire) {
            return self.open(doing, generation).await;
        }
        let failures = self.failures.lock().0;
        let _turn = self.opening.lock().await;
        match &*self.failures.lock() {
            (now, Some((kind, why))) if *now != failures => {
                return Err(StoreError::new(*kind, doing, why.clone()));
            }
            _ => {}
        }
        let opened = self.open(doing, generation).await;
        match &opened {
            Ok(_) => self.opens.store(true, Ordering::Release),
            Err(error) => {
                let mut failures = self.failures.lock();
                *failures = (
                    failures.0 + 1,
                    Some((error.kind(), error.what().to_owned())),
                );
            }
        }
        opened
    }

    async fn open(&self, doing: &'static str, generation: u64) -> Result<Connection, StoreError> {
        self.check_login_pause(doing)?;
        let opened = authentication::connect(&self.settings, generation).await;
        if opened.is_err() {
            self.broke();
        }
        match opened {
            Ok(connection) => Ok(connection),
            Err(ConnectError::Proof(why)) => {
                // A KDC, too, counts keys that are wrong; the sources of tokens rest by themselves.
                if self.settings.authentication.is_windows() && !why.is_transient {
                    *self.refused.lock() = Some((Instant::now(), why.what.clone()));
                }
                Err(no_proof(doing, why))
            }
            Err(ConnectError::Driver(error)) => {
                if is_refused_login(&error) {
                    *self.refused.lock() = Some((Instant::now(), error.to_string()));
                }
                Err(self.error(doing, error))
            }
        }
    }

    /// A connection that is never given back.
    pub(super) async fn connection(&self, doing: &'static str) -> Result<Connection, StoreError> {
        self.open(doing, 0).await
    }

    /// How often the engine chose one of our statements as the victim of a deadlock.
    pub(super) fn deadlocks(&self) -> u64 {
        self.deadlocks.load(Ordering::Relaxed)
    }

    fn broke(&self) {
        self.opens.store(false, Ordering::Release);
        *self.broke_at.lock() = Some(Instant::now());
    }

    /// When a connection was lost or could not be opened last.
    pub(super) fn broke_at(&self) -> Option<Instant> {
        *self.broke_at.lock()
    }

    /// A refused login is not tried again at once: with a password that would lock the account.
    fn check_login_pause(&self, doing: &'static str) -> Result<(), StoreError> {
        let pause = self.settings.authentication.pause();
        match &*self.refused.lock() {
            Some((since, why)) if since.elapsed() < pause => Err(StoreError::new(
                StoreErrorKind::Refused,
                doing,
                format!(
                    "the login was refused {} seconds ago and is not tried again for {} ({why}); {}",
                    since.elapsed().as_secs(),
                    self.settings.authentication.pause_in_words(),
                    self.settings.authentication.remedy()
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Returns where trying again is worth it, else the error.
    pub(super) async fn retry(
        &self,
        doing: &'static str,
        tries: &mut Retries,
        loan: PooledConnection<'_>,
        error: Error,
    ) -> Result<(), StoreError> {
        let generation = loan.connection.as_ref().map_or(0, |c| c.generation);
        drop(loan);
        let error = unreachable::broken(&self.settings, error);
        if error.code() == Some(DEADLOCK_VICTIM) {
            self.deadlocks.fetch_add(1, Ordering::Relaxed);
        }
        match remedy(&error) {
            Remedy::Again if tries.again < BACK_OFF.len() => {
                sleep(BACK_OFF[tries.again]).await;
                tries.again += 1;
                Ok(())
            }
            Remedy::Reconnect => {
                self.broke();
                // Only the first to notice counts, so that fresh connections are kept.
                let _ = self.generation.compare_exchange(
                    generation,
                    generation + 1,
                    Ordering::AcqRel,
                    Ordering::Acquire,
                );
                if std::mem::replace(&mut tries.reconnected, true) {
                    return Err(self.error(doing, error));
                }
                Ok(())
            }
            _ => Err(self.error(doing, error)),
        }
    }

    /// The driver's error as the store's.
    pub(super) fn error(&self, doing: &'static str, error: Error) -> StoreError {
        store_error(doing, &self.settings.authentication, error)
    }
}

/// What was tried already.
#[derive(Default)]
pub(super) struct Retries {
    again: usize,
    reconnected: bool,
}
