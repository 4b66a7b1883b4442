//! Connections, each owned by a thread of its own: the async runtime never blocks, and a
//! future that is dropped leaves its job done or undone, never half done.

use std::fs::OpenOptions;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

pub(super) use super::error::{SqliteError, absent};
use super::wal_sync::sync_log;
use crate::{StoreError, StoreErrorKind};

/// How long a job waits for another process's transaction to end, its time in the queue included.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it waits at least.
const LEAST_BUSY_TIMEOUT: Duration = Duration::from_millis(20);
/// How often a job is tried again after that, and the first pause between.
const BUSY_RETRIES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// How much longer than a transaction the pause of the writer behind it is, and the longest pause.
const REST: u32 = 2;
const LONGEST_REST: Duration = Duration::from_millis(25);
/// All statements of the store fit, so each is compiled once.
const STATEMENT_CACHE: usize = 120;
/// Pages of write-ahead log between checkpoints: fewer, larger ones cost less than many small.
pub(super) const CHECKPOINT_PAGES: i32 = 4000;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The one that writes.
    Writer,
    /// Sees what is committed, changes nothing.
    Reader,
    /// A reader of large contents, each read once.
    Contents,
}

impl Role {
    /// Small, because what is read once fills it as well as what is read again: large bodies would
    /// drive everything else out, and stay.
    fn page_cache_kib(self) -> i32 {
        match self {
            // The inner pages of every index at millions of rows.
            Self::Writer => 8 * 1024,
            Self::Reader => 2 * 1024,
            Self::Contents => 512,
        }
    }
}

type Job = Box<dyn FnOnce(&mut Slot) + Send>;

/// A thread and the connection that it owns. Dropping this ends the thread and waits for it:
/// a thread that still runs while the process exits races with the exit handlers of C
/// libraries.
#[derive(Debug)]
pub(super) struct Worker {
    /// `None` only while it is dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It catches the panics of its jobs, so there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}

impl Worker {
    /// Starts the thread. The database is opened by the first job, so that a store can be
    /// made for a file that `create_database` will create.
    pub(super) fn start(path: &Path, role: Role) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let mut slot = Slot::new(path, role, sync_log);
        let thread = std::thread::Builder::new()
            .name(format!("sqlite-{role:?}").to_lowercase())
            .spawn(move || {
                while let Ok(job) = inbox.recv() {
                    // A panic costs its job and its connection, not the store.
                    let _ = catch_unwind(AssertUnwindSafe(|| job(&mut slot)));
                    if role == Role::Writer {
                        slot.leave_the_lock_to_others();
                    }
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            path: path.to_owned(),
        })
    }

    /// Runs `work` on the connection; again, where another process was in the way.
    pub(super) async fn call<T, F>(&self, doing: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Connection) -> Result<T, SqliteError> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut pause = FIRST_PAUSE;
        for _ in 0..BUSY_RETRIES {
            match self.once(doing, Arc::clone(&work)).await? {
                Err(trouble) if trouble.is_busy() => tokio::time::sleep(pause).await,
                result => return result.map_err(|t| t.into_store_error(doing, &self.path)),
            }
            pause *= 2;
        }
        let result = self.once(doing, work).await?;
        result.map_err(|trouble| trouble.into_store_error(doing, &self.path))
    }

    async fn once<T, F>(
        &self,
        doing: &'static str,
        work: Arc<F>,
    ) -> Result<Result<T, SqliteError>, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Connection) -> Result<T, SqliteError> + Send + Sync + 'static,
    {
        let (answer, result) = oneshot::channel();
        let queued = Instant::now();
        let job = Box::new(move |slot: &mut Slot| {
            // The caller may be gone; the work is done anyway.
            let _ = answer.send(slot.run(queued, &*work));
        });
        let gone = || {
            let message = "the job broke off in a panic; the service's log has its message";
            StoreError::new(StoreErrorKind::Unavailable, doing, message)
        };
        let jobs = self.jobs.as_ref().ok_or_else(gone)?;
        jobs.send(job).map_err(|_| gone())?;
        result.await.map_err(|_| gone())
    }
}

/// Where a worker keeps its connection.
struct Slot {
    path: PathBuf,
    role: Role,
    connection: Option<Connection>,
    /// The file that was opened last.
    opened: Option<FileId>,
    /// Makes what was committed durable: with the lock given back, because this takes longest.
    sync: fn(&Connection) -> Result<(), rusqlite::Error>,
    /// How long the last job may have had the lock, and how long it has not had it since.
    locked: Duration,
    unlocked: Duration,
    /// Another process has kept the lock through every job since.
    busy: Option<BusySpan>,
}

/// From when to when jobs waited for another process's transaction in vain.
#[derive(Debug, Clone, Copy)]
struct BusySpan {
    since: Instant,
    until: Instant,
}

impl BusySpan {
    /// How long a job waits that was queued at this time: it waited together with those before it. Otherwise the
    /// tenth job in the queue of a locked database is tried for the first time after twenty seconds.
    fn rest_of_timeout(self, queued: Instant) -> Duration {
        let waited = self.until.saturating_duration_since(self.since.max(queued));
        let rest = BUSY_TIMEOUT.saturating_sub(waited);
        rest.max(LEAST_BUSY_TIMEOUT)
    }
}

impl Slot {
    fn new(path: &Path, role: Role, sync: fn(&Connection) -> Result<(), rusqlite::Error>) -> Self {
        Self {
            path: path.to_owned(),
            role,
            connection: None,
            opened: None,
            sync,
            locked: Duration::ZERO,
            unlocked: Duration::ZERO,
            busy: None,
        }
    }

    /// Runs a job that was queued at this time.
    fn run<T>(
        &mut self,
        queued: Instant,
        work: &dyn Fn(&mut Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let timeout = self.busy.map(|busy| busy.rest_of_timeout(queued));
        let begun = Instant::now();
        let result = self.run_within(timeout.unwrap_or(BUSY_TIMEOUT), work);
        let is_busy = matches!(&result, Err(trouble) if trouble.is_busy());
        self.busy = is_busy.then(|| BusySpan {
            since: self.busy.map_or(begun, |busy| busy.since),
            until: Instant::now(),
        });
        result
    }

    fn run_within<T>(
        &mut self,
        busy_timeout: Duration,
        work: &dyn Fn(&mut Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let found = file_id(&self.path);
        let mut connection = match self.connection.take() {
            Some(connection) if found == self.opened => {
                connection.busy_timeout(busy_timeout)?;
                connection
            }
            _ if found.is_none() && self.opened.is_some() => return Err(moved_away(&self.path)),
            _ => open(&self.path, self.role, busy_timeout)?,
        };
        self.opened = found;
        let result = self.do_durably(&mut connection, work);
        if !matches!(&result, Err(trouble) if spoils_connection(trouble)) {
            self.connection = Some(connection);
        }
        result
    }

    /// What is not durable is not done: the caller tries again.
    fn do_durably<T>(
        &mut self,
        connection: &mut Connection,
        work: &dyn Fn(&mut Connection) -> Result<T, SqliteError>,
    ) -> Result<T, SqliteError> {
        let (changes, begun) = (connection.total_changes(), Instant::now());
        let result = work(connection);
        self.locked = begun.elapsed();
        if connection.total_changes() != changes {
            (self.sync)(connection)?;
        }
        self.unlocked = begun.elapsed() - self.locked;
        result
    }

    /// SQLite has no queue for its lock: waiting processes poll, and a writer that takes it again at once would
    /// keep them out. So most of the time is left to others, above all to applications that insert.
    #[expect(
        clippy::disallowed_methods,
        reason = "a thread of its own, and SQLite signals nothing to other processes"
    )]
    fn leave_the_lock_to_others(&self) {
        let rest = (self.locked * REST).min(LONGEST_REST);
        std::thread::sleep(rest.saturating_sub(self.unlocked));
    }
}

/// What a file is, whatever it is called: what is deleted or put aside while it is open is
/// written to as before, and never read.
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    let found = std::fs::metadata(path).ok()?;
    let device = std::os::unix::fs::MetadataExt::dev(&found);
    Some((device, std::os::unix::fs::MetadataExt::ino(&found)))
}

/// Elsewhere an open file cannot be moved away.
#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    path.exists().then_some((0, 0))
}

fn moved_away(path: &Path) -> SqliteError {
    let message = format!(
        "the database file '{}' was deleted or moved away while it was in use; put it back",
        path.display()
    );
    SqliteError::Own(StoreErrorKind::Unavailable, message)
}

/// After these the next job had better open the file anew.
fn spoils_connection(trouble: &SqliteError) -> bool {
    matches!(trouble, SqliteError::Engine(error) if matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
            | ErrorCode::CannotOpen | ErrorCode::ReadOnly)
    ))
}

fn open(path: &Path, role: Role, busy_timeout: Duration) -> Result<Connection, SqliteError> {
    if !path.exists() {
        return Err(SqliteError::Own(StoreErrorKind::Unavailable, absent(path)));
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Without this a statement is prepared anew whenever a value is bound that its plan may
    // depend on: for every alert that is loaded.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -role.page_cache_kib())?;
    if role != Role::Writer {
        connection.pragma_update(None, "query_only", true)?;
    } else {
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        // A commit is reported once it is synced: see `Slot::do_durably`.
        let synchronous = if mode == "wal" { "NORMAL" } else { "FULL" };
        connection.pragma_update(None, "synchronous", synchronous)?;
        checkpoint_after(&connection, CHECKPOINT_PAGES)?;
    }
    Ok(connection)
}

/// A commit of this connection makes a checkpoint if the write-ahead log has so many pages.
pub(super) fn checkpoint_after(connection: &Connection, pages: i32) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "wal_autocheckpoint", pages)
}

/// Creates an empty database file that only its owner may read. False if there is one.
pub(super) fn create_file(path: &Path) -> io::Result<bool> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// Runs `work` in one transaction that holds the write lock from its start, so that it can
/// never fail half-way because another process wrote in between.
pub(super) fn write<T>(
    connection: &mut Connection,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, SqliteError>,
) -> Result<T, SqliteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let result = work(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[test]
    fn the_writer_writes_ahead() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendport.db");
        assert!(create_file(&path).unwrap());
        let writer = open(&path, Role::Writer, BUSY_TIMEOUT).unwrap();
        let pragma = |name| writer.pragma_query_value(None, name, |row| row.get(0));
        assert_eq!(pragma("journal_mode"), Ok(String::from("wal")));
        let pragma = |name| writer.pragma_query_value(None, name, |row| row.get(0));
        assert_eq!(pragma("synchronous"), Ok(1), "NORMAL");
        assert_eq!(pragma("foreign_keys"), Ok(1));
    }

    fn slot_of_a_new_file(
        folder: &Path,
        sync: fn(&Connection) -> Result<(), rusqlite::Error>,
    ) -> Slot {
        let path = folder.join("sendport.db");
        create_file(&path).unwrap();
        let made = Connection::open(&path).unwrap();
        made.execute_batch("CREATE TABLE T (A)").unwrap();
        Slot::new(&path, Role::Writer, sync)
    }

    fn insert(connection: &mut Connection) -> Result<i64, SqliteError> {
        write(connection, |tx| {
            tx.execute("INSERT INTO T VALUES (1)", [])?;
            Ok(tx.query_row("SELECT count(*) FROM T", [], |row| row.get(0))?)
        })
    }

    /// The sync is what takes longest by far.
    #[test]
    fn while_a_commit_is_synced_others_may_write() {
        let folder = tempfile::tempdir().unwrap();
        let mut slot = slot_of_a_new_file(folder.path(), |connection| {
            sync_log(connection)?;
            let other = Connection::open(connection.path().unwrap())?;
            other.busy_timeout(Duration::ZERO)?;
            other.execute("INSERT INTO T VALUES (2)", []).map(|_| ())
        });
        assert_eq!(slot.run(Instant::now(), &insert).unwrap(), 1);
        assert_eq!(
            slot.run(Instant::now(), &insert).unwrap(),
            3,
            "ours, another's, ours"
        );
    }

    #[test]
    fn a_failed_sync_fails_the_write_and_a_read_needs_no_sync() {
        let folder = tempfile::tempdir().unwrap();
        let mut slot = slot_of_a_new_file(folder.path(), |_| {
            let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR_FSYNC);
            Err(rusqlite::Error::SqliteFailure(full, None))
        });
        let error = slot.run(Instant::now(), &insert).unwrap_err();
        let error = error.into_store_error("insert", Path::new("/"));
        assert_eq!(error.kind(), StoreErrorKind::Unavailable, "{error}");
        let read = |connection: &mut Connection| {
            Ok::<i64, _>(connection.query_row("SELECT count(*) FROM T", [], |row| row.get(0))?)
        };
        assert_eq!(slot.run(Instant::now(), &read).unwrap(), 1);
    }

    #[test]
    fn jobs_in_a_queue_wait_for_a_lock_together() {
        let folder = tempfile::tempdir().unwrap();
        let mut slot = slot_of_a_new_file(folder.path(), sync_log);
        assert_eq!(slot.run(Instant::now(), &insert).unwrap(), 1);
        let other = Connection::open(folder.path().join("sendport.db")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let queued = Instant::now();
        for _ in 0..3 {
            assert!(slot.run(queued, &insert).unwrap_err().is_busy());
        }
        let busy = slot.busy.unwrap();
        assert_eq!(busy.rest_of_timeout(queued), LEAST_BUSY_TIMEOUT);
        assert_eq!(busy.rest_of_timeout(busy.until), BUSY_TIMEOUT);
        let rest = busy.rest_of_timeout(busy.since + BUSY_TIMEOUT / 2);
        assert!(rest < BUSY_TIMEOUT / 2 + LEAST_BUSY_TIMEOUT, "{rest:?}");
        other.execute_batch("ROLLBACK").unwrap();
        assert_eq!(slot.run(queued, &insert).unwrap(), 2);
        assert!(slot.busy.is_none());
    }

    /// A process that waits for the lock polls: between two transactions there is time for it.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_waiting_connection_gets_the_lock_between_writes() {
        const JOBS: usize = 100;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendport.db");
        create_file(&path).unwrap();
        let worker = Arc::new(Worker::start(&path, Role::Writer).unwrap());
        let make =
            |connection: &mut Connection| Ok(connection.execute_batch("CREATE TABLE T (A)")?);
        worker.call("make a table", make).await.unwrap();
        let (ended, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let jobs: Vec<_> = std::iter::repeat_with(|| {
            let (worker, ended) = (Arc::clone(&worker), Arc::clone(&ended));
            let begun = Arc::clone(&begun);
            tokio::spawn(async move {
                let hold = move |connection: &mut Connection| {
                    write(connection, |tx| {
                        begun.notify_one();
                        tx.execute("INSERT INTO T VALUES (1)", [])?;
                        let since = Instant::now();
                        while since.elapsed() < Duration::from_millis(5) {
                            std::hint::spin_loop();
                        }
                        Ok(())
                    })
                };
                worker.call("hold the lock", hold).await.unwrap();
                ended.fetch_add(1, Ordering::SeqCst);
            })
        })
        .take(JOBS)
        .collect();
        begun.notified().await;
        let insert = move || {
            let other = Connection::open(path).unwrap();
            other.busy_timeout(Duration::from_secs(60)).unwrap();
            other.execute("INSERT INTO T VALUES (2)", []).unwrap();
        };
        tokio::task::spawn_blocking(insert).await.unwrap();
        let before = ended.load(Ordering::SeqCst);
        assert!(before < JOBS / 2, "{before} transactions went first");
        for job in jobs {
            job.await.unwrap();
        }
    }

    #[test]
    fn a_file_that_is_deleted_is_missed_and_the_one_in_its_place_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendport.db");
        let mut slot = Slot::new(&path, Role::Writer, sync_log);
        let mut insert = || {
            slot.run(Instant::now(), &|connection| {
                connection.execute_batch("CREATE TABLE IF NOT EXISTS T (A)")?;
                connection.execute("INSERT INTO T VALUES (1)", [])?;
                let count = connection.query_row("SELECT count(*) FROM T", [], |row| row.get(0))?;
                Ok::<i64, _>(count)
            })
        };
        create_file(&path).unwrap();
        assert_eq!(insert().unwrap(), 1);
        for name in ["sendport.db", "sendport.db-wal", "sendport.db-shm"] {
            std::fs::remove_file(folder.path().join(name)).unwrap();
        }
        for _ in 0..2 {
            let missed = insert().unwrap_err().into_store_error("insert", &path);
            assert!(missed.is_transient(), "{missed}");
            assert!(missed.to_string().contains("put it back"), "{missed}");
        }
        create_file(&path).unwrap();
        assert_eq!(insert().unwrap(), 1, "the new file");
        assert_eq!(insert().unwrap(), 2);
    }

    #[test]
    fn a_reader_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sendport.db");
        create_file(&path).unwrap();
        let reader = open(&path, Role::Reader, BUSY_TIMEOUT).unwrap();
        assert!(reader.execute_batch("CREATE TABLE T (A)").is_err());
    }
}
