//! Values parsed from files, parsed again when a file changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::FileStamp;

/// A change is noticed after at most this time.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// What files were parsed as, or why they could not be, with their stamps.
#[derive(Debug)]
pub struct FileCache<T, E> {
    checked_at: Option<Instant>,
    files: BTreeMap<PathBuf, (FileStamp, Result<T, E>)>,
}

impl<T, E> Default for FileCache<T, E> {
    fn default() -> Self {
        Self {
            checked_at: None,
            files: BTreeMap::new(),
        }
    }
}

impl<T, E: PartialEq> FileCache<T, E> {
    /// The files were checked within the last five seconds.
    pub fn is_fresh(&self) -> bool {
        self.checked_at.is_some_and(|at| at.elapsed() < CHECK_EVERY)
    }

    /// Parses those of `paths` that are new, changed, or could not be parsed before (a changed
    /// permission does not change the stamp), and drops all others. Follows symbolic links and
    /// leaves out what is not a file. True if any value or error differs from before.
    pub fn refresh(
        &mut self,
        paths: impl IntoIterator<Item = PathBuf>,
        parse: impl Fn(&Path) -> Result<T, E>,
    ) -> bool {
        let mut before = std::mem::take(&mut self.files);
        let mut changed = false;
        for path in paths {
            let Some(stamp) = FileStamp::read(&path) else {
                continue;
            };
            let cached = before.remove(&path).filter(|(known, _)| *known == stamp);
            let parsed = match cached.map(|(_, parsed)| parsed) {
                Some(Ok(value)) => Ok(value),
                before => {
                    let parsed = parse(&path);
                    let error = before.and_then(Result::err);
                    changed |= error.is_none() || error.as_ref() != parsed.as_ref().err();
                    parsed
                }
            };
            self.files.insert(path, (stamp, parsed));
        }
        self.checked_at = Some(Instant::now());
        changed || !before.is_empty()
    }

    /// What each file was parsed as, in the order of the paths.
    pub fn values(&self) -> impl Iterator<Item = &Result<T, E>> {
        self.by_path().map(|(_, parsed)| parsed)
    }

    /// The same, with the paths.
    pub fn by_path(&self) -> impl Iterator<Item = (&PathBuf, &Result<T, E>)> {
        self.files.iter().map(|(path, (_, parsed))| (path, parsed))
    }
}

/// The entries of a folder whose extension, in lower case, is one of `extensions`.
///
/// # Errors
/// The folder cannot be read.
pub fn files_with_extension(folder: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default();
        let extension = extension.to_string_lossy().to_lowercase();
        if extensions.contains(&&*extension) {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_a_file_again_after_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut files = FileCache::default();
        let mut refresh = |parsed: Result<u8, &'static str>| {
            let changed = files.refresh([file.path().to_owned()], |_| parsed);
            (changed, *files.values().next().unwrap())
        };
        let denied = Err("permission denied");
        assert_eq!(refresh(denied), (true, denied));
        assert_eq!(refresh(denied), (false, denied));
        assert_eq!(refresh(Ok(1)), (true, Ok(1)));
        assert_eq!(refresh(Ok(2)), (false, Ok(1)), "it is cached");
    }
}
