//! Mailboxes as people write them into a column (RFC 5322 section 3.4, RFC 6532).
//!
//! A list is separated by `;` (as Database Mail and Outlook have it) or `,`. Comments are
//! dropped. Groups are refused. What is accepted here is what RFC 5321 section 4.1.2 lets us
//! put into `RCPT TO` (with the UTF-8 of RFC 6531 section 3.3), a little more lenient in two
//! places, because relays decide about theirs: dots may stand anywhere in a local part
//! (`a..b@x`), and labels of a domain may hold `_`.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::biztalk::holds_macro;

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
        Self::bare(shown(written))
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
    /// What was written, trimmed, cut to 320 characters, control characters made visible:
    /// it ends up in logs, in the database and in a reply's text.
    pub written: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The entries of a list, in order; an entry that cannot be read does not hide the others.
pub type AddressList = Vec<Result<Mailbox, AddressError>>;

/// Reads a list separated by `;` or `,`. Empty entries are passed over.
pub fn parse_address_list(list: &str) -> AddressList {
    split_entries(list)
        .into_iter()
        .filter(|entry| !entry.trim().is_empty())
        .map(parse_mailbox)
        .collect()
}

/// Reads one mailbox: `a@b`, `Name <a@b>` or `"Last, First" <a@b>`.
///
/// # Errors
/// [`AddressError`] with the one thing that is wrong.
pub fn parse_mailbox(text: &str) -> Result<Mailbox, AddressError> {
    read_mailbox(text).map_err(|problem| AddressError {
        written: shown(text),
        problem,
    })
}

/// Text of somebody else's, fit to be shown: one line, no longer than the column.
fn shown(written: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    written.trim().chars().take(320).map(visible).collect()
}

fn read_mailbox(text: &str) -> Result<Mailbox, &'static str> {
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("it contains a control character");
    }
    let bare = without_comments(text).ok_or("a comment or a quotation mark is not closed")?;
    let bare = bare.trim();
    let (name, address) = match (find_outside_quotes(bare, '<'), bare.strip_suffix('>')) {
        (Some(open), Some(closed)) => (bare[..open].trim(), closed[open + 1..].trim()),
        (None, None) => ("", bare),
        _ => return Err("'<' and '>' do not match"),
    };
    if address.to_ascii_lowercase().starts_with("mailto:") {
        return Err("write the address alone, without 'mailto:'");
    }
    if is_group(bare) {
        return Err("groups are not supported, write the members");
    }
    let address = without_space_at_sign(address);
    check_address(&address)?;
    Ok(Mailbox {
        display_name: Some(unquote(name)).filter(|name| !name.is_empty()),
        address,
    })
}

/// White space and comments may stand around the `@` (CFWS of RFC 5322 section 3.4.1); SMTP
/// knows none.
fn without_space_at_sign(address: &str) -> String {
    match address.rsplit_once('@') {
        Some((local, domain)) => format!("{}@{}", local.trim_end(), domain.trim_start()),
        None => address.to_owned(),
    }
}

/// `Name: members;` (RFC 5322 section 3.4): a colon that no quotation mark, angle bracket
/// or address literal encloses.
fn is_group(bare: &str) -> bool {
    let enclosed = ['<', '[']
        .into_iter()
        .filter_map(|opening| find_outside_quotes(bare, opening))
        .min();
    find_outside_quotes(&bare[..enclosed.unwrap_or(bare.len())], ':').is_some()
}

/// Checks `local-part@domain`. Limits: RFC 5321 section 4.5.3.1.
fn check_address(address: &str) -> Result<(), &'static str> {
    if holds_macro(address) {
        return Err(
            "a macro of BizTalk stands in it that was not replaced; recipients may hold %DestinationParty%, where the send port has biztalk_macros = true and Payload has a member DestinationParty",
        );
    }
    let (local, domain) = address.rsplit_once('@').ok_or("there is no '@'")?;
    if local.is_empty() {
        return Err("there is nothing before the '@'");
    }
    if local.len() > 64 {
        return Err("the part before the '@' is longer than 64 octets");
    }
    if domain.len() > 255 {
        return Err("the domain after the '@' is longer than 255 octets");
    }
    if address.chars().any(is_invisible) {
        return Err("there is an invisible character in it, type it anew");
    }
    check_local_part(local)?;
    check_domain(domain)
}

/// What word processors and chats leave behind when an address is copied out of them: the
/// format characters that draw nothing, line and paragraph separator.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

fn check_local_part(local: &str) -> Result<(), &'static str> {
    let quoted = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    if let Some(inner) = quoted {
        return check_quoted(inner);
    }
    // Dot-atom of RFC 5322 section 3.2.3, dots anywhere; UTF-8 by RFC 6531 section 3.3.
    let is_atext = |c: char| {
        c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~.".contains(c)
            || (!c.is_ascii() && !c.is_whitespace())
    };
    match local.chars().find(|&c| !is_atext(c)) {
        Some('@') => Err("there is more than one '@'"),
        Some(c) if c.is_whitespace() => Err("there is a space in it"),
        Some(_) => Err("the part before the '@' has a character that must be quoted"),
        None => Ok(()),
    }
}

/// `QcontentSMTP` of RFC 5321 section 4.1.2: no control character, not even a tab.
fn check_quoted(inner: &str) -> Result<(), &'static str> {
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        let literal = if c == '\\' { chars.next() } else { Some(c) };
        match literal {
            None => return Err("the quoted local part ends in a backslash"),
            Some(l) if l.is_control() => return Err("there is a tab in the quoted local part"),
            Some('"') if c == '"' => {
                return Err("a quotation mark inside the quoted local part is not escaped");
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    if domain.is_empty() {
        return Err("there is nothing after the '@'");
    }
    if let Some(literal) = domain.strip_prefix('[') {
        return if literal.strip_suffix(']').is_some_and(is_address_literal) {
            Ok(())
        } else {
            Err(
                "the address literal after the '@' is malformed, expected [192.0.2.1] or [IPv6:2001:db8::1]",
            )
        };
    }
    if domain.split('.').all(is_label) {
        Ok(())
    } else if domain.chars().any(char::is_whitespace) {
        Err("there is a space in it")
    } else {
        Err("the domain after the '@' is malformed")
    }
}

/// RFC 5321 section 4.1.3; nobody has registered a general tag yet.
fn is_address_literal(inner: &str) -> bool {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.chars().count() <= 63
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.chars().all(|c| {
            c.is_ascii_alphanumeric()
                || c == '-'
                || c == '_'
                || (!c.is_ascii() && c.is_alphanumeric())
                || is_mark(c)
        })
}

/// Combining marks, as Indic and other scripts need them inside an internationalised label.
/// Not exact: the conversion to A-labels has the last word. What looks like our own
/// separators or dots (CJK and full-width punctuation) is left out.
fn is_mark(c: char) -> bool {
    c > '\u{2ff}'
        && !c.is_whitespace()
        && !c.is_control()
        && !c.is_alphanumeric()
        && !matches!(c, '\u{2000}'..='\u{206f}' | '\u{3000}'..='\u{3003}'
            | '\u{3008}'..='\u{3020}' | '\u{fe10}'..='\u{fe1f}' | '\u{fe30}'..='\u{fe6f}'
            | '\u{ff00}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff5f}'..='\u{ff65}'
            | '\u{fff0}'..='\u{ffff}')
}

/// Splits at `;` and `,` that stand outside quotation marks and comments. An unclosed `<`
/// does not swallow the rest: no address contains a separator outside quotation marks. Nor
/// does a quotation mark or a parenthesis that is never closed: the scan goes back to it and
/// takes it, and what else could only be misread with it, for an ordinary character.
fn split_entries(list: &str) -> Vec<&str> {
    let mut entries = Vec::new();
    let mut scan = Scan::default();
    let (mut start, mut at) = (0, 0);
    loop {
        let Some(c) = list[at..].chars().next() else {
            match scan.opened_at.filter(|_| !scan.is_outside()) {
                Some(opened_at) => {
                    // At most once for each kind, so the whole stays linear.
                    at = opened_at;
                    scan = scan.giving_up();
                    continue;
                }
                None => break,
            }
        };
        if matches!(c, ';' | ',') && scan.is_outside() {
            entries.push(&list[start..at]);
            start = at + 1;
        }
        scan.step(at, c);
        at += c.len_utf8();
    }
    entries.push(&list[start..]);
    entries
}

/// `None` where a comment or a quotation is not closed. A comment leaves a space, so that
/// what stood on its two sides does not grow together.
fn without_comments(text: &str) -> Option<String> {
    let mut scan = Scan::default();
    let mut kept = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let was_comment = scan.comment_depth > 0;
        scan.step(at, c);
        match (was_comment, scan.comment_depth > 0) {
            (false, false) => kept.push(c),
            (true, false) => kept.push(' '),
            (_, true) => {}
        }
    }
    scan.is_outside().then_some(kept)
}

/// The words of a display name without their quotation marks; a tab becomes a space.
fn unquote(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut escaped = false;
    for c in name.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => {}
            c => {
                out.push(if c == '\t' { ' ' } else { c });
                escaped = false;
            }
        }
    }
    out.trim().to_owned()
}

fn find_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut scan = Scan::default();
    text.char_indices().find_map(|(at, c)| {
        let found = c == wanted && scan.is_outside();
        scan.step(at, c);
        found.then_some(at)
    })
}

/// Where in the lexical structure of RFC 5322 section 3.2 a scan stands.
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    comment_depth: u32,
    /// Where the quotation or the outermost comment began.
    opened_at: Option<usize>,
    ignores_quotes: bool,
    ignores_comments: bool,
}

impl Scan {
    fn is_outside(&self) -> bool {
        !self.quoted && self.comment_depth == 0
    }

    /// Starts anew outside, blind for the kind of opening that was never closed.
    fn giving_up(&self) -> Self {
        Self {
            ignores_quotes: self.ignores_quotes || self.quoted,
            ignores_comments: self.ignores_comments || self.comment_depth > 0,
            ..Self::default()
        }
    }

    fn step(&mut self, at: usize, c: char) {
        if self.escaped {
            self.escaped = false;
            return;
        }
        let was_outside = self.is_outside();
        match c {
            '\\' if !was_outside => self.escaped = true,
            '"' if self.comment_depth == 0 && !self.ignores_quotes => self.quoted = !self.quoted,
            '(' if !self.quoted && !self.ignores_comments => self.comment_depth += 1,
            ')' if !self.quoted => self.comment_depth = self.comment_depth.saturating_sub(1),
            _ => {}
        }
        if was_outside && !self.is_outside() {
            self.opened_at = Some(at);
        }
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
