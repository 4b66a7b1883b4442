//! Only one process at a time takes the files of a folder: the one that locks a file beside them. Two with databases of
//! their own would send some files twice.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// The locked file, in the folder of taken files, which no program but the service may write to.
const FILE: &str = ".lock";

/// Characters of the file that are read.
const LONGEST: u64 = 4096;

/// Who takes the files of a folder, as its lock file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FolderOwner {
    /// The process and its host, for people.
    pub(super) process: String,
    /// The database that the messages go into, for people.
    pub(super) database: String,
}

impl FolderOwner {
    pub(super) fn this_process(host: &str, database: String) -> Self {
        Self {
            process: format!("process {} on {host}", std::process::id()),
            database,
        }
    }

    /// Without the lock of another process, which denies this on Windows.
    fn read(mut file: &File) -> Option<Self> {
        let mut text = String::new();
        file.rewind().ok()?;
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        let (process, database) = text.trim_end().split_once('\n')?;
        Some(Self {
            process: process.to_owned(),
            database: database.to_owned(),
        })
    }

    fn write(&self, mut file: &File) -> io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}\n{}", self.process, self.database)
    }
}

/// Why this process does not take the files.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotLocked {
    #[error("{} takes the files of this folder{}", process_of(.0), database_of(.0))]
    Held(Option<FolderOwner>),
    #[error(
        "{} has files that were taken for {database}, which may have committed them: start the service of that database, \
         or, if it is the same database under another name, remove {}",
        .folder.display(),
        .folder.join(FILE).display()
    )]
    LeftOver { folder: PathBuf, database: String },
    #[error("{} cannot be written: {source}", .folder.join(FILE).display())]
    System { folder: PathBuf, source: io::Error },
}

fn process_of(owner: &Option<FolderOwner>) -> &str {
    owner.as_ref().map_or("another process", |it| &*it.process)
}

fn database_of(owner: &Option<FolderOwner>) -> String {
    let database = owner.as_ref().map(|it| format!(" for {}", it.database));
    database.unwrap_or_default()
}

/// Held until it is dropped, or until the process ends.
pub(super) struct FolderLock {
    _file: File,
    /// Why the file system has no locks.
    pub(super) unsupported: Option<io::Error>,
}

impl FolderLock {
    /// Locks the folder of taken files. `has_files` is whether it has some.
    pub(super) fn acquire(
        taken: &Path,
        owner: &FolderOwner,
        has_files: bool,
    ) -> Result<Self, NotLocked> {
        let system = |source| NotLocked::System {
            folder: taken.to_owned(),
            source,
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let file = options.open(taken.join(FILE)).map_err(system)?;
        let unsupported = match file.try_lock() {
            Ok(()) => None,
            Err(TryLockError::WouldBlock) => {
                return Err(NotLocked::Held(FolderOwner::read(&file)));
            }
            Err(TryLockError::Error(error)) => Some(error),
        };
        match FolderOwner::read(&file) {
            Some(before) if before.database != owner.database && has_files => {
                let (folder, database) = (taken.to_owned(), before.database);
                return Err(NotLocked::LeftOver { folder, database });
            }
            _ => owner.write(&file).map_err(system)?,
        }
        Ok(Self {
            _file: file,
            unsupported,
        })
    }
}

/// Who takes files now, as far as this user may know.
pub(super) enum Holder {
    Nobody,
    Process(Option<FolderOwner>),
    /// The file system has no locks.
    Unsupported(io::Error),
}

/// Looks at the lock of a folder of taken files. Makes and changes nothing.
pub(super) fn holder(taken: &Path) -> Holder {
    // Whoever may not open it cannot run the service either.
    let Ok(file) = File::open(taken.join(FILE)) else {
        return Holder::Nobody;
    };
    match file.try_lock_shared() {
        Ok(()) => Holder::Nobody,
        Err(TryLockError::WouldBlock) => Holder::Process(FolderOwner::read(&file)),
        Err(TryLockError::Error(error)) => Holder::Unsupported(error),
    }
}
