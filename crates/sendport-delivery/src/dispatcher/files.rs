//! The files that an alert names: read once, and stored with it before its first attempt.

use std::fs::File;
use std::io::{self, Read as _};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use sendport_core::domain::{
    Alert, AlertId, Attachment, AttachmentId, ContentDisposition, Lease, TransferEncoding,
};
use sendport_core::file_beneath::{self, OpenError};
use sendport_store::attachments::{AlertFile, AttachmentSource};
use sendport_store::{LoadResult, StoreError};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::preparation::Preparation;
use super::{Dispatcher, attempts_left};
use crate::ComposeError;
use crate::send_port::{NamedFile, Refusal, SendPort};

/// Longest wait for a folder; a share whose server is gone may hang for ever.
const PATIENCE: Duration = Duration::from_secs(30);

/// A folder that gives fewer bytes a second hangs.
const SLOWEST: u64 = 256 * 1024;

/// What shows that a file is another one than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileFacts {
    size_bytes: u64,
    modified: Option<SystemTime>,
}

impl FileFacts {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            size_bytes: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("it changed while it was read")]
    Changed,
    #[error(transparent)]
    System(#[from] io::Error),
    #[error("nobody waits for it any more")]
    GivenUp,
}

/// The error with the path as the application wrote it.
#[derive(Debug, thiserror::Error)]
#[error("'{shown}': {error}")]
struct FileError {
    shown: String,
    error: ReadError,
}

impl FileError {
    /// What the application or the operator has to correct fails the alert; what may pass is waited for.
    fn compose_error(self, port: &SendPort) -> ComposeError {
        let key = match &self.error {
            ReadError::Open(OpenError::Missing) => "file-missing",
            ReadError::Open(OpenError::Denied(_)) => "file-unreadable",
            ReadError::Open(
                OpenError::Link(_) | OpenError::NotRegular(_) | OpenError::HardLink,
            ) => "file-not-allowed",
            ReadError::Open(OpenError::Folder(_) | OpenError::System(_))
            | ReadError::Changed
            | ReadError::System(_)
            | ReadError::GivenUp => return waiting(port, &self.to_string()),
        };
        Refusal::new(key, format!("FileAttachments: {self}")).into()
    }
}

fn waiting(port: &SendPort, why: &str) -> ComposeError {
    let delay = port.retry.first_delay.max(Duration::from_secs(1));
    ComposeError::Deferred(delay, Some(format!("waits for its files: {why}")))
}

/// Files that are there, each of them allowed.
struct FoundFiles(Vec<(NamedFile, FileFacts)>);

impl FoundFiles {
    /// Looks at the files that the alert names, and at their sizes together with its attachments.
    async fn look(
        alert: &Alert,
        port: &SendPort,
        contents: &dyn AttachmentSource,
    ) -> Result<Self, ComposeError> {
        let named = port.files_of(alert)?;
        let mut attachments = match alert.attachment_count {
            0 => Vec::new(),
            _ => {
                let read = contents.attachments(alert.id).await;
                read.map_err(|error| ComposeError::unread("its attachments", error))?
            }
        };
        let found = in_folders(port, PATIENCE, named, look_at).await?;
        let sizes = found
            .iter()
            .map(|(file, facts)| (file.name(), facts.size_bytes));
        attachments.extend(as_attachments(sizes));
        port.check_attachments(&attachments)?;
        Ok(Self(found))
    }

    fn size_bytes(&self) -> u64 {
        let sizes = self.0.iter().map(|(_, facts)| facts.size_bytes);
        sizes.fold(0, u64::saturating_add)
    }

    async fn read(self, port: &SendPort) -> Result<Vec<AlertFile>, ComposeError> {
        let patience = PATIENCE + Duration::from_secs(self.size_bytes() / SLOWEST);
        in_folders(port, patience, self.0, read).await
    }
}

fn look_at(file: NamedFile) -> Result<(NamedFile, FileFacts), FileError> {
    let opened = file_beneath::open(&file.folder, &file.names).map_err(ReadError::from);
    let facts = opened.and_then(|opened| Ok(FileFacts::of(&opened)?));
    match facts {
        Ok(facts) => Ok((file, facts)),
        Err(error) => Err(FileError {
            shown: file.shown,
            error,
        }),
    }
}

fn read((file, facts): (NamedFile, FileFacts)) -> Result<AlertFile, FileError> {
    match unchanged_content(&file, facts) {
        Ok(content) => Ok(AlertFile {
            name: file.name().to_owned(),
            content,
        }),
        Err(error) => Err(FileError {
            shown: file.shown,
            error,
        }),
    }
}

/// The bytes of a file that is the same before, while and after it is read.
fn unchanged_content(file: &NamedFile, facts: FileFacts) -> Result<Vec<u8>, ReadError> {
    let opened = file_beneath::open(&file.folder, &file.names)?;
    let mut content = Vec::new();
    if FileFacts::of(&opened)? == facts {
        (&opened)
            .take(facts.size_bytes + 1)
            .read_to_end(&mut content)?;
    }
    let is_whole = content.len() as u64 == facts.size_bytes && FileFacts::of(&opened)? == facts;
    is_whole.then_some(content).ok_or(ReadError::Changed)
}

/// Runs `work` on each of the files, where a folder that hangs delays nothing but alerts with files.
async fn in_folders<A: Send + 'static, B: Send + 'static>(
    port: &SendPort,
    patience: Duration,
    files: Vec<A>,
    work: fn(A) -> Result<B, FileError>,
) -> Result<Vec<B>, ComposeError> {
    let permit = timeout(PATIENCE, port.file_readers().acquire_owned()).await;
    let Ok(Ok(permit)) = permit else {
        return Err(waiting(
            port,
            "the files of other alerts are still being read",
        ));
    };
    let given_up = CancellationToken::new();
    let _gives_up = given_up.clone().drop_guard();
    let job = spawn_blocking(move || {
        // A thread that hangs keeps it.
        let _permit = permit;
        let each = files.into_iter().map(|file| match given_up.is_cancelled() {
            true => Err(FileError {
                shown: String::new(),
                error: ReadError::GivenUp,
            }),
            false => work(file),
        });
        each.collect::<Result<Vec<_>, _>>()
    });
    match timeout(patience, job).await {
        Ok(Ok(done)) => done.map_err(|error| error.compose_error(port)),
        Ok(Err(error)) => Err(waiting(port, &error.to_string())),
        Err(_) => {
            let seconds = patience.as_secs();
            let why = format!("the file system has not answered for {seconds} s");
            Err(waiting(port, &why))
        }
    }
}

/// As rows without content; keys below 0, which no row has.
fn as_attachments<'a>(files: impl Iterator<Item = (&'a str, u64)>) -> Vec<Attachment> {
    let row = |(n, (name, size_bytes)): (i64, (&str, u64))| Attachment {
        id: AttachmentId(-1 - n),
        file_name: Some(name.to_owned()),
        media_type: None,
        disposition: ContentDisposition::Attachment,
        content_id: None,
        description: None,
        transfer_encoding: TransferEncoding::Base64,
        size_bytes,
    };
    (0..).zip(files).map(row).collect()
}

impl Dispatcher {
    /// Makes attachments of the files that the alert names, unless that was done before.
    pub(super) async fn store_files(
        &self,
        lease: &Lease<Alert>,
        port: &SendPort,
    ) -> Result<(), ComposeError> {
        let alert = &lease.value;
        if !has_unread_files(alert) {
            return Ok(());
        }
        port.check_principal(alert)?;
        attempts_left(alert, port)?;
        let found = FoundFiles::look(alert, port, &*self.parts.contents).await?;
        // The driver of the database copies them.
        let bytes = found.size_bytes().saturating_mul(2);
        let _memory = self.reserve_memory(bytes, 1).await?;
        let submit_guard = &*self.parts.submit_guard;
        let _preparing = Preparation::begin(submit_guard, &self.preparing, lease).await;
        let files = found.read(port).await?;
        let stored = self.parts.files.store_files(alert.id, lease.token, files);
        match stored.await {
            Ok(true) => Ok(()),
            // The lease is lost.
            Ok(false) => Err(ComposeError::Deferred(Duration::ZERO, None)),
            Err(error) => Err(ComposeError::unread("its files to be stored", error)),
        }
    }
}

fn has_unread_files(alert: &Alert) -> bool {
    !alert.files_stored && alert.named_files().next().is_some()
}

/// Attachments, and behind them files that are not stored: for a preview.
pub(super) struct WithFiles<'a> {
    stored: &'a dyn AttachmentSource,
    files: Vec<AlertFile>,
}

impl<'a> WithFiles<'a> {
    /// Reads the files that the alert names, unless they are stored.
    pub(super) async fn read(
        alert: &Alert,
        port: &SendPort,
        stored: &'a dyn AttachmentSource,
    ) -> Result<Self, ComposeError> {
        let files = match has_unread_files(alert) {
            true => {
                port.check_principal(alert)?;
                let found = FoundFiles::look(alert, port, stored).await?;
                found.read(port).await?
            }
            false => Vec::new(),
        };
        Ok(Self { stored, files })
    }
}

#[async_trait]
impl AttachmentSource for WithFiles<'_> {
    async fn whole_alert(&self, alert: AlertId) -> Result<Option<LoadResult>, StoreError> {
        self.stored.whole_alert(alert).await
    }

    async fn attachments(&self, alert: AlertId) -> Result<Vec<Attachment>, StoreError> {
        let mut all = self.stored.attachments(alert).await?;
        let files = self.files.iter();
        all.extend(as_attachments(
            files.map(|it| (&*it.name, it.content.len() as u64)),
        ));
        Ok(all)
    }

    async fn attachment_content(
        &self,
        alert: AlertId,
        attachment: AttachmentId,
        from: u64,
        at_most: u32,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Ok(at) = usize::try_from(-1 - attachment.0) else {
            let stored = self.stored;
            return stored
                .attachment_content(alert, attachment, from, at_most)
                .await;
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let rest = |file: &AlertFile| {
            let rest = file.content.get(from..).unwrap_or_default();
            rest[..rest.len().min(at_most as usize)].to_vec()
        };
        Ok(self.files.get(at).map(rest))
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
