//! Templates in the database.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The sources of one template in one language.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TemplateText {
    /// The name in `Alert.Template`; one that starts with `_` is shared by other templates.
    pub name: String,
    /// Language tag (RFC 5646), empty for the default.
    pub language: String,
    /// Makes the subject.
    pub subject: Option<String>,
    /// Makes the plain text.
    pub text: Option<String>,
    /// Makes the HTML.
    pub html: Option<String>,
    /// A payload to try it with, a JSON object.
    pub sample: Option<String>,
}

impl TemplateText {
    /// A template without any source, which means: removed from this version on.
    pub fn is_removed(&self) -> bool {
        let Self {
            subject,
            text,
            html,
            sample,
            ..
        } = self;
        [subject, text, html, sample].iter().all(|it| it.is_none())
    }
}

/// A row of the table `Template`, which never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateRow {
    /// Its sources.
    pub text: TemplateText,
    /// The number of the change of templates that it belongs to, from 1.
    pub version: u32,
    /// When it was imported.
    pub created_at: Timestamp,
    /// The login that imported it.
    pub created_by: String,
}

impl TemplateRow {
    /// True if it has a source for this name.
    pub fn is_of(&self, name: &str) -> bool {
        self.text.name == name && !self.text.is_removed()
    }
}
