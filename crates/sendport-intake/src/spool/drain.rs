//! From the spool to the database.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::ReceivedMessage;
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::file::Unreadable;
use super::folder::{self, Entry, Refusal};
use super::{NO_ANSWER, Shared};
use crate::observer::IntakeActivity;
use crate::queue::QueueError;

/// The longest wait for one message to be committed.
const COMMIT: Duration = Duration::from_secs(60);

/// The pause before the database is asked again.
const RETRY: Duration = Duration::from_secs(1);

/// The pause before the folder is read again while nothing waits.
const LOOK: Duration = Duration::from_secs(10);

impl Shared {
    /// Brings messages to the queue, in order, until `stop`.
    pub(super) async fn drain(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let (first, is_spooling, is_unreadable) = {
                let state = self.state.lock();
                let first = state.waiting.iter().next().cloned();
                (first, state.is_spooling, state.is_unreadable)
            };
            let goes_on = match first {
                _ if is_unreadable => self.reload().await,
                Some(entry) => self.bring(entry).await,
                None if is_spooling => self.try_again().await,
                None => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.changed.notified() => true,
                        () = tokio::time::sleep(LOOK) => self.look().await,
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

    /// Reads the folder again, and tries what was set aside.
    async fn look(self: &Arc<Self>) -> bool {
        if !self.reload().await {
            return false;
        }
        let set_aside: Vec<_> = self.state.lock().set_aside.iter().cloned().collect();
        for entry in set_aside {
            if !self.bring(entry).await {
                return false;
            }
        }
        true
    }

    /// Takes over what the folder contains; false if it cannot be read.
    async fn reload(self: &Arc<Self>) -> bool {
        let (shared, known) = (Arc::clone(self), self.state.lock().keys());
        let listing = spawn_blocking(move || folder::list(shared.folder.path()));
        let (intake, path) = (&self.intake, self.folder.path().display());
        let listed = listing.await.map_err(io::Error::other).flatten();
        let mut state = self.state.lock();
        let was_unreadable = std::mem::replace(&mut state.is_unreadable, listed.is_err());
        match listed {
            Err(error) if was_unreadable => {
                tracing::debug!(intake, %error, "the spool cannot be read, tried again");
                false
            }
            Err(error) => {
                tracing::error!(
                    intake, folder = %path, messages = state.messages(), %error,
                    "the spool cannot be read, tried again"
                );
                false
            }
            Ok(found) => {
                if was_unreadable {
                    tracing::info!(intake, folder = %path, "the spool can be read again");
                }
                let gone = state.take_over(&known, found);
                if gone > 0 {
                    tracing::error!(
                        intake, folder = %path, messages = gone,
                        "messages of the spool are gone, something else deleted or moved their files"
                    );
                }
                self.announce_waiting(&mut state);
                self.observe(&state);
                true
            }
        }
    }

    /// Brings one message; false if it has to wait.
    async fn bring(self: &Arc<Self>, entry: Entry) -> bool {
        if !self.answers(entry.bytes).await {
            return false;
        }
        let (shared, wanted) = (Arc::clone(self), entry.clone());
        let reading = spawn_blocking(move || shared.folder.read(&wanted));
        let read = reading.await;
        let read = read.unwrap_or_else(|broken| Err(Unreadable::Io(io::Error::other(broken))));
        match read {
            Ok(spooled) if spooled.database != self.folder.database() => {
                let what = format!(
                    "it belongs to {}, but this service works on {}",
                    spooled.database,
                    self.folder.database()
                );
                self.set_aside(entry, &what)
            }
            Ok(spooled) => self.commit(entry, Arc::new(spooled.message)).await,
            Err(Unreadable::Damaged { what, message }) => {
                let message = message.map(|it| Arc::new(*it));
                self.refuse(entry, message, Refusal::Damaged(what)).await
            }
            Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                self.reload().await
            }
            Err(Unreadable::Io(error)) => self.set_aside(entry, &error.to_string()),
        }
    }

    async fn commit(self: &Arc<Self>, entry: Entry, message: Arc<ReceivedMessage>) -> bool {
        match timeout(COMMIT, self.dependencies.queue.commit(Arc::clone(&message))).await {
            Ok(Ok(queued)) => {
                tracing::info!(intake = self.intake, alert = %queued, "message of the spool committed");
                let (shared, gone) = (Arc::clone(self), entry.clone());
                let removing = spawn_blocking(move || shared.folder.remove(&gone));
                if let Err(error) = removing.await.map_err(io::Error::other).flatten() {
                    // It is committed again, which changes nothing.
                    return self.set_aside(entry, &format!("it cannot be removed: {error}"));
                }
                self.forget(&entry);
                true
            }
            Ok(Err(QueueError::Refused(why))) => {
                let refusal = Refusal::ByDatabase(why);
                self.refuse(entry, Some(message), refusal).await
            }
            Ok(Err(error)) => {
                self.begin(&error.to_string());
                false
            }
            Err(_) => {
                self.begin(NO_ANSWER);
                false
            }
        }
    }

    /// Keeps a message that cannot be brought, for a person.
    async fn refuse(
        self: &Arc<Self>,
        entry: Entry,
        message: Option<Arc<ReceivedMessage>>,
        refusal: Refusal,
    ) -> bool {
        let (shared, refused) = (Arc::clone(self), entry.clone());
        let moving = spawn_blocking(move || {
            let moved =
                shared
                    .folder
                    .refuse(&refused, message.as_deref(), &shared.intake, &refusal);
            moved.map(|file| (file, refusal))
        });
        let (file, refusal) = match moving.await.map_err(io::Error::other).flatten() {
            Ok(moved) => moved,
            Err(error) => {
                return self.set_aside(entry, &format!("it cannot be moved to refused: {error}"));
            }
        };
        let (intake, file) = (&self.intake, file.display());
        match refusal {
            Refusal::ByDatabase(error) => {
                tracing::error!(intake, %file, error, "the database refused a message of the spool");
            }
            Refusal::Damaged(error) => {
                tracing::error!(intake, %file, error, "a message of the spool is damaged");
            }
        }
        self.dependencies
            .observer
            .record(IntakeActivity::SpoolRefused);
        self.forget(&entry);
        true
    }

    /// The others go on; this one is tried again when nothing waits.
    fn set_aside(&self, entry: Entry, error: &str) -> bool {
        let mut state = self.state.lock();
        let key = entry.key;
        if state.waiting.remove(key).is_some() {
            let transaction = key.transaction;
            tracing::error!(
                intake = self.intake,
                %transaction,
                error,
                "a message of the spool cannot be brought to the database, it is tried again"
            );
            state.set_aside.insert(entry);
        }
        self.end_when_drained(&mut state);
        true
    }

    fn forget(&self, entry: &Entry) {
        let mut state = self.state.lock();
        state.waiting.remove(entry.key);
        state.set_aside.remove(entry.key);
        self.end_when_drained(&mut state);
        self.observe(&state);
    }

    /// Whether the database answers again, while nothing waits.
    async fn try_again(&self) -> bool {
        let answer = timeout(COMMIT, self.dependencies.queue.check(None)).await;
        let answers = matches!(answer, Ok(Ok(())));
        if answers {
            self.end_when_drained(&mut self.state.lock());
        }
        answers && !self.is_behind()
    }

    /// Whether the database takes a message of so many bytes.
    async fn answers(&self, bytes: u64) -> bool {
        let why = match timeout(COMMIT, self.dependencies.queue.check(Some(bytes))).await {
            Ok(Ok(()) | Err(QueueError::Refused(_))) => return true,
            // On the disk of the spool, what is brought makes room.
            Ok(Err(QueueError::Full(_))) if self.has_space(bytes).is_err() => return true,
            Ok(Err(error)) => error.to_string(),
            Err(_) => NO_ANSWER.to_owned(),
        };
        self.begin(&why);
        false
    }
}
