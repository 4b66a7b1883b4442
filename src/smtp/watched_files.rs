//! Files of the configuration that may be replaced while the service runs, and whether they hold
//! something else now.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use openssl::sha::sha256;
use parking_lot::Mutex;

use crate::config::auth::AuthConfig;
use crate::config::oauth2::OAuth2Config;
use crate::config::relay::SmtpRelay;

/// Some files.
pub(super) struct WatchedFiles(Mutex<Vec<WatchedFile>>);

struct WatchedFile {
    path: PathBuf,
    /// When it was written, and how long it is; tells whether to look closer.
    written: Option<(SystemTime, u64)>,
    content: Option<[u8; 32]>,
}

impl WatchedFiles {
    /// Those that a relay is signed in to with, as they are now.
    pub(super) fn of_secrets(auth: &AuthConfig) -> Self {
        let token = match &auth.oauth2 {
            Some(OAuth2Config::File(file)) => Some(&file.token_file),
            _ => None,
        };
        Self::new([
            auth.password_file.as_ref(),
            auth.keytab_file.as_ref(),
            token,
        ])
    }

    /// Those that connections are encrypted with, as they are now.
    pub(super) fn of_tls(config: &SmtpRelay) -> Self {
        Self::new([
            config.ca_file.as_ref(),
            config.client_certificate_file.as_ref(),
            config.client_key_file.as_ref(),
            config.client_key_password_file.as_ref(),
        ])
    }

    fn new<'p>(paths: impl IntoIterator<Item = Option<&'p PathBuf>>) -> Self {
        let files = paths.into_iter().flatten();
        Self(Mutex::new(
            files.map(|path| WatchedFile::of(path)).collect(),
        ))
    }

    /// One of them holds something else than when this was asked before.
    pub(super) fn are_changed(&self) -> bool {
        let mut files = self.0.lock();
        // Each is looked at, so that two that changed together count once.
        let look = |changed, file: &mut WatchedFile| file.is_changed() || changed;
        files.iter_mut().fold(false, look)
    }
}

impl WatchedFile {
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
        let files = WatchedFiles::of_secrets(&AuthConfig {
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
