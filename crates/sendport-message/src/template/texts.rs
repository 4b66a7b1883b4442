//! Templates between a folder's files and the database's rows.

use std::collections::BTreeMap;
use std::path::Path;

use sendport_core::domain::TemplateText;

use super::TemplateError;
use super::files::{
    FileName, Part, canonical_language, is_language, is_shared_name, is_template_name,
    parse_file_name, read_folder,
};

/// Reads the templates of a folder with their samples, by name and language. They may still be
/// wrong inside.
///
/// # Errors
/// [`TemplateError`] names the files that cannot be read or stored.
pub fn read_texts(folder: &Path) -> Result<Vec<TemplateText>, TemplateError> {
    let mut texts: BTreeMap<(String, String), TemplateText> = BTreeMap::new();
    let files = read_folder(folder)?;
    let places = TemplateError::all(files.keys().map(|file| place(file)))?;
    for ((file, content), (name, language, part)) in files.iter().zip(places) {
        let key = (name.to_owned(), language.clone());
        let text = texts.entry(key).or_insert_with(|| TemplateText {
            name: name.to_owned(),
            language,
            ..TemplateText::default()
        });
        if part_of(text, part).replace(content.clone()).is_some() {
            return Err(TemplateError::same_language(file));
        }
    }
    Ok(texts.into_values().collect())
}

/// Name, language and part of a file, as stored in the database.
fn place(file: &str) -> Result<(&str, String, Part), TemplateError> {
    match parse_file_name(file)? {
        FileName::Of(name, language, part) => Ok((name, canonical_language(&language), part)),
        FileName::Shared(name, part) if is_shared_name(name) => Ok((name, String::new(), part)),
        FileName::Shared(..) => Err(TemplateError::BadName {
            file: file.to_owned(),
            problem: "use letters, digits, '.', '_' and '-' only",
        }),
    }
}

fn part_of(text: &mut TemplateText, part: Part) -> &mut Option<String> {
    match part {
        Part::Subject => &mut text.subject,
        Part::Text => &mut text.text,
        Part::Html => &mut text.html,
        Part::Sample => &mut text.sample,
    }
}

/// The files that make these templates: content by name.
pub fn files_of<'a>(texts: impl IntoIterator<Item = &'a TemplateText>) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for text in texts {
        let stem = stem(text);
        for (part, content) in [
            (Part::Subject, &text.subject),
            (Part::Text, &text.text),
            (Part::Html, &text.html),
            (Part::Sample, &text.sample),
        ] {
            if let Some(content) = content {
                files.insert(format!("{stem}{}", part.ending()), content.clone());
            }
        }
    }
    files
}

/// `order-late.de-AT`
fn stem(text: &TemplateText) -> String {
    let dot = if text.language.is_empty() { "" } else { "." };
    format!("{}{dot}{}", text.name, text.language)
}

/// True where a template can be written into a folder and comes back as the same: rows that were
/// not imported may say anything.
pub fn can_be_files(text: &TemplateText) -> bool {
    let (name, language) = (&text.name, &text.language);
    match name.starts_with('_') {
        true => is_shared_name(name) && language.is_empty(),
        false => is_template_name(name) && (language.is_empty() || is_language(language)),
    }
}
