//! Finds the ends and names of tags in HTML as it was written.

pub(in crate::mime) fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// The text after the end tag `</name>`.
pub(in crate::mime) fn after_element<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, closing)) = rest.split_once("</") {
        if tag_name(closing) == name {
            return after(closing, ">");
        }
        rest = closing;
    }
    ""
}

/// The end of a tag: a `>` outside quoted attribute values.
pub(in crate::mime) fn tag_end(tag: &str) -> usize {
    let mut quote = None;
    let mut previous = b' ';
    for (at, b) in tag.bytes().enumerate() {
        match (b, quote) {
            (b'>', None) => return at,
            (b'"' | b'\'', None) if previous == b'=' => quote = Some(b),
            (b, Some(open)) if b == open => quote = None,
            _ => {}
        }
        previous = b;
    }
    tag.len()
}

/// The name after a `<` or `</`, in lower case.
pub(in crate::mime) fn tag_name(tag: &str) -> String {
    let name = tag.strip_prefix('/').unwrap_or(tag);
    let letters = name.bytes().take_while(u8::is_ascii_alphanumeric).take(12);
    letters
        .map(|b| char::from(b.to_ascii_lowercase()))
        .collect()
}

/// The value of an attribute, escaped for use between quotation marks.
pub(super) fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find(&format!(" {name}="))? + name.len() + 2;
    let value = &tag[at..];
    let value = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_ascii_whitespace().next()?,
    };
    Some(
        value
            .replace('"', "&quot;")
            .replace('<', "&lt;")
            .replace('>', "&gt;"),
    )
}
