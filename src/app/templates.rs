//! Imports and exports the templates of the database.

use std::path::{Path, PathBuf};

use sendport_core::domain::TemplateText;
use sendport_message::template::{
    self, Change, ChangeKind, Renderer, SampleResult, can_be_files, changes, files_of,
};
use sendport_store::{Store, StoreError, StoreErrorKind};

use super::AppError;

/// Attempts of an import while others import at the same time.
const TRIES: u32 = 5;

/// The result of an import.
#[derive(Debug)]
pub struct TemplateImport {
    /// The new version, if anything changed.
    pub version: Option<u32>,
    /// By name and language.
    pub changes: Vec<Change>,
}

/// Reads the templates of a folder with their samples.
///
/// # Errors
/// [`AppError::Config`] naming the file.
pub fn read_template_folder(folder: &Path) -> Result<Vec<TemplateText>, AppError> {
    template::read_texts(folder).map_err(AppError::config)
}

/// Renders every template in every language with its sample; calls `begin` with the name of each first.
///
/// # Errors
/// [`AppError::Config`] where no process can be started for it.
pub async fn try_templates(
    texts: &[TemplateText],
    begin: impl FnMut(&str) + Send,
) -> Result<Vec<SampleResult>, AppError> {
    let tried = template::try_all(&Renderer::default(), texts, begin).await;
    tried.map_err(AppError::config)
}

/// Stores `texts` in the database: all changes become one new version.
///
/// # Errors
/// [`StoreError`]; the import is atomic.
pub async fn import_templates(
    store: &dyn Store,
    texts: &[TemplateText],
    prune: bool,
) -> Result<TemplateImport, StoreError> {
    for _ in 0..TRIES {
        let current = store.templates().await?;
        let changes = changes(&current.rows, texts, prune);
        let differ = |change: &&Change| change.kind != ChangeKind::Unchanged;
        let new: Vec<_> = changes
            .iter()
            .filter(differ)
            .map(|it| it.text.clone())
            .collect();
        if new.is_empty() {
            let version = None;
            return Ok(TemplateImport { version, changes });
        }
        if let Some(version) = store.add_templates(current.newest, &new).await? {
            let version = Some(version);
            return Ok(TemplateImport { version, changes });
        }
    }
    Err(StoreError::new(
        StoreErrorKind::Unavailable,
        "import templates",
        "other imports keep changing the templates; try again later",
    ))
}

/// Writes templates as files into a folder and returns those that changed. Replaces a file with
/// other content only with `overwrite`.
///
/// # Errors
/// [`AppError::Config`] naming the file; some may have been written.
pub fn export_templates(
    texts: &[TemplateText],
    folder: &Path,
    overwrite: bool,
) -> Result<Vec<PathBuf>, AppError> {
    if let Some(odd) = texts.iter().find(|text| !can_be_files(text)) {
        let stem = file_stem(odd);
        return Err(AppError::config(format!(
            "the template '{}' of the database has a name or language that no file can have; it was not imported",
            stem.escape_debug()
        )));
    }
    let failed = |path: &Path, error| {
        AppError::config_at(format_args!("{} cannot be written", path.display()), error)
    };
    std::fs::create_dir_all(folder).map_err(|error: std::io::Error| failed(folder, error))?;
    let files = files_of(texts);
    let differing = |file: &str, content: &str| -> Option<(PathBuf, bool)> {
        let path = folder.join(file);
        let found = std::fs::read(&path).ok();
        let same = found.as_deref() == Some(content.as_bytes());
        (!same).then_some((path, found.is_some()))
    };
    let mut written = Vec::new();
    for (file, content) in &files {
        let Some((path, exists)) = differing(file, content) else {
            continue;
        };
        if exists && !overwrite {
            return Err(AppError::config(format!(
                "{} differs from the database; add --overwrite to replace it, or name another folder",
                path.display()
            )));
        }
        std::fs::write(&path, content).map_err(|error| failed(&path, error))?;
        written.push(path);
    }
    Ok(written)
}

/// `order-late.de`: the name of a template's files in a language, without extension.
pub fn file_stem(text: &TemplateText) -> String {
    match text.language.as_str() {
        "" => text.name.clone(),
        language => format!("{}.{language}", text.name),
    }
}
