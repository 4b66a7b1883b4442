//! The current signing identity, reloaded when its files change.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use sendport_core::domain::Timestamp;
use sendport_core::file_watch::FileStamp;

use super::Identity;
use super::error::BoxError;

/// Reads an identity from its files and checks that it may sign for the send port.
pub type ReadIdentity = Box<dyn Fn() -> Result<Identity, BoxError> + Send + Sync>;

/// Result of a check of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityReload {
    /// The files hold what they held, or were rejected for the same reason before.
    Unchanged,
    /// Another certificate signs from now on.
    Renewed,
    /// The files hold something else that cannot be used: why. Reported once.
    Rejected(String),
}

/// The identity that signs now, and the files that it comes from.
pub(super) struct IdentitySource {
    identity: RwLock<Arc<Identity>>,
    files: Option<IdentityFiles>,
}

struct IdentityFiles {
    paths: Vec<PathBuf>,
    read: ReadIdentity,
    state: Mutex<FileState>,
}

struct FileState {
    stamps: Vec<Option<FileStamp>>,
    /// Why their content is not used.
    rejected: Option<String>,
}

impl fmt::Debug for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity().fmt(f)
    }
}

impl IdentitySource {
    /// An identity that never changes.
    pub(super) fn fixed(identity: Identity) -> Self {
        Self {
            identity: RwLock::new(Arc::new(identity)),
            files: None,
        }
    }

    /// Reads the identity from `paths`, and again when they change.
    pub(super) fn from_files(paths: Vec<PathBuf>, read: ReadIdentity) -> Result<Self, BoxError> {
        let state = Mutex::new(FileState {
            stamps: stamps(&paths),
            rejected: None,
        });
        let identity = RwLock::new(Arc::new(read()?));
        let files = Some(IdentityFiles { paths, read, state });
        Ok(Self { identity, files })
    }

    pub(super) fn identity(&self) -> Arc<Identity> {
        let identity = self.identity.read();
        identity.clone()
    }

    /// Why the present content of the files is not used.
    pub(super) fn rejected(&self) -> Option<String> {
        let state = self.files.as_ref()?.state.lock();

        state.rejected.clone()
    }

    /// Reads the files again where they changed. Certificate and key are never replaced at the
    /// same moment: while they do not belong together, the files are read at every check and the
    /// previous identity signs.
    pub(super) fn reload(&self, now: Timestamp) -> IdentityReload {
        let Some(files) = &self.files else {
            return IdentityReload::Unchanged;
        };
        let mut state = files.state.lock();
        let stamps = stamps(&files.paths);
        if stamps == state.stamps && state.rejected.is_none() {
            return IdentityReload::Unchanged;
        }
        state.stamps = stamps;
        match (files.read)().and_then(|fresh| self.check_no_worse(fresh, now)) {
            Ok(fresh) => {
                state.rejected = None;
                self.replace(fresh)
            }
            Err(error) => {
                let why = error.to_string();
                match state.rejected.replace(why.clone()) == Some(why.clone()) {
                    true => IdentityReload::Unchanged,
                    false => IdentityReload::Rejected(why),
                }
            }
        }
    }

    /// A certificate that is not valid does not replace a valid one.
    fn check_no_worse(&self, fresh: Identity, now: Timestamp) -> Result<Identity, BoxError> {
        match (
            fresh.check_validity(now),
            self.identity().check_validity(now),
        ) {
            (Err(error), Ok(())) => Err(error.into()),
            _ => Ok(fresh),
        }
    }

    fn replace(&self, fresh: Identity) -> IdentityReload {
        let is_new = fresh.certificate != self.identity().certificate;
        *self.identity.write() = Arc::new(fresh);
        match is_new {
            true => IdentityReload::Renewed,
            false => IdentityReload::Unchanged,
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<FileStamp>> {
    paths.iter().map(|path| FileStamp::read(path)).collect()
}
