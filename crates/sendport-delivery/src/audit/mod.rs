//! Audit copies: exactly the bytes of a submission, kept before it is made.
//!
//! In comes what is about to be submitted, out goes nothing: either every copy that the send
//! port asks for is kept, or an error, and then nothing may be submitted. Content is never logged.

mod database;
mod folder;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use database::DatabaseTrail;
pub use folder::FolderTrail;

use sendport_core::domain::{
    AlertId, AttemptKey, AuditCopy, AuditStage, Envelope, ForwardPath, Timestamp,
};
use sendport_smime::SecuredMessage;
use sendport_store::{Event, EventSeverity, StoreError};

/// A copy that is not kept by then counts as not kept: a hung network folder must be reported.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store of audit copies.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Keeps one copy for good: it survives a loss of power. Repeating it with the same attempt
    /// key and stage keeps it once. May be called from many tasks at once; dropping the future
    /// leaves a whole copy or none.
    ///
    /// # Errors
    /// [`AuditError`]; whether the copy was kept is not known then.
    async fn keep(&self, copy: Arc<AuditCopy>) -> Result<(), AuditError>;
}

/// Why a copy could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file system.
    #[error("the audit folder '{}' cannot be written: {source}", .folder.display())]
    Folder {
        /// The configured folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file system, when the folder is opened.
    #[error(
        "the folder '{}' cannot be written: {source}; create it for the account of the service, or name another one",
        .folder.display()
    )]
    Unusable {
        /// The configured folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The database.
    #[error("the table AuditCopy cannot be written: {0}")]
    Database(#[from] StoreError),
    /// A disk or a network that hangs.
    #[error("keeping a copy took longer than {} s", PATIENCE.as_secs())]
    Hung,
}

/// What one attempt is about to submit.
pub struct Submission<'a> {
    /// Of the attempt.
    pub attempt: AttemptKey,
    /// Which alert.
    pub alert: AlertId,
    /// To which relay.
    pub relay: &'a str,
    /// By the service's clock.
    pub at: Timestamp,
    /// Envelope of the transaction.
    pub envelope: &'a Envelope,
    /// The bytes before protection, where [`Auditor::keeps_before`] asked for them.
    pub before: Option<&'a [u8]>,
    /// What is submitted.
    pub message: &'a SecuredMessage,
}

/// Keeps the copies of one send port.
pub struct Auditor {
    send_port: String,
    stages: Vec<AuditStage>,
    trails: Vec<Arc<dyn AuditTrail>>,
    events: mpsc::UnboundedSender<Event>,
    failing: AtomicBool,
}

impl Auditor {
    /// Keeps copies of `stages` in every one of `trails`. That it cannot, and that it can again,
    /// goes to `events` once.
    pub fn new(
        send_port: impl Into<String>,
        stages: Vec<AuditStage>,
        trails: Vec<Arc<dyn AuditTrail>>,
        events: mpsc::UnboundedSender<Event>,
    ) -> Self {
        Self {
            send_port: send_port.into(),
            stages,
            trails,
            events,
            failing: AtomicBool::new(false),
        }
    }

    /// Whether the bytes before protection are wanted.
    pub fn keeps_before(&self) -> bool {
        self.stages.contains(&AuditStage::Before)
    }

    /// Keeps every copy of `submission`.
    ///
    /// # Errors
    /// The first [`AuditError`]: it must not be submitted.
    pub async fn keep(&self, submission: &Submission<'_>) -> Result<(), AuditError> {
        let kept = tokio::time::timeout(PATIENCE, self.keep_all(submission)).await;
        let kept = kept.unwrap_or(Err(AuditError::Hung));
        let was_failing = self.failing.swap(kept.is_err(), Ordering::Relaxed);
        match &kept {
            Err(error) if !was_failing => self.announce_failure(error),
            Ok(()) if was_failing => self.announce_recovery(),
            _ => {}
        }
        kept
    }

    async fn keep_all(&self, submission: &Submission<'_>) -> Result<(), AuditError> {
        for stage in &self.stages {
            let copy = Arc::new(self.copy(submission, *stage));
            for trail in &self.trails {
                trail.keep(copy.clone()).await?;
            }
        }
        Ok(())
    }

    fn copy(&self, submission: &Submission<'_>, stage: AuditStage) -> AuditCopy {
        let after = submission.message.bytes();
        let bytes = match stage {
            AuditStage::Before => submission.before.unwrap_or(after),
            AuditStage::After => after,
        };
        let address = |path: &ForwardPath| path.address.to_string();
        AuditCopy {
            attempt: submission.attempt,
            alert: submission.alert,
            send_port: self.send_port.clone(),
            relay: submission.relay.to_owned(),
            stage,
            created_at: submission.at,
            message_id: submission.message.message_id().to_owned(),
            reverse_path: submission.envelope.reverse_path.as_str().to_owned(),
            forward_paths: submission
                .envelope
                .forward_paths
                .iter()
                .map(address)
                .collect(),
            bytes: bytes.to_vec(),
        }
    }

    fn announce_failure(&self, error: &AuditError) {
        let send_port = &self.send_port;
        tracing::error!(send_port, %error, "audit copy failed, submission suspended");
        let message = format!(
            "send port {send_port} submits nothing, because audit copies cannot be kept: {error}"
        );
        self.announce(EventSeverity::Error, "audit-failed", message);
    }

    fn announce_recovery(&self) {
        let send_port = &self.send_port;
        tracing::info!(send_port, "audit copies work again, submission resumed");
        let message = format!("send port {send_port}: audit copies are kept again");
        self.announce(EventSeverity::Information, "audit-recovered", message);
    }

    fn announce(&self, severity: EventSeverity, event_type: &'static str, message: String) {
        let event = Event {
            severity,
            event_type,
            instance: None,
            alert: None,
            send_port: Some(self.send_port.clone()),
            relay: None,
            message,
        };
        // Fails only once the worker that writes events has ended.
        let _ = self.events.send(event);
    }
}

/// Never its content.
impl fmt::Debug for Submission<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submission")
            .field("attempt", &self.attempt)
            .field("alert", &self.alert)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
