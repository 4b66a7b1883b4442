//! A relay that writes each message as an .eml file into a folder, for a pickup service or for
//! inspection.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::clock::Clock;
use sendport_core::domain::{
    Command, Envelope, Fault, LocalCause, Reply, SessionFacts, SubmissionEnd, SubmissionReport,
};
use sendport_smime::SecuredMessage;

use super::eml::{TemporaryFile, envelope_lines, without_envelope_lines};
use super::limits::Limiter;
use super::synthetic_replies::SyntheticReplies;
use super::{Relay, SessionError, SubmissionGate};
use crate::settings::limits::Limits;
use crate::settings::relay::FileRelay as Config;

/// Files that are written at the same time.
const AT_A_TIME: u32 = 4;

/// Writes messages into a folder.
pub struct FileRelay {
    name: String,
    folder: PathBuf,
    envelope_headers: bool,
    limiter: Arc<Limiter>,
    clock: Arc<dyn Clock>,
}

impl FileRelay {
    /// Does not access the folder: it may appear later.
    pub fn new(name: impl Into<String>, config: &Config, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.into(),
            limiter: Arc::new(Limiter::new(Limits::of_each(AT_A_TIME))),
            folder: config.folder.clone(),
            envelope_headers: config.envelope_headers,
            clock,
        }
    }

    async fn write(&self, head: String, message: &SecuredMessage) -> io::Result<TemporaryFile> {
        let folder = self.folder.clone();
        let message_id = message.message_id().to_owned();
        let bytes = match self.envelope_headers {
            true => without_envelope_lines(message.bytes()),
            false => message.bytes().to_vec(),
        };
        blocking(move || TemporaryFile::write(&folder, &message_id, &[head.as_bytes(), &bytes]))
            .await
    }

    /// A failure before the file has its final name: nothing was handed over.
    fn session_error(&self, cause: &io::Error) -> SessionError {
        let folder = self.folder.display();
        let (what, local, fault) = match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
                format!("the folder '{folder}' does not exist: create it, or change folder"),
                LocalCause::FolderNotUsable,
                Fault::Configuration,
            ),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
                format!("the folder '{folder}' cannot be written: {cause}"),
                LocalCause::FolderNotUsable,
                Fault::Configuration,
            ),
            _ => (
                format!("writing into the folder '{folder}' failed: {cause}"),
                LocalCause::FolderFailed,
                Fault::Relay,
            ),
        };
        SessionError {
            reply: Reply::absent(Command::Connect, what).because(local),
            fault: Some(fault),
        }
    }

    async fn store(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> Result<SyntheticReplies, SessionError> {
        let mut synthetic = SyntheticReplies::begin(envelope);
        if envelope.forward_paths.is_empty() {
            return Ok(synthetic);
        }
        if !gate.may_begin().await {
            synthetic.end = SubmissionEnd::Fenced;
            return Ok(synthetic);
        }
        let head = if self.envelope_headers {
            let receivers = envelope.forward_paths.iter();
            envelope_lines(
                envelope.reverse_path.as_str(),
                receivers.map(|path| path.address.as_str()),
            )
        } else {
            String::new()
        };
        let written = self.write(head, message).await;
        let temporary_file = written.map_err(|cause| self.session_error(&cause))?;
        if !gate.may_send_final_dot(synthetic.before_final_dot()) {
            synthetic.end = SubmissionEnd::Fenced;
            return Ok(synthetic);
        }
        match blocking(move || temporary_file.publish()).await {
            Ok(path) => synthetic.accept(&format!("written to {}", file_name(&path))),
            Err(cause) => {
                let what = format!("the file could not be given its name: {cause}");
                synthetic.in_doubt(what);
            }
        }
        Ok(synthetic)
    }
}

#[async_trait]
impl Relay for FileRelay {
    fn name(&self) -> &str {
        &self.name
    }

    fn limiter(&self) -> &Arc<Limiter> {
        &self.limiter
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn SubmissionGate,
    ) -> SubmissionReport {
        let started_at = self.clock.now();
        let (replies, end) = match self.store(envelope, message, gate).await {
            Ok(synthetic) => (synthetic.replies, synthetic.end),
            Err(SessionError { reply, fault }) => {
                (Vec::new(), SubmissionEnd::NotBegun { reply, fault })
            }
        };
        SubmissionReport {
            started_at,
            ended_at: self.clock.now(),
            facts: SessionFacts::default(),
            replies,
            end,
        }
    }

    /// Writes a file and removes it.
    async fn verify(&self) -> Result<SessionFacts, SessionError> {
        let folder = self.folder.clone();
        let tried = blocking(move || TemporaryFile::write(&folder, "check", &[]).map(drop)).await;
        tried.map_err(|cause| self.session_error(&cause))?;
        Ok(SessionFacts::default())
    }

    async fn close(&self) {}
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let span = tracing::Span::current();
    match tokio::task::spawn_blocking(move || span.in_scope(work)).await {
        Ok(result) => result,
        Err(cause) => Err(io::Error::other(cause)),
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
