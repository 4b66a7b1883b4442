//! Encoded-words (RFC 2047): non-ASCII text in the header section.
//!
//! Why not lettre 0.11: it writes UTF-8 in base64 only, so `Größe` is not legible and legacy charsets are
//! missing; it splits emoji sequences between words; it writes a text like `=?utf-8?q?x?=` as it is, so
//! mail programs decode it; and a line with an address after an encoded-word exceeds 76 characters.

use std::borrow::Cow;
use std::fmt::Write;

use sendport_core::domain::Charset;
use unicode_normalization::char::is_combining_mark;

/// Longest line with an encoded-word (RFC 2047 section 2).
pub(super) const ENCODED_LINE: usize = 76;

/// Encodes `text`; the first encoded-word begins at `column`. Uses `charset` where that has all
/// characters, else UTF-8; the encoding `q` where most of the text stays legible, else `b`. Words are
/// split between characters, and between a character and its combining marks only where they do not
/// fit on a line.
pub(super) fn encoded_words(text: &str, column: usize, charset: Charset) -> Vec<String> {
    let (charset, bytes) = written(text, charset);
    let quoted = bytes.iter().map(|&b| q_length(b)).sum::<usize>() <= bytes.len() * 2;
    let overhead = "=??q??=".len() + charset.name().len();
    // A continuation line starts with a space.
    let mut room = ENCODED_LINE
        .saturating_sub(column.max(1) + overhead)
        .max(16);
    let length = |piece: &str| {
        let (_, bytes) = written(piece, charset);
        match quoted {
            true => bytes.iter().map(|&b| q_length(b)).sum(),
            false => bytes.len().div_ceil(3) * 4,
        }
    };
    let mut words = Vec::new();
    let (mut start, mut end) = (0, 0);
    for unit in units(text, room, length) {
        if end > start && length(&text[start..end + unit.len()]) > room {
            words.push(encoded_word(&text[start..end], quoted, charset));
            start = end;
            room = ENCODED_LINE - 1 - overhead;
        }
        end += unit.len();
    }
    words.push(encoded_word(&text[start..], quoted, charset));
    words
}

/// The octets of `text`, and their charset.
fn written(text: &str, charset: Charset) -> (Charset, Cow<'_, [u8]>) {
    match charset.encode(text) {
        Some(bytes) => (charset, bytes),
        None => (Charset::UTF_8, Cow::Borrowed(text.as_bytes())),
    }
}

/// Units that are not split: clusters of characters, or single characters where a cluster is longer
/// than `room`.
fn units(text: &str, room: usize, length: impl Fn(&str) -> usize) -> Vec<&str> {
    let mut units = Vec::new();
    for cluster in clusters(text) {
        if length(cluster) <= room {
            units.push(cluster);
        } else {
            units.extend(cluster.split_inclusive(|_| true));
        }
    }
    units
}

/// Roughly the extended grapheme clusters of Unicode (UAX 29).
fn clusters(text: &str) -> Vec<&str> {
    let mut clusters = Vec::new();
    let (mut start, mut previous, mut flags) = (0, None, 0);
    for (at, c) in text.char_indices() {
        let in_pair = is_flag(c) && flags % 2 == 1;
        if previous.is_some_and(|previous| !in_pair && !continues(previous, c)) {
            clusters.push(&text[start..at]);
            start = at;
        }
        flags = if is_flag(c) { flags + 1 } else { 0 };
        previous = Some(c);
    }
    clusters.push(&text[start..]);
    clusters
}

/// `c` continues a cluster: marks, joiners and joined characters, skin tones, tags, vowels and finals
/// of Hangul.
fn continues(previous: char, c: char) -> bool {
    previous == '\u{200d}'
        || is_combining_mark(c)
        || matches!(c, '\u{200c}' | '\u{200d}' | '\u{1f3fb}'..='\u{1f3ff}'
            | '\u{e0020}'..='\u{e007f}' | '\u{1160}'..='\u{11ff}')
}

/// A regional indicator; two of them are one flag.
fn is_flag(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}')
}

/// Octets that a display name may contain unencoded (RFC 2047 section 5, rule 3).
fn is_q_safe(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!*+-/".contains(&b)
}

fn q_length(b: u8) -> usize {
    if b == b' ' || is_q_safe(b) { 1 } else { 3 }
}

fn encoded_word(text: &str, quoted: bool, charset: Charset) -> String {
    let (charset, bytes) = written(text, charset);
    let name = charset.name();
    if !quoted {
        let base64 = openssl::base64::encode_block(&bytes);
        return format!("=?{name}?b?{base64}?=");
    }
    let mut word = format!("=?{name}?q?");
    for &b in &*bytes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_a_cluster_in_one_unit() {
        for cluster in [
            "e\u{301}\u{323}",
            "क्षि",
            "👩\u{200d}👩\u{200d}👧",
            "👍🏽",
            "🇦🇹",
            "한",
            "\u{1112}\u{1161}\u{11ab}",
            "❤\u{fe0f}",
        ] {
            let found = clusters(cluster);
            let expected = if cluster == "क्षि" { 2 } else { 1 };
            assert_eq!(found.len(), expected, "{cluster} {found:?}");
            let text = cluster.repeat(3);
            assert_eq!(clusters(&text).len(), 3 * expected, "{text}");
        }
    }

    #[test]
    fn splits_words_between_clusters() {
        let family = "👩\u{200d}👩\u{200d}👧";
        for (text, unit) in [
            ("e\u{301}".repeat(60), "e\u{301}"),
            (family.repeat(12), family),
        ] {
            let words = encoded_words(&text, 9, Charset::UTF_8);
            assert!(words.len() > 1);
            for word in words {
                let base64 = word.strip_prefix("=?utf-8?b?").expect("base64");
                let bytes = openssl::base64::decode_block(base64.trim_end_matches("?="));
                let piece = String::from_utf8(bytes.expect("base64")).expect("whole characters");
                assert_eq!(piece.replace(unit, ""), "", "{piece}");
            }
        }
    }

    #[test]
    fn splits_a_cluster_that_fits_on_no_line() {
        let zalgo = "e".to_owned() + &"\u{301}".repeat(500);
        let words = encoded_words(&zalgo, 9, Charset::UTF_8);
        assert!(
            words
                .iter()
                .all(|word| word.len() < ENCODED_LINE && word.len() > 14)
        );
    }

    #[test]
    fn uses_a_legacy_charset_that_has_every_character() {
        let latin = Charset::try_from("iso-8859-1".to_owned()).expect("is one");
        assert_eq!(
            encoded_words("Größe", 9, latin),
            ["=?iso-8859-1?q?Gr=F6=DFe?="]
        );
        assert_eq!(encoded_words("5 €", 9, latin), ["=?utf-8?b?NSDigqw=?="]);
        let japanese = Charset::try_from("iso-2022-jp".to_owned()).expect("is one");
        for word in encoded_words(&"注文が遅れています".repeat(8), 9, japanese) {
            assert!(
                word.starts_with("=?ISO-2022-JP?b?G") && word.len() < ENCODED_LINE,
                "{word}"
            );
        }
    }
}
