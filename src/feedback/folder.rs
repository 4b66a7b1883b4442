//! The folders of a source: which files are reports, and where they go.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use sendport_core::domain::Timestamp;
use sendport_core::problem::Problem;
use sendport_core::regular_file;
use sendport_feedback::READ_BYTES;

use crate::config::{FeedbackSource, SourceKind};

/// What was read of a file.
#[derive(Debug)]
pub(super) struct Contents {
    /// At most one byte more than [`READ_BYTES`].
    pub(super) bytes: Vec<u8>,
    /// Of the file.
    pub(super) size_bytes: u64,
    /// When it was written.
    pub(super) written_at: Timestamp,
}

/// Whether a file with this name is a report: another one is still being written, or no message.
pub(super) fn is_report(kind: SourceKind, name: &str) -> bool {
    let is_message = match kind {
        SourceKind::Maildir => true,
        SourceKind::Folder => Path::new(name)
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("eml")),
    };
    is_message && !name.starts_with('.')
}

/// Reads the beginning of a file.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    let file = regular_file::open(path)?;
    let metadata = file.metadata()?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Contents {
        bytes,
        size_bytes: metadata.len(),
        written_at: DateTime::<Utc>::from(metadata.modified()?),
    })
}

/// Moves a report into a folder, whose name has `key` in it if it can be taken by another report. Another instance may have
/// moved it already.
pub(super) fn move_to(folder: &Path, path: &Path, kind: SourceKind, key: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = match kind {
        // Unique by itself; the flag says that it was seen.
        SourceKind::Maildir if name.contains(":2,") => name.into_owned(),
        SourceKind::Maildir => format!("{name}:2,S"),
        SourceKind::Folder => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            format!("{stem}-{}.eml", key.get(..12).unwrap_or(key))
        }
    };
    fs::create_dir_all(folder)?;
    is_gone(fs::rename(path, folder.join(name)))
}

/// Deletes a report, unless another instance did.
pub(super) fn delete(path: &Path) -> io::Result<()> {
    is_gone(fs::remove_file(path))
}

fn is_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// What keeps the service from using the folders of a source; keys are those of its section.
pub fn folder_problems(source: &FeedbackSource) -> Vec<Problem> {
    let mut found = Vec::new();
    for inbox in source.inboxes() {
        let what = match fs::read_dir(&inbox) {
            Err(error) => format!(
                "{} cannot be read: {error}; create it, and let the user of the service read and write it",
                inbox.display()
            ),
            Ok(_) => match tempfile_in(&inbox) {
                Err(error) => format!(
                    "{} cannot be written: {error}; a report that is recorded leaves it, so let the user of the service \
                     write it",
                    inbox.display()
                ),
                Ok(()) => continue,
            },
        };
        found.push(Problem::new("folder", what));
    }
    let kept = source.read_folder().map(|folder| ("read", folder));
    for (key, folder) in kept.into_iter().chain([("badmail", source.badmail())]) {
        if let Err(error) = writable(&folder) {
            let what = format!(
                "{} cannot be written: {error}; let the user of the service write it, on the file system of folder",
                folder.display()
            );
            found.push(Problem::new(key, what));
        }
    }
    found
}

/// The folder, or the nearest one above it in which it can be created.
fn writable(folder: &Path) -> io::Result<()> {
    let existing: Option<PathBuf> = folder
        .ancestors()
        .find(|it| it.is_dir())
        .map(Path::to_owned);
    tempfile_in(&existing.unwrap_or_else(|| PathBuf::from(".")))
}

/// Creates a file that no reader takes for a message, and removes it.
fn tempfile_in(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".sendport-check-{}", std::process::id()));
    File::create(&path)?;
    fs::remove_file(path)
}
