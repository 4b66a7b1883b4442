//! The identity that stands now, and the files that a new one comes from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::Identity;
use super::file_cache::{Stamp, stamp};
use sendport_core::domain::Timestamp;

/// Reads an identity from its files: all of them fit together, and it may sign.
pub type ReadIdentity = Box<dyn Fn() -> Result<Identity, String> + Send + Sync>;

/// What came of a look at the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityReload {
    /// Nothing new.
    Same,
    /// From now on another certificate signs.
    Renewed,
    /// The files hold something else, and it cannot be used: why. Said once.
    Unfit(String),
}

/// The identity that signs now.
pub(super) struct IdentitySource {
    identity: RwLock<Arc<Identity>>,
    source: Option<Source>,
}

struct Source {
    paths: Vec<PathBuf>,
    read: ReadIdentity,
    seen: Mutex<Seen>,
}

struct Seen {
    stamps: Vec<Option<Stamp>>,
    unfit: Option<String>,
}

impl fmt::Debug for IdentitySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity().fmt(f)
    }
}

impl IdentitySource {
    /// For good.
    pub(super) fn fixed(identity: Identity) -> Self {
        Self {
            identity: RwLock::new(Arc::new(identity)),
            source: None,
        }
    }

    /// Read from `paths`, and again when they change.
    pub(super) fn reading(paths: Vec<PathBuf>, read: ReadIdentity) -> Result<Self, String> {
        let seen = Mutex::new(Seen {
            stamps: stamps(&paths),
            unfit: None,
        });
        let identity = RwLock::new(Arc::new(read()?));
        let source = Some(Source { paths, read, seen });
        Ok(Self { identity, source })
    }

    pub(super) fn identity(&self) -> Arc<Identity> {
        self.identity.read().clone()
    }

    /// Why what the files hold is not used, where it is not.
    pub(super) fn unfit(&self) -> Option<String> {
        self.source.as_ref()?.seen.lock().unfit.clone()
    }

    /// Certificate and key are never replaced at once: what does not fit together yet is looked
    /// at again, and what signed before signs on.
    pub(super) fn look(&self, now: Timestamp) -> IdentityReload {
        let Some(source) = &self.source else {
            return IdentityReload::Same;
        };
        let mut seen = source.seen.lock();
        let stamps = stamps(&source.paths);
        if stamps == seen.stamps && seen.unfit.is_none() {
            return IdentityReload::Same;
        }
        seen.stamps = stamps;
        match (source.read)().and_then(|fresh| self.no_worse(fresh, now)) {
            Ok(fresh) => {
                seen.unfit = None;
                self.replace(fresh)
            }
            Err(why) if seen.unfit.as_ref() == Some(&why) => IdentityReload::Same,
            Err(why) => {
                seen.unfit = Some(why.clone());
                IdentityReload::Unfit(why)
            }
        }
    }

    /// What is not valid now does not replace what is.
    fn no_worse(&self, fresh: Identity, now: Timestamp) -> Result<Identity, String> {
        match (fresh.check_time(now), self.identity().check_time(now)) {
            (Err(why), Ok(())) => Err(why),
            _ => Ok(fresh),
        }
    }

    fn replace(&self, fresh: Identity) -> IdentityReload {
        let is_new = fresh.certificate != self.identity().certificate;
        *self.identity.write() = Arc::new(fresh);
        match is_new {
            true => IdentityReload::Renewed,
            false => IdentityReload::Same,
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| stamp(path)).collect()
}
