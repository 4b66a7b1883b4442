//! Mailboxes as people write them into a column (RFC 5322 section 3.4, RFC 6532).
//!
//! A list is separated by `;` (as in Database Mail and Outlook) or `,`. Comments are dropped. Groups are
//! refused. The parser accepts what RFC 5321 section 4.1.2 permits in `RCPT TO` (with the UTF-8 of RFC
//! 6531 section 3.3) and is more lenient in three places, because relays decide about their addresses:
//! a local part may have dots anywhere (`a..b@x`) and more than 64 bytes, and labels of a domain may
//! contain `_`. lettre's `Address` refuses the first two.
//!
//! A parsed address has its domain in ASCII, with A-labels, and its local part in Unicode's form NFC (RFC
//! 6532 section 3.1): two spellings of one mailbox are equal.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use super::biztalk::holds_macro;
use super::domain_name::{domain_to_ascii, is_invisible};
use super::recipient::MOST_RECIPIENTS;

/// Replaces an address that a header section cannot contain; the display name shows that address (RFC
/// 6858 section 2.1). It is reserved (RFC 2606 section 2).
pub const STAND_IN_ADDRESS: &str = "invalid@internationalized-address.invalid";

/// Longest address, in bytes; its columns have as many characters.
const LONGEST: usize = 320;

/// `local-part@domain`: the local part quoted where required, the domain in ASCII. Only the parser makes one,
/// so it has no control character, and an angle bracket or a space only inside quotation marks: it fits into
/// a command and a header.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);

impl Address {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last `@`.
    pub fn domain(&self) -> &str {
        self.halves().1
    }

    /// The part before the last `@`.
    pub fn local_part(&self) -> &str {
        self.halves().0
    }

    fn halves(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }

    /// The local part is not ASCII: the address requires SMTPUTF8 (RFC 6531).
    pub fn is_international(&self) -> bool {
        !self.0.is_ascii()
    }

    /// The address with its domain in lower case: equal for two spellings of one mailbox.
    pub fn comparable(&self) -> String {
        let (local, domain) = self.halves();
        format!("{local}@{}", domain.to_lowercase())
    }

    /// `a***@contoso.com`, for logs.
    pub fn masked(&self) -> String {
        let (local, domain) = self.halves();
        let first: String = local.chars().take(1).collect();
        format!("{first}***@{domain}")
    }
}

impl std::ops::Deref for Address {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.0
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// The address of a mailbox, without its display name.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_mailbox(text).map(|mailbox| mailbox.address)
    }
}

/// An address with its display name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox {
    /// The display name, unquoted, or `None`.
    pub display_name: Option<String>,
    /// Its address.
    pub address: Address,
}

impl From<Address> for Mailbox {
    fn from(address: Address) -> Self {
        Self {
            display_name: None,
            address,
        }
    }
}

impl FromStr for Mailbox {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        parse_mailbox(text)
    }
}

impl TryFrom<String> for Mailbox {
    type Error = AddressError;

    fn try_from(text: String) -> Result<Self, AddressError> {
        parse_mailbox(&text)
    }
}

impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.to_string()
    }
}

/// As it can be parsed again; the name has quotation marks where it needs them.
impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.display_name {
            Some(name) if is_phrase(name) => write!(f, "{name} <{}>", self.address),
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

/// Atoms with spaces between (RFC 5322 section 3.2.5, RFC 6532 section 3.2).
fn is_phrase(name: &str) -> bool {
    let is_atom = |word: &str| !word.is_empty() && word.chars().all(|c| c != '.' && is_atext(c));
    name.split(' ').all(is_atom)
}

/// Why an entry of a list is not a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{written}' is not a mail address: {problem}")]
pub struct AddressError {
    /// The entry, trimmed, cut to 320 characters, control characters made visible, for logs, the database
    /// and the text of a reply.
    pub written: String,
    /// What is wrong.
    pub problem: &'static str,
}

/// The entries of a list, in order; a malformed entry does not affect the others.
pub type AddressList = Vec<Result<Mailbox, AddressError>>;

/// Parses a list separated by `;` or `,`. Ignores empty entries and those after one more than
/// [`MOST_RECIPIENTS`].
pub fn parse_address_list(list: &str) -> AddressList {
    let entries = split_entries(list);
    let mut read: AddressList = entries.iter().copied().map(parse_mailbox).collect();
    let mut before_named = false;
    for (entry, written) in read.iter_mut().zip(entries).rev() {
        match entry {
            Err(error) if before_named && error.problem == NO_AT => error.problem = PART_OF_A_NAME,
            _ => before_named = written.contains('<'),
        }
    }
    read
}

const NO_AT: &str = "there is no '@'";

/// `Last, First <a@b>` is two entries.
const PART_OF_A_NAME: &str =
    "there is no '@'; a name that holds ',' or ';' needs quotation marks: \"Last, First\" <a@b>";

/// Parses one mailbox: `a@b`, `Name <a@b>` or `"Last, First" <a@b>`.
///
/// # Errors
/// [`AddressError`] with the first problem.
pub fn parse_mailbox(text: &str) -> Result<Mailbox, AddressError> {
    read_mailbox(text).map_err(|problem| AddressError {
        written: shown(text),
        problem,
    })
}

/// Foreign text for display: one line, no longer than the column.
fn shown(written: &str) -> String {
    let visible = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    written.trim().chars().take(320).map(visible).collect()
}

fn read_mailbox(text: &str) -> Result<Mailbox, &'static str> {
    let text = text.trim();
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err("it contains a control character");
    }
    let bare = without_comments(text).ok_or("a comment or a quotation mark is not closed")?;
    let bare = bare.trim();
    if is_route(bare) {
        return Err(ROUTE);
    }
    let (name, address) = match (find_outside_quotes(bare, '<'), bare.strip_suffix('>')) {
        (Some(open), Some(closed)) => (bare[..open].trim(), closed[open + 1..].trim()),
        (None, None) => ("", bare),
        _ => return Err("'<' and '>' do not match"),
    };
    refuse_scheme(address)?;
    if is_group(bare) {
        return Err("groups are not supported, write the members");
    }
    if is_route(address) {
        return Err(ROUTE);
    }
    Ok(Mailbox {
        address: checked_address(address)
            .map(Address)
            .map_err(|problem| guessed(address, problem))?,
        display_name: Some(unquote(name)).filter(|name| !name.is_empty()),
    })
}

/// `mailto:` as in links, `SMTP:` as in `proxyAddresses` of Active Directory.
fn refuse_scheme(address: &str) -> Result<(), &'static str> {
    let starts_with = |scheme: &str| {
        let start = address.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    match () {
        () if starts_with("mailto:") => Err("write the address alone, without 'mailto:'"),
        () if starts_with("smtp:") => Err("write the address alone, without 'SMTP:'"),
        () => Ok(()),
    }
}

const ROUTE: &str = "source routes are not supported, write the last address alone";

/// `<@one.example,@two.example:user@three.example>` (RFC 5321 appendix C), or a part of it after the
/// split.
fn is_route(text: &str) -> bool {
    let inner = text.strip_prefix('<');
    inner.unwrap_or(text).starts_with('@')
        && (text.contains(':') || (inner.is_some() && !text.ends_with('>')))
}

/// The most likely problem, where it differs from the first one.
fn guessed(address: &str, problem: &'static str) -> &'static str {
    if address.contains(['；', '，', '、', '،', '؛']) {
        return "separate addresses by an ASCII ';' or ','";
    }
    problem
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

/// `local-part@domain` in SMTP's form. Removes white space and comments around the `@` (CFWS of RFC 5322
/// section 3.4.1). Relays decide how long a local part may be (RFC 5321 section 4.5.3.1).
fn checked_address(address: &str) -> Result<String, &'static str> {
    if holds_macro(address) {
        return Err(
            "it contains a macro of BizTalk that was not replaced; recipients may hold %DestinationParty%, where the send port has biztalk_macros = true and Payload has a member DestinationParty",
        );
    }
    let (local, domain) = address.rsplit_once('@').ok_or(NO_AT)?;
    let (local, domain) = (local.trim_end(), domain.trim_start());
    if local.is_empty() {
        return Err("there is nothing before the '@'");
    }
    if local.chars().any(is_invisible) {
        return Err("it contains an invisible character; type it again");
    }
    let local = match local.is_ascii() {
        true => Cow::Borrowed(local),
        false => Cow::Owned(local.nfc().collect()),
    };
    check_local_part(&local)?;
    let domain = domain_to_ascii(domain)?;
    if local.len() + 1 + domain.len() > LONGEST {
        return Err("it is longer than 320 octets");
    }
    Ok(format!("{local}@{domain}"))
}

fn check_local_part(local: &str) -> Result<(), &'static str> {
    let quoted = local
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    if let Some(inner) = quoted {
        return check_quoted(inner);
    }
    match local.chars().find(|&c| !is_atext(c)) {
        Some('@') => Err("there is more than one '@'"),
        Some(c) if c.is_whitespace() => Err("there is a space in it"),
        Some(_) => Err("the part before the '@' has a character that must be quoted"),
        None => Ok(()),
    }
}

/// `atext` of RFC 5322 section 3.2.3, dots anywhere; UTF-8 by RFC 6531 section 3.3.
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~.".contains(c)
        || (!c.is_ascii() && !c.is_whitespace())
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

/// Splits at `;` and `,` outside quotation marks and comments. An unclosed `<` does not hide the rest,
/// because no address contains a separator outside quotation marks. At an unclosed quotation mark or
/// parenthesis the scan goes back and takes it for an ordinary character. Drops blank entries, and those
/// after one more than [`MOST_RECIPIENTS`].
pub(super) fn split_entries(list: &str) -> Vec<&str> {
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
            entries.extend(not_blank(&list[start..at]));
            if entries.len() > MOST_RECIPIENTS {
                return entries;
            }
            start = at + 1;
        }
        scan.step(at, c);
        at += c.len_utf8();
    }
    entries.extend(not_blank(&list[start..]));
    entries
}

fn not_blank(entry: &str) -> Option<&str> {
    (!entry.trim().is_empty()).then_some(entry)
}

/// `None` where a comment or a quotation is not closed. A comment leaves a space, so that the text on
/// both sides stays separate.
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

/// The lexical state of a scan (RFC 5322 section 3.2).
#[derive(Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
    comment_depth: u32,
    /// Start of the quotation or the outermost comment.
    opened_at: Option<usize>,
    ignores_quotes: bool,
    ignores_comments: bool,
}

impl Scan {
    fn is_outside(&self) -> bool {
        !self.quoted && self.comment_depth == 0
    }

    /// Starts again outside, ignoring the kind of opening that was never closed.
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
