//! Lists of revoked certificates in files: `crl_files` and `crl_folder`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use super::crl::Crl;
use crate::file_cache::{FileCache, with_endings};

/// What files of lists end in.
const ENDINGS: [&str; 3] = ["crl", "pem", "der"];

/// Files of lists, read again when they change.
#[derive(Debug, Default)]
pub struct CrlFiles {
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    file_cache: FileCache<Vec<Arc<Crl>>>,
    folder_problem: Option<String>,
    generation: u64,
}

impl CrlFiles {
    /// Not read until they are needed.
    pub fn new(files: Vec<PathBuf>, folder: Option<PathBuf>) -> Self {
        Self {
            files,
            folder,
            known: Mutex::default(),
        }
    }

    /// Counts the changes that were seen. Reads files, so it may take its time.
    pub(crate) fn generation(&self) -> u64 {
        self.look().generation
    }

    /// All that could be read.
    pub(crate) fn lists(&self) -> Vec<Arc<Crl>> {
        let known = self.look();
        let held = known.file_cache.held().flatten();
        held.flatten().cloned().collect()
    }

    /// Why some could not be, in sentences.
    pub(crate) fn problems(&self) -> Vec<String> {
        let known = self.look();
        let files = known
            .file_cache
            .held()
            .filter_map(|held| held.clone().err());
        let missing = self.files.iter().filter(|file| !file.is_file());
        let missing = missing.map(|file| format!("{}: there is no such file", file.display()));
        let folder = known.folder_problem.clone();
        files.chain(missing).chain(folder).collect()
    }

    fn look(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock();
        if !known.file_cache.is_fresh() {
            let mut paths = self.files.clone();
            let found = self.folder.as_deref().map(in_folder).transpose();
            known.folder_problem = found.as_ref().err().cloned();
            paths.extend(found.ok().flatten().unwrap_or_default());
            if known.file_cache.look(paths, read) {
                known.generation += 1;
            }
        }
        known
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let found = with_endings(folder, &ENDINGS);
    found.map_err(|error| format!("crl_folder '{}': {error}", folder.display()))
}

fn read(path: &Path) -> Result<Vec<Arc<Crl>>, String> {
    let shown = path.display().to_string();
    let octets = fs::read(path).map_err(|error| format!("{shown}: {error}"))?;
    let lists = Crl::read(&octets, &shown).map_err(|why| format!("{shown}: {why}"))?;
    Ok(lists.into_iter().map(Arc::new).collect())
}
