//! Why templates cannot be used, and why an alert cannot be rendered.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A folder of templates that cannot be used. The service refuses to start with it.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The folder or a file in it is unreadable.
    #[error("cannot read '{path}': {source}; check that it exists and that the service may read it", path = .path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// It is not a file, not UTF-8 or too large.
    #[error("template file '{file}' {problem}")]
    BadFile {
        /// Its name in the folder.
        file: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// The name is not valid.
    #[error("template file '{file}' has a name that cannot be used: {problem}")]
    BadName {
        /// Its name in the folder.
        file: String,
        /// What is wrong and what to do.
        problem: &'static str,
    },
    /// A sample is not a payload.
    #[error(
        "sample '{file}' {problem}; write a JSON object such as an alert's Payload: {{\"order\": 4711}}"
    )]
    BadSample {
        /// Its name in the folder.
        file: String,
        /// What was found.
        problem: String,
    },
    /// minijinja cannot parse it.
    #[error("template file '{file}', line {line}: {problem}")]
    Syntax {
        /// Its name in the folder.
        file: String,
        /// Counted from 1.
        line: usize,
        /// minijinja's error.
        problem: String,
    },
    /// The template lacks a file.
    #[error(
        "template '{template}' has no {missing}; add it, or remove the other files of this template"
    )]
    Incomplete {
        /// The template.
        template: String,
        /// The file or files of which one is needed.
        missing: String,
    },
    /// More than one file cannot be used.
    #[error("{}", lines(.0))]
    Several(Vec<TemplateError>),
}

fn lines(errors: &[TemplateError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl TemplateError {
    /// All values, or all errors.
    pub(super) fn all<T>(results: impl Iterator<Item = Result<T, Self>>) -> Result<Vec<T>, Self> {
        let (mut good, mut wrong) = (Vec::new(), Vec::new());
        for result in results {
            match result {
                Ok(it) => good.push(it),
                Err(error) => wrong.push(error),
            }
        }
        match wrong.len() {
            0 => Ok(good),
            1 => Err(wrong.remove(0)),
            _ => Err(Self::Several(wrong)),
        }
    }

    pub(super) fn same_language(file: &str) -> Self {
        Self::BadName {
            file: file.to_owned(),
            problem: "another file has the same language in other letters",
        }
    }
}

/// An alert that cannot be rendered. Permanent: the same alert fails again with the same templates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum RenderError {
    /// The column Template is not a valid name.
    #[error(
        "Template '{name}' is not a template's name; expected letters, digits, '.', '_' and '-', not starting with '_' or '.'"
    )]
    BadName {
        /// The column, made visible and cut.
        name: String,
    },
    /// There is no such template.
    #[error(
        "there is no template '{name}', neither in the database (`sendport template list` shows what is there) nor {folder}; correct Template, or import '{name}.txt.j2' or '{name}.html.j2'"
    )]
    Unknown {
        /// The column.
        name: String,
        /// The templates of the folder.
        folder: String,
    },
    /// The version that the first render used is gone.
    #[error(
        "version {version} of template '{name}', which the first attempt used, is not in the database any more; versions must not be deleted while alerts wait"
    )]
    Gone {
        /// The column.
        name: String,
        /// The version.
        version: u32,
    },
    /// The rows of this name in the database are not a template.
    #[error("template '{name}' in the database cannot be used: {problem}")]
    Unusable {
        /// The column.
        name: String,
        /// What is wrong.
        problem: String,
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
    /// It exceeds the limits of a render.
    #[error("{} {what}: give it less data, or correct loops, recursion and repetition in it", template_name(template.as_ref()))]
    Exceeded {
        /// The column; `None` where templates are only compiled.
        template: Option<String>,
        /// Such as `takes more than 2 s of a processor`.
        what: String,
    },
    /// minijinja stopped.
    #[error("template file '{file}'{context}{}: {problem}{advice}", at_line(*.line))]
    Failed {
        /// The file, which may be one that the template includes. In the database it is the one
        /// that an export writes.
        file: String,
        /// Which file uses it and which version it is, starting with `, `.
        context: String,
        /// Counted from 1; 0 where unknown.
        line: usize,
        /// minijinja's error, with the name of a missing variable.
        problem: String,
        /// What to do, starting with `; `.
        advice: Cow<'static, str>,
        /// What kind of error that is.
        kind: Failure,
    },
    /// The subject has more than one line.
    #[error(
        "template file '{file}'{context} makes a subject with a line break or another control character inside; make it one line, and take line breaks out of the payload's values"
    )]
    SubjectNotOneLine {
        /// The file.
        file: String,
        /// Which version it is, starting with `, `.
        context: String,
    },
    /// The alert has neither a template nor a body nor a subject.
    #[error("the alert says nothing: Template, Body and Subject are all empty; fill at least one")]
    Empty,
}

/// Why minijinja stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A variable is missing; another payload may have it.
    MissingVariable,
    /// A value has the wrong type, and the template uses the payload; another one may work.
    UnsuitableValue,
    /// Its loops take too long.
    TooLong,
    /// Its output is too long.
    TooMuch,
    /// Anything else.
    Other,
}

fn template_name(template: Option<&String>) -> String {
    template.map_or("the template".to_owned(), |it| format!("template '{it}'"))
}

/// `, line 3`, if known.
fn at_line(line: usize) -> String {
    match line {
        0 => String::new(),
        line => format!(", line {line}"),
    }
}

impl RenderError {
    /// Another payload may work.
    pub(super) fn depends_on_payload(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                kind: Failure::MissingVariable | Failure::UnsuitableValue,
                ..
            }
        )
    }

    /// The exceeded limit, such as `takes more than 2 s of a processor`.
    pub(super) fn excess(&self) -> Option<&str> {
        match self {
            Self::Exceeded { what, .. } => Some(what),
            Self::Failed { kind, .. } => match kind {
                Failure::TooLong => Some("loops too long"),
                Failure::TooMuch => Some("makes more than 4 MiB"),
                Failure::MissingVariable | Failure::UnsuitableValue | Failure::Other => None,
            },
            _ => None,
        }
    }

    /// The key into the table of explanations; stable.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::BadName { .. } | Self::Unknown { .. } | Self::Gone { .. } => "template-unknown",
            Self::BadPayload { .. } => "bad-payload",
            Self::Failed { .. } | Self::Unusable { .. } | Self::Exceeded { .. } => "template-error",
            Self::SubjectNotOneLine { .. } => "header-injection",
            Self::Empty => "nothing-to-send",
        }
    }
}
