//! Whether files hold something else than before.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use secrecy::zeroize::Zeroizing;

use super::FileStamp;
use crate::regular_file;

/// Some files whose content is compared.
#[derive(Debug)]
pub struct WatchedFiles(Mutex<Vec<WatchedFile>>);

#[derive(Debug)]
struct WatchedFile {
    path: PathBuf,
    stamp: Option<FileStamp>,
    /// Hash of the content.
    hash: Option<u64>,
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
    /// empty or unreadable has not changed: it is being replaced.
    pub fn are_changed(&self) -> bool {
        let mut files = self.0.lock();
        // Every file is checked, so two that change together count once.
        let check = |changed, file: &mut WatchedFile| file.is_changed() || changed;
        files.iter_mut().fold(false, check)
    }
}

impl WatchedFile {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            stamp: FileStamp::read(path),
            hash: hash(path),
        }
    }

    fn is_changed(&mut self) -> bool {
        let stamp = FileStamp::read(&self.path);
        if stamp.is_none() || stamp == self.stamp {
            return false;
        }
        let Some(hash) = hash(&self.path) else {
            return false;
        };
        self.stamp = stamp;
        self.hash.replace(hash) != Some(hash)
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
}
