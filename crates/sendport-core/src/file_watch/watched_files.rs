//! Whether files hold something else than before.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use secrecy::zeroize::Zeroizing;

use super::FileStamp;
use crate::regular_file;

/// To replace a file takes less.
const REPLACE_WITHIN: Duration = Duration::from_secs(10);

/// Some files whose content is compared.
#[derive(Debug)]
pub struct WatchedFiles(Mutex<Vec<WatchedFile>>);

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    stamp: Option<FileStamp>,
    /// Hash of the content.
    hash: Option<u64>,
    /// Since when it is missing, empty or unreadable.
    gone: Option<Gone>,
}

#[derive(Debug)]
enum Gone {
    Since(Instant),
    /// It counted as a change.
    Reported,
}

impl WatchedFiles {
    /// Reads the files for the first time; a `None` is no file.
    pub fn new<'p>(paths: impl IntoIterator<Item = Option<&'p PathBuf>>) -> Self {
        let files = paths.into_iter().flatten();
        Self(Mutex::new(
            files.map(|path| WatchedFile::new(path)).collect(),
        ))
    }

    /// The content of any file differs from that at the previous call. A file that is missing,
    /// empty or unreadable has not changed: it is being replaced. Once it has been so for ten seconds,
    /// it has, once.
    pub fn are_changed(&self) -> bool {
        self.are_changed_in(REPLACE_WITHIN)
    }

    fn are_changed_in(&self, replace_within: Duration) -> bool {
        let mut files = self.0.lock();
        // Every file is checked, so two that change together count once.
        let check = |changed, file: &mut WatchedFile| file.is_changed(replace_within) || changed;
        files.iter_mut().fold(false, check)
    }
}

impl WatchedFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stamp: FileStamp::read(path),
            hash: hash(path),
            gone: None,
        }
    }

    fn is_changed(&mut self, replace_within: Duration) -> bool {
        let stamp = FileStamp::read(&self.path);
        if stamp.is_some() && stamp == self.stamp {
            self.gone = None;
            return false;
        }
        let Some(hash) = stamp.and_then(|_| hash(&self.path)) else {
            return self.is_gone(replace_within);
        };
        let was_reported = matches!(self.gone.take(), Some(Gone::Reported));
        self.stamp = stamp;
        self.hash.replace(hash) != Some(hash) || was_reported
    }

    fn is_gone(&mut self, replace_within: Duration) -> bool {
        match self.gone.get_or_insert(Gone::Since(Instant::now())) {
            Gone::Since(since) if since.elapsed() >= replace_within => {
                self.gone = Some(Gone::Reported);
                true
            }
            Gone::Since(_) | Gone::Reported => false,
        }
    }
}

/// `None` where the file is missing, empty or unreadable.
fn hash(path: &Path) -> Option<u64> {
    let content = Zeroizing::new(regular_file::read(path).ok()?);
    let mut hasher = DefaultHasher::new();
    hasher.write(&content);
    (!content.is_empty()).then(|| hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignores_a_rewrite_of_the_same_content_and_a_gap() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "wrong\n").expect("write");
        let files = WatchedFiles::new([Some(&path), None]);
        assert!(!files.are_changed());
        std::fs::remove_file(&path).expect("remove");
        assert!(!files.are_changed());
        std::fs::write(&path, "").expect("write");
        assert!(!files.are_changed());
        std::fs::write(&path, "wrong\n").expect("write");
        assert!(!files.are_changed());
        std::fs::write(&path, "right, and longer\n").expect("write");
        assert!(files.are_changed());
        assert!(!files.are_changed());
    }

    #[test]
    fn a_file_that_does_not_come_back_is_a_change_once_and_so_is_its_return() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        std::fs::write(&path, "1\n").expect("write");
        let files = WatchedFiles::new([Some(&path)]);
        let at_once = || files.are_changed_in(Duration::ZERO);
        std::fs::write(&path, "").expect("write");
        assert!(at_once());
        assert!(!at_once());
        std::fs::write(&path, "1\n").expect("write");
        assert!(at_once());
        assert!(!at_once());
    }
}
