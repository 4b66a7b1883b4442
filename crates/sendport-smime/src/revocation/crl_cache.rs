//! CRLs by the URL that they come from.
//!
//! Nothing is fetched here: [`CrlCache::due`] lists the URLs to fetch, and the caller reports each
//! answer to [`CrlCache::record`]. A status query never waits for a fetch.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use openssl::sha::sha256;
use openssl::x509::{X509, X509Ref};
use parking_lot::{Mutex, MutexGuard};
use sendport_core::domain::Timestamp;

use super::crl::{Crl, CrlError};
use crate::certificate::shown;
use crate::error::BoxError;

/// A CRL is fetched again after half of its validity, within these limits.
const SOONEST: TimeDelta = TimeDelta::seconds(10);
const LATEST: TimeDelta = TimeDelta::hours(24);

/// Pause after a failure; it doubles with each one.
const FIRST_PAUSE: TimeDelta = TimeDelta::seconds(5);
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(15);

/// A URL that was not requested for so long is dropped.
const DROP_AFTER: TimeDelta = TimeDelta::days(2);

/// A file that was not written for so long is removed at a start.
const UNUSED_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// When to check again while a fetch is running.
const FETCH_TIME: Duration = Duration::from_secs(2);

/// All CRLs that come from URLs, in memory and in a folder.
#[derive(Debug, Default)]
pub struct CrlCache {
    folder: Option<PathBuf>,
    writes: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<String, CrlEntry>,
    generation: u64,
}

#[derive(Debug)]
struct CrlEntry {
    list: Option<Arc<Crl>>,
    /// The issuers that certificates with this distribution point have.
    authorities: Vec<X509>,
    requested_at: Timestamp,
    next_fetch: Timestamp,
    is_fetching: bool,
    failures: u32,
    error: Option<String>,
}

/// Result of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The CRL is stored, new or unchanged.
    Stored,
    /// The first failure in a row: why, in a sentence.
    Failed(String),
    /// Another failure.
    FailedAgain,
}

/// Why a fetched CRL is not stored.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Download(#[source] BoxError),
    #[error(transparent)]
    Crl(#[from] CrlError),
    #[error("the list there expired at {}", shown(*.0))]
    Expired(Timestamp),
    #[error("the list there is of {}, older than that of {}", shown(*.fetched), shown(*.stored))]
    Older {
        fetched: Timestamp,
        stored: Timestamp,
    },
    #[error("the list there is not signed by the certificates' issuer")]
    WrongSigner,
}

impl CrlCache {
    /// Stores CRLs in `folder` for the next start, and removes files that are long out of use.
    pub fn read_write(folder: &Path) -> Self {
        remove_unused(folder);
        Self {
            writes: true,
            ..Self::read_only(folder)
        }
    }

    /// Reads CRLs from `folder` and changes nothing there.
    pub fn read_only(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
            ..Self::default()
        }
    }

    /// Has the CRL at `url` fetched from now on. With an `authority`, only a CRL that one of the
    /// URL's authorities signed is stored.
    pub fn request(&self, url: &str, authority: Option<&X509Ref>, now: Timestamp) {
        let mut state = self.lock();
        if !state.entries.contains_key(url) {
            let list = self.load(url, now);
            state.generation += u64::from(list.is_some());
            state
                .entries
                .insert(url.to_owned(), CrlEntry::new(list, now));
        }
        let Some(entry) = state.entries.get_mut(url) else {
            return;
        };
        entry.requested_at = now;
        let is_new = |it: &&X509Ref| entry.authorities.iter().all(|known| &**known != *it);
        if let Some(authority) = authority.filter(is_new) {
            entry.authorities.push(authority.to_owned());
        }
    }

    /// The URLs to fetch now; each counts as being fetched until [`CrlCache::record`].
    pub fn due(&self, now: Timestamp) -> Vec<String> {
        let mut state = self.lock();
        let before = state.entries.len();
        let is_used = |entry: &CrlEntry| entry.is_fetching || now - entry.requested_at < DROP_AFTER;
        state.entries.retain(|_, entry| is_used(entry));
        state.generation += u64::from(state.entries.len() < before);
        let due = state.entries.iter_mut();
        let due = due.filter(|(_, entry)| !entry.is_fetching && entry.next_fetch <= now);
        due.map(|(url, entry)| {
            entry.is_fetching = true;
            url.clone()
        })
        .collect()
    }

    /// Stores the answer of `url`, or notes why there is none. Reads and writes files; not for the
    /// threads of the runtime.
    pub fn record(
        &self,
        url: &str,
        answer: Result<Vec<u8>, BoxError>,
        now: Timestamp,
    ) -> FetchOutcome {
        let parsed = answer
            .map_err(FetchError::Download)
            .and_then(|bytes| Ok((Crl::parse_one(&bytes, url)?, bytes)));
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(url) else {
            return FetchOutcome::Stored;
        };
        entry.is_fetching = false;
        let accepted = parsed.and_then(|(list, bytes)| {
            entry.check(&list, now)?;
            Ok((list, bytes))
        });
        match accepted {
            Ok((list, bytes)) => {
                entry.store(list, now);
                state.generation += 1;
                drop(state);
                self.save(url, &bytes);
                FetchOutcome::Stored
            }
            Err(error) => entry.fail(format!("{url}: {error}"), now),
        }
    }

    /// Counts changes of the CRLs.
    pub(crate) fn generation(&self) -> u64 {
        self.lock().generation
    }

    /// Every CRL.
    pub(crate) fn lists(&self) -> Vec<Arc<Crl>> {
        let state = self.lock();
        let lists = state.entries.values().filter_map(|it| it.list.clone());
        lists.collect()
    }

    /// Why there is no CRL of `authority` at `url`, and when that may change; `None` where the URL
    /// was not requested or has the CRL of another authority.
    pub(crate) fn pending(
        &self,
        url: &str,
        authority: &X509Ref,
        now: Timestamp,
    ) -> Option<(String, Duration)> {
        let state = self.lock();
        let entry = state.entries.get(url)?;
        let is_foreign = |list: &Arc<Crl>| !list.is_issued_by(authority.subject_name());
        if entry.list.as_ref().is_some_and(is_foreign) {
            return None;
        }
        let why = match &entry.error {
            Some(why) => why.clone(),
            None => format!("{url} is being fetched"),
        };
        let pause = (entry.next_fetch - now).to_std().unwrap_or_default();
        Some((why, pause.max(FETCH_TIME)))
    }

    fn file(&self, url: &str) -> Option<PathBuf> {
        let digest = sha256(url.as_bytes());
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(self.folder.as_ref()?.join(format!("{name}.crl")))
    }

    /// The CRL that an earlier run stored, if it is still current.
    fn load(&self, url: &str, now: Timestamp) -> Option<Crl> {
        let bytes = fs::read(self.file(url)?).ok()?;
        let list = Crl::parse_one(&bytes, url).ok();
        list.filter(|list| now < list.end)
    }

    /// After a failure the CRL is fetched again at the next start.
    fn save(&self, url: &str, bytes: &[u8]) {
        let Some(file) = self.file(url).filter(|_| self.writes) else {
            return;
        };
        if let Err(error) = replace(&file, bytes) {
            tracing::warn!(%error, file = %file.display(), "CRL cache write failed");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl CrlEntry {
    fn new(list: Option<Crl>, now: Timestamp) -> Self {
        Self {
            list: list.map(Arc::new),
            authorities: Vec::new(),
            requested_at: now,
            next_fetch: now,
            is_fetching: false,
            failures: 0,
            error: None,
        }
    }

    /// Checks that `list` may replace the stored one.
    fn check(&self, list: &Crl, now: Timestamp) -> Result<(), FetchError> {
        if list.end <= now {
            return Err(FetchError::Expired(list.end));
        }
        if let Some(stored) = self.list.as_ref().filter(|it| it.begin > list.begin) {
            return Err(FetchError::Older {
                fetched: list.begin,
                stored: stored.begin,
            });
        }
        let mut authorities = self.authorities.iter();
        match authorities.len() == 0 || authorities.any(|it| list.is_signed_by(it)) {
            true => Ok(()),
            false => Err(FetchError::WrongSigner),
        }
    }

    fn store(&mut self, list: Crl, now: Timestamp) {
        self.next_fetch = now + ((list.end - now) / 2).clamp(SOONEST, LATEST);
        self.list = Some(Arc::new(list));
        self.failures = 0;
        self.error = None;
    }

    fn fail(&mut self, why: String, now: Timestamp) -> FetchOutcome {
        let doubled = 2_i32.saturating_pow(self.failures.min(16));
        self.next_fetch = now + (FIRST_PAUSE * doubled).min(LONGEST_PAUSE);
        self.failures += 1;
        self.error = Some(why.clone());
        match self.failures {
            1 => FetchOutcome::Failed(why),
            _ => FetchOutcome::FailedAgain,
        }
    }
}

/// A CRL in use is written every day.
fn remove_unused(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let age = written.ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > UNUSED_AFTER) {
            // A failure is harmless: the next start tries again.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Replaces a file atomically.
fn replace(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension("new");
    fs::write(&fresh, bytes)?;
    fs::rename(fresh, file)
}
