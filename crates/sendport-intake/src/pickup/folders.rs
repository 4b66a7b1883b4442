//! The folders of a pickup, on the disk.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirEntry, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sendport_core::domain::{Timestamp, TransactionId};
use sendport_core::file_beneath::{self, OpenError};
use tokio::time::Instant;

use super::badmail;
use super::lock::{FolderLock, FolderOwner, NotLocked};
use crate::settings::PickupConfig;
use crate::submission::{FILE_SUFFIX, TEMPORARY_SUFFIX};

/// Files that are taken at once.
const MOST: usize = 200;

/// A file without content is not complete, until nobody has written to it for so long.
const EMPTY_SETTLE_TIME: Duration = Duration::from_secs(60);

/// `sendport sendmail` was killed while it wrote a file that is older.
const LEFT_OVER: Duration = Duration::from_secs(24 * 3600);

/// Characters of the original name in that of a taken file.
const LONGEST_NAME: usize = 100;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It is missing, or this user may not use it.
    #[error("{key}: {} cannot be used: {source}; {remedy}", .path.display())]
    Folder {
        /// The setting.
        key: &'static str,
        /// The folder.
        path: PathBuf,
        /// The reason.
        source: io::Error,
        /// What to do.
        remedy: &'static str,
    },
    /// The name for `Received` is no domain.
    #[error("hostname: expected a name such as \"mail.contoso.com\", found \"{found}\": {problem}")]
    Hostname {
        /// As configured.
        found: String,
        /// What is wrong.
        problem: &'static str,
    },
}

/// The folders of one pickup.
pub(super) struct Folders {
    folder: PathBuf,
    taken: PathBuf,
    badmail: PathBuf,
    settle_time: Duration,
    /// Whoever takes files holds it.
    lock: Mutex<Option<FolderLock>>,
    /// What complete files looked like, and since when.
    seen: Mutex<HashMap<OsString, (Stamp, Instant)>>,
}

/// Length and time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        }
    }
}

/// A file that is to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TakenFile {
    pub(super) transaction: TransactionId,
    /// Its name in the folder of taken files.
    name: String,
    /// The name that its program gave it, as far as it can be shown.
    pub(super) original: String,
}

/// What a look at the folder found.
pub(super) struct Look {
    pub(super) files: Vec<TakenFile>,
    pub(super) has_more: bool,
}

impl Folders {
    /// Makes those that belong to the intake alone.
    pub(super) fn open(
        settings: &PickupConfig,
        settle_time: Duration,
    ) -> Result<Self, FolderError> {
        let folder = &settings.folder;
        let error = |key, path: &Path, remedy| {
            let path = path.to_owned();
            move |source| FolderError::Folder {
                key,
                path,
                source,
                remedy,
            }
        };
        let remedy = "create it, let this user list it and rename files in it, and let programs write files there";
        fs::read_dir(folder).map_err(error("folder", folder, remedy))?;
        let (taken, badmail) = (settings.taken(), settings.badmail());
        let remedy = "let this user create it, or create it on the same disk as the pickup folder, for this user alone";
        make(&taken).map_err(error("folder", &taken, remedy))?;
        let remedy = "let this user create it, or create it for this user";
        make(&badmail).map_err(error("badmail", &badmail, remedy))?;
        Ok(Self {
            folder: folder.clone(),
            taken,
            badmail,
            settle_time,
            lock: Mutex::default(),
            seen: Mutex::default(),
        })
    }

    /// Keeps other processes from taking files, as long as this lives. A warning says, once, that this is not possible.
    pub(super) fn lock(&self, owner: &FolderOwner) -> Result<Option<io::Error>, NotLocked> {
        let mut lock = self.lock.lock();
        if lock.is_some() {
            return Ok(None);
        }
        let has_files = self.list_taken().is_ok_and(|files| !files.is_empty());
        let mut acquired = FolderLock::acquire(&self.taken, owner, has_files)?;
        let unsupported = acquired.unsupported.take();
        *lock = Some(acquired);
        Ok(unsupported)
    }

    /// Renames the next complete files into the folder of taken files, the oldest first, and lists that folder.
    pub(super) fn take(&self, now: Instant) -> io::Result<Look> {
        let complete = self.complete(now)?;
        let mut files = self.list_taken()?;
        let most = MOST.saturating_sub(files.len());
        let has_more = complete.len() > most;
        let mut has_new = false;
        for name in complete.into_iter().take(most) {
            let file = TakenFile::new(TransactionId::random(), &name);
            match fs::rename(self.folder.join(&name), self.taken.join(&file.name)) {
                Ok(()) => files.push(file),
                // Another instance was faster, or its program removed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            has_new = true;
            self.seen.lock().remove(&name);
        }
        if has_new {
            // Else a power failure could bring the old name back, and the file would be committed under another id.
            sync(&self.taken)?;
            sync(&self.folder)?;
        }
        Ok(Look { files, has_more })
    }

    /// The names of files that nobody writes to any more, the oldest first.
    fn complete(&self, now: Instant) -> io::Result<Vec<OsString>> {
        let mut seen = self.seen.lock();
        let before = std::mem::take(&mut *seen);
        let mut complete = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_temporary(&name) {
                remove_left_over(&entry);
            }
            // Of the entry, not of what a link leads to.
            let Some(metadata) = is_message(&name).then(|| entry.metadata().ok()).flatten() else {
                continue;
            };
            if !metadata.is_file() {
                continue;
            }
            let stamp = Stamp::of(&metadata);
            let since = match before.get(&name) {
                Some((known, since)) if *known == stamp => *since,
                _ => now,
            };
            let settle_time = match stamp.length {
                0 => self.settle_time.max(EMPTY_SETTLE_TIME),
                _ => self.settle_time,
            };
            if now.duration_since(since) >= settle_time {
                complete.push((stamp.modified, name.clone()));
            }
            seen.insert(name, (stamp, since));
        }
        complete.sort();
        Ok(complete.into_iter().map(|(_, name)| name).collect())
    }

    /// Number of message files that are not committed, whether they are complete or not.
    pub(super) fn waiting(&self) -> io::Result<u64> {
        let mut count = self.list_taken()?.len() as u64;
        for entry in fs::read_dir(&self.folder)? {
            count += u64::from(is_message(&entry?.file_name()));
        }
        Ok(count)
    }

    fn list_taken(&self) -> io::Result<Vec<TakenFile>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.taken)? {
            files.extend(TakenFile::parse(&entry?.file_name()));
        }
        Ok(files)
    }

    /// Opens a taken file.
    pub(super) fn open_taken(&self, file: &TakenFile) -> Result<File, OpenError> {
        file_beneath::open(&self.taken, std::slice::from_ref(&file.name))
    }

    /// Removes a file that is committed.
    pub(super) fn remove(&self, file: &TakenFile) -> io::Result<()> {
        match fs::remove_file(self.taken.join(&file.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves a file to the refused ones, with a text that says why.
    pub(super) fn refuse(
        &self,
        file: &TakenFile,
        intake: &str,
        reason: &str,
        now: Timestamp,
    ) -> io::Result<()> {
        let text = badmail::Refused {
            original: &file.original,
            intake,
            folder: &self.folder,
            reason,
            at: now,
        };
        badmail::explain(&self.badmail, &file.name, &text)?;
        badmail::move_file(&self.taken.join(&file.name), &self.badmail.join(&file.name))?;
        sync(&self.badmail)
    }
}

impl TakenFile {
    fn new(transaction: TransactionId, name: &OsStr) -> Self {
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || ".-_".contains(c) {
                c
            } else {
                '_'
            }
        };
        let original: String = name.to_string_lossy().chars().map(plain).collect();
        // With the end of its name.
        let original = original[original.len().saturating_sub(LONGEST_NAME)..].to_owned();
        Self {
            transaction,
            name: format!("{transaction}_{original}"),
            original,
        }
    }

    /// The inverse, for a name that [`TakenFile::new`] made.
    fn parse(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        let (id, original) = name.split_once('_')?;
        Some(Self {
            transaction: TransactionId::parse(id)?,
            name: name.to_owned(),
            original: original.to_owned(),
        })
    }
}

fn is_message(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let suffix = name
        .len()
        .checked_sub(FILE_SUFFIX.len())
        .and_then(|at| name.get(at..));
    !name.starts_with('.') && suffix.is_some_and(|it| it.eq_ignore_ascii_case(FILE_SUFFIX))
}

fn is_temporary(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') && name.ends_with(TEMPORARY_SUFFIX)
}

fn remove_left_over(entry: &DirEntry) {
    let modified = entry.metadata().and_then(|it| it.modified());
    let age = modified.ok().and_then(|it| it.elapsed().ok());
    if age.is_some_and(|age| age > LEFT_OVER) {
        // Tried again.
        let _removed = fs::remove_file(entry.path());
    }
}

/// A folder for this user alone, unless it is there.
fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o750);
    }
    match builder.create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::read_dir(folder).map(drop),
    }
}

/// Makes the names in a folder durable.
#[cfg(unix)]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// NTFS writes names in order.
#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}
