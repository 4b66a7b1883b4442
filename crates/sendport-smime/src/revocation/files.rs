//! CRLs in files: `crl_files` and `crl_folder`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use sendport_core::file_watch::{FileCache, IoError, files_with_extension};
use sendport_core::regular_file;

use super::crl::{Crl, CrlError};
use crate::error::FileError;

/// Extensions of CRL files.
const EXTENSIONS: [&str; 3] = ["crl", "pem", "der"];

/// CRLs in files, read again when they change.
#[derive(Debug, Default)]
pub struct CrlFiles {
    files: Vec<PathBuf>,
    folder: Option<PathBuf>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: FileCache<Vec<Arc<Crl>>, FileError<CrlFileError>>,
    folder_error: Option<FolderError>,
    generation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum CrlFileError {
    #[error(transparent)]
    Io(#[from] IoError),
    #[error(transparent)]
    Crl(#[from] CrlError),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("crl_folder '{}': {error}", .folder.display())]
struct FolderError {
    folder: PathBuf,
    #[source]
    error: IoError,
}

impl CrlFiles {
    /// Reads nothing yet.
    pub fn new(files: Vec<PathBuf>, folder: Option<PathBuf>) -> Self {
        Self {
            files,
            folder,
            state: Mutex::default(),
        }
    }

    /// Counts changes of the files. Reads files; not for the threads of the runtime.
    pub(crate) fn generation(&self) -> u64 {
        self.refreshed().generation
    }

    /// Every readable CRL.
    pub(crate) fn lists(&self) -> Vec<Arc<Crl>> {
        let state = self.refreshed();
        let lists = state.files.values().flatten();
        lists.flatten().cloned().collect()
    }

    /// Why files cannot be used, in sentences.
    pub(crate) fn problems(&self) -> Vec<String> {
        let state = self.refreshed();
        let errors = state
            .files
            .values()
            .filter_map(|parsed| parsed.as_ref().err());
        let errors = errors.map(ToString::to_string);
        let missing = self.files.iter().filter(|file| !file.is_file());
        let missing = missing.map(|file| format!("{}: there is no such file", file.display()));
        let folder = state.folder_error.as_ref().map(ToString::to_string);
        errors.chain(missing).chain(folder).collect()
    }

    fn refreshed(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        if !state.files.is_fresh() {
            let mut paths = self.files.clone();
            let in_folder = self.folder.as_deref().map(files_in).transpose();
            state.folder_error = in_folder.as_ref().err().cloned();
            paths.extend(in_folder.ok().flatten().unwrap_or_default());
            if state.files.refresh(paths, parse) {
                state.generation += 1;
            }
        }
        state
    }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let files = files_with_extension(folder, &EXTENSIONS);
    files.map_err(|error| FolderError {
        folder: folder.to_owned(),
        error: error.into(),
    })
}

fn parse(path: &Path) -> Result<Vec<Arc<Crl>>, FileError<CrlFileError>> {
    let parse = || {
        let bytes = regular_file::read(path).map_err(IoError::from)?;
        Ok(Crl::parse_all(&bytes, &path.display().to_string())?)
    };
    let lists = parse().map_err(|error| FileError {
        path: path.to_owned(),
        error,
    })?;
    Ok(lists.into_iter().map(Arc::new).collect())
}
