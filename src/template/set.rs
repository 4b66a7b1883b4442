//! Loaded templates, and rendering with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior, Value};

use super::context::variables;
use super::files::{FileName, Part, is_language, is_template_name, parse_file_name, read_folder};
use super::{RenderError, TemplateError};
use crate::domain::{Alert, BodyFormat};

/// Instructions of one part's render. A page with a table of 1,000 rows takes about 100,000.
const FUEL: u64 = 2_000_000;
/// Octets that one part may make.
const LARGEST_PART: usize = 4 << 20;
/// How deep `include`, macros and recursive loops may go.
const DEEPEST: usize = 100;

/// What an alert says, ready for `mime`.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedAlert<'a> {
    /// The alert that this came from, for its headers and recipients.
    pub alert: &'a Alert,
    /// One line; empty where neither the alert nor a template has one.
    pub subject: String,
    /// The plain text, if there is one. `mime` makes one from the HTML otherwise.
    pub text: Option<String>,
    /// The HTML, if there is one.
    pub html: Option<String>,
    /// Which version of the template made it: to be recorded with the attempt, so that a
    /// later attempt of the same alert can be seen to say the same.
    pub template_version: Option<String>,
}

/// The files of one template, by language (empty: the default) and part.
#[derive(Debug)]
struct Template {
    files: BTreeMap<(String, Part), String>,
    version: String,
}

/// All templates of a folder.
#[derive(Debug)]
pub struct TemplateSet {
    environment: Environment<'static>,
    templates: BTreeMap<String, Template>,
}

impl Default for TemplateSet {
    fn default() -> Self {
        Self::empty()
    }
}

impl TemplateSet {
    /// No templates: alerts bring their own Subject and Body.
    pub fn empty() -> Self {
        Self {
            environment: new_environment(),
            templates: BTreeMap::new(),
        }
    }

    /// Reads and compiles all templates of a folder.
    ///
    /// # Errors
    /// [`TemplateError`] names the first file that cannot be used.
    pub fn load(folder: &Path) -> Result<Self, TemplateError> {
        let contents = read_folder(folder)?;
        let mut set = Self::empty();
        let mut files: BTreeMap<String, BTreeMap<(String, Part), String>> = BTreeMap::new();
        for (file, content) in &contents {
            if let FileName::Of(name, language, part) = parse_file_name(file)? {
                let of_template = files.entry(name.to_owned()).or_default();
                if of_template.insert((language, part), file.clone()).is_some() {
                    return Err(TemplateError::BadName {
                        file: file.clone(),
                        problem: "another file has the same language in other letters",
                    });
                }
            }
            set.environment
                .add_template_owned(file.clone(), content.clone())
                .map_err(|error| syntax_error(file, &error))?;
        }
        for (name, files) in files {
            let template = Template::new(&name, files, &contents)?;
            set.templates.insert(name, template);
        }
        Ok(set)
    }

    /// The names of all templates, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// The version of a template: 16 hexadecimal digits of the SHA-256 of its files and of
    /// all shared files. It changes whenever what the template says may change.
    pub fn version(&self, template: &str) -> Option<&str> {
        self.templates.get(template).map(|t| t.version.as_str())
    }

    /// Renders an alert: with its template, or as it is where it has none.
    ///
    /// The alert's own Subject wins over the template's. Its Body does not: a template finds
    /// it in `alert.body`.
    ///
    /// # Errors
    /// [`RenderError`] names what has to change. It is permanent.
    pub fn render<'a>(&self, alert: &'a Alert) -> Result<RenderedAlert<'a>, RenderError> {
        match given(alert.template.as_ref()) {
            Some(name) => self.render_template(alert, name.trim()),
            None => as_it_is(alert),
        }
    }

    fn render_template<'a>(
        &self,
        alert: &'a Alert,
        name: &str,
    ) -> Result<RenderedAlert<'a>, RenderError> {
        let template = self.find(name)?;
        let variables = variables(alert, name)?;
        let languages = fall_backs(alert.language.as_deref());
        let part = |part| {
            template
                .file(&languages, part)
                .map(|file| self.render_file(file, &variables).map(|made| (file, made)))
                .transpose()
        };
        let subject = match given(alert.subject.as_ref()) {
            Some(subject) => subject.trim().to_owned(),
            None => match part(Part::Subject)? {
                Some((file, made)) => one_line(file, &made)?,
                None => String::new(),
            },
        };
        Ok(RenderedAlert {
            alert,
            subject,
            text: part(Part::Text)?.map(|(_, made)| made),
            html: part(Part::Html)?.map(|(_, made)| made),
            template_version: Some(template.version.clone()),
        })
    }

    fn find(&self, name: &str) -> Result<&Template, RenderError> {
        if !is_template_name(name) {
            let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            let name = name.chars().take(100).map(visible).collect();
            return Err(RenderError::BadName { name });
        }
        self.templates.get(name).ok_or_else(|| {
            let known: Vec<_> = self.names().take(20).collect();
            RenderError::Unknown {
                name: name.to_owned(),
                known: if known.is_empty() {
                    "none at all".to_owned()
                } else {
                    known.join(", ")
                },
            }
        })
    }

    fn render_file(&self, file: &str, variables: &Value) -> Result<String, RenderError> {
        let mut made = Bounded::default();
        let result = self
            .environment
            .get_template(file)
            .and_then(|template| template.render_captured_to(variables.clone(), &mut made));
        match result {
            Ok(_) => Ok(String::from_utf8_lossy(&made.octets).into_owned()),
            Err(error) => Err(render_error(file, &error)),
        }
    }
}

impl Template {
    fn new(
        name: &str,
        files: BTreeMap<(String, Part), String>,
        contents: &BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        for language in std::iter::once("").chain(files.keys().map(|(l, _)| l.as_str())) {
            let has = |part| files.contains_key(&(language.to_owned(), part));
            if !has(Part::Text) && !has(Part::Html) {
                let dotted = if language.is_empty() { "" } else { "." };
                let stem = format!("{name}{dotted}{language}");
                return Err(TemplateError::Incomplete {
                    template: name.to_owned(),
                    missing: format!("'{stem}.txt.j2' nor '{stem}.html.j2'"),
                });
            }
        }
        let shared = contents.iter().filter(|(file, _)| file.starts_with('_'));
        let own = files.values().filter_map(|f| contents.get_key_value(f));
        let version = version_of(shared.chain(own));
        Ok(Self { files, version })
    }

    /// The file for a part. Both bodies come from one language: a mail whose text is German
    /// and whose HTML is English would be two different mails.
    fn file(&self, languages: &[String], part: Part) -> Option<&str> {
        let file = |language: &String, part| self.files.get(&(language.clone(), part));
        let found = match part {
            Part::Subject => languages.iter().find_map(|language| file(language, part)),
            Part::Text | Part::Html => languages
                .iter()
                .find(|l| file(l, Part::Text).is_some() || file(l, Part::Html).is_some())
                .and_then(|language| file(language, part)),
        };
        found.map(String::as_str)
    }
}

/// `de-at`, `de`, and the default; a tag that is none gives only the default.
fn fall_backs(language: Option<&str>) -> Vec<String> {
    let mut tag = language.unwrap_or_default().trim().to_ascii_lowercase();
    let mut languages = Vec::new();
    if is_language(&tag) {
        languages.push(tag.clone());
        while let Some((shorter, _)) = tag.rsplit_once('-') {
            tag = shorter.to_owned();
            languages.push(tag.clone());
        }
    }
    languages.push(String::new());
    languages
}

fn as_it_is(alert: &Alert) -> Result<RenderedAlert<'_>, RenderError> {
    let subject = alert.subject.as_deref().unwrap_or_default().trim();
    let body = alert.body.clone().filter(|body| !body.is_empty());
    if subject.is_empty() && body.is_none() {
        return Err(RenderError::Empty);
    }
    let (text, html) = match (alert.body_format, body) {
        (BodyFormat::Html, Some(html)) => (None, Some(html)),
        (_, body) => (Some(body.unwrap_or_default()), None),
    };
    Ok(RenderedAlert {
        alert,
        subject: subject.to_owned(),
        text,
        html,
        template_version: None,
    })
}

fn given(column: Option<&String>) -> Option<&str> {
    column.map(String::as_str).filter(|c| !c.trim().is_empty())
}

/// The subject without the white space around it, which a template file cannot help having.
fn one_line(file: &str, made: &str) -> Result<String, RenderError> {
    let line = made.trim();
    if line.chars().any(|c| c.is_control() && c != '\t') {
        return Err(RenderError::SubjectNotOneLine {
            file: file.to_owned(),
        });
    }
    Ok(line.to_owned())
}

fn new_environment() -> Environment<'static> {
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
    // A NULL column is nothing to say, not the word "none".
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

/// Which file an `include`, `import` or `extends` gets: shared files only, and into HTML only
/// HTML, because what comes from another kind of file is not escaped. Anything else becomes a
/// name that no file has and that says why.
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

fn version_of<'a>(files: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let mut hash = openssl::sha::Sha256::new();
    for (file, content) in files {
        for piece in [file, content] {
            // The length before each piece: no two sets of files look alike.
            hash.update(&(piece.len() as u64).to_be_bytes());
            hash.update(piece.as_bytes());
        }
    }
    let digest = hash.finish();
    digest[..8].iter().map(|b| format!("{b:02x}")).collect()
}

fn syntax_error(file: &str, error: &minijinja::Error) -> TemplateError {
    TemplateError::Syntax {
        file: file.to_owned(),
        line: error.line().unwrap_or_default(),
        problem: said(error),
    }
}

/// The innermost error knows the file that is at fault.
fn render_error(file: &str, error: &minijinja::Error) -> RenderError {
    let mut innermost = error;
    while let Some(cause) = std::error::Error::source(innermost)
        .and_then(|cause| cause.downcast_ref::<minijinja::Error>())
    {
        innermost = cause;
    }
    RenderError::Failed {
        file: innermost.name().unwrap_or(file).to_owned(),
        line: innermost.line().unwrap_or_default(),
        problem: said(innermost),
        advice: advice(innermost.kind()),
    }
}

fn said(error: &minijinja::Error) -> String {
    let said = match error.detail() {
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

/// A writer that takes no more than [`LARGEST_PART`].
#[derive(Default)]
struct Bounded {
    octets: Vec<u8>,
}

impl std::io::Write for Bounded {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        if self.octets.len() + octets.len() > LARGEST_PART {
            return Err(std::io::Error::other("too much output"));
        }
        self.octets.extend_from_slice(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
