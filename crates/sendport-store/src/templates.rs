//! Templates in the database: versions are added and never changed.

use async_trait::async_trait;
use sendport_core::domain::{TemplateRow, TemplateText};

use super::StoreError;

/// The templates as they are now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Templates {
    /// The version of the last change; 0 where there never was one.
    pub newest: u32,
    /// One for each name and language; removed ones are left out.
    pub rows: Vec<TemplateRow>,
}

/// Reads and adds versions of templates.
///
/// # Errors
/// As [`AlertStore`](super::AlertStore).
#[async_trait]
pub trait TemplateStore: Send + Sync {
    /// All templates as they are now, by name and language.
    async fn templates(&self) -> Result<Templates, StoreError>;

    /// What is needed to render `name` as it was at `version`: its rows and those of names that
    /// begin with `_`, each language in its newest version up to that one, removed ones included.
    /// The same question always has the same answer.
    async fn template_at(&self, name: &str, version: u32) -> Result<Vec<TemplateRow>, StoreError>;

    /// Adds `texts` as the next version in one transaction, and returns its number. `None`, and
    /// nothing is done, where `newest` is not the newest version any more: another call was
    /// faster, or this one is repeated.
    async fn add_templates(
        &self,
        newest: u32,
        texts: &[TemplateText],
    ) -> Result<Option<u32>, StoreError>;
}
