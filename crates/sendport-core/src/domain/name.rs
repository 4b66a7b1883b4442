//! Names for messages.

use std::borrow::Cow;

/// A name in quotation marks, as TOML and JSON write it, unless it consists of letters, digits, `-`, `_`
/// and `.`.
pub fn shown_name(name: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    match !name.is_empty() && name.chars().all(plain) {
        true => Cow::Borrowed(name),
        false => Cow::Owned(format!("{name:?}")),
    }
}

/// Names, separated by commas.
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
