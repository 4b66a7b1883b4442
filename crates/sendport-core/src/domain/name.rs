//! Names that people chose, as they are shown.

use std::borrow::Cow;

/// A name of which one sees where it ends: in quotation marks, as TOML and JSON write it, where it holds
/// more than letters, digits, `-`, `_` and `.`, or nothing.
pub fn shown_name(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.chars().all(plain) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("{name:?}")),
    }
}

/// Such names one after the other.
pub fn shown_names<'a>(names: impl IntoIterator<Item = &'a String>) -> String {
    let shown = names.into_iter().map(|name| shown_name(name));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sees_where_an_odd_name_ends() {
        for name in ["default", "erp-2_a.b", "störung"] {
            assert_eq!(shown_name(name), name);
        }
        for (name, shown) in [
            ("", "\"\""),
            ("default ", "\"default \""),
            ("x,y", "\"x,y\""),
            ("a'b", "\"a'b\""),
            ("a\"b", "\"a\\\"b\""),
            ("a\u{202e}b", "\"a\\u{202e}b\""),
        ] {
            assert_eq!(shown_name(name), shown);
        }
        let names = ["a".to_owned(), "x,y".to_owned()];
        assert_eq!(shown_names(&names), "a, \"x,y\"");
    }
}
