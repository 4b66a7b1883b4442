//! Parameters of `Content-Type` and `Content-Disposition` (RFC 2045 section 5.1, RFC 2231).
//!
//! Why not lettre 0.11: its `ContentDisposition` writes a continuation, `filename*0*=`, even for a short
//! name, and `filename*0=` for long ASCII names; more mail programs understand the simple forms.

use std::fmt::Write as _;

/// Longest line with a parameter.
const LINE: usize = 76;

/// Appends `; name=value` on a new line, quoted where required. The value is printable ASCII.
pub(super) fn ascii(out: &mut String, name: &str, value: &str) {
    let is_token = !value.is_empty() && value.bytes().all(is_token);
    let value = if is_token {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
    // Writing into a String cannot fail.
    let _ = write!(out, ";\r\n {name}={value}");
}

/// The same for any text (RFC 2231 section 4), continued where it is long (section 3).
pub(super) fn extended(out: &mut String, name: &str, value: &str) {
    let encoded: Vec<String> = value.chars().map(percent_encoded).collect();
    let length: usize = encoded.iter().map(String::len).sum();
    if name.len() + "*=utf-8''; ".len() + length <= LINE {
        let _ = write!(out, ";\r\n {name}*=utf-8''{}", encoded.concat());
        return;
    }
    let mut section = 0;
    let mut room = 0;
    for character in encoded {
        if character.len() > room {
            let start = format!("{name}*{section}*=");
            let charset = if section == 0 { "utf-8''" } else { "" };
            let _ = write!(out, ";\r\n {start}{charset}");
            room = LINE - start.len() - charset.len() - 2;
            section += 1;
        }
        room -= character.len();
        out.push_str(&character);
    }
}

/// `token` (RFC 2045 section 5.1).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}

/// `attribute-char` (RFC 2231 section 7) unchanged, any other octet in hexadecimal.
fn percent_encoded(character: char) -> String {
    let mut out = String::new();
    let mut bytes = [0; 4];
    for byte in character.encode_utf8(&mut bytes).bytes() {
        if is_token(byte) && !b"*'%".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_is_not_a_token() {
        let mut out = String::new();
        ascii(&mut out, "charset", "utf-8");
        ascii(&mut out, "name", "a \"b\".txt");
        assert_eq!(out, ";\r\n charset=utf-8;\r\n name=\"a \\\"b\\\".txt\"");
    }

    #[test]
    fn splits_a_long_name_between_characters() {
        let (mut short, mut long) = (String::new(), String::new());
        extended(&mut short, "filename", "ü.txt");
        assert_eq!(short, ";\r\n filename*=utf-8''%C3%BC.txt");
        extended(&mut long, "filename", &"漢".repeat(100));
        assert!(long.contains(";\r\n filename*0*=utf-8''%E6%BC%A2"));
        assert!(long.contains(";\r\n filename*1*=%E6%BC%A2"));
        for line in long.split("\r\n") {
            assert!(line.len() <= LINE && !line.ends_with("%E6;"), "{line}");
        }
    }
}
