//! Files that are read again when they change.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{fs, io};

/// How long a look at the files stands: what is put there is found after it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Length, and when it was written: whether to read it again.
pub(super) type Stamp = (u64, Option<SystemTime>);

/// What files held when they had their lengths and times.
#[derive(Debug)]
pub(super) struct FileCache<T> {
    looked_at: Option<Instant>,
    files: BTreeMap<PathBuf, (Stamp, Result<T, String>)>,
}

impl<T> Default for FileCache<T> {
    fn default() -> Self {
        Self {
            looked_at: None,
            files: BTreeMap::new(),
        }
    }
}

impl<T> FileCache<T> {
    /// They were looked at a moment ago.
    pub(super) fn is_fresh(&self) -> bool {
        self.looked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY)
    }

    /// Reads those of `paths` that are new or changed, or could not be read (who may read a file
    /// shows in no stamp), and forgets the others. A link is followed; what is no file is not there. True if anything is different now.
    pub(super) fn look(
        &mut self,
        paths: impl IntoIterator<Item = PathBuf>,
        read: impl Fn(&Path) -> Result<T, String>,
    ) -> bool {
        let mut before = std::mem::take(&mut self.files);
        let mut changed = false;
        for path in paths {
            let Some(stamp) = stamp(&path) else { continue };
            let known = before.remove(&path).filter(|(known, _)| *known == stamp);
            let held = match known.map(|(_, held)| held) {
                Some(Ok(held)) => Ok(held),
                before => {
                    let held = read(&path);
                    let why = before.and_then(Result::err);
                    changed |= why.is_none() || why != held.as_ref().err().cloned();
                    held
                }
            };
            self.files.insert(path, (stamp, held));
        }
        self.looked_at = Some(Instant::now());
        changed || !before.is_empty()
    }

    /// What each holds, or why it could not be read, by their paths.
    pub(super) fn held(&self) -> impl Iterator<Item = &Result<T, String>> {
        self.by_path().map(|(_, held)| held)
    }

    /// The same, with their paths.
    pub(super) fn by_path(&self) -> impl Iterator<Item = (&PathBuf, &Result<T, String>)> {
        self.files.iter().map(|(path, (_, held))| (path, held))
    }
}

/// `None` where there is no such file.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    let facts = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some((facts.len(), facts.modified().ok()))
}

/// What a folder holds with one of these endings, in lower or upper case.
pub(super) fn with_endings(folder: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().unwrap_or_default();
        let ending = ending.to_string_lossy().to_lowercase();
        if endings.contains(&&*ending) {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_could_not_be_read_is_read_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut files = FileCache::default();
        let mut look = |read: Result<u8, &str>| {
            let read = read.map_err(str::to_owned);
            let changed = files.look([file.path().to_owned()], |_| read.clone());
            (changed, files.held().next().cloned().unwrap())
        };
        let refused = || Err("permission denied".to_owned());
        assert_eq!(look(Err("permission denied")), (true, refused()));
        assert_eq!(look(Err("permission denied")), (false, refused()));
        assert_eq!(look(Ok(1)), (true, Ok(1)));
        assert_eq!(look(Ok(2)), (false, Ok(1)), "it is kept");
    }
}
