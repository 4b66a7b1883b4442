//! Text of others, safe for an error message.

use std::sync::LazyLock;

use regex::Regex;
use sendport_core::secret::Secret;

/// Characters of such a text that are quoted.
const LONGEST: usize = 600;

/// A run this long without a space, a dot or a slash is no word and no id: it may be a token.
static LOOKS_SECRET: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new("[A-Za-z0-9_~+=-]{40,}").ok());

/// `text` on one line, without `secrets` and without what looks like one.
pub fn redacted(text: &str, secrets: &[Secret]) -> String {
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|s| !s.expose().is_empty()) {
        text = text.replace(secret.expose(), "[secret]");
    }
    if let Some(pattern) = &*LOOKS_SECRET {
        text = pattern.replace_all(&text, "[not shown]").into_owned();
    }
    text.retain(|c| !c.is_control());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacts_secrets_and_what_looks_like_one() {
        let secret = Secret::new("pa55~word".into());
        let text = "AADSTS7000215: not 'pa55~word'.\r\nTrace ID: 0b1e7c32-1111-2222-3333-444455556666 \
                    eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6Ik5HVEZ2\u{7}";
        assert_eq!(
            redacted(text, &[secret]),
            "AADSTS7000215: not '[secret]'. Trace ID: 0b1e7c32-1111-2222-3333-444455556666 [not shown]"
        );
        assert!(redacted(&"word ".repeat(400), &[]).ends_with("..."));
    }
}
