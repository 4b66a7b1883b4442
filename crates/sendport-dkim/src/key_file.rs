//! A private key that follows its file.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sendport_core::file_watch::WatchedFiles;
use sendport_core::regular_file;

use super::key::{KeyError, PrivateKey};

/// A changed file is noticed after at most this time.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// The key of a file, as the file was when it could last be used.
#[derive(Debug)]
pub(crate) struct KeyFile {
    path: PathBuf,
    files: WatchedFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    key: PrivateKey,
    checked_at: Instant,
}

impl KeyFile {
    /// Reads it for the first time.
    pub(crate) fn read(path: PathBuf) -> Result<Self, KeyError> {
        // Watched before it is read, so that no change is missed.
        let files = WatchedFiles::new([Some(&path)]);
        let key = PrivateKey::read(&path)?;
        let checked_at = Instant::now();
        Ok(Self {
            files,
            state: Mutex::new(State { key, checked_at }),
            path,
        })
    }

    /// The key to sign with.
    pub(crate) fn current(&self) -> PrivateKey {
        let mut state = self.state.lock();
        if state.checked_at.elapsed() >= CHECK_EVERY {
            state.checked_at = Instant::now();
            self.reload(&mut state);
        }
        state.key.clone()
    }

    /// Every user of the host can read it.
    pub(crate) fn is_exposed(&self) -> bool {
        regular_file::is_readable_by_all(&self.path)
    }

    fn reload(&self, state: &mut State) {
        if !self.files.are_changed() {
            return;
        }
        let file = self.path.display();
        match PrivateKey::read(&self.path) {
            Ok(key) => {
                tracing::info!(%file, "DKIM key reloaded");
                state.key = key;
            }
            Err(error) => {
                tracing::warn!(%file, %error, "DKIM key reload failed, previous key used");
            }
        }
    }
}
