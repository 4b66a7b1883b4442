//! A SQLite file to try in. It is removed at the end; one whose process was killed, by the next proof in that folder.

use std::fs::{File, OpenOptions, remove_file};
use std::path::{Path, PathBuf};

use uuid::Uuid;

const PREFIX: &str = "sendport-verify-";
/// What SQLite puts beside it.
const ENDINGS: [&str; 4] = ["db", "db-wal", "db-shm", "lock"];

/// The file, and a lock that says that its process lives.
pub(super) struct ScratchFile {
    path: PathBuf,
    _lock: Option<File>,
}

impl ScratchFile {
    /// A name in this folder. Removes what killed processes left there.
    pub(super) fn new(folder: &Path) -> Self {
        remove_left_over(folder);
        let name = format!("{PREFIX}{}.db", Uuid::new_v4().simple());
        let path = folder.join(name);
        let lock = lock(&path.with_extension("lock"), true);
        Self { path, _lock: lock }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ScratchFile {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// `None` where it cannot be locked: another process lives, or the file system has no locks.
fn lock(path: &Path, create: bool) -> Option<File> {
    let mut options = OpenOptions::new();
    let file = options
        .create(create)
        .truncate(false)
        .write(true)
        .open(path)
        .ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn remove_left_over(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_ours = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let is_lock = path.extension().is_some_and(|ending| ending == "lock");
        if is_ours && is_lock && lock(&path, false).is_some() {
            remove(&path);
        }
    }
}

/// Some may never have been created.
fn remove(path: &Path) {
    for ending in ENDINGS {
        let _ = remove_file(path.with_extension(ending));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_stays() {
        let folder = tempfile::tempdir().unwrap();
        let other = ScratchFile::new(folder.path());
        std::fs::write(other.path(), "in use").unwrap();
        for name in [
            "sendport-verify-1.db",
            "sendport-verify-1.db-wal",
            "sendport-verify-1.lock",
        ] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::write(folder.path().join("sendport.db"), "").unwrap();
        let own = ScratchFile::new(folder.path());
        assert_eq!(
            files(folder.path()),
            4,
            "two locks, a file in use, and the database"
        );
        drop(own);
        drop(other);
        assert_eq!(files(folder.path()), 1);
    }
}
