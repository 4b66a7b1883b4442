//! Templates between a folder and the database.

use std::path::{Path, PathBuf};

use super::AppError;
use crate::domain::TemplateText;
use crate::store::{Store, StoreError, StoreErrorKind};
use crate::template::{self, Change, ChangeKind, Renderer, Tried, can_be_files, changes, files_of};

/// Somebody else may import at the same time; so often in a row nobody does.
const TRIES: u32 = 5;

/// What an import did.
#[derive(Debug)]
pub struct Imported {
    /// Its version, where it changed something.
    pub version: Option<u32>,
    /// By name and language.
    pub changes: Vec<Change>,
}

/// Reads the templates of a folder with their samples.
///
/// # Errors
/// [`AppError::Config`] naming the file.
pub fn read_template_folder(folder: &Path) -> Result<Vec<TemplateText>, AppError> {
    template::read_texts(folder).map_err(|error| AppError::Config(error.to_string()))
}

/// Renders every template in every language with its sample; `begin` hears the name of each before.
///
/// # Errors
/// [`AppError::Config`] where no process can be started for it.
pub async fn try_templates(
    texts: &[TemplateText],
    begin: impl FnMut(&str) + Send,
) -> Result<Vec<Tried>, AppError> {
    let tried = template::try_all(&Renderer::default(), texts, begin).await;
    tried.map_err(|error| AppError::Config(error.to_string()))
}

/// Brings the database's templates to what `texts` say: all that differs becomes one new version.
///
/// # Errors
/// [`StoreError`]; nothing is changed then, or all of it is.
pub async fn import_templates(
    store: &dyn Store,
    texts: &[TemplateText],
    prune: bool,
) -> Result<Imported, StoreError> {
    for _ in 0..TRIES {
        let standing = store.templates().await?;
        let changes = changes(&standing.rows, texts, prune);
        let differ = |change: &&Change| change.kind != ChangeKind::Unchanged;
        let new: Vec<_> = changes
            .iter()
            .filter(differ)
            .map(|it| it.text.clone())
            .collect();
        if new.is_empty() {
            let version = None;
            return Ok(Imported { version, changes });
        }
        if let Some(version) = store.add_templates(standing.newest, &new).await? {
            let version = Some(version);
            return Ok(Imported { version, changes });
        }
    }
    Err(StoreError::new(
        StoreErrorKind::Unavailable,
        "import templates",
        "somebody else imports templates all the time; try again when they are done",
    ))
}

/// Writes templates into a folder as files; returns those that were not there as they are now. A
/// file that says something else is only replaced with `overwrite`.
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
        return Err(AppError::Config(format!(
            "the template '{}' of the database has a name or language that no file can have; it was not imported",
            stem.escape_debug()
        )));
    }
    let failed = |path: &Path, error: &std::io::Error| {
        AppError::Config(format!("{} cannot be written: {error}", path.display()))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let files = files_of(texts);
    let differing = |file: &str, content: &str| -> Option<(PathBuf, bool)> {
        let path = folder.join(file);
        let found = std::fs::read(&path).ok();
        let same = found.as_deref() == Some(content.as_bytes());
        (!same).then_some((path, found.is_some()))
    };
    let mut written = Vec::new();
    for (file, content) in &files {
        let Some((path, stands)) = differing(file, content) else {
            continue;
        };
        if stands && !overwrite {
            return Err(AppError::Config(format!(
                "{} says something else than the database; add --overwrite to replace it, or name another folder",
                path.display()
            )));
        }
        std::fs::write(&path, content).map_err(|error| failed(&path, &error))?;
        written.push(path);
    }
    Ok(written)
}

/// `order-late.de`: what the files of a template in a language are called before their endings.
pub fn file_stem(text: &TemplateText) -> String {
    match text.language.as_str() {
        "" => text.name.clone(),
        language => format!("{}.{language}", text.name),
    }
}
