//! Changes of an import of templates.

use std::collections::BTreeMap;

use sendport_core::domain::{TemplateRow, TemplateText};

/// The change of one template in one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    New,
    /// Its text changed.
    Changed,
    /// It is the same; there is no new version.
    Unchanged,
    /// It is removed.
    Removed,
}

impl ChangeKind {
    /// For people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
        }
    }
}

/// One template in one language, compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The new sources; none where it is removed.
    pub text: TemplateText,
    /// Compared with the present version.
    pub kind: ChangeKind,
    /// The present version.
    pub before: Option<u32>,
}

/// Compares the present templates with the wanted ones, by name and language. Removes a language that a
/// wanted template no longer has, and with `prune` templates that are not wanted at all.
pub fn changes(present: &[TemplateRow], wanted: &[TemplateText], prune: bool) -> Vec<Change> {
    let mut found: BTreeMap<(&str, &str), Change> = BTreeMap::new();
    for text in wanted {
        let change = Change {
            text: text.clone(),
            kind: ChangeKind::New,
            before: None,
        };
        found.insert((&text.name, &text.language), change);
    }
    for row in present {
        let (name, language) = (&*row.text.name, &*row.text.language);
        let of_template = wanted.iter().any(|text| text.name == name);
        match found.get_mut(&(name, language)) {
            Some(change) => change.compare(row),
            None if prune || of_template => {
                found.insert((name, language), Change::removal(row));
            }
            None => {}
        }
    }
    found.into_values().collect()
}

impl Change {
    fn compare(&mut self, row: &TemplateRow) {
        self.before = Some(row.version);
        self.kind = match self.text == row.text {
            true => ChangeKind::Unchanged,
            false => ChangeKind::Changed,
        };
    }

    fn removal(row: &TemplateRow) -> Self {
        Self {
            text: TemplateText {
                name: row.text.name.clone(),
                language: row.text.language.clone(),
                ..TemplateText::default()
            },
            kind: ChangeKind::Removed,
            before: Some(row.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::Timestamp;

    fn text(name: &str, language: &str, says: &str) -> TemplateText {
        TemplateText {
            name: name.to_owned(),
            language: language.to_owned(),
            text: Some(says.to_owned()),
            ..TemplateText::default()
        }
    }

    fn row(text: TemplateText, version: u32) -> TemplateRow {
        TemplateRow {
            text,
            version,
            created_at: Timestamp::UNIX_EPOCH,
            created_by: "sqlite".to_owned(),
        }
    }

    #[test]
    fn makes_a_version_of_differences_only() {
        let stored = [
            row(text("a", "", "x"), 1),
            row(text("a", "de", "y"), 2),
            row(text("a", "fr", "z"), 2),
            row(text("b", "", "x"), 3),
        ];
        let wanted = [
            text("a", "", "x"),
            text("a", "de", "other"),
            text("c", "", ""),
        ];
        let output = |prune| -> Vec<_> {
            let all = changes(&stored, &wanted, prune).into_iter();
            all.map(|it| (it.text.name, it.text.language, it.kind.as_str(), it.before))
                .collect()
        };
        let line = |name: &str, language: &str, kind, before| {
            (name.to_owned(), language.to_owned(), kind, before)
        };
        let mut expected = vec![
            line("a", "", "unchanged", Some(1)),
            line("a", "de", "changed", Some(2)),
            line("a", "fr", "removed", Some(2)),
            line("c", "", "new", None),
        ];
        assert_eq!(output(false), expected);
        expected.insert(3, line("b", "", "removed", Some(3)));
        assert_eq!(output(true), expected);
    }

    #[test]
    fn changes_nothing_on_a_second_import() {
        let wanted = [text("a", "", "x"), text("_s", "", "")];
        let stored: Vec<_> = wanted.iter().cloned().map(|it| row(it, 7)).collect();
        let all = changes(&stored, &wanted, true);
        assert!(all.iter().all(|it| it.kind == ChangeKind::Unchanged));
    }
}
