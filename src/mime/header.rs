//! The header section of a message (RFC 5322 section 2.2): folding and encoded-words.

use std::fmt::Write;

use crate::domain::Mailbox;

/// RFC 5322 section 2.1.1: lines should not be longer.
const LINE: usize = 78;
/// RFC 2047 section 2: a line with an encoded-word must not be longer.
const ENCODED_LINE: usize = 76;
/// Longest word that is folded around rather than encoded: with its name it stays below 998.
pub(super) const LONGEST_WORD: usize = 800;

/// After a longer name there is no room for an encoded-word on the same line.
const LONG_NAME: usize = 40;

/// Headers in the order in which they were added. Everything that comes out is printable
/// ASCII in lines that end in CRLF, whatever goes in.
#[derive(Debug, Default)]
pub(super) struct HeaderSection {
    octets: String,
}

impl HeaderSection {
    /// A value of ours: short printable ASCII.
    pub(super) fn literal(&mut self, name: &str, value: &str) {
        debug_assert!(value.bytes().all(|b| (0x20..0x7f).contains(&b)));
        self.push(name, value);
    }

    /// Unstructured text (RFC 5322 section 3.2.5); no header where it is empty.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.unstructured(name, value, LINE - 2);
    }

    /// Unstructured text that programs read: a long word stays one, so that it needs no
    /// decoding.
    pub(super) fn machine_text(&mut self, name: &str, value: &str) {
        self.unstructured(name, value, LONGEST_WORD);
    }

    /// A structured value of ASCII words, each of at most [`LONGEST_WORD`]: folded, never
    /// encoded.
    pub(super) fn words(&mut self, name: &str, value: &str) {
        self.push(name, &folded(name, value));
    }

    /// A list of mailboxes (RFC 5322 section 3.4); no header where it is empty. The addresses
    /// are ASCII, display names anything.
    pub(super) fn mailboxes<M: std::borrow::Borrow<Mailbox>>(&mut self, name: &str, list: &[M]) {
        let mut value = String::new();
        for (n, mailbox) in list.iter().enumerate() {
            if n > 0 {
                value.push(',');
            }
            append_mailbox(&mut value, name, mailbox.borrow(), n == 0);
        }
        if !value.is_empty() {
            self.push(name, &value);
        }
    }

    /// The octets without the empty line that ends the section.
    pub(super) fn into_octets(self) -> Vec<u8> {
        self.octets.into_bytes()
    }

    fn unstructured(&mut self, name: &str, value: &str, longest_word: usize) {
        let value = value.trim().replace('\t', " ");
        if value.is_empty() {
            return;
        }
        if is_plain(&value, longest_word) {
            self.push(name, &folded(name, &value));
        } else if name.len() > LONG_NAME {
            let words = encoded_words(&value, 1);
            self.push(name, &format!("\r\n {}", words.join("\r\n ")));
        } else {
            let words = encoded_words(&value, name.len() + 2);
            self.push(name, &words.join("\r\n "));
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        self.octets.push_str(name);
        self.octets.push(':');
        if !value.starts_with("\r\n") {
            self.octets.push(' ');
        }
        self.octets.push_str(value);
        self.octets.push_str("\r\n");
    }
}

/// Words of printable ASCII with single spaces between them, which no reader can take for
/// encoded-words.
fn is_plain(value: &str, longest_word: usize) -> bool {
    !value.contains("=?")
        && value.split(' ').all(|word| {
            (1..=longest_word).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_graphic())
        })
}

/// Folds at spaces (RFC 5322 section 2.2.3). Each line holds a word: a line of white space
/// alone would be taken for the end of the headers by some.
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

/// Writes one mailbox where `value` ends, on a new line if this one would become too long.
fn append_mailbox(value: &mut String, name: &str, mailbox: &Mailbox, is_first: bool) {
    let column = |value: &str| match value.rfind('\n') {
        Some(at) => value.len() - at - 1,
        None => name.len() + 2 + value.len(),
    };
    // The shorter limit for all, because a neighbour may be an encoded-word.
    let space = |value: &mut String, length: usize| {
        let folds = column(value) + 1 + length > ENCODED_LINE;
        value.push_str(if folds { "\r\n " } else { " " });
    };
    let display_name = mailbox.display_name.as_deref().unwrap_or_default().trim();
    let address = &mailbox.address;
    if display_name.is_empty() {
        if !is_first {
            space(value, address.len() + 1);
        }
        value.push_str(address);
        return;
    }
    if let Some(phrase) = plain_phrase(display_name) {
        if !is_first {
            space(value, phrase.len());
        }
        value.push_str(&phrase);
    } else {
        if !is_first {
            value.push_str("\r\n ");
        }
        let words = encoded_words(display_name, column(value));
        value.push_str(&words.join("\r\n "));
    }
    space(value, address.len() + 3);
    // Writing into a String cannot fail.
    let _ = write!(value, "<{address}>");
}

/// `phrase` (RFC 5322 section 3.2.5) as atoms or as a quoted-string; `None` where only
/// encoded-words can say it on one line.
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

/// Encoded-words (RFC 2047) that give `text` when they are decoded and joined; the first one
/// begins at `column`. Whole characters in each; quoted where most of it stays legible, else base64.
fn encoded_words(text: &str, column: usize) -> Vec<String> {
    let quoted = text.bytes().map(q_length).sum::<usize>() <= text.len() * 2;
    let overhead = "=?utf-8?q??=".len();
    // A continuation line begins with a space.
    let mut room = ENCODED_LINE
        .saturating_sub(column.max(1) + overhead)
        .max(16);
    let mut words = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, c) in text.char_indices() {
        let mut buffer = [0; 4];
        let octets = c.encode_utf8(&mut buffer).bytes();
        let needs: usize = if quoted {
            octets.map(q_length).sum()
        } else {
            octets.len()
        };
        let fits = if quoted { room } else { room / 4 * 3 };
        if length + needs > fits {
            words.push(encoded_word(&text[start..at], quoted));
            (start, length) = (at, 0);
            room = ENCODED_LINE - 1 - overhead;
        }
        length += needs;
    }
    words.push(encoded_word(&text[start..], quoted));
    words
}

/// What a display name may hold unencoded (RFC 2047 section 5, rule 3).
fn is_q_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!*+-/".contains(&b)
}

fn q_length(b: u8) -> usize {
    if b == b' ' || is_q_safe(b) { 1 } else { 3 }
}

fn encoded_word(text: &str, quoted: bool) -> String {
    if !quoted {
        let base64 = openssl::base64::encode_block(text.as_bytes());
        return format!("=?utf-8?b?{base64}?=");
    }
    let mut word = String::from("=?utf-8?q?");
    for b in text.bytes() {
        match b {
            b' ' => word.push('_'),
            b if is_q_safe(b) => word.push(char::from(b)),
            b => {
                // Writing into a String cannot fail.
                let _ = write!(word, "={b:02X}");
            }
        }
    }
    word + "?="
}
