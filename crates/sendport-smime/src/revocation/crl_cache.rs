//! Lists of revoked certificates by the URL that they come from.
//!
//! Nothing is fetched here: [`CrlCache::due`] says what to fetch, and whoever fetched it tells
//! [`CrlCache::learned`]. Who asks about a certificate never waits for that.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use openssl::sha::sha256;
use openssl::x509::{X509, X509Ref};
use parking_lot::Mutex;

use super::crl::Crl;
use crate::certificate::shown;
use sendport_core::domain::Timestamp;

/// A list is fetched anew when half of its time is over, within these.
const SOONEST: TimeDelta = TimeDelta::seconds(10);
const LATEST: TimeDelta = TimeDelta::hours(24);

/// After a failure it is tried again so soon, then each time in twice the time.
const FIRST_REST: TimeDelta = TimeDelta::seconds(5);
const LONGEST_REST: TimeDelta = TimeDelta::minutes(15);

/// What nobody asked about for so long is not fetched any more.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::days(2);

/// A file that was not written for so long is removed at a start.
const UNUSED_AFTER: Duration = Duration::from_secs(30 * 86_400);

/// How soon something may have come that is under way.
const UNDER_WAY: Duration = Duration::from_secs(2);

/// All lists that come from URLs, in memory and in a folder.
#[derive(Debug, Default)]
pub struct CrlCache {
    folder: Option<PathBuf>,
    writes: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    places: BTreeMap<String, CrlEntry>,
    generation: u64,
}

#[derive(Debug)]
struct CrlEntry {
    list: Option<Arc<Crl>>,
    /// Who is known to make such lists.
    authorities: Vec<X509>,
    wanted_at: Timestamp,
    next: Timestamp,
    under_way: bool,
    failures: u32,
    failed: Option<String>,
}

/// What became of a fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The list is new, or as it was.
    Good,
    /// For the first time in a row: why, in a sentence.
    Failed(String),
    /// As the time before.
    FailedAgain,
}

impl CrlCache {
    /// Keeps what is fetched in `folder`, for the next start, and takes what is long out of use
    /// away.
    pub fn keeping(folder: &Path) -> Self {
        remove_unused(folder);
        Self {
            writes: true,
            ..Self::reading(folder)
        }
    }

    /// Knows what is kept in `folder`, and leaves it as it is.
    pub fn reading(folder: &Path) -> Self {
        Self {
            folder: Some(folder.to_owned()),
            ..Self::default()
        }
    }

    /// From now on the list at `url` is fetched and kept. Of an authority that is known no list
    /// is taken that somebody else signed.
    pub fn want(&self, url: &str, authority: Option<&X509Ref>, now: Timestamp) {
        let mut state = self.state.lock();
        let known = state.places.get_mut(url).is_some();
        if !known {
            let list = self.kept(url, now);
            state.generation += u64::from(list.is_some());
            state
                .places
                .insert(url.to_owned(), CrlEntry::new(list, now));
        }
        let Some(place) = state.places.get_mut(url) else {
            return;
        };
        place.wanted_at = now;
        let is_new = |it: &&X509Ref| place.authorities.iter().all(|known| &**known != *it);
        if let Some(authority) = authority.filter(is_new) {
            place.authorities.push(authority.to_owned());
        }
    }

    /// What is to be fetched now; each is under way until it is learned.
    pub fn due(&self, now: Timestamp) -> Vec<String> {
        let mut state = self.state.lock();
        let before = state.places.len();
        let wanted = |place: &CrlEntry| place.under_way || now - place.wanted_at < FORGOTTEN_AFTER;
        state.places.retain(|_, place| wanted(place));
        state.generation += u64::from(state.places.len() < before);
        let due = state.places.iter_mut();
        let due = due.filter(|(_, place)| !place.under_way && place.next <= now);
        due.map(|(url, place)| {
            place.under_way = true;
            url.clone()
        })
        .collect()
    }

    /// What came from `url`, or why nothing did. Reads, and writes the folder, so it may take
    /// its time.
    pub fn learned(
        &self,
        url: &str,
        came: Result<Vec<u8>, String>,
        now: Timestamp,
    ) -> FetchOutcome {
        let read = came.and_then(|octets| Ok((one(&octets, url)?, octets)));
        let mut state = self.state.lock();
        let Some(place) = state.places.get_mut(url) else {
            return FetchOutcome::Good;
        };
        place.under_way = false;
        let taken = read.and_then(|(list, octets)| {
            place.accept(&list, now)?;
            Ok((list, octets))
        });
        match taken {
            Ok((list, octets)) => {
                place.take(list, now);
                state.generation += 1;
                drop(state);
                self.keep(url, &octets);
                FetchOutcome::Good
            }
            Err(why) => place.fail(format!("{url}: {why}"), now),
        }
    }

    /// Counts the changes of what is there.
    pub(crate) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    /// All that are there.
    pub(crate) fn lists(&self) -> Vec<Arc<Crl>> {
        let state = self.state.lock();
        let lists = state.places.values().filter_map(|place| place.list.clone());
        lists.collect()
    }

    /// Why the list of `authority` at `url` is not there, and when that may change; `None` where
    /// nobody wants it, or it is another authority's.
    pub(crate) fn prospect(
        &self,
        url: &str,
        authority: &X509Ref,
        now: Timestamp,
    ) -> Option<(String, Duration)> {
        let state = self.state.lock();
        let place = state.places.get(url)?;
        let strange = |list: &Arc<Crl>| !list.is_of(authority.subject_name());
        if place.list.as_ref().is_some_and(strange) {
            return None;
        }
        let why = match &place.failed {
            Some(why) => why.clone(),
            None => format!("{url} is being fetched"),
        };
        let rest = (place.next - now).to_std().unwrap_or_default();
        Some((why, rest.max(UNDER_WAY)))
    }

    fn file(&self, url: &str) -> Option<PathBuf> {
        let digest = sha256(url.as_bytes());
        let name: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        Some(self.folder.as_ref()?.join(format!("{name}.crl")))
    }

    /// What an earlier run fetched, if it still holds.
    fn kept(&self, url: &str, now: Timestamp) -> Option<Crl> {
        let octets = fs::read(self.file(url)?).ok()?;
        one(&octets, url).ok().filter(|list| now < list.end)
    }

    /// What cannot be kept is fetched again after the next start.
    fn keep(&self, url: &str, octets: &[u8]) {
        let Some(file) = self.file(url).filter(|_| self.writes) else {
            return;
        };
        if let Err(error) = replace(&file, octets) {
            tracing::warn!(%error, file = %file.display(), "CRL cache write failed");
        }
    }
}

impl CrlEntry {
    fn new(list: Option<Crl>, now: Timestamp) -> Self {
        Self {
            list: list.map(Arc::new),
            authorities: Vec::new(),
            wanted_at: now,
            next: now,
            under_way: false,
            failures: 0,
            failed: None,
        }
    }

    /// # Errors
    /// Why `list` is no better than what is there.
    fn accept(&self, list: &Crl, now: Timestamp) -> Result<(), String> {
        if list.end <= now {
            return Err(format!("the list there ended at {}", shown(list.end)));
        }
        if let Some(known) = self.list.as_ref().filter(|it| it.begin > list.begin) {
            let (found, known) = (shown(list.begin), shown(known.begin));
            return Err(format!(
                "the list there is of {found}, older than that of {known}"
            ));
        }
        let mut known = self.authorities.iter();
        match known.len() == 0 || known.any(|it| list.is_signed_by(it)) {
            true => Ok(()),
            false => Err("the list there is not signed by the certificates' issuer".to_owned()),
        }
    }

    fn take(&mut self, list: Crl, now: Timestamp) {
        self.next = now + ((list.end - now) / 2).clamp(SOONEST, LATEST);
        self.list = Some(Arc::new(list));
        self.failures = 0;
        self.failed = None;
    }

    fn fail(&mut self, why: String, now: Timestamp) -> FetchOutcome {
        let doubled = 2_i32.saturating_pow(self.failures.min(16));
        self.next = now + (FIRST_REST * doubled).min(LONGEST_REST);
        self.failures += 1;
        self.failed = Some(why.clone());
        match self.failures {
            1 => FetchOutcome::Failed(why),
            _ => FetchOutcome::FailedAgain,
        }
    }
}

/// A URL holds one list.
fn one(octets: &[u8], url: &str) -> Result<Crl, String> {
    let mut lists = Crl::read(octets, url)?.into_iter();
    match (lists.next(), lists.next()) {
        (Some(list), None) => Ok(list),
        _ => Err("expected one list of revoked certificates, found several".to_owned()),
    }
}

/// What is in use is written anew every day.
fn remove_unused(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let written = entry.metadata().and_then(|facts| facts.modified());
        let age = written.ok().and_then(|at| at.elapsed().ok());
        if age.is_some_and(|age| age > UNUSED_AFTER) {
            // It is looked at again at the next start.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// In full or not at all.
fn replace(file: &Path, octets: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let fresh = file.with_extension("new");
    fs::write(&fresh, octets)?;
    fs::rename(fresh, file)
}
