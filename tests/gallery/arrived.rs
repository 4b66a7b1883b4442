//! What came out, as bytes.

use std::path::Path;

/// The .eml files of a folder.
pub(crate) fn in_folder(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("readable"))
        .collect()
}

/// The one whose Message-ID is made from this.
pub(crate) fn with_id<'a>(arrived: &'a [Vec<u8>], id: &str) -> &'a [u8] {
    let wanted = format!("\r\nMessage-ID: <{id}@example.test>\r\n");
    let head = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(8192)]).into_owned();
    let mut found = arrived.iter().filter(|bytes| head(bytes).contains(&wanted));
    let one = found
        .next()
        .unwrap_or_else(|| panic!("{wanted} did not arrive"));
    assert!(found.next().is_none(), "{wanted} arrived twice");
    one
}

/// RFC 5322 section 2.1.1, RFC 5321 section 2.3.8.
pub(crate) fn assert_well_formed(key: &str, bytes: &[u8]) {
    assert!(bytes.is_ascii(), "{key} is not 7-bit");
    for line in bytes.split(|&byte| byte == b'\n') {
        assert!(line.len() <= 999, "{key}: a line of {} octets", line.len());
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!text.contains(&b'\r'), "{key}: a bare CR");
    }
}
