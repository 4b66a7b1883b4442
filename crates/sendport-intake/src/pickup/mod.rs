//! Takes message files from a folder: `folders` (which files, and where they are meanwhile) → `message` (what a file
//! says) → [`MessageQueue::commit`](crate::MessageQueue::commit) → the file is removed, or moved to `badmail`.
//!
//! **Exactly once**: a file is renamed into a folder of the intake first, and its new name has the id of its transaction.
//! Both folders are synced. Whatever happens then, the file is committed under this id, and a repeated commit changes
//! nothing. The file is removed when it is committed. `lock` keeps a second process away.

mod access;
mod badmail;
mod folders;
mod lock;
mod message;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::{AlertOrigin, domain_to_ascii};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::access::AccessRules;
use crate::content::incoming::ContentLimits;
use crate::content::memory::MemoryBudget;
use crate::listener::{CONTENT_MEMORY, IntakeDependencies};
use crate::observer::{IntakeActivity, IntakeObserver};
use crate::queue::{MessageQueue, QueueError};
use crate::reply::Reply;
use crate::session::reply_to;
use crate::settings::PickupConfig;
pub use access::{FolderFindings, folder_findings};
pub use folders::FolderError;
use folders::{Folders, Look, TakenFile};
use lock::{FolderOwner, NotLocked};
use message::{NotRead, ReadMessage};

/// The longest pause between two looks at the folder.
const POLL: Duration = Duration::from_secs(1);

/// The same while messages cannot be committed.
const RETRY: Duration = Duration::from_secs(5);

/// The longest wait for a commit.
const COMMIT: Duration = Duration::from_secs(60);

/// Files that are read and committed at the same time.
const AT_ONCE: usize = 8;

/// An intake that takes message files from a folder. It does so while [`PickupIntake::run`] does.
pub struct PickupIntake(Arc<Pickup>);

/// What all files of an intake share.
struct Pickup {
    name: String,
    origin: AlertOrigin,
    hostname: String,
    local_domain: String,
    settings: PickupConfig,
    rules: AccessRules,
    folders: Folders,
    /// This process, for others that look at the folder.
    owner: FolderOwner,
    /// Between two looks at the folder.
    poll: Duration,
    limits: ContentLimits,
    queue: Arc<dyn MessageQueue>,
    observer: Arc<dyn IntakeObserver>,
    clock: Arc<dyn Clock>,
    user_name: fn(u32) -> Option<String>,
    /// Why no files are taken, as it was logged last.
    obstacle: Mutex<Option<Obstacle>>,
}

/// Why this process takes no files.
#[derive(Debug, PartialEq, Eq)]
enum Obstacle {
    /// It could not commit them.
    Waiting(String),
    /// Another one does.
    Elsewhere(String),
}

impl From<NotLocked> for Obstacle {
    fn from(error: NotLocked) -> Self {
        match error {
            NotLocked::Held(_) => Self::Elsewhere(error.to_string()),
            _ => Self::Waiting(error.to_string()),
        }
    }
}

/// What follows a look at the folder.
enum NextLook {
    /// There are more files.
    Now,
    After(Duration),
}

impl PickupIntake {
    /// Makes the folders that it needs beside that of the settings, which have no problems. `name` is that of
    /// `[intake.<name>]`, `origin` is [`AlertOrigin::Pickup`] or [`AlertOrigin::Sendmail`], and `user_name` is the name
    /// of a user of the system by its number, if it is known.
    ///
    /// # Errors
    /// [`FolderError`] names the setting.
    pub fn open(
        name: &str,
        origin: AlertOrigin,
        settings: &PickupConfig,
        dependencies: IntakeDependencies,
        user_name: fn(u32) -> Option<String>,
    ) -> Result<Self, FolderError> {
        let hostname = settings.hostname.clone();
        let hostname = hostname.unwrap_or(dependencies.default_hostname);
        let hostname = domain_to_ascii(&hostname).map_err(|problem| FolderError::Hostname {
            found: hostname.clone(),
            problem,
        })?;
        let local_domain = settings.local_domain.as_deref().map(domain_to_ascii);
        let local_domain = local_domain.and_then(Result::ok);
        let settle_time = match origin {
            AlertOrigin::Sendmail => Duration::ZERO,
            _ => settings.settle_time(),
        };
        Ok(Self(Arc::new(Pickup {
            name: name.to_owned(),
            origin,
            local_domain: local_domain
                .unwrap_or_else(|| hostname.clone())
                .into_owned(),
            owner: FolderOwner::this_process(&dependencies.host_name, dependencies.database),
            hostname: hostname.into_owned(),
            rules: AccessRules::of_folder(settings),
            folders: Folders::open(settings, settle_time)?,
            poll: match settle_time.is_zero() {
                true => POLL,
                false => POLL.min(settle_time),
            },
            limits: ContentLimits {
                size: settings.max_message_size.0,
                hops: settings.hop_limit as usize,
                memory: MemoryBudget::new(CONTENT_MEMORY),
                folder: dependencies.folder.into(),
            },
            settings: settings.clone(),
            queue: dependencies.queue,
            observer: dependencies.observer,
            clock: dependencies.clock,
            user_name,
            obstacle: Mutex::default(),
        })))
    }

    /// Takes files until `stop`, and returns when those that are taken are committed or wait. Dropping the future leaves
    /// them to the next start.
    pub async fn run(self, stop: CancellationToken) {
        let pickup = self.0;
        let folder = pickup.settings.folder.display();
        tracing::info!(intake = pickup.name, %folder, "pickup started");
        let mut next = NextLook::Now;
        loop {
            if let NextLook::After(pause) = next {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = tokio::time::sleep(pause) => {}
                }
            }
            if stop.is_cancelled() {
                break;
            }
            next = pickup.look().await;
            pickup.observe().await;
        }
        tracing::info!(intake = pickup.name, "pickup stopped");
    }
}

impl Pickup {
    /// Takes what is in the folder, unless it could not be committed now.
    async fn look(self: &Arc<Self>) -> NextLook {
        let look = match self.take().await {
            Ok(look) => look,
            Err(obstacle) => {
                self.meet(obstacle);
                return NextLook::After(RETRY);
            }
        };
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut working = JoinSet::new();
        for file in look.files {
            let (pickup, places) = (Arc::clone(self), Arc::clone(&places));
            working.spawn(async move {
                let _place = places.acquire().await;
                pickup.process(file).await
            });
        }
        let mut waits = None;
        while let Some(ended) = working.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(why)) => waits = Some(why),
                Err(broken) => waits = Some(broken.to_string()),
            }
        }
        match waits {
            Some(why) => {
                self.meet(Obstacle::Waiting(why));
                NextLook::After(RETRY)
            }
            None => {
                self.overcome();
                match look.has_more {
                    true => NextLook::Now,
                    false => NextLook::After(self.poll),
                }
            }
        }
    }

    /// The files that this process may commit now.
    async fn take(self: &Arc<Self>) -> Result<Look, Obstacle> {
        let pickup = Arc::clone(self);
        let lock = move || pickup.folders.lock(&pickup.owner);
        if let Some(error) = spawn_blocking(lock).await.map_err(waiting)?? {
            tracing::warn!(
                intake = self.name,
                %error,
                "the pickup folder cannot be locked: no other service may take files from it"
            );
        }
        let checked = timeout(COMMIT, self.queue.check(None)).await;
        checked
            .unwrap_or_else(|_| Err(no_answer()))
            .map_err(waiting)?;
        let pickup = Arc::clone(self);
        let taken = spawn_blocking(move || pickup.folders.take(Instant::now())).await;
        let cannot_be_used =
            |error| Obstacle::Waiting(format!("the folder cannot be used: {error}"));
        taken.map_err(waiting)?.map_err(cannot_be_used)
    }

    /// Commits one file or refuses it; an error says why it waits.
    async fn process(self: Arc<Self>, file: TakenFile) -> Result<(), String> {
        let read = match message::read(&self, &file).await {
            Ok(read) => read,
            Err(NotRead::Refused(refusal)) => return self.refuse(file, refusal).await,
            Err(NotRead::Gone) => return Ok(()),
            Err(NotRead::Later(why)) => return Err(format!("{}: {why}", file.original)),
        };
        let ReadMessage {
            message,
            reservation,
        } = read;
        // Until the queue has the content.
        let _reservation = reservation;
        let (bytes, recipients) = (message.content.size(), message.envelope.recipients.len());
        let (send_port, user) = (message.send_port.clone(), message.client.user.clone());
        let began = Instant::now();
        let committed = timeout(COMMIT, self.queue.commit(Arc::new(message))).await;
        match committed.unwrap_or_else(|_| Err(no_answer())) {
            Ok(queued) => {
                tracing::info!(
                    alert = %queued,
                    bytes,
                    recipients,
                    send_port,
                    user,
                    intake = self.name,
                    file = file.original,
                    "message accepted"
                );
                self.observer.record(IntakeActivity::Accepted {
                    bytes,
                    recipients: u32::try_from(recipients).unwrap_or(u32::MAX),
                    commit: began.elapsed(),
                });
                self.on_disk(move |folders| folders.remove(&file)).await
            }
            Err(QueueError::Refused(why)) => {
                let refusal = reply_to(&QueueError::Refused(String::new()));
                let text = format!("{}: {why}", refusal.text());
                let refusal = Reply::new(refusal.code, refusal.enhanced(), text);
                self.refuse(file, refusal).await
            }
            Err(error) => Err(error.to_string()),
        }
    }

    async fn refuse(self: &Arc<Self>, file: TakenFile, refusal: Reply) -> Result<(), String> {
        let reason = refusal.line();
        tracing::warn!(
            intake = self.name,
            file = file.original,
            reason,
            "message refused"
        );
        let (name, now) = (self.name.clone(), self.clock.now());
        self.on_disk(move |folders| folders.refuse(&file, &name, &reason, now))
            .await?;
        self.observer.record(IntakeActivity::Refused(refusal.code));
        Ok(())
    }

    async fn on_disk(
        self: &Arc<Self>,
        work: impl FnOnce(&Folders) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), String> {
        let pickup = Arc::clone(self);
        let worked = spawn_blocking(move || work(&pickup.folders)).await;
        let worked = worked.map_err(|broken| broken.to_string())?;
        worked.map_err(|error| error.to_string())
    }

    async fn observe(self: &Arc<Self>) {
        let pickup = Arc::clone(self);
        let counting = spawn_blocking(move || pickup.folders.waiting());
        // `look` says why it cannot be read.
        if let Ok(Ok(files)) = counting.await {
            self.observer.record(IntakeActivity::FilesWaiting(files));
        }
    }

    /// No files are taken because of this; logged once.
    fn meet(&self, obstacle: Obstacle) {
        let mut known = self.obstacle.lock();
        if known.as_ref() == Some(&obstacle) {
            return;
        }
        let intake = &*self.name;
        match &obstacle {
            Obstacle::Waiting(error) => {
                tracing::warn!(intake, error, "files wait in the pickup folder");
            }
            Obstacle::Elsewhere(error) => tracing::warn!(
                intake,
                error,
                "another process takes the files of the pickup folder"
            ),
        }
        *known = Some(obstacle);
    }

    fn overcome(&self) {
        if self.obstacle.lock().take().is_some() {
            tracing::info!(
                intake = self.name,
                "files are taken from the pickup folder again"
            );
        }
    }
}

fn waiting(error: impl std::fmt::Display) -> Obstacle {
    Obstacle::Waiting(error.to_string())
}

fn no_answer() -> QueueError {
    QueueError::Unavailable("it did not answer in time".to_owned())
}
