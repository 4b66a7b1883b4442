//! Mailboxes as people write them into a column (RFC 5322 section 3.4, RFC 6532).
//!
//! A list is separated by `;` (as Database Mail and Outlook have it) or `,`. Comments are
//! dropped. Groups are refused. What is accepted here is what RFC 5321 lets us put into
//! `RCPT TO`, a little more lenient in the local part, because relays decide about theirs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An address with the name that stands before it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mailbox {
    /// The display name, unquoted, or `None`.
    pub display_name: Option<String>,
    /// `local-part@domain`, local part quoted where it has to be.
    pub address: String,
}

impl Mailbox {
    /// A mailbox without a display name. The address is taken as it is.
    pub fn bare(address: impl Into<String>) -> Self {
        Self {
            display_name: None,
            address: address.into(),
        }
    }

    /// What stands in the recipient's row for text that is no address: the text itself, cut
    /// to the column's 320 characters, control characters made visible.
    pub(crate) fn unreadable(written: &str) -> Self {
        let shown = written.trim().chars().take(320);
        Self::bare(
            shown
                .map(|c| if c.is_control() { '\u{fffd}' } else { c })
                .collect::<String>(),
        )
    }

    /// The part after the last `@`.
    pub fn domain(&self) -> &str {
        self.address
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain)
    }

    /// The part before the last `@`.
    pub fn local_part(&self) -> &str {
        self.address
            .rsplit_once('@')
            .map_or(&*self.address, |(local, _)| local)
    }

    /// The address with its domain in lower case: equal for two spellings of one mailbox.
    pub fn comparable(&self) -> String {
        match self.address.rsplit_once('@') {
            Some((local, domain)) => format!("{local}@{}", domain.to_lowercase()),
            None => self.address.clone(),
        }
    }

    /// `a***@contoso.com`, for logs: enough to recognise, not enough to harvest.
    pub fn masked(&self) -> String {
        let first: String = self.local_part().chars().take(1).collect();
        format!("{first}***@{}", self.domain())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.display_name {
            Some(name) => write!(
                f,
                "\"{}\" <{}>",
                name.replace('\\', "\\\\").replace('"', "\\\""),
                self.address
            ),
            None => f.write_str(&self.address),
        }
    }
}

/// Why a piece of a list is no mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{written}' is not a mail address: {problem}")]
pub struct AddressError {
    /// What was written, trimmed and cut to 320 characters.
    pub written: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The entries of a list, in order; an entry that cannot be read does not hide the others.
pub type AddressList = Vec<Result<Mailbox, AddressError>>;

/// Reads a list separated by `;` or `,`. Empty entries are passed over.
pub fn parse_address_list(list: &str) -> AddressList {
    split_outside_quotes(list)
        .into_iter()
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| parse_mailbox(&entry))
        .collect()
}

/// Reads one mailbox: `a@b`, `Name <a@b>` or `"Last, First" <a@b>`.
///
/// # Errors
/// [`AddressError`] with the one thing that is wrong.
pub fn parse_mailbox(text: &str) -> Result<Mailbox, AddressError> {
    let fail = |problem| {
        Err(AddressError {
            written: text.trim().chars().take(320).collect(),
            problem,
        })
    };
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return fail("it contains a control character");
    }
    let Some(bare) = without_comments(text) else {
        return fail("a comment or a quotation mark is not closed");
    };
    let bare = bare.trim();
    let (name, address) = match (bare.find_outside_quotes('<'), bare.ends_with('>')) {
        (Some(open), true) => (bare[..open].trim(), bare[open + 1..bare.len() - 1].trim()),
        (None, false) => ("", bare),
        _ => return fail("'<' and '>' do not match"),
    };
    if name.is_empty()
        && address.contains(':')
        && !address.contains(":]")
        && !address.contains('[')
        && !address.starts_with('"')
    {
        return fail("groups are not supported, write the members");
    }
    match check_address(address) {
        Some(problem) => fail(problem),
        None => Ok(Mailbox {
            display_name: Some(unquote(name)).filter(|name| !name.is_empty()),
            address: address.to_owned(),
        }),
    }
}

/// What is wrong with `local-part@domain`, or `None`. Limits: RFC 5321 section 4.5.3.1.
fn check_address(address: &str) -> Option<&'static str> {
    let Some((local, domain)) = address.rsplit_once('@') else {
        return Some("there is no '@'");
    };
    if local.is_empty() {
        return Some("there is nothing before the '@'");
    }
    if local.len() > 64 {
        return Some("the part before the '@' is longer than 64 octets");
    }
    if domain.len() > 255 || address.len() > 320 {
        return Some("it is longer than 320 octets");
    }
    check_local_part(local).or_else(|| check_domain(domain))
}

fn check_local_part(local: &str) -> Option<&'static str> {
    if local.len() >= 2 && local.starts_with('"') && local.ends_with('"') {
        let mut inner = local[1..local.len() - 1].chars();
        while let Some(c) = inner.next() {
            match c {
                '"' => return Some("a quotation mark inside the quoted local part is not escaped"),
                '\\' if inner.next().is_none() => {
                    return Some("the quoted local part ends in a backslash");
                }
                _ => {}
            }
        }
        return None;
    }
    let is_atext = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~.".contains(c)
            || (!c.is_ascii() && !c.is_whitespace())
    };
    match local.chars().find(|&c| !is_atext(c)) {
        Some(' ' | '\t') => Some("there is a space in it"),
        Some('@') => Some("there is more than one '@'"),
        Some(_) => Some("the part before the '@' has a character that must be quoted"),
        None => None,
    }
}

fn check_domain(domain: &str) -> Option<&'static str> {
    if domain.is_empty() {
        return Some("there is nothing after the '@'");
    }
    if let Some(literal) = domain.strip_prefix('[') {
        let inner = literal.strip_suffix(']').unwrap_or("");
        let plain = !inner.is_empty()
            && inner
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".:-".contains(&b));
        return if plain {
            None
        } else {
            Some("the address literal after the '@' is malformed")
        };
    }
    let good_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| {
                c.is_ascii_alphanumeric()
                    || c == '-'
                    || c == '_'
                    || (!c.is_ascii() && c.is_alphanumeric())
                    || is_mark(c)
            })
    };
    if domain.split('.').all(good_label) {
        None
    } else {
        Some("the domain after the '@' is malformed")
    }
}

/// Combining marks, as Indic and other scripts need them inside an internationalised label.
fn is_mark(c: char) -> bool {
    !c.is_ascii()
        && !c.is_whitespace()
        && !c.is_control()
        && !c.is_alphanumeric()
        && c > '\u{2ff}'
        && !('\u{2000}'..='\u{206f}').contains(&c)
}

/// Splits at `;` and `,` that stand outside quotation marks and comments. An unclosed `<`
/// does not swallow the rest: no address contains a separator outside quotation marks.
fn split_outside_quotes(list: &str) -> Vec<String> {
    let mut entries = vec![String::new()];
    let mut scan = Scan::default();
    for c in list.chars() {
        let separates = matches!(c, ';' | ',') && scan.is_outside();
        scan.step(c);
        if separates {
            entries.push(String::new());
        } else if let Some(last) = entries.last_mut() {
            last.push(c);
        }
    }
    entries
}

/// `None` where a comment or a quotation is not closed.
fn without_comments(text: &str) -> Option<String> {
    let mut scan = Scan::default();
    let mut kept = String::with_capacity(text.len());
    for c in text.chars() {
        let was_comment = scan.comment_depth > 0;
        scan.step(c);
        if !was_comment && scan.comment_depth == 0 {
            kept.push(c);
        }
    }
    (scan.comment_depth == 0 && !scan.quoted).then_some(kept)
}

fn unquote(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut escaped = false;
    for c in name.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {}
            c => {
                out.push(c);
                escaped = false;
            }
        }
    }
    out.trim().to_owned()
}

trait FindOutsideQuotes {
    fn find_outside_quotes(&self, wanted: char) -> Option<usize>;
}

impl FindOutsideQuotes for str {
    fn find_outside_quotes(&self, wanted: char) -> Option<usize> {
        let mut scan = Scan::default();
        for (at, c) in self.char_indices() {
            if c == wanted && !scan.quoted && !scan.escaped {
                return Some(at);
            }
            scan.step(c);
        }
        None
    }
}

/// Where in the lexical structure of RFC 5322 section 3.2 a scan stands.
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    comment_depth: u32,
}

impl Scan {
    fn is_outside(&self) -> bool {
        !self.quoted && self.comment_depth == 0
    }

    fn step(&mut self, c: char) {
        if self.escaped {
            self.escaped = false;
            return;
        }
        match c {
            '\\' if self.quoted || self.comment_depth > 0 => self.escaped = true,
            '"' if self.comment_depth == 0 => self.quoted = !self.quoted,
            '(' if !self.quoted => self.comment_depth += 1,
            ')' if !self.quoted => self.comment_depth = self.comment_depth.saturating_sub(1),
            _ => {}
        }
    }
}
