//! Templates as they stand in the database.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What one template says in one language, in the template engine's own words.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TemplateText {
    /// What stands in `Alert.Template`; one that begins with `_` is there for others to use.
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
    /// A template that says nothing at all, which stands for: from this version on there is none.
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
    /// What it says.
    pub text: TemplateText,
    /// The change of the database's templates that it came with, counted from 1.
    pub version: u32,
    /// When that was.
    pub created_at: Timestamp,
    /// By which login.
    pub created_by: String,
}

impl TemplateRow {
    /// True where it says something under this name.
    pub fn is_of(&self, name: &str) -> bool {
        self.text.name == name && !self.text.is_removed()
    }
}
