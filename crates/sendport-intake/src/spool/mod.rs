//! Messages that wait on the disk while the database is away, so that clients get `250` for them all the same.
//!
//! **Exactly once**: a message is synced to the disk before it is answered, under the id of its transaction. It is brought
//! to the database under this id, and a repeated commit changes nothing. While one waits, those that come later wait
//! behind it. One that cannot be read holds up nobody, and while the folder cannot be read, the database alone is used.

mod drain;
mod file;
mod folder;
mod state;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::{ReceivedMessage, Timestamp};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::observer::{IntakeActivity, IntakeObserver};
use crate::queue::{MessageQueue, QueueError, Queued};
use folder::{Key, SpoolFolder};
use state::State;

const NO_ANSWER: &str = "it did not answer in time";

/// How much may wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolLimits {
    /// Bytes of all messages.
    pub bytes: u64,
    /// Age of the oldest message at which no more are accepted.
    pub age: Duration,
    /// How long a client waits for the database before its message is kept here.
    pub wait: Duration,
}

/// What a spool works with.
#[derive(Clone)]
pub struct SpoolDependencies {
    /// Where messages go.
    pub queue: Arc<dyn MessageQueue>,
    /// Identity of the database behind `queue`: messages of another one are never brought to it.
    pub database: String,
    /// Records what it does.
    pub observer: Arc<dyn IntakeObserver>,
    /// The age of messages.
    pub clock: Arc<dyn Clock>,
    /// Whether a folder has space for so many bytes: [`QueueError::Full`] where it has not.
    pub free_space: fn(&Path, u64) -> Result<(), QueueError>,
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be read or written.
    #[error("spool: the folder {} cannot be used: {source}; this user has to be able to write to the state folder", .folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Its messages belong to another database.
    #[error(
        "spool: the folder {} holds {count} messages for {found}, but this service works on {expected}; \
         run it on {found} once, or name another service.state_folder", .folder.display()
    )]
    OtherDatabase {
        /// Which folder.
        folder: PathBuf,
        /// How many of its messages.
        count: usize,
        /// Their database.
        found: String,
        /// The configured database.
        expected: String,
    },
}

impl SpoolError {
    fn of(folder: &Path) -> impl FnOnce(io::Error) -> Self {
        let folder = folder.to_owned();
        |source| Self::Folder { folder, source }
    }
}

/// What is in a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolContents {
    /// Number of messages that wait.
    pub messages: usize,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest one was accepted.
    pub oldest: Option<SystemTime>,
    /// Number of messages that the database refused, or whose files were damaged.
    pub refused: usize,
}

/// What is in the spool of this folder; nothing where there is no folder. Changes nothing.
///
/// # Errors
/// [`SpoolError`]; [`SpoolError::OtherDatabase`] only with the identity of a database.
pub fn spool_contents(folder: &Path, database: Option<&str>) -> Result<SpoolContents, SpoolError> {
    let refused = folder::refused(folder).map_err(SpoolError::of(folder))?;
    let entries = match folder::list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        entries => entries.map_err(SpoolError::of(folder))?,
    };
    database.map_or(Ok(()), |it| folder::refuse_other(folder, &entries, it))?;
    Ok(SpoolContents {
        messages: entries.len(),
        bytes: entries.iter().map(|entry| entry.bytes).sum(),
        oldest: entries.iter().filter_map(|entry| entry.since).min(),
        refused,
    })
}

/// A queue that keeps messages on the disk while the queue behind it is away. [`SpooledQueue::run`] brings them there.
#[derive(Clone)]
pub struct SpooledQueue(Arc<Shared>);

struct Shared {
    intake: String,
    folder: SpoolFolder,
    limits: SpoolLimits,
    dependencies: SpoolDependencies,
    state: Mutex<State>,
    changed: Notify,
}

impl SpooledQueue {
    /// Opens the spool in this folder, which is made unless it exists. `intake` is the name of its intake.
    ///
    /// # Errors
    /// [`SpoolError`].
    pub fn open(
        intake: &str,
        folder: &Path,
        limits: SpoolLimits,
        dependencies: SpoolDependencies,
    ) -> Result<Self, SpoolError> {
        let opened = SpoolFolder::open(folder, &dependencies.database);
        let opened = opened.map_err(SpoolError::of(folder))?;
        let entries = folder::list(folder).map_err(SpoolError::of(folder))?;
        folder::refuse_other(folder, &entries, &dependencies.database)?;
        let mut state = State::default();
        state.take_over(&state.keys(), entries);
        let shared = Shared {
            intake: intake.to_owned(),
            folder: opened,
            limits,
            dependencies,
            state: Mutex::default(),
            changed: Notify::new(),
        };
        shared.announce_waiting(&mut state);
        shared.observe(&state);
        *shared.state.lock() = state;
        Ok(Self(Arc::new(shared)))
    }

    /// Brings messages to the queue, in order, until `stop`. Dropping the future leaves them where they are.
    pub async fn run(self, stop: CancellationToken) {
        self.0.drain(stop).await;
    }

    /// Past the spool.
    async fn commit_at_once(&self, message: &Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        let queue = &self.0.dependencies.queue;
        let committing = async {
            // A database without space refuses here, and not when the space for its own work is used up.
            queue.check(Some(message.content.size())).await?;
            queue.commit(Arc::clone(message)).await
        };
        let committed = timeout(self.0.limits.wait, committing).await;
        committed.unwrap_or_else(|_| Err(QueueError::Unavailable(NO_ANSWER.to_owned())))
    }
}

#[async_trait]
impl MessageQueue for SpooledQueue {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        let reserved = match self.0.reserve_behind_others(&message) {
            Some(reserved) => reserved,
            None => match self.commit_at_once(&message).await {
                Err(error @ (QueueError::Unavailable(_) | QueueError::Full(_))) => {
                    self.0.reserve(&message, &error)
                }
                committed => return committed,
            },
        };
        let key = reserved?;
        // A client that goes meanwhile does not leave a file behind that nobody knows.
        let shared = Arc::clone(&self.0);
        let keeping = tokio::spawn(async move { shared.keep(key, message).await });
        let kept = keeping.await;
        kept.unwrap_or_else(|broken| Err(QueueError::Unavailable(broken.to_string())))
    }

    async fn check(&self, bytes: Option<u64>) -> Result<(), QueueError> {
        if !self.0.is_behind() {
            match timeout(self.0.limits.wait, self.0.dependencies.queue.check(bytes)).await {
                Ok(Err(QueueError::Unavailable(why))) => self.0.begin(&why),
                Err(_) => self.0.begin(NO_ANSWER),
                // The spool may have space.
                Ok(Err(QueueError::Full(_))) => {}
                Ok(checked) => return checked,
            }
        }
        self.0.has_room(&self.0.state.lock(), bytes.unwrap_or(0))
    }
}

impl Shared {
    /// A message has to wait: the database is away, or others wait.
    fn is_behind(&self) -> bool {
        let state = self.state.lock();
        state.is_spooling && !state.is_unreadable
    }

    /// From now on messages are kept here.
    fn begin(&self, why: &str) {
        self.begin_in(&mut self.state.lock(), why);
        self.changed.notify_one();
    }

    fn begin_in(&self, state: &mut State, why: &str) {
        if !std::mem::replace(&mut state.is_spooling, true) {
            tracing::warn!(
                intake = self.intake,
                error = why,
                "messages are kept in the spool"
            );
        }
    }

    /// Messages that nobody announced wait.
    fn announce_waiting(&self, state: &mut State) {
        if !state.waiting.is_empty() && !std::mem::replace(&mut state.is_spooling, true) {
            tracing::warn!(
                intake = self.intake,
                messages = state.messages(),
                "messages of the spool wait for the database"
            );
        }
    }

    /// From now on messages are committed at once, unless others wait. The database has to have answered.
    fn end_when_drained(&self, state: &mut State) {
        if !state.is_drained() || !std::mem::take(&mut state.is_spooling) {
            return;
        }
        match state.messages() {
            0 => tracing::info!(
                intake = self.intake,
                "the spool is empty, messages are committed at once"
            ),
            messages => tracing::warn!(
                intake = self.intake,
                messages,
                "messages are committed at once, but some of the spool cannot be brought"
            ),
        }
    }

    fn has_space(&self, bytes: u64) -> Result<(), QueueError> {
        (self.dependencies.free_space)(self.folder.path(), bytes)
    }

    fn has_room(&self, state: &State, bytes: u64) -> Result<(), QueueError> {
        let SpoolLimits {
            bytes: most, age, ..
        } = self.limits;
        let used = state.bytes();
        if used.saturating_add(bytes) > most {
            let what = format!("{used} bytes wait in the spool, and max_spool_size is {most}");
            return Err(QueueError::Full(what));
        }
        let oldest = state.waiting.iter().find_map(|entry| entry.since);
        let waited = oldest.and_then(|since| {
            let waited = self.dependencies.clock.now() - Timestamp::from(since);
            waited.to_std().ok()
        });
        if let Some(waited) = waited.filter(|waited| *waited > age) {
            let waited = waited.as_secs();
            let what = format!(
                "a message has waited in the spool for {waited} s, longer than max_spool_age"
            );
            return Err(QueueError::Full(what));
        }
        self.has_space(bytes)
    }

    /// Room for a message that has to wait behind others; `None` if it has not to.
    fn reserve_behind_others(&self, message: &ReceivedMessage) -> Option<Result<Key, QueueError>> {
        let mut state = self.state.lock();
        (state.is_spooling && !state.is_unreadable).then(|| self.reserve_in(&mut state, message))
    }

    /// Room for a message that the database does not take now.
    fn reserve(&self, message: &ReceivedMessage, why: &QueueError) -> Result<Key, QueueError> {
        let mut state = self.state.lock();
        let reserved = self.reserve_in(&mut state, message);
        if reserved.is_ok() || matches!(why, QueueError::Unavailable(_)) {
            self.begin_in(&mut state, &why.to_string());
            self.changed.notify_one();
        }
        reserved
    }

    fn reserve_in(&self, state: &mut State, message: &ReceivedMessage) -> Result<Key, QueueError> {
        let bytes = message.content.size();
        self.has_room(state, bytes)?;
        let key = Key {
            order: state.next_order(),
            transaction: message.transaction,
        };
        state.writing.insert(key, bytes);
        Ok(key)
    }

    async fn keep(
        self: Arc<Self>,
        key: Key,
        message: Arc<ReceivedMessage>,
    ) -> Result<Queued, QueueError> {
        let shared = Arc::clone(&self);
        let writing = tokio::task::spawn_blocking(move || shared.folder.write(key, &message));
        let written = writing.await.map_err(io::Error::other).flatten();
        let mut state = self.state.lock();
        state.writing.remove(&key);
        let kept = match written {
            Ok(entry) => {
                state.waiting.insert(entry);
                Ok(Queued::Spooled(key.transaction))
            }
            Err(error) => {
                let what = format!("the spool cannot be written: {error}");
                Err(match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        QueueError::Full(what)
                    }
                    _ => QueueError::Unavailable(what),
                })
            }
        };
        self.observe(&state);
        drop(state);
        self.changed.notify_one();
        kept
    }

    fn observe(&self, state: &State) {
        self.dependencies.observer.record(IntakeActivity::Spooled {
            messages: state.messages() as u64,
            bytes: state.bytes(),
        });
    }
}
