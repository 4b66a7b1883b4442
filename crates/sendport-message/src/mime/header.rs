//! The header section of a message (RFC 5322 section 2.2): folding, and addresses.

use std::fmt::Write;

use sendport_core::domain::{Charset, Mailbox, STAND_IN_ADDRESS};

use super::encoded_word::{ENCODED_LINE, encoded_words};

/// Longest recommended line (RFC 5322 section 2.1.1).
const LINE: usize = 78;
/// Longest permitted line (RFC 5322 section 2.1.1).
const LONGEST_LINE: usize = 998;

/// A longer name leaves no room for an encoded-word on its line.
const LONG_NAME: usize = 40;

/// How a header section writes non-ASCII text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Script {
    /// Charset of encoded-words; UTF-8 where it lacks a character.
    pub(crate) charset: Charset,
    /// Non-ASCII addresses are written as they are (RFC 6532), for relays with SMTPUTF8.
    pub(crate) international: bool,
}

/// Headers in the order of addition. For any input the output is lines of printable ASCII, and of
/// non-ASCII addresses where `script` permits them, that end in CRLF.
#[derive(Debug, Default)]
pub(crate) struct HeaderSection {
    bytes: String,
    script: Script,
}

impl HeaderSection {
    pub(crate) fn new(script: Script) -> Self {
        Self {
            bytes: String::new(),
            script,
        }
    }

    /// A constant value: short printable ASCII.
    pub(crate) fn literal(&mut self, name: &str, value: &str) {
        debug_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)));
        self.push(name, value);
    }

    /// Unstructured text (RFC 5322 section 3.2.5); adds nothing where it is empty.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.unstructured(name, value, LINE - 2);
    }

    /// Unstructured text for programs: a word that fits on a line is not encoded.
    pub(crate) fn machine_text(&mut self, name: &str, value: &str) {
        self.unstructured(name, value, longest_word(name));
    }

    /// A structured value of ASCII words, each of at most [`longest_word`]: folded, never
    /// encoded.
    pub(crate) fn words(&mut self, name: &str, value: &str) {
        self.push(name, &folded(name, value));
    }

    /// A list of mailboxes (RFC 5322 section 3.4); no header where it is empty. An address that
    /// is not allowed in it is replaced by an address that does not exist (RFC 6858 section 2.1), so
    /// that every reader sees the other recipients.
    pub(crate) fn mailboxes<M: std::borrow::Borrow<Mailbox>>(&mut self, name: &str, list: &[M]) {
        let mut value = String::new();
        for (n, mailbox) in list.iter().enumerate() {
            if n > 0 {
                value.push(',');
            }
            let (mailbox, first) = (mailbox.borrow(), n == 0);
            let display_name = mailbox.display_name.as_deref().unwrap_or_default();
            let stand_in = (mailbox.address.is_international() && !self.script.international)
                .then(|| stand_in_name(mailbox));
            let written = match &stand_in {
                None => (display_name, mailbox.address.as_str()),
                Some(name) => (name.as_str(), STAND_IN_ADDRESS),
            };
            append_mailbox(&mut value, name, written, first, self.script.charset);
        }
        if !value.is_empty() {
            self.push(name, &value);
        }
    }

    /// A phrase and an identifier in angle brackets (RFC 2919 section 3).
    pub(crate) fn identifier(&mut self, name: &str, phrase: &str, identifier: &str) {
        let mut value = String::new();
        let written = (phrase, identifier);
        append_mailbox(&mut value, name, written, true, self.script.charset);
        self.push(name, &value);
    }

    /// The octets, without the empty line that ends the section.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_bytes()
    }

    fn unstructured(&mut self, name: &str, value: &str, longest_word: usize) {
        let value = value.trim().replace('\t', " ");
        if value.is_empty() {
            return;
        }
        if is_plain(&value, longest_word) {
            self.push(name, &folded(name, &value));
        } else if name.len() > LONG_NAME {
            let words = encoded_words(&value, 1, self.script.charset);
            self.push(name, &format!("\r\n {}", words.join("\r\n ")));
        } else {
            let words = encoded_words(&value, name.len() + 2, self.script.charset);
            self.push(name, &words.join("\r\n "));
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        self.bytes.push_str(name);
        self.bytes.push(':');
        if !value.is_empty() && !value.starts_with("\r\n") {
            self.bytes.push(' ');
        }
        self.bytes.push_str(value);
        self.bytes.push_str("\r\n");
    }
}

/// Longest word that fits on a line after the name, in octets.
pub(crate) fn longest_word(name: &str) -> usize {
    LONGEST_LINE.saturating_sub(name.len() + 2)
}

/// Words of printable ASCII, separated by single spaces, that do not look like encoded-words.
fn is_plain(value: &str, longest_word: usize) -> bool {
    !value.contains("=?")
        && value.split(' ').all(|word| {
            (1..=longest_word).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic())
        })
}

/// Folds at spaces (RFC 5322 section 2.2.3). Each line contains a word, because some programs take a
/// line of white space for the end of the headers.
fn folded(name: &str, value: &str) -> String {
    let mut out = String::with_capacity(value.len() + value.len() / 32);
    let mut column = name.len() + 2;
    for (n, word) in value.split(' ').enumerate() {
        if n > 0 {
            if column + 1 + word.len() > LINE {
                out.push_str("\r\n");
                column = 0;
            }
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += word.len();
    }
    out
}

/// Length of the header's last line.
fn column(name: &str, value: &str) -> usize {
    match value.rfind('\n') {
        Some(at) => value.len() - at - 1,
        None => name.len() + 2 + value.len(),
    }
}

/// A space before text of this length, on a new line if the current one would become too long. The
/// limit is that of encoded-words, because the line may contain one.
fn space(value: &mut String, name: &str, length: usize) {
    let folds = column(name, value) + 1 + length > ENCODED_LINE;
    value.push_str(if folds { "\r\n " } else { " " });
}

/// Appends one mailbox, its display name and its address, to `value`.
fn append_mailbox(
    value: &mut String,
    name: &str,
    (display_name, address): (&str, &str),
    first: bool,
    charset: Charset,
) {
    let display_name = display_name.trim();
    if display_name.is_empty() {
        if !first {
            space(value, name, address.len() + 1);
        }
        value.push_str(address);
        return;
    }
    if let Some(phrase) = plain_phrase(display_name) {
        if !first {
            space(value, name, phrase.len());
        }
        value.push_str(&phrase);
    } else {
        append_encoded(value, name, display_name, first, charset);
    }
    space(value, name, address.len() + 3);
    // Writing into a String cannot fail.
    let _ = write!(value, "<{address}>");
}

/// The name beside [`STAND_IN_ADDRESS`]: it shows the non-ASCII address. Not all mail programs show a
/// group without members.
fn stand_in_name(mailbox: &Mailbox) -> String {
    let (name, address) = (mailbox.display_name.as_deref(), &mailbox.address);
    match name.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => format!("{name} <{address}>"),
        None => address.to_string(),
    }
}

fn append_encoded(value: &mut String, name: &str, phrase: &str, first: bool, charset: Charset) {
    if !first {
        value.push_str("\r\n ");
    }
    let words = encoded_words(phrase, column(name, value), charset);
    value.push_str(&words.join("\r\n "));
}

/// `phrase` (RFC 5322 section 3.2.5) as atoms or as a quoted-string; `None` where it requires
/// encoded-words.
fn plain_phrase(name: &str) -> Option<String> {
    if name.len() > 60 || name.contains("=?") {
        return None;
    }
    let is_atext = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    if name
        .split(' ')
        .all(|word| !word.is_empty() && word.bytes().all(is_atext))
    {
        return Some(name.to_owned());
    }
    if !name.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return None;
    }
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("\"{escaped}\""))
}
