//! A folder of template files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::TemplateError;

/// Largest template file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// The part that a file makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Subject,
    Text,
    Html,
    /// A sample payload.
    Sample,
}

impl Part {
    /// Ending of the file's name.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Subject => ".subject.j2",
            Self::Text => ".txt.j2",
            Self::Html => ".html.j2",
            Self::Sample => SAMPLE,
        }
    }
}

const SAMPLE: &str = ".sample.json";

/// The meaning of a file name such as `order-late.de.html.j2`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileName<'a> {
    /// `_layout.html.j2`: `_layout` and its part.
    Shared(&'a str, Part),
    /// Template, language in lower case (empty: the default), part.
    Of(&'a str, String, Part),
}

impl FileName<'_> {
    pub(super) fn part(&self) -> Part {
        match self {
            Self::Shared(_, part) | Self::Of(_, _, part) => *part,
        }
    }
}

/// Reads every template file and sample of `folder`: name and content. Ignores hidden files, and files
/// that end neither in `.j2` nor in `.sample.json`.
pub(super) fn read_folder(folder: &Path) -> Result<BTreeMap<String, String>, TemplateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        |source| TemplateError::Unreadable { path, source }
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable(folder))? {
        let path = entry.map_err(unreadable(folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_ours = name.ends_with(".j2") || name.ends_with(SAMPLE);
        if name.starts_with('.') || !is_ours {
            continue;
        }
        let content = read_file(&path, &name).and_then(|content| as_text(&name, content));
        files.push(content.map(|text| (name.into_owned(), text)));
    }
    files.sort_by_key(|file| file.as_ref().err().map(ToString::to_string));
    Ok(TemplateError::all(files.into_iter())?.into_iter().collect())
}

/// Opens regular files only: reading a pipe or a device might not end.
fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, TemplateError> {
    let unreadable = |source| TemplateError::Unreadable {
        path: path.to_owned(),
        source,
    };
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err(bad(name, "is no file; remove it, or give it another name"));
    }
    let mut content = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut content))
        .map_err(unreadable)?;
    if content.len() as u64 > LARGEST_FILE {
        return Err(bad(name, "is larger than 1 MiB; is it a template?"));
    }
    Ok(content)
}

fn bad(file: &str, problem: &'static str) -> TemplateError {
    TemplateError::BadFile {
        file: file.to_owned(),
        problem,
    }
}

fn as_text(file: &str, content: Vec<u8>) -> Result<String, TemplateError> {
    let text = String::from_utf8(content);
    let text = text.map_err(|_| bad(file, "is not UTF-8; save it as UTF-8"))?;
    // Windows editors write a byte order mark, which would be an invisible character in the message.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Parses a file name.
pub(super) fn parse_file_name(file: &str) -> Result<FileName<'_>, TemplateError> {
    let bad = |problem| TemplateError::BadName {
        file: file.to_owned(),
        problem,
    };
    let parts = [Part::Subject, Part::Text, Part::Html, Part::Sample];
    let found = parts
        .into_iter()
        .find_map(|part| Some((file.strip_suffix(part.ending())?, part)));
    let Some((stem, part)) = found else {
        return Err(bad("it has to end in .subject.j2, .txt.j2 or .html.j2"));
    };
    if stem.starts_with('_') {
        return Ok(FileName::Shared(stem, part));
    }
    let (name, language) = match stem.rsplit_once('.') {
        Some((name, tag)) if is_language(tag) => (name, tag.to_ascii_lowercase()),
        _ => (stem, String::new()),
    };
    if name.rsplit_once('.').is_some_and(|(_, tag)| is_locale(tag)) {
        return Err(bad("write the language with '-', such as de-AT"));
    }
    if is_template_name(name) {
        Ok(FileName::Of(name, language, part))
    } else {
        Err(bad("use letters, digits, '.', '_' and '-' only"))
    }
}

/// A valid value of the column Template. Without path separators, so that a row cannot refer to files
/// outside the folder; not starting with `_` or `.`.
pub fn is_template_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=100).contains(&name.len())
        && name.bytes().all(allowed)
        && !name.starts_with(['_', '.'])
        && !name.ends_with('.')
}

/// A valid name of a shared file, in the folder and in the database: `_layout`.
pub(super) fn is_shared_name(name: &str) -> bool {
    let own = name.trim_start_matches('_');
    name.starts_with('_') && name.len() <= 100 && is_template_name(own)
}

/// `de`, `de-AT`, `zh-Hant-TW`: a primary subtag of two or three letters (RFC 5646 section
/// 2.1) and any others.
pub(super) fn is_language(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let primary = subtags.next().unwrap_or_default();
    (2..=3).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len()) && subtag.bytes().all(|b| b.is_ascii_alphanumeric())
        })
}

/// `de_AT`, `zh_Hant`: a locale, which would be taken for a part of the name.
fn is_locale(tag: &str) -> bool {
    let Some((language, rest)) = tag.split_once('_') else {
        return false;
    };
    let is_region = rest.len() == 2 && rest.bytes().all(|b| b.is_ascii_uppercase());
    let is_script =
        rest.len() == 4 && canonical_language(&format!("x-{rest}")) == format!("x-{rest}");
    is_language(language) && (is_region || is_script)
}

/// The canonical form of a tag (RFC 5646 section 2.1.1): `de-AT`, `zh-Hant-TW`.
pub(super) fn canonical_language(tag: &str) -> String {
    let subtag = |(place, subtag): (usize, &str)| {
        let lower = subtag.to_ascii_lowercase();
        match (place, subtag.len()) {
            (0, _) => lower,
            (_, 2) => lower.to_ascii_uppercase(),
            (_, 4) => lower[..1].to_ascii_uppercase() + &lower[1..],
            _ => lower,
        }
    };
    let subtags: Vec<_> = tag.split('-').enumerate().map(subtag).collect();
    subtags.join("-")
}
