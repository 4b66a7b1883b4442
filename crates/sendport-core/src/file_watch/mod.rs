//! Files of the configuration that may be replaced while the service runs: keys, certificates,
//! lists of revoked certificates, passwords.
//!
//! [`FileCache`] holds what was parsed from files and parses again what changed; [`WatchedFiles`]
//! says whether the content of files differs. Both compare [`FileStamp`]s first. Nothing is
//! notified: callers ask, at each connection or every few seconds, because that works on network
//! file systems and with Kubernetes' symbolic links, where notifications do not.

mod file_cache;
mod watched_files;

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;
use std::{fmt, fs, io};

pub use file_cache::{FileCache, files_with_extension};
pub use watched_files::WatchedFiles;

/// Length and modification time of a file. Two stamps of one file that differ mean that the file
/// is to be read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl FileStamp {
    /// `None` where there is no such file. Follows symbolic links.
    pub fn read(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
        })
    }
}

/// An [`io::Error`] that can be cloned and compared: errors of one kind and one code are equal.
#[derive(Debug, Clone)]
pub struct IoError(Arc<io::Error>);

impl From<io::Error> for IoError {
    fn from(error: io::Error) -> Self {
        Self(Arc::new(error))
    }
}

impl PartialEq for IoError {
    fn eq(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.0.kind(), it.0.raw_os_error());
        key(self) == key(other)
    }
}

impl Eq for IoError {}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for IoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}
