//! Templates as text: what a render worker compiles.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use sendport_core::domain::TemplateRow;
use serde::{Deserialize, Serialize};

use super::files::{FileName, Part, parse_file_name, read_folder};
use super::{TemplateError, TemplateSet};

/// All templates of a folder, or one of the database in one version; not compiled.
#[derive(Debug)]
pub struct TemplateSource {
    /// Unique in this process: a worker that compiled it once knows it by this number.
    pub(super) id: u64,
    pub(super) content: Content,
    /// A hash of the text: the same where it is read once more.
    pub(super) text: u64,
    /// Of a folder's templates.
    names: BTreeSet<String>,
}

/// Where the text comes from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Content {
    /// Files by name.
    Files(BTreeMap<String, String>),
    /// The rows of the template of this name, and of what it may use.
    Rows(String, Vec<TemplateRow>),
}

impl Content {
    /// Compiles the templates; the error says in a sentence why that cannot be done.
    pub(super) fn compile(&self) -> Result<TemplateSet, String> {
        let set = match self {
            Self::Files(files) => TemplateSet::compile(files),
            Self::Rows(name, rows) => {
                TemplateSet::of_rows(name, rows).map(Option::unwrap_or_default)
            }
        };
        set.map_err(|error| error.to_string())
    }
}

impl TemplateSource {
    fn new(content: Content) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self {
            id: LAST.fetch_add(1, Ordering::Relaxed),
            text: hash(&content),
            names: names(&content),
            content,
        }
    }

    /// No templates.
    pub fn empty() -> Self {
        Self::of_files(BTreeMap::new())
    }

    /// Files by their names in a folder.
    pub fn of_files(files: BTreeMap<String, String>) -> Self {
        Self::new(Content::Files(files))
    }

    /// Reads the templates of a folder. They may still be wrong inside.
    ///
    /// # Errors
    /// [`TemplateError`] names the file that cannot be read.
    pub fn read(folder: &Path) -> Result<Self, TemplateError> {
        Ok(Self::of_files(read_folder(folder)?))
    }

    /// The template `name` of the database: its rows and those of what it may use. `None` where
    /// there is no such template among them.
    pub fn of_rows(name: &str, rows: Vec<TemplateRow>) -> Option<Self> {
        let found = rows.iter().any(|row| row.is_of(name));
        found.then(|| Self::new(Content::Rows(name.to_owned(), rows)))
    }

    /// Each file of a folder by itself.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, Self)> {
        let files = match &self.content {
            Content::Files(files) => Some(files),
            Content::Rows(..) => None,
        };
        files.into_iter().flatten().map(|(file, text)| {
            let alone = BTreeMap::from([(file.clone(), text.clone())]);
            (file.as_str(), Self::of_files(alone))
        })
    }

    /// The names of a folder's templates, in alphabetical order.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }
}

fn hash(content: &Content) -> u64 {
    let mut hasher = DefaultHasher::new();
    match content {
        Content::Files(files) => files.hash(&mut hasher),
        Content::Rows(_, rows) => rows.iter().for_each(|row| row.text.hash(&mut hasher)),
    }
    hasher.finish()
}

fn names(content: &Content) -> BTreeSet<String> {
    let Content::Files(files) = content else {
        return BTreeSet::new();
    };
    let name = |file| match parse_file_name(file) {
        Ok(FileName::Of(name, _, part)) if part != Part::Sample => Some(name.to_owned()),
        _ => None,
    };
    files.keys().filter_map(|file| name(file)).collect()
}
