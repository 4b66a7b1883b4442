//! Addresses in running text.

/// Longest address: 64 bytes, `@`, 255 bytes (RFC 5321 section 4.5.3.1).
const LONGEST: usize = 320;

/// Addresses of one text that are looked for.
const MOST: usize = 2000;

/// Where an address is in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    pub(crate) address: &'a str,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Every address in a text, in its order.
pub(crate) fn find(text: &str) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        if found.len() >= MOST {
            break;
        }
        let from = found.last().map_or(0, |it| it.end);
        let Some(start) = local_part(text, from, at) else {
            continue;
        };
        let domain = domain(&text[at + 1..]);
        let end = at + 1 + domain.len();
        let is_domain = domain.contains('.') || domain.eq_ignore_ascii_case("localhost");
        if is_domain && end - start <= LONGEST {
            let address = &text[start..end];
            found.push(Found {
                address,
                start,
                end,
            });
        }
    }
    found
}

/// Each address once, in the text's order.
pub(crate) fn all(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for found in find(text) {
        if !all.iter().any(|it| it.eq_ignore_ascii_case(found.address)) {
            all.push(found.address.to_owned());
        }
    }
    all
}

/// Where the local part begins that ends at `at`.
fn local_part(text: &str, from: usize, at: usize) -> Option<usize> {
    let before = &text[from..at];
    if let Some(quoted) = before.strip_suffix('"') {
        let start = quoted.rfind('"')?;
        let is_plain = !quoted[start..].contains(['\n', '<', '>']);
        return is_plain.then_some(from + start);
    }
    let is_atom = |c: char| {
        c.is_ascii_alphanumeric()
            || ".!#$%&*+/=?^_`{|}~-'".contains(c)
            || (!c.is_ascii() && c.is_alphanumeric())
    };
    let length: usize = before
        .chars()
        .rev()
        .take_while(|c| is_atom(*c))
        .map(char::len_utf8)
        .sum();
    let atom = &before[before.len() - length..];
    // Punctuation in front of it is not its own.
    let atom = atom.trim_start_matches([
        '\'', '.', '=', '/', '*', '`', '-', '&', '|', '{', '~', '!', '?',
    ]);
    (!atom.is_empty() && atom.len() <= 128).then(|| at - atom.len())
}

fn domain(text: &str) -> &str {
    if text.starts_with('[') {
        let end = text.bytes().take(64).position(|byte| byte == b']');
        return end.map_or("", |end| &text[..=end]);
    }
    let is_part = |c: char| {
        c.is_ascii_alphanumeric() || c == '.' || c == '-' || (!c.is_ascii() && c.is_alphanumeric())
    };
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    text[..end].trim_end_matches(['.', '-'])
}
