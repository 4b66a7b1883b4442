//! What a reader may save a file as.

/// Stands where nothing of a name is left.
const NAMELESS: &str = "attachment";

/// The last component of what was written, so that it cannot leave a reader's folder; marks that
/// turn the direction of writing, which make `exe` look like something else, are replaced.
pub fn safe_file_name(written: &str) -> String {
    let last = written.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = last.trim().chars().map(without_turn).collect();
    match name.as_str() {
        "" | "." | ".." => NAMELESS.to_owned(),
        _ => name,
    }
}

/// What Windows goes by: in lower case, without dots and spaces at the end, which it drops, and
/// without the name of a stream.
pub fn extension(file_name: &str) -> Option<String> {
    let file = file_name.split(':').next().unwrap_or_default();
    let (stem, extension) = file.trim_end_matches(['.', ' ']).rsplit_once('.')?;
    (!stem.is_empty() || !extension.is_empty()).then(|| extension.trim().to_lowercase())
}

/// For readers that do not know RFC 2231: `_` for what is not ASCII.
pub(super) fn ascii_fall_back(file_name: &str) -> String {
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
fn without_turn(c: char) -> char {
    match c {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '_',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_left_out() {
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
    fn the_extension_is_the_one_that_windows_sees() {
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
    fn the_fall_back_keeps_the_extension() {
        assert_eq!(ascii_fall_back("Größe 1.csv"), "Gr__e 1.csv");
        assert_eq!(ascii_fall_back("報告.xlsx"), "attachment.xlsx");
        assert_eq!(ascii_fall_back("報告"), "attachment");
    }
}
