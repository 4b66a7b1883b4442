//! Audit copies as files: a folder a day, a message and its envelope a copy.
//!
//! `2026-11-21/20261121T093045.123Z-0000004711-<attempt key>-after.eml` holds the bytes and
//! nothing else; the file of the same name that ends in `.json` holds the envelope. A message
//! appears under its name whole, and never before its envelope.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sendport_core::clock;
use sendport_core::domain::{AuditCopy, AuditStage, Timestamp};
use serde::Serialize;
use uuid::Uuid;

use super::{AuditError, AuditTrail};

/// Keeps copies in a folder.
pub struct FolderTrail {
    folder: PathBuf,
}

impl FolderTrail {
    /// In a folder that is there; writes a file into it and removes it.
    ///
    /// # Errors
    /// [`AuditError::Unusable`] where that does not work. The folder is never made here: an audit must not
    /// begin beside a disk that was not mounted.
    pub fn open(folder: &Path) -> Result<Self, AuditError> {
        let trial = folder.join(format!(".{}.tmp", Uuid::new_v4().as_simple()));
        let tried = write_synced(&trial, b"").and_then(|()| fs::remove_file(&trial));
        tried.map_err(|source| AuditError::Unusable {
            folder: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }
}

#[async_trait]
impl AuditTrail for FolderTrail {
    async fn keep(&self, copy: Arc<AuditCopy>) -> Result<(), AuditError> {
        let folder = self.folder.clone();
        let written = tokio::task::spawn_blocking(move || write(&folder, &copy)).await;
        written
            .map_err(io::Error::other)
            .flatten()
            .map_err(|source| AuditError::Folder {
                folder: self.folder.clone(),
                source,
            })
    }
}

/// The envelope and what the copy belongs to.
#[derive(Serialize)]
struct Sidecar<'a> {
    attempt_key: String,
    alert_id: i64,
    send_port: &'a str,
    relay: &'a str,
    stage: AuditStage,
    created_at: Timestamp,
    message_id: &'a str,
    size_bytes: usize,
    reverse_path: &'a str,
    forward_paths: &'a [String],
}

impl<'a> From<&'a AuditCopy> for Sidecar<'a> {
    fn from(copy: &'a AuditCopy) -> Self {
        Self {
            attempt_key: copy.attempt.0.to_string(),
            alert_id: copy.alert.0,
            send_port: &copy.send_port,
            relay: &copy.relay,
            stage: copy.stage,
            created_at: copy.created_at,
            message_id: &copy.message_id,
            size_bytes: copy.bytes.len(),
            reverse_path: &copy.reverse_path,
            forward_paths: &copy.forward_paths,
        }
    }
}

fn write(folder: &Path, copy: &AuditCopy) -> io::Result<()> {
    let day = folder.join(clock::format(copy.created_at, "%Y-%m-%d"));
    make_day(folder, &day)?;
    let stem = stem(copy);
    let mut envelope = serde_json::to_vec_pretty(&Sidecar::from(copy))?;
    envelope.push(b'\n');
    write_whole(&day, &format!("{stem}.json"), &envelope)?;
    write_whole(&day, &format!("{stem}.eml"), &copy.bytes)?;
    sync_folder(&day)
}

/// Sorts by time; unique by the attempt's key and the stage.
fn stem(copy: &AuditCopy) -> String {
    let at = clock::format(copy.created_at, "%Y%m%dT%H%M%S%.3fZ");
    let (alert, key) = (copy.alert.0, copy.attempt.0.as_simple());
    format!("{at}-{alert:010}-{key}-{}", copy.stage.as_str())
}

fn make_day(folder: &Path, day: &Path) -> io::Result<()> {
    match private_folder().create(day) {
        Ok(()) => sync_folder(folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn write_whole(day: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = day.join(format!(".{name}.tmp"));
    let written =
        write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, day.join(name)));
    if written.is_err() {
        // What is left of a full disk is not worth an error of its own.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private_file().open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// For its owner alone: 0700.
fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// For its owner alone: 0600.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// NTFS journals the names; a folder cannot be opened as a file there.
#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}
