//! Messages that wait on the disk while the database is away, so that clients get `250` for them all the same.
//!
//! **Exactly once**: a message is synced to the disk before it is answered, under the id of its transaction. It is brought
//! to the database under this id, and a repeated commit changes nothing. While one waits, those that come later wait
//! behind it.

mod drain;
mod folder;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
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
use folder::{Entry, SpoolFolder};

/// The pause before the database is asked again.
const RETRY: Duration = Duration::from_secs(1);

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
    /// Records what it does.
    pub observer: Arc<dyn IntakeObserver>,
    /// The age of messages.
    pub clock: Arc<dyn Clock>,
    /// Whether a folder has space for so many bytes: [`QueueError::Full`] where it has not.
    pub free_space: fn(&Path, u64) -> Result<(), QueueError>,
}

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("spool: the folder {} cannot be used: {source}; this user has to be able to write to the state folder", .folder.display())]
pub struct SpoolError {
    folder: PathBuf,
    source: io::Error,
}

/// What waits in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpoolContents {
    /// Number of messages.
    pub messages: usize,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest one was accepted.
    pub oldest: SystemTime,
}

/// What waits in the spool of this folder; `None` if nothing does. Changes nothing.
///
/// # Errors
/// What the system says.
pub fn spool_contents(folder: &Path) -> io::Result<Option<SpoolContents>> {
    let entries = folder::list(folder)?;
    let oldest = entries.iter().map(|entry| entry.since).min();
    Ok(oldest.map(|oldest| SpoolContents {
        messages: entries.len(),
        bytes: entries.iter().map(|entry| entry.bytes).sum(),
        oldest,
    }))
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

#[derive(Default)]
struct State {
    /// By their order.
    entries: BTreeMap<u64, Entry>,
    next: u64,
    /// Of the entries, and of those that are being written.
    bytes: u64,
    /// The database did not answer last.
    is_away: bool,
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
        let opened = SpoolFolder::open(folder);
        let (opened, entries) = opened.map_err(|source| SpoolError {
            folder: folder.to_owned(),
            source,
        })?;
        let entries: BTreeMap<_, _> = entries.into_iter().map(|it| (it.order, it)).collect();
        let shared = Shared {
            intake: intake.to_owned(),
            folder: opened,
            limits,
            dependencies,
            state: Mutex::new(State {
                next: entries.keys().next_back().map_or(0, |last| last + 1),
                bytes: entries.values().map(|entry| entry.bytes).sum(),
                entries,
                is_away: false,
            }),
            changed: Notify::new(),
        };
        shared.observe(&shared.state.lock());
        Ok(Self(Arc::new(shared)))
    }

    /// Brings messages to the queue, in order, until `stop`. Dropping the future leaves them where they are.
    pub async fn run(self, stop: CancellationToken) {
        let shared = self.0;
        while !stop.is_cancelled() {
            let (first, is_away) = {
                let state = shared.state.lock();
                let first = state.entries.values().next().cloned();
                (first, state.is_away)
            };
            let goes_on = match first {
                Some(entry) => shared.bring(entry).await,
                None if is_away => shared.try_again().await,
                None => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = shared.changed.notified() => continue,
                    }
                }
            };
            if !goes_on {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }
}

#[async_trait]
impl MessageQueue for SpooledQueue {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        if !self.0.is_behind() {
            let committing = self.0.dependencies.queue.commit(Arc::clone(&message));
            match timeout(self.0.limits.wait, committing).await {
                Ok(Err(QueueError::Unavailable(why))) => self.0.leave(&why),
                Err(_) => self.0.leave("it did not answer in time"),
                Ok(committed) => return committed,
            }
        }
        // A client that goes meanwhile does not leave a file behind that nobody knows.
        let shared = Arc::clone(&self.0);
        let keeping = tokio::spawn(async move { shared.keep(message).await });
        let kept = keeping.await;
        kept.unwrap_or_else(|broken| Err(QueueError::Unavailable(broken.to_string())))
    }

    async fn check(&self, bytes: Option<u64>) -> Result<(), QueueError> {
        if !self.0.is_behind() {
            match timeout(self.0.limits.wait, self.0.dependencies.queue.check(bytes)).await {
                Ok(Err(QueueError::Unavailable(why))) => self.0.leave(&why),
                Err(_) => self.0.leave("it did not answer in time"),
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
        state.is_away || !state.entries.is_empty()
    }

    /// From now on messages are kept here.
    fn leave(&self, why: &str) {
        let was_away = std::mem::replace(&mut self.state.lock().is_away, true);
        if !was_away {
            tracing::warn!(
                intake = self.intake,
                error = why,
                "messages are kept in the spool"
            );
        }
        self.changed.notify_one();
    }

    /// From now on messages are committed at once.
    fn come_back(&self, state: &mut State) {
        if std::mem::take(&mut state.is_away) {
            tracing::info!(
                intake = self.intake,
                "the spool is empty, messages are committed at once"
            );
        }
    }

    fn has_room(&self, state: &State, bytes: u64) -> Result<(), QueueError> {
        let SpoolLimits {
            bytes: most, age, ..
        } = self.limits;
        if state.bytes.saturating_add(bytes) > most {
            let what = format!(
                "{} bytes wait in the spool, and max_spool_size is {most}",
                state.bytes
            );
            return Err(QueueError::Full(what));
        }
        let oldest = state.entries.values().next();
        let waited = oldest.and_then(|entry| {
            let waited = self.dependencies.clock.now() - Timestamp::from(entry.since);
            waited.to_std().ok()
        });
        if let Some(waited) = waited.filter(|waited| *waited > age) {
            let waited = waited.as_secs();
            let what = format!(
                "a message has waited in the spool for {waited} s, longer than max_spool_age"
            );
            return Err(QueueError::Full(what));
        }
        (self.dependencies.free_space)(self.folder.path(), bytes)
    }

    async fn keep(self: Arc<Self>, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        let (transaction, bytes) = (message.transaction, message.content.size());
        let order = {
            let mut state = self.state.lock();
            self.has_room(&state, bytes)?;
            state.bytes += bytes;
            state.next += 1;
            state.next - 1
        };
        let shared = Arc::clone(&self);
        let writing = tokio::task::spawn_blocking(move || shared.folder.write(order, &message));
        let written = writing.await.map_err(io::Error::other).flatten();
        let mut state = self.state.lock();
        match written {
            Ok(entry) => {
                state.bytes = state.bytes - bytes + entry.bytes;
                state.entries.insert(order, entry);
                self.observe(&state);
                drop(state);
                self.changed.notify_one();
                Ok(Queued::Spooled(transaction))
            }
            Err(error) => {
                state.bytes -= bytes;
                Err(match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        QueueError::Full(format!("the spool cannot be written: {error}"))
                    }
                    _ => QueueError::Unavailable(format!("the spool cannot be written: {error}")),
                })
            }
        }
    }

    fn observe(&self, state: &State) {
        self.dependencies.observer.record(IntakeActivity::Spooled {
            messages: state.entries.len() as u64,
            bytes: state.bytes,
        });
    }
}
