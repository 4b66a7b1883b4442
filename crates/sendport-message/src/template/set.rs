//! Loaded templates, and rendering with them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use chrono::{FixedOffset, Offset, Utc};
use minijinja::{Environment, Value};
use sendport_core::domain::{Alert, BodyFormat, TemplateRow};

use super::context::variables;
use super::engine::{context, new_environment, render_file, syntax_error};
use super::files::{FileName, Part, is_language, is_template_name, parse_file_name, read_folder};
use super::texts::files_of;
use super::{RenderError, TemplateError};

/// The texts of an alert, for `mime`.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedAlert<'a> {
    /// The alert, for its headers and recipients.
    pub alert: &'a Alert,
    /// One line; empty where neither the alert nor the template has a subject.
    pub subject: String,
    /// The text, if any. `mime` makes one of the HTML otherwise.
    pub text: Option<Cow<'a, str>>,
    /// The HTML, if any.
    pub html: Option<Cow<'a, str>>,
    /// The version of the template, which is recorded with the attempt to show that later attempts of
    /// the alert have the same text.
    pub template_version: Option<String>,
}

impl RenderedAlert<'_> {
    /// Length of its texts, in bytes.
    pub fn bytes(&self) -> usize {
        let texts = [&self.text, &self.html];
        texts.into_iter().flatten().map(|text| text.len()).sum()
    }
}

/// The files of one template, by language (empty: the default) and part.
#[derive(Debug)]
struct Template {
    files: BTreeMap<(String, Part), String>,
    version: String,
}

/// All templates of a folder, or one of the database in one version.
#[derive(Debug)]
pub struct TemplateSet {
    environment: Environment<'static>,
    templates: BTreeMap<String, Template>,
    /// `None`: from a folder.
    version: Option<u32>,
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
            version: None,
        }
    }

    /// Reads and compiles all templates of a folder.
    ///
    /// # Errors
    /// [`TemplateError`] names the first file that cannot be used.
    pub fn load(folder: &Path) -> Result<Self, TemplateError> {
        Self::compile(&read_folder(folder)?)
    }

    /// Compiles the template `name` of the database from its rows and those of what it may
    /// use. `None` where there is no such template among them.
    ///
    /// # Errors
    /// [`TemplateError`] names what cannot be used.
    pub fn of_rows(name: &str, rows: &[TemplateRow]) -> Result<Option<Self>, TemplateError> {
        if !rows.iter().any(|row| row.is_of(name)) {
            return Ok(None);
        }
        let mut set = Self::compile(&files_of(rows.iter().map(|row| &row.text)))?;
        // What was removed counts, too: without it the set says something else.
        let version = rows.iter().map(|row| row.version).max();
        for template in set.templates.values_mut() {
            template.version = version.unwrap_or_default().to_string();
        }
        set.version = version;
        Ok(Some(set))
    }

    /// Compiles files by their names in a folder.
    ///
    /// # Errors
    /// [`TemplateError`] names the first file that cannot be used.
    pub(super) fn compile(contents: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let mut set = Self::empty();
        let mut files: BTreeMap<String, BTreeMap<(String, Part), String>> = BTreeMap::new();
        for (file, content) in contents {
            let parsed = parse_file_name(file)?;
            if parsed.part() == Part::Sample {
                continue;
            }
            if let FileName::Of(name, language, part) = parsed {
                let of_template = files.entry(name.to_owned()).or_default();
                if of_template.insert((language, part), file.clone()).is_some() {
                    return Err(TemplateError::same_language(file));
                }
            }
            set.environment
                .add_template_owned(file.clone(), content.clone())
                .map_err(|error| syntax_error(file, &error))?;
        }
        for (name, files) in files {
            let template = Template::new(&name, files, contents)?;
            set.templates.insert(name, template);
        }
        Ok(set)
    }

    /// The names of all templates, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.templates.keys().map(String::as_str)
    }

    /// The version of a template. In the database its number; of a folder 16 hexadecimal digits
    /// of the SHA-256 of its files and of all shared files: it changes whenever what the template
    /// says may change.
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
        self.render_at(alert, Utc.fix())
    }

    /// [`Self::render`] where a wall clock is `offset` from UTC: for BizTalk's macros.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn render_at<'a>(
        &self,
        alert: &'a Alert,
        offset: FixedOffset,
    ) -> Result<RenderedAlert<'a>, RenderError> {
        match template_name(alert) {
            Some(name) => self.render_template(alert, name, offset),
            None => as_it_is(alert),
        }
    }

    fn render_template<'a>(
        &self,
        alert: &'a Alert,
        name: &str,
        offset: FixedOffset,
    ) -> Result<RenderedAlert<'a>, RenderError> {
        let template = self.find(name)?;
        let variables = variables(alert, name, offset)?;
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
                Some((file, made)) => self.one_line(file, &made)?,
                None => String::new(),
            },
        };
        Ok(RenderedAlert {
            alert,
            subject,
            text: part(Part::Text)?.map(|(_, made)| Cow::Owned(made)),
            html: part(Part::Html)?.map(|(_, made)| Cow::Owned(made)),
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
            let there: Vec<_> = self.names().take(20).collect();
            RenderError::Unknown {
                name: name.to_owned(),
                folder: match there.as_slice() {
                    [] => "in a folder".to_owned(),
                    there => format!("in the templates folder, which has: {}", there.join(", ")),
                },
            }
        })
    }

    fn render_file(&self, file: &str, variables: &Value) -> Result<String, RenderError> {
        render_file(&self.environment, file, variables, self.version)
    }

    /// The subject without the white space around it, which a template file cannot help having.
    fn one_line(&self, file: &str, made: &str) -> Result<String, RenderError> {
        let line = made.trim();
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(RenderError::SubjectNotOneLine {
                file: file.to_owned(),
                context: context(file, file, self.version),
            });
        }
        Ok(line.to_owned())
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
            _ => languages
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

pub(super) fn as_it_is(alert: &Alert) -> Result<RenderedAlert<'_>, RenderError> {
    let subject = alert.subject.as_deref().unwrap_or_default().trim();
    let body = alert.body.as_deref().filter(|body| !body.is_empty());
    let body = body.map(Cow::Borrowed);
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

/// What the column Template says, where it says something.
pub fn template_name(alert: &Alert) -> Option<&str> {
    given(alert.template.as_ref()).map(str::trim)
}

fn given(column: Option<&String>) -> Option<&str> {
    column.map(String::as_str).filter(|c| !c.trim().is_empty())
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
