//! Why a folder of templates cannot be used, and why an alert cannot be rendered.

use std::path::PathBuf;

/// A folder of templates that cannot be used. The service refuses to start with it.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The folder or a file in it cannot be read.
    #[error("cannot read '{path}': {source}; check that it exists and that the service may read it", path = .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is not UTF-8 or too large.
    #[error("template file '{file}' {problem}")]
    BadFile {
        /// Its name in the folder.
        file: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// A name that no template can have.
    #[error("template file '{file}' has a name that cannot be used: {problem}")]
    BadName {
        /// Its name in the folder.
        file: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// minijinja cannot read it.
    #[error("template file '{file}', line {line}: {problem}")]
    Syntax {
        /// Its name in the folder.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What minijinja said.
        problem: String,
    },
    /// There are files for a template, but not enough.
    #[error(
        "template '{template}' has no {missing}; add it, or remove the other files of this template"
    )]
    Incomplete {
        /// The template.
        template: String,
        /// The file or files of which one is needed.
        missing: String,
    },
}

/// An alert that cannot be rendered. Permanent: the same alert and the same templates fail
/// again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The column Template holds no name.
    #[error(
        "Template '{name}' is not a template's name; expected letters, digits, '.', '_' and '-', not starting with '_' or '.'"
    )]
    BadName {
        /// The column, made visible and cut.
        name: String,
    },
    /// There is no such template.
    #[error(
        "there is no template '{name}'; known: {known}. Write one of these into Template, or add '{name}.txt.j2' to the templates folder"
    )]
    Unknown {
        /// The column.
        name: String,
        /// The names that are known.
        known: String,
    },
    /// The column Payload cannot be used.
    #[error(
        "Payload {problem}; template '{template}' needs a JSON object such as {{\"order\": 4711}}"
    )]
    BadPayload {
        /// The template.
        template: String,
        /// What was found.
        problem: String,
    },
    /// minijinja stopped.
    #[error("template file '{file}', line {line}: {problem}{advice}")]
    Failed {
        /// The file, which may be one that the template includes.
        file: String,
        /// Counted from 1; 0 where minijinja knows none.
        line: usize,
        /// What minijinja said, with the variable where one is missing.
        problem: String,
        /// What to do, starting with `; `.
        advice: &'static str,
    },
    /// The subject file made more than one line.
    #[error(
        "template file '{file}' makes a subject with a line break or another control character inside; make it one line, and take line breaks out of the payload's values"
    )]
    SubjectNotOneLine {
        /// The file.
        file: String,
    },
    /// Neither a template nor a body nor a subject.
    #[error("the alert says nothing: Template, Body and Subject are all empty; fill at least one")]
    Empty,
}

impl RenderError {
    /// The key into the table of explanations; stable.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::BadName { .. } | Self::Unknown { .. } => "template-unknown",
            Self::BadPayload { .. } => "bad-payload",
            Self::Failed { .. } => "template-error",
            Self::SubjectNotOneLine { .. } => "header-injection",
            Self::Empty => "nothing-to-send",
        }
    }
}
