//! From the spool to the database.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::ReceivedMessage;
use tokio::time::timeout;

use super::Shared;
use super::folder::{Entry, Unreadable};
use crate::observer::IntakeActivity;
use crate::queue::QueueError;

/// The longest wait for one message to be committed.
const COMMIT: Duration = Duration::from_secs(60);

impl Shared {
    /// Brings one message; false if it has to wait.
    pub(super) async fn bring(self: &Arc<Self>, entry: Entry) -> bool {
        let (shared, wanted) = (Arc::clone(self), entry.clone());
        let reading = tokio::task::spawn_blocking(move || shared.folder.read(&wanted));
        let message = match reading.await {
            Ok(Ok(message)) => message,
            Ok(Err(Unreadable::Malformed(what))) => {
                return self
                    .refuse(
                        entry,
                        None,
                        format!("the file in the spool is damaged: {what}"),
                    )
                    .await;
            }
            Ok(Err(Unreadable::Io(error))) if error.kind() == io::ErrorKind::NotFound => {
                // Another instance on the same folder brought it.
                self.forget(&entry);
                return true;
            }
            Ok(Err(Unreadable::Io(error))) => {
                self.leave(&format!("the spool cannot be read: {error}"));
                return false;
            }
            Err(broken) => {
                self.leave(&broken.to_string());
                return false;
            }
        };
        // It may be another database than before.
        if !self.answers().await {
            return false;
        }
        let message = Arc::new(message);
        match timeout(COMMIT, self.dependencies.queue.commit(Arc::clone(&message))).await {
            Ok(Ok(queued)) => {
                tracing::info!(intake = self.intake, alert = %queued, "message of the spool committed");
                let (shared, gone) = (Arc::clone(self), entry.clone());
                let removing = tokio::task::spawn_blocking(move || shared.folder.remove(&gone));
                if let Err(error) = removing.await.map_err(io::Error::other).flatten() {
                    // The next start commits it again, which changes nothing.
                    tracing::warn!(intake = self.intake, %error, "a file of the spool cannot be removed");
                }
                self.forget(&entry);
                true
            }
            Ok(Err(QueueError::Refused(why))) => self.refuse(entry, Some(message), why).await,
            Ok(Err(error)) => {
                self.leave(&error.to_string());
                false
            }
            Err(_) => {
                self.leave("it did not answer in time");
                false
            }
        }
    }

    /// Keeps a message that the database never takes, for a person.
    async fn refuse(
        self: &Arc<Self>,
        entry: Entry,
        message: Option<Arc<ReceivedMessage>>,
        why: String,
    ) -> bool {
        let (shared, refused, reason) = (Arc::clone(self), entry.clone(), why.clone());
        let moving = tokio::task::spawn_blocking(move || {
            shared
                .folder
                .refuse(&refused, message.as_deref(), &shared.intake, &reason)
        });
        match moving.await.map_err(io::Error::other).flatten() {
            Ok(file) => {
                tracing::error!(
                    intake = self.intake,
                    file = %file.display(),
                    error = why,
                    "the database refused a message of the spool"
                );
                self.dependencies
                    .observer
                    .record(IntakeActivity::SpoolRefused);
                self.forget(&entry);
                true
            }
            Err(error) => {
                self.leave(&format!("a refused message cannot be moved: {error}"));
                false
            }
        }
    }

    fn forget(&self, entry: &Entry) {
        let mut state = self.state.lock();
        if state.entries.remove(&entry.order).is_some() {
            state.bytes = state.bytes.saturating_sub(entry.bytes);
        }
        if state.entries.is_empty() {
            self.come_back(&mut state);
        }
        self.observe(&state);
    }

    /// Whether the database answers again, while nothing waits.
    pub(super) async fn try_again(&self) -> bool {
        let answers = self.answers().await;
        let mut state = self.state.lock();
        if answers && state.entries.is_empty() {
            self.come_back(&mut state);
        }
        answers
    }

    async fn answers(&self) -> bool {
        match timeout(COMMIT, self.dependencies.queue.check(None)).await {
            // What is brought frees space; a commit that finds none says so.
            Ok(Ok(()) | Err(QueueError::Refused(_) | QueueError::Full(_))) => true,
            Ok(Err(QueueError::Unavailable(why))) => {
                self.leave(&why);
                false
            }
            Err(_) => false,
        }
    }
}
