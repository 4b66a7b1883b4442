//! Why templates cannot be used, and why an alert cannot be rendered.

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    /// It is no file, not UTF-8 or too large.
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
    /// A sample is no payload.
    #[error(
        "sample '{file}' {problem}; write a JSON object such as an alert's Payload: {{\"order\": 4711}}"
    )]
    BadSample {
        /// Its name in the folder.
        file: String,
        /// What was found.
        problem: String,
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
    /// More than one file cannot be used.
    #[error("{}", lines(.0))]
    Several(Vec<TemplateError>),
}

fn lines(errors: &[TemplateError]) -> String {
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

impl TemplateError {
    /// What all of them gave, or everything that is wrong.
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

/// An alert that cannot be rendered. Permanent: the same alert and the same templates fail
/// again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
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
        "there is no template '{name}', neither in the database (`sendport template list` shows what is there) nor {folder}; correct Template, or import '{name}.txt.j2' or '{name}.html.j2'"
    )]
    Unknown {
        /// The column.
        name: String,
        /// What the templates folder has.
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
    /// What stands in the database under this name is no template.
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
    /// It takes more than a render may.
    #[error("{} {what}: give it less data, or correct loops, recursion and repetition in it", said_of(template.as_ref()))]
    Exceeded {
        /// The column; `None` where templates are compiled only.
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
        /// Counted from 1; 0 where minijinja knows none.
        line: usize,
        /// What minijinja said, with the variable where one is missing.
        problem: String,
        /// What to do, starting with `; `.
        advice: Cow<'static, str>,
        /// What kind of error that is.
        kind: Failure,
    },
    /// The subject file made more than one line.
    #[error(
        "template file '{file}'{context} makes a subject with a line break or another control character inside; make it one line, and take line breaks out of the payload's values"
    )]
    SubjectNotOneLine {
        /// The file.
        file: String,
        /// Which version it is, starting with `, `.
        context: String,
    },
    /// Neither a template nor a body nor a subject.
    #[error("the alert says nothing: Template, Body and Subject are all empty; fill at least one")]
    Empty,
}

/// Why minijinja stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// A variable is missing: with another payload it may work.
    MissingVariable,
    /// A value does not suit, and the template takes some from the payload: with another one it may work.
    UnsuitableValue,
    /// It loops too long.
    TooLong,
    /// It makes too much.
    TooMuch,
    /// Anything else.
    Other,
}

fn said_of(template: Option<&String>) -> String {
    template.map_or("the template".to_owned(), |it| format!("template '{it}'"))
}

/// `, line 3`, where one is known.
fn at_line(line: usize) -> String {
    match line {
        0 => String::new(),
        line => format!(", line {line}"),
    }
}

impl RenderError {
    /// True where another payload may help.
    pub(super) fn depends_on_payload(&self) -> bool {
        matches!(
            self,
            Self::Failed {
                kind: Failure::MissingVariable | Failure::UnsuitableValue,
                ..
            }
        )
    }

    /// What it takes more of than a render may, in words such as `takes more than 2 s of a processor`.
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
