//! File names of attachments.

/// Replaces an empty name.
const NAMELESS: &str = "attachment";

/// The last component of a path, so that it stays in the reader's folder. Replaces characters that
/// change the direction of writing, which can disguise `exe`.
pub fn safe_file_name(written: &str) -> String {
    let last = written.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.trim().chars().map(without_direction).collect();
    match name.as_str() {
        "" | "." | ".." => NAMELESS.to_owned(),
        _ => name,
    }
}

/// The extension as Windows determines it: in lower case, without trailing dots and spaces, and
/// without the name of a stream.
pub fn extension(file_name: &str) -> Option<String> {
    let file = file_name.split(':').next().unwrap_or_default();
    let (stem, extension) = file.trim_end_matches(['.', ' ']).rsplit_once('.')?;
    (!stem.is_empty() || !extension.is_empty()).then(|| extension.trim().to_lowercase())
}

/// The name for mail programs without RFC 2231: `_` for each non-ASCII character.
pub(super) fn ascii_fallback(file_name: &str) -> String {
    let ascii: String = file_name
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .collect();
    let stem = ascii.rsplit_once('.').map_or(&*ascii, |(stem, _)| stem);
    if stem.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return ascii;
    }
    match extension(&ascii).filter(|e| e.bytes().all(|b| b.is_ascii_alphanumeric())) {
        Some(extension) => format!("{NAMELESS}.{extension}"),
        None => NAMELESS.to_owned(),
    }
}

/// Unicode's explicit directional embeddings, overrides and isolates.
fn without_direction(c: char) -> char {
    match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_the_path() {
        for (written, name) in [
            ("report.pdf", "report.pdf"),
            ("C:\\temp\\Übersicht Mai.pdf", "Übersicht Mai.pdf"),
            ("../../etc/passwd", "passwd"),
            ("..", "attachment"),
            ("/", "attachment"),
            (" ", "attachment"),
            ("invoice\u{202e}fdp.exe", "invoice_fdp.exe"),
            ("דוח.pdf", "דוח.pdf"),
        ] {
            assert_eq!(safe_file_name(written), name, "{written}");
        }
    }

    #[test]
    fn finds_the_extension_that_windows_uses() {
        for name in [
            "a.exe",
            "a.EXE",
            "a.exe. .",
            "a.pdf.exe",
            "a.exe:x.txt",
            ".exe",
        ] {
            assert_eq!(extension(name).as_deref(), Some("exe"), "{name}");
        }
        assert_eq!(extension("exe"), None);
        assert_eq!(extension("a.exe.txt").as_deref(), Some("txt"));
    }

    #[test]
    fn keeps_the_extension_in_the_fallback() {
        assert_eq!(ascii_fallback("Größe 1.csv"), "Gr__e 1.csv");
        assert_eq!(ascii_fallback("報告.xlsx"), "attachment.xlsx");
        assert_eq!(ascii_fallback("報告"), "attachment");
    }
}
