//! The files that a relay is signed in to with, and whether they hold something else now.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use openssl::sha::sha256;

use crate::config::auth::AuthConfig;
use crate::config::oauth2::OAuth2Config;

/// Those of one relay.
pub(super) struct SecretFiles(Mutex<Vec<SecretFile>>);

struct SecretFile {
    path: PathBuf,
    /// When it was written, and how long it is; tells whether to look closer.
    written: Option<(SystemTime, u64)>,
    content: Option<[u8; 32]>,
}

impl SecretFiles {
    /// As they are now.
    pub(super) fn new(auth: &AuthConfig) -> Self {
        let token = match &auth.oauth2 {
            Some(OAuth2Config::File(file)) => Some(&file.token_file),
            _ => None,
        };
        let paths = [
            auth.password_file.as_ref(),
            auth.keytab_file.as_ref(),
            token,
        ];
        let files = paths.into_iter().flatten();
        Self(Mutex::new(files.map(|path| SecretFile::of(path)).collect()))
    }

    /// One of them holds something else than when this was asked before.
    pub(super) fn are_changed(&self) -> bool {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Each is looked at, so that two that changed together count once.
        let changed = files
            .iter_mut()
            .filter_map(|file| file.is_changed().then_some(()));
        changed.count() > 0
    }
}

impl SecretFile {
    fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            written: written(path),
            content: content(path),
        }
    }

    fn is_changed(&mut self) -> bool {
        let written = written(&self.path);
        if written.is_none() || written == self.written {
            return false;
        }
        // One that cannot be read now, or is not written to its end, is looked at again.
        let Some(content) = content(&self.path) else {
            return false;
        };
        self.written = written;
        self.content.replace(content) != Some(content)
    }
}

fn written(path: &Path) -> Option<(SystemTime, u64)> {
    let known = std::fs::metadata(path).ok()?;
    Some((known.modified().ok()?, known.len()))
}

fn content(path: &Path) -> Option<[u8; 32]> {
    let content = std::fs::read(path)
        .ok()
        .filter(|octets| !octets.is_empty())?;
    Some(sha256(&content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_again_alike_is_no_change_and_a_gap_is_waited_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("password");
        std::fs::write(&path, "wrong\n").expect("write");
        let files = SecretFiles::new(&AuthConfig {
            password_file: Some(path.clone()),
            ..AuthConfig::default()
        });
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
