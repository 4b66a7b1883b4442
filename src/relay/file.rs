//! A relay that writes each message as an .eml file into a folder, where a pickup service
//! or a curious person finds it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::eml::{TemporaryFile, envelope_lines};
use super::limits::Limiter;
use super::synthetic_replies::{self, SyntheticReplies};
use super::{FinalDotGate, NotReady, Relay};
use crate::clock::Clock;
use crate::config::limits::Limits;
use crate::config::relay::FileRelay as Config;
use crate::domain::{
    Command, Envelope, Fault, Reply, SessionFacts, SubmissionEnd, SubmissionReport,
};
use crate::smime::SecuredMessage;

/// So many files are written at the same time.
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
    /// Nothing is looked at yet: the folder may appear later.
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
        let octets = message.octets().to_vec();
        blocking(move || TemporaryFile::write(&folder, &message_id, &[head.as_bytes(), &octets]))
            .await
    }

    /// What is known before the name is given to the file cannot be a half success.
    fn not_ready(&self, cause: &io::Error) -> NotReady {
        let folder = self.folder.display();
        let (what, fault) = match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
                format!("the folder '{folder}' does not exist: create it, or change folder"),
                Some(Fault::Configuration),
            ),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => (
                format!("the folder '{folder}' cannot be written: {cause}"),
                Some(Fault::Configuration),
            ),
            _ => (
                format!("writing into the folder '{folder}' failed: {cause}"),
                Some(Fault::Relay),
            ),
        };
        NotReady {
            reply: Reply::absent(Command::Connect, what),
            fault,
        }
    }

    async fn carry_out(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> Result<SyntheticReplies, NotReady> {
        let mut synthetic = SyntheticReplies::begin(envelope);
        if !synthetic.goes_on() {
            return Ok(synthetic);
        }
        let head = if self.envelope_headers {
            envelope_lines(
                synthetic_replies::sender(envelope),
                synthetic.accepted(envelope),
            )
        } else {
            String::new()
        };
        let written = self.write(head, message).await;
        let temporary_file = written.map_err(|cause| self.not_ready(&cause))?;
        if !gate.may_send_final_dot() {
            synthetic.end = SubmissionEnd::Fenced;
            return Ok(synthetic);
        }
        match blocking(move || temporary_file.publish()).await {
            Ok(path) => synthetic.take(&format!("written to {}", file_name(&path))),
            Err(cause) => {
                let what = format!("the file could not be given its name: {cause}");
                synthetic.lose(what);
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
        gate: &dyn FinalDotGate,
    ) -> SubmissionReport {
        let started_at = self.clock.now();
        let (replies, end) = match self.carry_out(envelope, message, gate).await {
            Ok(synthetic) => (synthetic.replies, synthetic.end),
            Err(NotReady { reply, fault }) => {
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
    async fn verify(&self) -> Result<SessionFacts, NotReady> {
        let folder = self.folder.clone();
        let tried = blocking(move || TemporaryFile::write(&folder, "check", &[]).map(drop)).await;
        tried.map_err(|cause| self.not_ready(&cause))?;
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
