//! The slots of a state folder: which instance uses which file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use super::SpoolError;

/// Most instances on one folder.
const SLOTS: u32 = 64;

/// A numbered file and its lock, which the system releases with the process.
#[derive(Debug)]
pub(super) struct SpoolSlot {
    folder: PathBuf,
    file: PathBuf,
    _lock: File,
}

impl SpoolSlot {
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file with the entries.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn problem(&self, error: std::io::Error) -> SpoolError {
        unusable(&self.folder, error)
    }
}

/// The system's error about a folder, and what to do.
pub(super) fn unusable(folder: &Path, error: std::io::Error) -> SpoolError {
    use std::io::ErrorKind::{
        FileTooLarge, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem,
        StorageFull,
    };
    let advice = match error.kind() {
        StorageFull | QuotaExceeded => "; free space there",
        FileTooLarge => "; raise the limit of a file's size (ulimit -f, LimitFSIZE=)",
        ReadOnlyFilesystem => "; mount it for writing, or name another service.state_folder",
        PermissionDenied => "; give the service's user the right to write there",
        NotADirectory => "; name a folder as service.state_folder",
        _ => "",
    };
    SpoolError::Folder {
        folder: folder.to_owned(),
        source: error,
        advice,
    }
}

/// The first free slot, and every other free one with a file.
pub(super) fn take_free(folder: &Path) -> Result<Vec<SpoolSlot>, SpoolError> {
    let unusable = |error| unusable(folder, error);
    std::fs::create_dir_all(folder).map_err(unusable)?;
    let mut taken = Vec::new();
    for number in 1..=SLOTS {
        let used = file(folder, number).exists();
        if !used && !taken.is_empty() {
            continue;
        }
        if let Some(slot) = take(folder, number).map_err(unusable)? {
            taken.push(slot);
        }
    }
    if taken.is_empty() {
        let all = format!("all {SLOTS} slots are in use");
        return Err(unusable(std::io::Error::other(all)));
    }
    Ok(taken)
}

/// Every free slot with a file; creates nothing.
pub(super) fn take_used(folder: &Path) -> std::io::Result<Vec<SpoolSlot>> {
    let used = (1..=SLOTS).filter(|number| {
        let file = file(folder, *number);
        file.exists() && file.with_extension("lock").exists()
    });
    used.filter_map(|number| take(folder, number).transpose())
        .collect()
}

fn file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("spool-{number}.jsonl"))
}

fn take(folder: &Path, number: u32) -> std::io::Result<Option<SpoolSlot>> {
    let name = folder.join(format!("spool-{number}.lock"));
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(name)?;
    match lock.try_lock() {
        Ok(()) => Ok(Some(SpoolSlot {
            folder: folder.to_owned(),
            file: file(folder, number),
            _lock: lock,
        })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}
