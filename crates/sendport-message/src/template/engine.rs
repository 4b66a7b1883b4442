//! minijinja for templates: strict, bounded, without I/O.

use std::borrow::Cow;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use super::error::Failure;
use super::{RenderError, TemplateError};

/// Instructions of one part's render. A page with a table of 1,000 rows takes about 100,000.
const FUEL: u64 = 2_000_000;
/// Longest output of one part, in bytes.
const LARGEST_PART: usize = 4 << 20;
/// Deepest nesting of `include`, macros and recursive loops.
const DEEPEST: usize = 100;

pub(super) fn new_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|file| {
        if file.ends_with(".html.j2") {
            AutoEscape::Html
        } else {
            AutoEscape::None
        }
    });
    environment.set_path_join_callback(shared_file);
    super::filters::add(&mut environment);
    // A NULL column is written as nothing, not as "none".
    environment.set_formatter(|out, state, value| {
        if value.is_none() {
            return Ok(());
        }
        minijinja::escape_formatter(out, state, value)
    });
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(DEEPEST);
    environment.set_debug(true);
    let lines = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    if let Ok(lines) = lines {
        environment.set_syntax(lines);
    }
    environment
}

/// The file of an `include`, `import` or `extends`: shared files only, and HTML only into HTML, because
/// other files are not escaped. Any other name is replaced by one that no file has and that says why.
fn shared_file<'s>(wanted: &'s str, into: &'s str) -> Cow<'s, str> {
    if !wanted.starts_with('_') {
        Cow::Owned(format!(
            "{wanted} (only files that begin with '_' can be used by others)"
        ))
    } else if into.ends_with(".html.j2") && !wanted.ends_with(".html.j2") {
        Cow::Owned(format!(
            "{wanted} (an .html.j2 can use .html.j2 only, others are not escaped)"
        ))
    } else {
        Cow::Borrowed(wanted)
    }
}

/// Renders one file. `version`: that of the database's templates, if it comes from there.
pub(super) fn render_file(
    environment: &Environment<'_>,
    file: &str,
    variables: &Value,
    version: Option<u32>,
) -> Result<String, RenderError> {
    let mut made = BoundedWriter::default();
    let result = environment
        .get_template(file)
        .and_then(|template| template.render_captured_to(variables.clone(), &mut made));
    match result {
        Ok(_) => Ok(String::from_utf8_lossy(&made.bytes).into_owned()),
        Err(error) => Err(render_error(environment, file, version, &error)),
    }
}

pub(super) fn syntax_error(file: &str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Syntax {
        file: file.to_owned(),
        line: error.line().unwrap_or_default(),
        problem: describe(error),
    }
}

/// The innermost error names the file at fault.
fn render_error(
    environment: &Environment<'_>,
    file: &str,
    version: Option<u32>,
    error: &minijinja::Error,
) -> RenderError {
    let mut innermost = error;
    while let Some(cause) = std::error::Error::source(innermost)
        .and_then(|cause| cause.downcast_ref::<minijinja::Error>())
    {
        innermost = cause;
    }
    let at_fault = innermost.name().unwrap_or(file);
    RenderError::Failed {
        file: at_fault.to_owned(),
        context: context(file, at_fault, version),
        line: innermost.line().unwrap_or_default(),
        problem: describe(innermost),
        advice: advice(innermost.kind()).into(),
        kind: failure(environment, innermost.kind()),
    }
}

fn failure(environment: &Environment<'_>, kind: ErrorKind) -> Failure {
    match kind {
        ErrorKind::UndefinedError => Failure::MissingVariable,
        ErrorKind::OutOfFuel => Failure::TooLong,
        ErrorKind::WriteFailure => Failure::TooMuch,
        ErrorKind::TemplateNotFound
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction
        | ErrorKind::SyntaxError => Failure::Other,
        _ if asks_the_payload(environment) => Failure::UnsuitableValue,
        _ => Failure::Other,
    }
}

/// Whether a file uses a variable of the payload.
fn asks_the_payload(environment: &Environment<'_>) -> bool {
    let known = |name: &String| {
        ["alert", "biztalk"].contains(&name.as_str())
            || environment.globals().any(|(global, _)| global == name)
    };
    let mut files = environment.templates();
    files.any(|(_, file)| !file.undeclared_variables(false).iter().all(known))
}

/// Further details of the file: the one that uses it, the version of the database's templates.
pub(super) fn context(file: &str, at_fault: &str, version: Option<u32>) -> String {
    let used = (at_fault != file).then(|| format!(", used by '{file}'"));
    let version = version.map(|version| format!(", version {version}"));
    used.unwrap_or_default() + &version.unwrap_or_default()
}

fn describe(error: &minijinja::Error) -> String {
    let said = match error.detail() {
        // The only error of [`BoundedWriter`].
        _ if error.kind() == ErrorKind::WriteFailure => "too much output".to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    said.chars().take(500).map(visible).collect()
}

fn advice(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::UndefinedError => {
            "; put it into Payload (FOR JSON leaves NULLs out unless it says INCLUDE_NULL_VALUES), or write {{ name | default('') }} in the template"
        }
        ErrorKind::OutOfFuel => "; the template loops too long: give it less data",
        ErrorKind::WriteFailure => "; it makes more than 4 MiB: give it less data",
        ErrorKind::TemplateNotFound => "; check the name in include, import or extends",
        _ => "; correct the template or the payload",
    }
}

/// A writer limited to [`LARGEST_PART`].
#[derive(Default)]
struct BoundedWriter {
    bytes: Vec<u8>,
}

impl std::io::Write for BoundedWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > LARGEST_PART {
            return Err(std::io::Error::other("too much output"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
