//! Names of relays, send ports and files that are valid and different.

use std::collections::{BTreeMap, BTreeSet};

/// Longest name, in bytes.
const LONGEST: usize = 64;

/// The names that are used already. Databases may compare them without case.
#[derive(Debug, Default)]
pub(super) struct Names {
    used: BTreeSet<String>,
    /// The last number of each name that was wanted again: a file may have thousands of equal names.
    numbers: BTreeMap<String, usize>,
}

impl Names {
    /// `wanted`, changed as little as necessary: no control characters, no blanks around it, 64 bytes, and
    /// different from the names before it. `fallback` where nothing is left.
    pub(super) fn unique(&mut self, wanted: &str, fallback: &str) -> String {
        let visible: String = wanted
            .trim()
            .chars()
            .map(|c| if c.is_control() { '-' } else { c })
            .collect();
        let base = match cut(&visible, LONGEST) {
            "" => fallback,
            base => base,
        };
        let numbered = |number: usize| {
            let end = format!("-{number}");
            format!("{}{end}", cut(base, LONGEST - end.len()))
        };
        if self.used.insert(base.to_lowercase()) {
            return base.to_owned();
        }
        let number = self.numbers.entry(base.to_lowercase()).or_insert(1);
        loop {
            *number += 1;
            let name = numbered(*number);
            if self.used.insert(name.to_lowercase()) {
                return name;
            }
        }
    }
}

/// At most so many bytes, without blanks at the end.
fn cut(text: &str, longest: usize) -> &str {
    text[..text.floor_char_boundary(longest)].trim_end()
}

/// A name for a file: letters, digits, `-`, `_` and `.`, which no system gives a meaning.
pub(super) fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect();
    name.trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_where_they_are_valid() {
        let mut names = Names::default();
        for name in ["DBA Alerts", "störung", "a.b_c-d", "\"x\""] {
            assert_eq!(names.unique(name, "profile"), name);
        }
    }

    #[test]
    fn equal_names_get_numbers_without_regard_to_case() {
        let mut names = Names::default();
        let all = ["Mail", "mail", "MAIL ", "mail-2"].map(|name| names.unique(name, "relay"));
        assert_eq!(all, ["Mail", "mail-2", "MAIL-3", "mail-2-2"]);
    }

    #[test]
    fn names_that_are_too_long_or_empty_are_changed() {
        let mut names = Names::default();
        let long = "ä".repeat(100);
        let first = names.unique(&long, "relay");
        let second = names.unique(&long, "relay");
        assert_eq!(first, "ä".repeat(32));
        assert_eq!(second, format!("{}-2", "ä".repeat(31)));
        assert_eq!(names.unique(" \t ", "relay"), "relay");
        assert_eq!(names.unique("a\nb", "relay"), "a-b");
    }

    #[test]
    fn a_file_name_leaves_no_folder() {
        assert_eq!(file_name("../etc/x y"), "-etc-x-y");
        assert_eq!(file_name("störung"), "st-rung");
    }
}
